package cli

import (
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// version is set by the linker (see the Makefile).
var version string

const module = "github.com/droverdata/drover"

// release is the version that the linker or Go's module tools gave to drover in this program; "" where it was built from files of no version.
func release() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == module && m.Replace == nil {
			return m.Version
		}
	}
	return ""
}

// exact reports whether a version is one state of the source.
func exact(v string) bool {
	return v != "" && v != "unknown" && v != "(devel)" && !strings.HasSuffix(v, "dirty") // git describe: -dirty; Go: +dirty
}

// build names this build of drover: builds of one name do the same. Where the version does not tell builds apart, the build's ID does, so that a
// program and its copy on another machine have one name.
func build() (string, error) {
	v := release()
	if exact(v) {
		return v, nil
	}
	if !strings.HasSuffix(v, "dirty") {
		v = "devel"
	}
	id, err := buildID()
	return v + " build " + id, err
}

// buildVersion is what drover version prints.
func buildVersion() string {
	v, err := build()
	if err != nil {
		v += "unknown"
	}
	return fmt.Sprintf("drover %s (%s, %s/%s)", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// buildID is made of the ID that the go command gives to what it links (go help buildid), or of the whole program where there is none.
func buildID() (string, error) {
	f, err := os.Open("/proc/self/exe") // of Linux: the program that runs, even where its file was replaced meanwhile
	if err != nil {
		path, err := os.Executable()
		if err != nil {
			return "", fmt.Errorf("find the program that is running: %w", err)
		}
		if f, err = os.Open(path); err != nil {
			return "", fmt.Errorf("read the program that is running: %w", err)
		}
	}
	defer f.Close() //nolint:errcheck // it was only read
	sum := sha256.New()
	if note := buildNote(f); note != nil {
		_, _ = sum.Write(note) // a hash takes all
	} else if _, err := io.Copy(sum, f); err != nil {
		return "", fmt.Errorf("read the program that is running: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)[:5]), nil
}

// buildNote returns the go command's note in an ELF program; nil where there is none.
func buildNote(f *os.File) []byte {
	program, err := elf.NewFile(f)
	if err != nil {
		return nil
	}
	section := program.Section(".note.go.buildid")
	if section == nil {
		return nil
	}
	note, err := section.Data()
	if err != nil {
		return nil
	}
	return note
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:                   "version",
		DisableFlagsInUseLine: true,
		Short:                 "print the version",
		Args:                  noArgs,
		RunE: func(*cobra.Command, []string) error {
			a.printf("%s\n", buildVersion())
			return nil
		},
	}
}

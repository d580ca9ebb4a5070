package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// poolerInstall is what helps where no PgBouncer can be had.
const poolerInstall = "install PgBouncer: apt-get install pgbouncer, brew install pgbouncer, or put pgbouncer on PATH"

// poolerPath is where Debian's package has it.
const poolerPath = "usr/sbin/pgbouncer"

// findPooler returns the command of an installed PgBouncer, or of one that apt-get fetches for these tests alone.
func findPooler(ctx context.Context) (*exec.Cmd, error) {
	for _, name := range []string{"pgbouncer", "/" + poolerPath} { // which is seldom on the PATH of a user
		if bin, err := exec.LookPath(name); err == nil {
			return exec.Command(bin), nil
		}
	}
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	cmd, err := fetchPooler(ctx, filepath.Join(cache, "pgbouncer"))
	if err != nil {
		return nil, fmt.Errorf("%w (%s)", err, poolerInstall)
	}
	return cmd, nil
}

// fetchPooler unpacks the distribution's package below home, with those packages that it needs and this machine lacks. It changes nothing else, and needs no
// rights: apt-get keeps lists and archives in a directory of ours.
func fetchPooler(ctx context.Context, home string) (*exec.Cmd, error) {
	bin := filepath.Join(home, poolerPath)
	if _, err := os.Stat(bin); err != nil {
		if err := unpackPooler(ctx, home); err != nil {
			return nil, err
		}
	}
	libraries, err := filepath.Glob(filepath.Join(home, "usr", "lib", "*-linux-*"))
	if err != nil {
		return nil, fmt.Errorf("look for pgbouncer's libraries: %w", err)
	}
	cmd := exec.Command(bin)
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join(libraries, ":"))
	return cmd, nil
}

func unpackPooler(ctx context.Context, home string) error {
	if err := os.MkdirAll(filepath.Dir(home), 0o755); err != nil {
		return fmt.Errorf("make the cache directory: %w", err)
	}
	// Several test binaries may come here at once: each unpacks for itself, and the first rename wins.
	work, err := os.MkdirTemp(filepath.Dir(home), "unpack-")
	if err != nil {
		return fmt.Errorf("make the cache directory: %w", err)
	}
	defer os.RemoveAll(work) //nolint:errcheck // a leftover does no harm
	unpacked := filepath.Join(work, "pgbouncer")
	for _, dir := range []string{unpacked, filepath.Join(work, "lists", "partial"), filepath.Join(work, "archives", "partial")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make a directory for pgbouncer: %w", err)
		}
	}
	own := []string{"-qq", "-o", "Debug::NoLocking=1", "-o", "Dir::State::Lists=" + filepath.Join(work, "lists"), "-o", "Dir::Cache=" + work, "-o", "APT::Sandbox::User="}
	for _, args := range [][]string{append(own, "update"), append(own, "install", "--yes", "--download-only", "--reinstall", "--no-install-recommends", "pgbouncer")} {
		if out, err := exec.CommandContext(ctx, "apt-get", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("fetch pgbouncer: %w\n%s", err, out)
		}
	}
	archives, err := filepath.Glob(filepath.Join(work, "archives", "*.deb"))
	if err != nil {
		return fmt.Errorf("look for pgbouncer's packages: %w", err)
	}
	for _, archive := range archives {
		if out, err := exec.CommandContext(ctx, "dpkg-deb", "--extract", archive, unpacked).CombinedOutput(); err != nil {
			return fmt.Errorf("unpack %s: %w\n%s", filepath.Base(archive), err, out)
		}
	}
	if _, err := os.Stat(filepath.Join(unpacked, poolerPath)); err != nil {
		return fmt.Errorf("fetch pgbouncer: its packages do not hold it: %w", err)
	}
	if err := os.Chmod(unpacked, 0o755); err != nil {
		return fmt.Errorf("open %s to the pooler's user: %w", unpacked, err)
	}
	if err := os.Rename(unpacked, home); err != nil {
		if _, statErr := os.Stat(home); statErr != nil {
			return fmt.Errorf("move pgbouncer into the cache: %w", errors.Join(err, statErr))
		}
	}
	return nil
}

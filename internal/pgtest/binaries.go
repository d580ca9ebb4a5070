package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// fetched is the version that is downloaded where no server is installed.
const fetched = embeddedpostgres.V18

// findBinaries returns a directory that holds initdb and postgres.
func findBinaries(ctx context.Context) (string, error) {
	installed, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", fmt.Errorf("look for postgres: %w", err)
	}
	if len(installed) > 0 {
		return filepath.Dir(slices.MaxFunc(installed, func(a, b string) int { return major(a) - major(b) })), nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		// initdb looks for postgres beside itself, which a link hides.
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	return fetchBinaries(ctx)
}

// major returns the version in /usr/lib/postgresql/VERSION/bin/initdb.
func major(path string) int {
	version, _, _ := strings.Cut(filepath.Base(filepath.Dir(filepath.Dir(path))), ".")
	n, err := strconv.Atoi(version)
	if err != nil {
		return 0
	}
	return n
}

// cacheDir returns where fetched binaries are kept. The user that the server runs as must be able to get there, and root's home is
// closed to others.
func cacheDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/cache/drover", nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory: %w", err)
	}
	return filepath.Join(dir, "drover"), nil
}

// fetchBinaries downloads and unpacks the archive of embedded-postgres, unless it is in the cache.
func fetchBinaries(ctx context.Context) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	home := filepath.Join(cache, "postgres-"+string(fetched))
	bin := filepath.Join(home, "bin")
	if _, err := os.Stat(filepath.Join(bin, "postgres")); err == nil {
		return bin, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("make the cache directory: %w", err)
	}
	// Several test binaries may come here at once: each unpacks for itself, and the first rename wins.
	work, err := os.MkdirTemp(cache, "unpack-")
	if err != nil {
		return "", fmt.Errorf("make the cache directory: %w", err)
	}
	defer os.RemoveAll(work) //nolint:errcheck // a leftover does no harm
	if err := os.Chmod(work, 0o755); err != nil {
		return "", fmt.Errorf("open %s to the server's user: %w", work, err)
	}
	unpacked := filepath.Join(work, "postgres")
	if err := download(ctx, work, unpacked); err != nil {
		return "", err
	}
	if err := os.Rename(unpacked, home); err != nil {
		if _, statErr := os.Stat(filepath.Join(bin, "postgres")); statErr != nil {
			return "", fmt.Errorf("move postgres into the cache: %w", err)
		}
	}
	return bin, nil
}

// download lets the library fetch and unpack, and no more: its server would not start as root.
func download(ctx context.Context, work, to string) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	config := embeddedpostgres.DefaultConfig().Version(fetched).Port(uint32(port)).Logger(io.Discard).
		CachePath(work).RuntimePath(filepath.Join(work, "run")).BinariesPath(to).
		// A path that ends in a dot cannot be removed, so the library's Start gives up right after unpacking.
		DataPath(filepath.Join(work, "run") + "/.")
	failed := make(chan error, 1)
	go func() { failed <- embeddedpostgres.NewDatabase(config).Start() }()
	select {
	case err = <-failed:
	case <-ctx.Done():
		// The library takes no context, and its files must not appear after we left.
		return fmt.Errorf("fetch postgres: %w", errors.Join(ctx.Err(), <-failed))
	}
	if _, statErr := os.Stat(filepath.Join(to, "bin", "postgres")); statErr != nil {
		return fmt.Errorf("fetch postgres %s: %w (install PostgreSQL, or put initdb on PATH)", fetched, errors.Join(err, statErr))
	}
	return nil
}

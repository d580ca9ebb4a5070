package machine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestADriversNameIsUniqueAndReadable(t *testing.T) {
	d := NewDriver()
	if again, ok := ParseDriver(d.String()); !ok || again != d {
		t.Errorf("%q is read as %+v", d, again)
	}
	if d.PID != os.Getpid() || !strings.HasPrefix(d.String(), d.Short()+"/") {
		t.Errorf("%+v is called %s, %s for short", d, d, d.Short())
	}
	if other := NewDriver(); other.String() == d.String() {
		t.Errorf("two drivers are called %s", d)
	}
	for _, text := range []string{"", "host/1", "host/x/a-b", "host/1/ab", "worker"} {
		if d, ok := ParseDriver(text); ok {
			t.Errorf("%q is read as %+v", text, d)
		}
	}
}

func TestOnlyAProcessOfThisPlaceIsKnownToBeGone(t *testing.T) {
	if runtime.GOOS != "linux" {
		if Place() != "" {
			t.Error(Place())
		}
		return
	}
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	dead, alive := NewDriver(), NewDriver()
	dead.PID = cmd.Process.Pid
	if len(dead.Place) != 8 || !dead.Gone() || alive.Gone() {
		t.Errorf("%s is gone: %v, %s is gone: %v", dead, dead.Gone(), alive, alive.Gone())
	}
	// A container of the same host name, on the same machine or on another: there the PID may be alive.
	for _, place := range []string{"0badcafe", ""} {
		dead.Place = place
		if dead.Gone() {
			t.Errorf("%s is thought to be gone", dead)
		}
	}
}

func TestAPlaceIsABootAndANamespaceOfPIDs(t *testing.T) {
	const boot, namespace = "0b9a32a4-6a8b-4a4c-9f07-6d8b1f1d9c55\n", "pid:[4026531836]"
	place := placeOf(boot, namespace)
	for what, other := range map[string]string{
		"a container of the machine": placeOf(boot, "pid:[4026532203]"), "another boot": placeOf("5d1b2c3e-0000-4a4c-9f07-6d8b1f1d9c55\n", namespace),
	} {
		if other == place {
			t.Errorf("%s is the place %s too", what, place)
		}
	}
}

func TestOnlyScratchOfDeadProcessesAndOfForsakenPlacesIsSwept(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	dir, dead := t.TempDir(), fmt.Sprint(cmd.Process.Pid)
	old := time.Now().Add(-2 * forsaken)
	stays := []string{Scratch("driver", 0), Scratch("worker", 3), "driver-0badcafe-" + dead + "-0", "worker-0badcafe-1-1", "mine-" + Place() + "-" + dead + "-0", "dry-run.db"}
	goes := []string{"worker-feedbeef-1-1"}
	if Place() != "" {
		goes = append(goes, "worker-"+Place()+"-"+dead+"-1", "driver-"+Place()+"-"+dead+"-0")
	}
	for _, name := range append(slices.Clone(stays), goes...) {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.Mkdir(path, 0o700), os.WriteFile(filepath.Join(path, "spill"), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		// The directories are all old; what was written in them lately is a file, but for those of the forsaken place.
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(filepath.Join(dir, goes[0], "spill"), old, old); err != nil {
		t.Fatal(err)
	}
	if err := Sweep(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range stays {
		if _, err := os.Stat(filepath.Join(dir, name, "spill")); err != nil {
			t.Errorf("%s was swept: %v", name, err)
		}
	}
	for _, name := range goes {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s was not swept: %v", name, err)
		}
	}
}

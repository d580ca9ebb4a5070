package cli

import (
	"os"
	"regexp"
	"testing"
)

func TestBuildsOfFilesWithoutAVersionAreToldApartByTheirID(t *testing.T) {
	if name, err := build(); err != nil || !regexp.MustCompile(`^devel build [0-9a-f]{10}$`).MatchString(name) {
		t.Errorf("this test is %q, %v", name, err)
	}
	for version, want := range map[string]bool{
		"v1.2.0": true, "v0.9.1-5-g1a2b3c4": true, "v0.0.0-20261121190210-d69010d1a2b3": true, "v1.2.0-5-g1a2b3c4-dirty": false, "v0.0.0-20261121190210-d69010d1a2b3+dirty": false,
		"(devel)": false, "unknown": false, "": false,
	} {
		if exact(version) != want {
			t.Errorf("%q says what it was built from: %v", version, !want)
		}
	}
	if program, err := os.Open("/bin/sh"); err == nil {
		if note := buildNote(program); note != nil {
			t.Errorf("a program that Go did not build has the note %q", note)
		}
		_ = program.Close()
	}
}

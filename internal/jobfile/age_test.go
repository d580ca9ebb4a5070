package jobfile

import (
	"testing"
	"time"
)

func TestParseAge(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90d": 90 * 24 * time.Hour, "2w": 14 * 24 * time.Hour, "36h": 36 * time.Hour, "30 m": 30 * time.Minute, "10s": 10 * time.Second, "0d": 0,
		"9999w": 9999 * 7 * 24 * time.Hour,
	} {
		if got, err := ParseAge(text); err != nil || got != want {
			t.Errorf("%s: %s %v", text, got, err)
		}
	}
	for _, text := range []string{"", "90", "d", "-1d", "1.5d", "90 days", "1d12h", "10000d", " 1d"} {
		if got, err := ParseAge(text); err == nil {
			t.Errorf("%q: %s", text, got)
		}
	}
}

package memory

import (
	"errors"
	"testing"
)

func TestDefaultIsAShareOfWhatThereIs(t *testing.T) {
	n, err := Default()
	if err != nil || n < 64<<20 {
		t.Fatalf("got %d, %v", n, err)
	}
}

func TestUsedFollowsAllocations(t *testing.T) {
	before := Used()
	block := make([]byte, 64<<20)
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1
	}
	if grown := Used() - before; grown < 48<<20 {
		t.Fatalf("64 MiB were touched, and memory grew by %d bytes", grown)
	}
	block[0] = 2
}

func TestPss(t *testing.T) {
	n, ok := pss([]byte("00400000-7ffe [rollup]\nRss:   900 kB\nPss:     123 kB\nPss_Anon: 7 kB\n"))
	if !ok || n != 123*1024 {
		t.Fatalf("got %d %v", n, ok)
	}
}

// TestRule34TheDefaultIsAShareOfTheSmallerOfCgroupAndMachine is exactness.md 34.
func TestRule34TheDefaultIsAShareOfTheSmallerOfCgroupAndMachine(t *testing.T) {
	is := func(n uint64, err error) func() (uint64, error) { return func() (uint64, error) { return n, err } }
	none := errors.New("none")
	for name, c := range map[string]struct {
		cgroup, machine func() (uint64, error)
		want            int64
	}{
		"a limit":                         {is(1000, nil), is(8000, nil), 700},
		"no cgroup":                       {is(0, none), is(8000, nil), 5600},
		"a limit above what there is":     {is(1<<40, nil), is(8000, nil), 5600},
		"v1's number for no limit at all": {is(1<<63-4096, nil), is(8000, nil), 5600},
		"only the cgroup is known":        {is(1000, nil), is(0, none), 700},
		"nothing is known":                {is(0, none), is(0, none), 0},
	} {
		if got, err := shareOf(c.cgroup, c.machine); got != c.want || (err != nil) != (c.want == 0) {
			t.Errorf("%s: %d, %v, want %d", name, got, err, c.want)
		}
	}
}

package memory

import "testing"

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

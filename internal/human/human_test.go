package human_test

import (
	"strings"
	"testing"
	"time"

	"github.com/droverdata/drover/internal/human"
)

func TestTexts(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{human.Short(0), "0"},
		{human.Short(950), "950"},
		{human.Short(999.6), "1.0k"},
		{human.Short(228_000), "228k"},
		{human.Short(1_840_000), "1.8M"},
		{human.Short(12_000_000), "12M"},
		{human.Span(400 * time.Millisecond), "0.4s"},
		{human.Span(0), "0s"},
		{human.Span(200 * time.Microsecond), "1ms"},
		{human.Span(23 * time.Millisecond), "23ms"},
		{human.Span(99 * time.Millisecond), "0.1s"},
		{human.Span(3 * time.Second), "3s"},
		{human.Span(130 * time.Second), "2m10s"},
		{human.Span(65 * time.Minute), "1h05m"},
		{human.Plural(1, "chunk"), "1 chunk"},
		{human.Plural(2204, "chunk"), "2,204 chunks"},
		{human.Memory(214 << 20), "214 MiB"},
		{human.Data(61e6), "61 MB"},
		{human.Line("plan", "12 chunks"), "plan              12 chunks"},
		{human.Line("prüfung", "12"), "prüfung           12"},
		{human.Line("a-very-long-label", "x"), "a-very-long-label  x"},
		{human.Line("hint\x1b[2J", "a\r\nb\u202ec\t\u00a0d"), `hint\x1b[2J       a\r\nb\u202ec` + "\t\u00a0d"},
		{human.Key("10016"), "10016"},
		{human.Key("a\nb"), `a\nb`},
		{human.Key(strings.Repeat("ä", 79) + "ö"), strings.Repeat("ä", 79) + "ö"},
		{human.Key(strings.Repeat("ä", 500) + "ö"), strings.Repeat("ä", 40) + "…" + strings.Repeat("ä", 38) + "ö"},
		{human.Line("nothing", ""), "nothing"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

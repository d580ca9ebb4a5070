// Package human writes labels and figures for people, in all of drover's texts alike.
package human

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
)

// labelWidth is where the text after a line's label begins.
const labelWidth = 18

// Line sets a label and a text in two columns: "published         clean_companies: 12 rows".
func Line(label, text string) string {
	label, text = Printable(label), Printable(text)
	pad := max(labelWidth-utf8.RuneCountInString(label), 2)
	return strings.TrimRight(label+strings.Repeat(" ", pad)+text, " ")
}

// Printable makes text of any origin safe to show: what a terminal would obey, or would not show, is escaped, line breaks too.
func Printable(text string) string {
	if !strings.ContainsFunc(text, hidden) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if hidden(r) {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func hidden(r rune) bool { return r != '\t' && !unicode.IsGraphic(r) }

// Key writes the key of a chunk, which may be any value: on one line, its middle left out if it is long.
func Key(key string) string {
	const most = 80
	r := []rune(Printable(key))
	if len(r) <= most {
		return string(r)
	}
	return string(r[:most/2]) + "…" + string(r[len(r)-most/2+1:])
}

// Count writes a number with separators: "2,204".
func Count(n int64) string { return humanize.Comma(n) }

// Plural writes a count and its noun: "1 chunk", "3,000 chunks".
func Plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Count(n) + " " + noun + "s"
}

// Short writes a number in at most four signs: "950", "228k", "1.8M".
func Short(n float64) string {
	units := []string{"", "k", "M", "G", "T"}
	i := 0
	for ; math.Abs(n) >= 999.5 && i < len(units)-1; i++ {
		n /= 1000
	}
	if i > 0 && math.Abs(n) < 9.95 {
		return strconv.FormatFloat(n, 'f', 1, 64) + units[i]
	}
	return strconv.FormatFloat(n, 'f', 0, 64) + units[i]
}

// Data writes an amount of data in decimal units, as disks and networks have them: "61 MB".
func Data(bytes int64) string { return humanize.Bytes(uint64(max(bytes, 0))) }

// Memory writes an amount of memory in binary units: "214 MiB".
func Memory(bytes int64) string { return humanize.IBytes(uint64(max(bytes, 0))) }

// Span writes a time in about two digits: "23ms", "0.4s", "3s", "2m10s", "1h05m".
func Span(d time.Duration) string {
	switch {
	case d > 0 && d < 95*time.Millisecond:
		return fmt.Sprintf("%dms", max(d.Round(time.Millisecond), time.Millisecond).Milliseconds())
	case d < 10*time.Second:
		return strconv.FormatFloat(math.Round(d.Seconds()*10)/10, 'f', -1, 64) + "s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Round(time.Second).Seconds()))
	case d < time.Hour:
		d = d.Round(time.Second)
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	d = d.Round(time.Minute)
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

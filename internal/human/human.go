// Package human writes labels and figures for people, in all of drover's texts alike.
package human

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
)

// labelWidth is where the text after a line's label begins.
const labelWidth = 18

// Line sets a label and a text in two columns: "published         clean_companies: 12 rows".
func Line(label, text string) string {
	pad := max(labelWidth-utf8.RuneCountInString(label), 2)
	return strings.TrimRight(label+strings.Repeat(" ", pad)+text, " ")
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

// Span writes a time to the second: "0.4s", "3s", "2m10s", "1h05m".
func Span(d time.Duration) string {
	switch {
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

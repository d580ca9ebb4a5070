package profile

import (
	"fmt"
	"html"
	"io"
	"strings"

	"github.com/droverdata/drover/internal/human"
)

// Sizes of the chart in pixels.
const (
	chartWidth = 900
	labelWidth = 220
	barHeight  = 14
	rowHeight  = 36
	barWidth   = chartWidth - labelWidth - 160
)

// series is one bar of a row.
type series struct {
	value float64
	text  string
	color string
}

// WriteSVG draws the memory of each column before and after, and the time of each chunk, as one SVG document.
func (r Report) WriteSVG(w io.Writer) error {
	var b strings.Builder
	y := 60
	title := func(text string) {
		fmt.Fprintf(&b, `<text x="20" y="%d" font-size="15" font-weight="bold">%s</text>`+"\n", y, html.EscapeString(text))
		y += 14
	}
	title(fmt.Sprintf("Memory of each column: %s, %s with the smallest types", human.Memory(r.Bytes), human.Memory(r.DowncastBytes)))
	rows := map[string][]series{}
	var names []string
	for _, c := range r.Columns {
		names = append(names, c.Name)
		rows[c.Name] = []series{
			{float64(c.Bytes), human.Memory(c.Bytes) + " " + c.Type, "#8aa4c8"},
			{float64(c.DowncastBytes), human.Memory(c.DowncastBytes) + " " + c.DowncastType, "#2f6f4f"},
		}
	}
	y = bars(&b, y, names, rows)
	y += 40
	title("Time of each chunk: read, transform, write")
	names, rows = nil, map[string][]series{}
	for _, c := range r.Chunks {
		names = append(names, c.Key)
		rows[c.Key] = []series{
			{c.Read, "read " + seconds(c.Read), "#8aa4c8"},
			{c.Transform, "transform " + seconds(c.Transform), "#c88a4a"},
			{c.Write, "write " + seconds(c.Write), "#2f6f4f"},
		}
	}
	y = bars(&b, y, names, rows)
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="12">
<rect width="100%%" height="100%%" fill="white"/>
<text x="20" y="28" font-size="18" font-weight="bold">%s: %s</text>
%s</svg>
`, chartWidth, y+20, html.EscapeString(r.Job), html.EscapeString(r.Source+" -> "+r.Sink), b.String())
	return err
}

// bars draws one row a name, and returns where they end. All bars have the same scale.
func bars(b *strings.Builder, y int, names []string, rows map[string][]series) int {
	most := 0.0
	for _, list := range rows {
		for _, s := range list {
			most = max(most, s.value)
		}
	}
	for _, name := range names {
		list := rows[name]
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", labelWidth-8, y+barHeight+4, html.EscapeString(shorten(name)))
		for i, s := range list {
			width := 0.0
			if most > 0 {
				width = s.value / most * barWidth
			}
			top := y + i*(barHeight+1)
			fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/><text x="%.1f" y="%d" font-size="11">%s</text>`+"\n",
				labelWidth, top, max(width, 1), barHeight, s.color, labelWidth+width+6, top+barHeight-3, html.EscapeString(s.text))
		}
		y += max(rowHeight, len(list)*(barHeight+1)+6)
	}
	return y
}

// WriteHTML is WriteSVG in a page of its own.
func (r Report) WriteHTML(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "<!doctype html>\n<meta charset=\"utf-8\">\n<title>%s</title>\n<body style=\"margin: 0\">\n", html.EscapeString("drover profile "+r.Job)); err != nil {
		return err
	}
	return r.WriteSVG(w)
}

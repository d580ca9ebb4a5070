package sqlstep

import (
	"context"
	"reflect"
	"slices"
	"strings"

	"github.com/droverdata/drover/internal/step"
)

// standIn takes the place of the input relation where a rewritten SELECT is checked.
const standIn = "drover_stand_in"

// splice takes a row-wise SELECT apart around the name chunk, with step.Tag added to its list unless a star brings it along.
// The text is cut, never printed anew: DuckDB's printer does not keep every literal's type. What comes out is parsed again and compared
// with what was meant; head and tail are empty where that fails.
func (c *compiler) splice(ctx context.Context, text string, tree node) (head, tail string, err error) {
	from := tree.kid("from_table")
	at := from.at()
	if at < 0 || at > len(text) {
		return "", "", nil
	}
	head, tail = text[:at], text[at:]
	switch {
	case len(tail) >= len(chunkName) && strings.EqualFold(tail[:len(chunkName)], chunkName):
		tail = tail[len(chunkName):]
	case len(tail) >= len(chunkName)+2 && strings.EqualFold(tail[:len(chunkName)+2], `"`+chunkName+`"`):
		tail = tail[len(chunkName)+2:]
	default:
		return "", "", nil
	}
	alias := from.str("alias")
	if alias == "" {
		alias = chunkName
		tail = " AS " + chunkName + tail
	}
	star := slices.ContainsFunc(tree.kids("select_list"), func(n node) bool { return plainStar(n, alias) })
	if !star {
		word := leadingSpace(head)
		const keyword = "select"
		if len(head) < word+len(keyword) || !strings.EqualFold(head[word:word+len(keyword)], keyword) {
			return "", "", nil
		}
		word += len(keyword)
		head = head[:word] + " " + step.Tag + "," + head[word:]
	}

	want, _ := bare(tree).(map[string]any)
	table, _ := want["from_table"].(map[string]any)
	table["table_name"], table["alias"] = standIn, alias
	got, err := parse(ctx, c.s, head+standIn+tail)
	if err != nil || len(got) != 1 {
		return "", "", nil //nolint:nilerr // not an error of the job: the SELECT is then run a chunk at a time
	}
	if !star {
		list, _ := got[0]["select_list"].([]any)
		first, _ := list[0].(map[string]any)
		if names := node(first).strs("column_names"); len(names) != 1 || names[0] != step.Tag {
			return "", "", nil
		}
		got[0]["select_list"] = list[1:]
	}
	if !reflect.DeepEqual(bare(got[0]), any(want)) {
		return "", "", nil
	}
	return head, tail, nil
}

// same reports whether two trees are equal but for locations.
func same(a, b node) bool { return reflect.DeepEqual(bare(a), bare(b)) }

// leadingSpace returns the length of the white space and comments that text begins with.
func leadingSpace(text string) int {
	i := 0
	for {
		rest := text[i:]
		trimmed := strings.TrimLeft(rest, " \t\r\n")
		i += len(rest) - len(trimmed)
		end, skip := -1, 0
		switch {
		case strings.HasPrefix(trimmed, "--"):
			end, skip = strings.IndexByte(trimmed, '\n'), 1
		case strings.HasPrefix(trimmed, "/*"):
			end, skip = strings.Index(trimmed, "*/"), 2
		}
		if end < 0 {
			return i
		}
		i += end + skip
	}
}

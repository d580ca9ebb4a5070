package jobfile

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"unicode"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/vocabulary"
)

// Starter returns the text of a job file to start from: it copies source, as it is, to a new place, and lists the columns and what could be done to them
// in comments. Connection URLs become ${RAW_URL} and ${CLEAN_URL}, so no secret is written. sink is what the rows go to; nil makes a files sink.
// The text parses once those variables are set.
func Starter(name string, source drover.Source, schema drover.Schema, sink drover.Sink) ([]byte, error) {
	name = slug(name)
	var b strings.Builder
	fmt.Fprintf(&b, `# yaml-language-server: $schema=drover.schema.json
# The next command:  drover plan %[1]s.yaml   what would run; it writes nothing
# And the one after: drover run %[1]s.yaml    start it, or resume it
name: %[1]s

`, name)
	if err := writePart(&b, "source", source.Connector(), source, "${RAW_URL}"); err != nil {
		return nil, err
	}
	writeColumns(&b, schema)
	e := examplesOf(schema)
	writeChunk(&b, e)
	writeSteps(&b, e)
	if sink == nil {
		b.WriteString(`sink:
  files:
    path: ` + scalarText("out/"+name+"/") + `
    format: parquet          # parquet | csv | json | arrow
    mode: error              # error (refuse to write where there is data) | append | overwrite | overwrite_partitions
`)
		if e.partition != "" {
			b.WriteString("    # partition_by: [" + scalarText(e.partition) + "]\n")
		}
	} else {
		if err := writePart(&b, "sink", sink.Connector(), sink, "${CLEAN_URL}"); err != nil {
			return nil, err
		}
		if sink.Connector() == "postgres" {
			b.WriteString("    # mode: replace          # error (the default: refuse a table with rows) | append | replace | upsert, which needs key: [COLUMN]\n")
		}
	}
	b.WriteString(`
# limits: {workers: 4, memory: 4GiB}     # by default what the machine has
# ledger: ${LEDGER_URL:-.drover/ledger.db}
# timezone: UTC
`)
	if e.partition != "" {
		fmt.Fprintf(&b, "# test: {truth: {files: {path: %s}}, key: [%s]}     # drover test compares a sample with it; --accept makes it\n", scalarText("truth/"+name+"/"), scalarText(e.partition))
	}
	return []byte(b.String()), nil
}

// writePart writes a source or sink with the keys that are set.
func writePart(b *strings.Builder, part, connector string, spec any, url string) error {
	data, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("write the %s: %w", part, err)
	}
	var keys map[string]any
	if err := json.Unmarshal(data, &keys); err != nil {
		return fmt.Errorf("write the %s: %w", part, err)
	}
	fmt.Fprintf(b, "%s:\n  %s:\n", part, connector)
	for _, f := range fieldsOf(spec) {
		value, ok := keys[f]
		if !ok {
			continue
		}
		text := ""
		switch v := value.(type) {
		case string:
			text = scalarText(v)
			if f == "url" {
				text = url + "    # set it in the environment, or with --set"
			}
		case []any:
			words := make([]string, len(v))
			for i, w := range v {
				words[i] = scalarText(fmt.Sprint(w))
			}
			text = "[" + strings.Join(words, ", ") + "]"
			if len(words) == 1 && f == "path" {
				text = words[0]
			}
		default:
			text = fmt.Sprint(v)
		}
		fmt.Fprintf(b, "    %s: %s\n", f, text)
	}
	return nil
}

func writeColumns(b *strings.Builder, schema drover.Schema) {
	if len(schema) == 0 {
		return
	}
	b.WriteString("    # its columns:\n")
	width := 0
	for _, c := range schema {
		width = max(width, len(scalarText(c.Name)))
	}
	for _, c := range schema {
		typ := c.Type
		if typ == "" {
			typ = comment(c.Native) + " (steps cannot read it; it is copied as it is)"
		}
		if c.NotNull {
			typ += " not null"
		}
		fmt.Fprintf(b, "    #   %-*s  %s\n", width, comment(scalarText(c.Name)), typ)
	}
}

// comment keeps text on one line.
func comment(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) && r != ' ' {
			return ' '
		}
		return r
	}, text)
}

var (
	bareWord = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// plainScalar is text that is sure to mean itself in YAML without quotes, in flow and in block context.
	plainScalar = regexp.MustCompile(`^[A-Za-z_./][A-Za-z0-9_./ -]*[A-Za-z0-9_./]$|^[A-Za-z_]$`)
	// reservedWord is text that other YAML readers, editors among them, take for null or a truth value.
	reservedWord = regexp.MustCompile(`(?i)^(null|true|false|yes|no|on|off|y|n)$`)
)

// scalarText writes text as a YAML scalar that interpolation leaves alone.
func scalarText(text string) string {
	if plainScalar.MatchString(text) && !reservedWord.MatchString(text) && !strings.HasPrefix(text, ".") || text == "." {
		return text
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	// JSON's strings are YAML's double-quoted ones. Encoding a string cannot fail.
	_ = enc.Encode(strings.ReplaceAll(text, "${", "$${"))
	// YAML refuses some characters that JSON takes, even between quotes.
	var out strings.Builder
	for _, r := range strings.TrimSuffix(b.String(), "\n") {
		if forbidden(r) {
			fmt.Fprintf(&out, `\u%04X`, r)
		} else {
			out.WriteRune(r)
		}
	}
	return out.String()
}

// slug makes a job's name of any text.
func slug(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			b.WriteRune(unicode.ToLower(r))
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	name := []rune(strings.Trim(b.String(), "-"))
	if len(name) > 60 {
		name = name[:60]
	}
	if len(name) == 0 {
		return "job"
	}
	return strings.TrimRight(string(name), "-")
}

// fieldsOf returns the keys of a vocabulary value in the order of its declaration.
func fieldsOf(spec any) []string {
	return vocabulary.Keys(vocabulary.Fields(reflect.Indirect(reflect.ValueOf(spec)).Type()))
}

package files

import (
	"fmt"
	"strings"
	"testing"

	"github.com/droverdata/drover"
)

func TestCSVFilesThatAreNoneSayWhy(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		parts   []string
	}{
		"UTF-16":     {"\xff\xfei\x00d\x00", []string{"UTF-16", "iconv"}},
		"Latin-1":    {"id,n\n1,caf\xe9\n", []string{"not utf-8", "UTF-8; correct"}},
		"Excel":      {"sep=;\nid;n\n1;2\n", []string{"Excel", "remove that line"}},
		"long lines": {"id,n\n1," + strings.Repeat("x", 3_000_000) + "\n", []string{"1.csv", "Line: 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir+"/1.csv", c.content)
			_, err := read(t, In(dir), drover.Chunking{})
			wantError(t, err, drover.Refused, append(c.parts, "1.csv")...)
			if strings.Contains(err.Error(), "ignore_errors") {
				t.Error(err)
			}
		})
	}
}

func TestANameThatIsNotUTF8IsRefusedClearly(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a\xff.csv", "id\n1\n")
	_, err := read(t, In(dir), drover.Chunking{})
	wantError(t, err, drover.Refused, `a\xff.csv`, "not UTF-8", "rename")
}

func TestRowsThatCutNoTextFileAreAWarning(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/1.csv", "id\n1\n2\n")
	r := mustRead(t, In(dir), drover.Chunking{Rows: 1})
	if len(r.chunks) != 1 || len(r.warnings) != 1 || !strings.Contains(r.warnings[0], "each csv file is one chunk") {
		t.Errorf("%d chunks, warnings %q", len(r.chunks), r.warnings)
	}
}

func TestAChunkOfAPartitionReadsItsFolders(t *testing.T) {
	dir := t.TempDir()
	for i, v := range []string{"1", "2", "__HIVE_DEFAULT_PARTITION__", "3"} {
		parquetFile(t, dir+"/k="+v+"/a.parquet", fmt.Sprintf("SELECT %d AS id", i))
	}
	r := mustRead(t, In(dir), drover.Chunking{By: "k"})
	want(t, "rows", r.rows(t), "0|1\n1|2\n2|NULL\n3|3")
	s := newSession(t)
	rel, err := r.src.Open(t.Context(), s, r.schema, r.state, r.chunks)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, rel)
	for i, c := range r.chunks {
		sql := rel.Chunk(i)
		if own := strings.Contains(sql, "k=2/"); own != (c.Key == "2" || c.Key == nullKey) {
			t.Errorf("chunk %s: %s", c.Key, sql)
		}
	}
}

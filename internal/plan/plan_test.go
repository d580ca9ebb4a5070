package plan

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/connector/files"
	"github.com/droverdata/drover/connector/postgres"
	"github.com/droverdata/drover/internal/step"
)

var update = flag.Bool("update", false, "write the golden files anew")

// secret must be in no plan.
const secret = "hunter2"

func taxi() Bound {
	return Bound{
		Job: drover.Job{
			Name:  "taxi-2017",
			Frame: drover.Read(files.In("taxi/")).Drop("vendor_id").Filter("trip_distance > 1"),
			Sink:  files.Out("out/").PartitionBy("passenger_count", "payment_type").Overwrite(),
		},
		Input: drover.Schema{
			{Name: "vendor_id", Type: "VARCHAR"},
			{Name: "trip_distance", Type: "DOUBLE"},
			{Name: "passenger_count", Type: "BIGINT"},
			{Name: "payment_type", Type: "VARCHAR"},
		},
		Output: drover.Schema{
			{Name: "trip_distance", Type: "DOUBLE", From: "trip_distance"},
			{Name: "passenger_count", Type: "BIGINT", From: "passenger_count"},
			{Name: "payment_type", Type: "VARCHAR", From: "payment_type"},
		},
		Program:        step.Program{SQL: "SELECT \"trip_distance\", __drover_tag\nFROM " + step.Input() + " AS chunk\nWHERE (trip_distance > 1)", RowWise: true},
		Reads:          []string{"trip_distance"},
		SourceIdentity: "files taxi/", Check: connector.Check{Identity: "files out/", Notes: []string{"partitions that exist are replaced"}},
	}
}

func companies() Bound {
	url := "postgres://me:" + secret + "@db.example.com/shop"
	f := drover.Read(postgres.Table(url, "raw_companies")).ChunkBy("zip_code").Filter("is_active").
		Set(drover.Pair{Key: "state", Value: "upper(state)"}, drover.Pair{Key: "per_head", Value: "revenue / nullif(employees, 0)"}).
		Rename("title", "name").Drop("fax")
	return Bound{
		Job: drover.Job{Name: "clean-companies", Frame: f, Sink: postgres.Into(url, "clean_companies").Replace(), Timezone: "Europe/Berlin", Ledger: url},
		Input: drover.Schema{
			{Name: "id", Type: "BIGINT", Native: "bigint", NotNull: true},
			{Name: "title", Type: "VARCHAR", Native: "text"},
			{Name: "state", Type: "VARCHAR", Native: "character varying(2)"},
			{Name: "revenue", Type: "DECIMAL(14,2)", Native: "numeric(14,2)"},
			{Name: "employees", Type: "INTEGER", Native: "integer"},
			{Name: "is_active", Type: "BOOLEAN", Native: "boolean"},
			{Name: "fax", Type: "VARCHAR", Native: "text"},
			{Name: "ip", Native: "inet"},
			{Name: "zip_code", Type: "VARCHAR", Native: "text"},
		},
		Output: drover.Schema{
			{Name: "id", Type: "BIGINT", Native: "bigint", NotNull: true, From: "id"},
			{Name: "name", Type: "VARCHAR", Native: "text", From: "title"},
			{Name: "state", Type: "VARCHAR"},
			{Name: "revenue", Type: "DECIMAL(14,2)", Native: "numeric(14,2)", From: "revenue"},
			{Name: "ip", Native: "inet", From: "ip"},
			{Name: "zip_code", Type: "VARCHAR", Native: "text", From: "zip_code"},
			{Name: "per_head", Type: "DOUBLE"},
		},
		Program:        step.Program{SQL: "SELECT 1\nFROM " + step.Input() + " AS chunk", RowWise: true},
		Reads:          []string{"state", "revenue", "employees", "is_active"},
		SourceIdentity: "7301/16384",
		Check: connector.Check{
			Identity: "7301/16390", Types: []string{"bigint", "text", "character(2)", "numeric(14,2)", "inet", "text", "numeric(14,2)"},
			Notes: []string{"publish: a rename swap", "state: assignment cast from text to character(2)"},
		},
	}
}

func perFile() Bound {
	b := taxi()
	b.Job.Name = "daily totals, one per file"
	b.Job.Frame = drover.Read(files.In("taxi/")).SQL("SELECT sum(trip_distance)\n  AS total FROM chunk")
	b.Job.Frame.Chunk = drover.Chunking{Files: 1}
	b.Output = drover.Schema{{Name: "total", Type: "DOUBLE"}}
	b.Program = step.Program{SQL: "SELECT \"total\", " + step.Index() + "::BIGINT AS __drover_tag\nFROM " + step.Input(), Why: "step 1 (sql): sum() is an aggregate"}
	b.Reads = b.Input.Names()
	return b
}

func keyed() Bound {
	b := companies()
	b.Job.Name = "plain-copy"
	b.Job.Frame.Steps = nil
	b.Job.Frame.Chunk = drover.Chunking{By: "zip_code", Keys: "SELECT zip FROM zips"}
	b.Output, b.Reads = slices.Clone(b.Input), nil
	for i := range b.Output {
		b.Output[i].From = b.Output[i].Name
	}
	b.Check = connector.Check{}
	return b
}

func TestPlansAsText(t *testing.T) {
	for name, tc := range map[string]struct {
		bound  Bound
		totals Totals
	}{
		"taxi":      {taxi(), Totals{Chunks: 12, Bytes: 561 << 20}},
		"companies": {companies(), Totals{Chunks: 3000, Rows: 2_400_127, Bytes: 658_000_000, Memory: 300 << 20, Workers: 2}},
		"per-file":  {perFile(), Totals{Chunks: 1}},
		"keyed":     {keyed(), Totals{}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Make(tc.bound)
			if err != nil {
				t.Fatal(err)
			}
			if d, ok := pushdowns(p)[name]; ok {
				p = p.WithPushdown(d)
			}
			var text bytes.Buffer
			if err := p.WriteText(&text, tc.totals); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", text.Bytes())
			doc, err := json.MarshalIndent(Document{Plan: p, Totals: tc.totals}, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".json", append(doc, '\n'))
			if bytes.Contains(text.Bytes(), []byte(secret)) || bytes.Contains(doc, []byte(secret)) || bytes.Contains(doc, []byte("db.example.com")) {
				t.Fatal("a plan tells a secret or a host")
			}
		})
	}
}

// pushdowns is what the sources of some plans say that they do by themselves.
func pushdowns(p Plan) map[string]connector.Pushdown {
	needs, of := p.Stages[0].Needs(), len(p.Stages[0].Input)
	return map[string]connector.Pushdown{
		"companies": {How: "the source's COPY statements", Columns: needs, Of: of, Filters: []string{"is_active"}, Left: []string{"(length(state) = 2)"}},
		"taxi":      {How: "the scan, which skips row groups by their statistics", Columns: needs, Of: of, Filters: []string{"trip_distance>1.0"}},
		"per-file":  {How: "the scan, which reads whole rows", Of: of},
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -update writes it anew); got\n%s", path, got)
	}
}

func TestPlansRoundTripThroughJSON(t *testing.T) {
	for _, b := range []Bound{taxi(), companies(), perFile(), keyed()} {
		p, err := Make(b)
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var q Plan
		if err := json.Unmarshal(data, &q); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(p, q) {
			t.Errorf("%s came back as %s", data, q.Job)
		}
	}
}

func TestRule2TheFingerprintIsTheMeaning(t *testing.T) {
	print := func(change func(*drover.Job)) string {
		t.Helper()
		j := companies().Job
		change(&j)
		p, err := Fingerprint(j, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	same := print(func(*drover.Job) {})
	if len(same) != 64 {
		t.Fatalf("%q is not a SHA-256", same)
	}
	source := func(url, table string) drover.Source { return postgres.Table(url, table) }
	for name, change := range map[string]func(*drover.Job){
		"limits":         func(j *drover.Job) { j.Limits = drover.Limits{Workers: 9, Memory: 1} },
		"ledger":         func(j *drover.Job) { j.Ledger = "elsewhere.db" },
		"keep":           func(j *drover.Job) { j.Keep = time.Hour },
		"host of source": func(j *drover.Job) { j.Frame.Source = source("postgres://other/db", "raw_companies") },
		"credentials":    func(j *drover.Job) { j.Sink = postgres.Into("postgres://you:x@h/db", "clean_companies").Replace() },
	} {
		if print(change) != same {
			t.Errorf("%s changes the fingerprint", name)
		}
	}
	seen := map[string]string{same: "the job itself"}
	for name, change := range map[string]func(*drover.Job){
		"name":     func(j *drover.Job) { j.Name = "other" },
		"table":    func(j *drover.Job) { j.Frame.Source = source("postgres://h/db", "other") },
		"query":    func(j *drover.Job) { j.Frame.Source = postgres.Query("postgres://h/db", "SELECT 1") },
		"target":   func(j *drover.Job) { j.Sink = postgres.Into("postgres://h/db", "other").Replace() },
		"mode":     func(j *drover.Job) { j.Sink = postgres.Into("postgres://h/db", "clean_companies").Append() },
		"chunking": func(j *drover.Job) { j.Frame.Chunk.Others = "ignore" },
		"steps":    func(j *drover.Job) { j.Frame = j.Frame.Filter("true") },
		"order":    func(j *drover.Job) { j.Frame.Steps = append(j.Frame.Steps[1:2:2], j.Frame.Steps[0]) },
		"timezone": func(j *drover.Job) { j.Timezone = "" },
		"files":    func(j *drover.Job) { j.Frame.Source = files.In("raw_companies") },
	} {
		p := print(change)
		if other, ok := seen[p]; ok {
			t.Errorf("%s has the fingerprint of %s", name, other)
		}
		seen[p] = name
	}
	if a, b := print(func(j *drover.Job) { j.Timezone = "" }), print(func(j *drover.Job) { j.Timezone = "UTC" }); a != b {
		t.Error("no time zone is not UTC")
	}
}

func TestRule20ThePlanSaysThatARunIsNotOneSnapshot(t *testing.T) {
	p, err := Make(companies())
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := p.WriteText(&text, Totals{}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "each chunk is one snapshot of the source, the run is not") {
		t.Fatal(text.String())
	}
}

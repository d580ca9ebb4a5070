package e2e

import (
	"encoding/json"
	"fmt"
	"testing"
)

// cities is a source with four cities of ten rows, two rows without a city, and a list of cities of which only three are listed.
const cities = `
CREATE TABLE raw (id bigint PRIMARY KEY, city text);
INSERT INTO raw SELECT g, (ARRAY['bern','oslo','rome','wien'])[1 + g % 4] FROM generate_series(1, 40) g;
INSERT INTO raw VALUES (41, NULL), (42, NULL);
CREATE INDEX ON raw (city);
CREATE TABLE cities (name text PRIMARY KEY);
INSERT INTO cities VALUES ('bern'), ('oslo'), ('rome');
CREATE TABLE clean (id bigint, city text);
CREATE UNIQUE INDEX ON clean (id)`

func newKeysJob(chunk, sink string) string {
	return fmt.Sprintf(`name: cities
source: {postgres: {url: "${DB}", table: raw}}
chunk: {by: city, new_keys: true%s}
sink: {postgres: {url: "${DB}", table: clean, %s}}
ledger: ${DB}
`, chunk, sink)
}

// loads runs the job and asserts how many chunks and rows it loaded. The target's unique index refuses rows that come twice.
func (p *place) loads(t *testing.T, chunks, rows int64, args ...string) {
	t.Helper()
	s := p.must(t, append([]string{"run", "job.yaml", "--json"}, args...)...).summary(t)
	if s.State != "finished" || s.Chunks.Total != chunks || s.Chunks.Finished != chunks || s.RowsOut != rows {
		t.Fatalf("loaded %+v, want %d chunks of %d rows", s, chunks, rows)
	}
}

// plans asserts what drover plan says is new and loaded.
func (p *place) plans(t *testing.T, chunks, loaded int64) {
	t.Helper()
	var totals struct {
		Chunks int64 `json:"chunks"`
		Loaded int64 `json:"loaded_keys"`
	}
	if err := json.Unmarshal([]byte(p.must(t, "plan", "job.yaml", "--json").stdout), &totals); err != nil {
		t.Fatal(err)
	}
	if totals.Chunks != chunks || totals.Loaded != loaded {
		t.Errorf("the plan has %d chunks and %d loaded keys, want %d and %d", totals.Chunks, totals.Loaded, chunks, loaded)
	}
}

func TestRule21NewKeysLoadsEachKeyOnceByThePlainSameCommand(t *testing.T) {
	t.Parallel()
	for name, sink := range map[string]string{"append": "mode: append", "upsert": "mode: upsert, key: [id]"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.postgres(t)
			p.sql(t, cities)
			p.write(t, "job.yaml", newKeysJob("", sink))
			before := p.relations(t)
			p.plans(t, 5, 0)
			if p.relations(t) != before {
				t.Error("plan made something")
			}
			p.loads(t, 5, 42) // NULL is a key like any other
			p.loads(t, 0, 0)
			p.sql(t, `INSERT INTO raw SELECT g, 'kyiv' FROM generate_series(51, 57) g; INSERT INTO raw VALUES (60, 'bern')`)
			p.plans(t, 1, 5)
			says(t, p.must(t, "plan", "job.yaml").stdout, "1 chunk by city: new keys only, 5 loaded already")
			if s := p.must(t, "run", "job.yaml", "--dry-run", "--json").summary(t); s.RowsOut != 7 {
				t.Errorf("a dry run: %+v", s)
			}
			p.loads(t, 1, 7)
			p.loads(t, 0, 0, "--run", "named")
			if got := p.sql(t, `SELECT count(*) || ' ' || count(DISTINCT id) FROM clean`); got != "49 49" {
				t.Errorf("the target has %s rows", got)
			}
		})
	}
}

func TestRule21KeysOfAnUnfinishedRunAreNotLoadedTwice(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.postgres(t)
	p.sql(t, cities)
	p.write(t, "job.yaml", newKeysJob("", "mode: append"))
	p.must(t, "run", "job.yaml", "--limit-chunks", "2")
	// A run of another name would choose the same keys.
	other := p.drover(t, nil, "run", "job.yaml", "--run", "other")
	if other.code != 2 {
		t.Errorf("exit %d", other.code)
	}
	says(t, other.stderr, "which keys are new", "--run r-")
	// A refusal leaves the real run the newest one.
	says(t, p.must(t, "status", "--ledger", p.envValue("DB")).stdout, "open")
	p.loads(t, 5, 42)
	p.loads(t, 0, 0)
	if got := p.sql(t, `SELECT count(*) FROM clean`); got != "42" {
		t.Errorf("the target has %s rows", got)
	}
}

func TestRule21DriversThatStartTogetherAgreeOnTheNewKeys(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.postgres(t)
	p.sql(t, cities)
	p.write(t, "job.yaml", newKeysJob("", "mode: append"))
	var all []*process
	for range 3 {
		all = append(all, p.start(t, "run", "job.yaml", "--workers", "1"))
	}
	for i := range 2 {
		all = append(all, p.start(t, "run", "job.yaml", "--workers", "1", "--run", fmt.Sprint("night", i)))
	}
	for _, r := range all {
		if end := r.wait(t); end.code != 0 && end.code != 2 {
			t.Errorf("exit %d\n%s", end.code, end.stderr)
		}
	}
	p.must(t, "run", "job.yaml")
	if got := p.sql(t, `SELECT count(*) || ' ' || count(DISTINCT id) FROM clean`); got != "42 42" {
		t.Errorf("the target has %s rows", got)
	}
}

func TestRule21OthersAreReadByTheFirstRunAlone(t *testing.T) {
	t.Parallel()
	t.Run("append refuses keys that may have come in unlisted", func(t *testing.T) {
		t.Parallel()
		p := newPlace(t)
		p.postgres(t)
		p.sql(t, cities)
		p.write(t, "job.yaml", newKeysJob(`, keys: SELECT name FROM cities`, "mode: append"))
		p.loads(t, 4, 42)
		p.loads(t, 0, 0)
		p.sql(t, `INSERT INTO cities VALUES ('wien')`) // its rows are there
		r := p.drover(t, nil, "run", "job.yaml")
		if r.code != 3 {
			t.Errorf("exit %d", r.code)
		}
		says(t, r.stderr, "city = wien is new", "(other)", "mode: upsert", "others: ignore")
		if got := p.sql(t, `SELECT count(*) FROM clean`); got != "42" {
			t.Errorf("the target has %s rows", got)
		}
	})
	t.Run("upsert loads them", func(t *testing.T) {
		t.Parallel()
		p := newPlace(t)
		p.postgres(t)
		p.sql(t, cities)
		p.write(t, "job.yaml", newKeysJob(`, keys: SELECT name FROM cities`, "mode: upsert, key: [id]"))
		p.loads(t, 4, 42)
		p.sql(t, `INSERT INTO cities VALUES ('wien')`)
		p.loads(t, 1, 10)
		if got := p.sql(t, `SELECT count(*) FROM clean`); got != "42" {
			t.Errorf("the target has %s rows", got)
		}
	})
	t.Run("ignored, newly listed keys are loaded", func(t *testing.T) {
		t.Parallel()
		p := newPlace(t)
		p.postgres(t)
		p.sql(t, cities)
		p.write(t, "job.yaml", newKeysJob(`, keys: SELECT name FROM cities, others: ignore`, "mode: append"))
		p.loads(t, 3, 30)
		p.sql(t, `INSERT INTO cities VALUES ('wien')`)
		p.loads(t, 1, 10)
	})
	t.Run("without rows of others nothing can have come in", func(t *testing.T) {
		t.Parallel()
		p := newPlace(t)
		p.postgres(t)
		p.sql(t, cities+`; DELETE FROM raw WHERE city IS NULL OR city = 'wien'`)
		p.write(t, "job.yaml", newKeysJob(`, keys: SELECT name FROM cities`, "mode: append"))
		p.loads(t, 4, 30)
		p.sql(t, `INSERT INTO cities VALUES ('wien'); INSERT INTO raw VALUES (70, 'wien')`)
		p.loads(t, 1, 1)
	})
}

func TestRule21KeysOfRunsThatWereCutAnotherWayAreUnknown(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.postgres(t)
	p.sql(t, cities)
	p.write(t, "job.yaml", "name: cities\nsource: {postgres: {url: \"${DB}\", table: raw}}\nsink: {postgres: {url: \"${DB}\", table: clean, mode: append}}\nledger: ${DB}\n")
	p.must(t, "run", "job.yaml")
	p.write(t, "job.yaml", newKeysJob("", "mode: append"))
	for _, verb := range []string{"plan", "run"} {
		r := p.drover(t, nil, verb, "job.yaml")
		if r.code != 2 {
			t.Errorf("%s: exit %d", verb, r.code)
		}
		says(t, r.stderr, "not by city", "another name")
	}
}

func TestRule23RowsScannedWhereItIsKnown(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.write(t, "in/a.csv", "id,city\n1,bern\n2,oslo\n3,\n")
	p.exec(t, `COPY (SELECT * FROM 'in/a.csv') TO '`+p.dir+`/pq.parquet'`)
	for name, c := range map[string]struct {
		source string
		known  bool
	}{
		"CSV":             {"source: {files: {path: in}}", false},
		"Parquet":         {"source: {files: {path: pq.parquet}}", true},
		"keys of Parquet": {"source: {files: {path: pq.parquet}}\nchunk: {by: city}", false},
	} {
		p.write(t, "job.yaml", "name: cities\n"+c.source+"\nsteps: [{filter: id > 1}]\nsink: {files: {path: out, format: parquet, mode: overwrite}}\n")
		s := p.must(t, "run", "job.yaml", "--json").summary(t)
		if (s.RowsScanned != nil) != c.known || c.known && *s.RowsScanned != 3 || s.RowsOut != 2 {
			t.Errorf("%s: %+v", name, s)
		}
		if got := p.ledger(t, `SELECT sum(rows_scanned) FROM chunk JOIN run ON uid = run_id WHERE run.id = '`+s.Run+`'`); (got == "3") != c.known || !c.known && got != "NULL" {
			t.Errorf("%s: the ledger says %s", name, got)
		}
	}
}

func TestRule23RowsThatPostgresLeavesOutAreNotKnown(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.postgres(t)
	p.sql(t, cities)
	for filter, known := range map[string]bool{"": true, "steps: [{filter: id > 2}]\n": false} {
		p.write(t, "job.yaml", "name: cities\nsource: {postgres: {url: \"${DB}\", table: raw}}\n"+filter+"sink: {files: {path: out, format: parquet, mode: overwrite}}\n")
		s := p.must(t, "run", "job.yaml", "--json").summary(t)
		if known && (s.RowsScanned == nil || *s.RowsScanned != 42 || s.RowsIn != 42) || !known && (s.RowsScanned != nil || s.RowsIn != 40) {
			t.Errorf("%q: %+v", filter, s)
		}
	}
}

func TestRule21NewKeysOfFiles(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.write(t, "in/a.csv", "id,city\n1,bern\n2,oslo\n3,\n")
	p.write(t, "job.yaml", "name: cities\nsource: {files: {path: in}}\nchunk: {by: city, new_keys: true}\nsink: {files: {path: out, format: parquet, mode: append}}\n")
	p.loads(t, 3, 3)
	p.write(t, "in/b.csv", "id,city\n4,kyiv\n5,bern\n")
	p.loads(t, 1, 1)
	if got := p.query(t, `SELECT count(*) || ' ' || sum(id) FROM 'out/*.parquet'`); got != "4 10" {
		t.Errorf("the dataset has %s", got)
	}
}

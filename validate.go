package drover

import (
	"errors"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxName bounds a job's name, in characters: it becomes part of application names, which Postgres cuts at 63 bytes, and of file names.
const maxName = 63

// Validate refuses what cannot be right whatever the source's schema is. The error is an *Error of kind Invalid whose Field
// says where. It does no I/O, beyond Go's own lookup of the time zone.
//
// A Source or Sink takes part by implementing any of
//
//	Validate() error                         // Field relative to the value: "table"
//	ValidateChunking(drover.Chunking) error  // Field relative to the chunking: "files"
//	KeepsRows() bool                         // of a sink: a run adds to what earlier runs wrote
//	CommitsEarly() bool                      // of a sink: rows are visible before the run is over
func (j Job) Validate() error {
	if err := validateName(j.Name); err != nil {
		return err
	}
	if j.Frame.Source == nil {
		return Errorf(Invalid, "source is missing").WithField("source")
	}
	if err := validatePart("source."+j.Frame.Source.Connector(), j.Frame.Source); err != nil {
		return err
	}
	if err := j.Frame.Chunk.validate(); err != nil {
		return under("chunk", err)
	}
	if c, ok := j.Frame.Source.(interface{ ValidateChunking(Chunking) error }); ok {
		if err := c.ValidateChunking(j.Frame.Chunk); err != nil {
			return under("chunk", err)
		}
	}
	for i, s := range j.Frame.Steps {
		if err := s.validate(); err != nil {
			return under(index("steps", i), err)
		}
	}
	if err := j.validateFunctions(); err != nil {
		return err
	}
	if j.Sink == nil {
		return Errorf(Invalid, "sink is missing").WithField("sink")
	}
	if err := validatePart("sink."+j.Sink.Connector(), j.Sink); err != nil {
		return err
	}
	if k, ok := j.Sink.(interface{ KeepsRows() bool }); j.Frame.Chunk.NewKeys && (!ok || !k.KeepsRows()) {
		return Errorf(Invalid, "new_keys adds to what earlier runs loaded, and %s does not", j.Sink).WithField("chunk.new_keys").
			WithHint("write mode: append or mode: upsert in the sink, or remove new_keys")
	}
	if err := j.Rejects.validate(); err != nil {
		return under("rejects", err)
	}
	if err := j.validateExpect(); err != nil {
		return err
	}
	if err := j.Limits.validate(); err != nil {
		return under("limits", err)
	}
	if j.Keep < 0 {
		return Errorf(Invalid, "keep is negative: %s", j.Keep).WithField("keep")
	}
	if j.Test != nil {
		if err := j.Test.validate(); err != nil {
			return under("test", err)
		}
	}
	return validateZone(j.Timezone)
}

// validateFunctions refuses two Go functions of one name, which alone says what a worker calls.
func (j Job) validateFunctions() error {
	seen := map[string]bool{}
	for i, s := range j.Frame.Steps {
		if s.Go != "" && seen[s.Go] {
			return Errorf(Invalid, "two steps call a function %q", s.Go).WithField(index("steps", i) + ".go").WithHint("give each Map a name of its own")
		}
		seen[s.Go] = true
	}
	return nil
}

func (t *Test) validate() error {
	switch {
	case t.Truth == nil:
		return Errorf(Invalid, "truth is missing").WithField("truth").WithHint("name the table or the dataset that the result must equal; drover test --accept can make it")
	case len(t.Key) == 0:
		return Errorf(Invalid, "key is missing").WithField("key").WithHint("name the columns that say which rows belong together, such as key: [id]")
	case t.Sample < 0:
		return Errorf(Invalid, "sample is negative: %d", t.Sample).WithField("sample")
	case !(t.Tolerance >= 0) || math.IsInf(t.Tolerance, 0):
		return Errorf(Invalid, "tolerance is %v: it must be 0 or more", t.Tolerance).WithField("tolerance")
	}
	if t.Source != nil {
		if err := validatePart("source."+t.Source.Connector(), t.Source); err != nil {
			return err
		}
	}
	return validatePart("truth."+t.Truth.Connector(), t.Truth)
}

func validateName(name string) error {
	switch {
	case name == "":
		return Errorf(Invalid, "name is missing").WithField("name").WithHint("give the job a name, such as name: taxi-2017")
	case utf8.RuneCountInString(name) > maxName:
		return Errorf(Invalid, "name is longer than %d characters", maxName).WithField("name")
	}
	for i, r := range name {
		letter := unicode.IsLetter(r) || unicode.IsDigit(r)
		if !letter && (i == 0 || !strings.ContainsRune("-_.", r)) {
			err := Errorf(Invalid, "name %q has %q in it", name, r)
			if i == 0 {
				err = Errorf(Invalid, "name %q starts with %q", name, r)
			}
			return err.WithField("name").WithHint("use letters, digits, '-', '_' and '.', with a letter or digit first")
		}
	}
	return nil
}

func validatePart(path string, part any) error {
	if v, ok := part.(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			return under(path, err)
		}
	}
	return nil
}

func validateZone(name string) error {
	if name == "" {
		return nil
	}
	// "Local" is Go's word for the machine's own zone, which differs between machines.
	if _, err := time.LoadLocation(name); err != nil || name == "Local" {
		return Errorf(Invalid, "unknown timezone %q", name).WithField("timezone").WithHint("use a name of the tz database, such as UTC or America/New_York")
	}
	return nil
}

func (r *Rejects) validate() error {
	switch {
	case r == nil:
		return nil
	case r.Sink == nil:
		return Errorf(Invalid, "rejects does not say where rejected rows go").WithHint("write rejects: {files: {path: rejects/}}")
	case r.Max < 0:
		return Errorf(Invalid, "max is negative: %d", r.Max).WithField("max")
	}
	if err := validatePart(r.Sink.Connector(), r.Sink); err != nil {
		return err
	}
	_, err := r.Into()
	if err != nil {
		return under(r.Sink.Connector(), err)
	}
	return nil
}

func (l Limits) validate() error {
	for _, limit := range []struct {
		key   string
		value int64
	}{
		{"workers", int64(l.Workers)},
		{"memory", l.Memory},
		{"attempts", int64(l.Attempts)},
		{"max_errors", int64(l.MaxErrors)},
		{"source_connections", int64(l.SourceConnections)},
	} {
		if limit.value < 0 {
			return Errorf(Invalid, "%s is negative: %d", limit.key, limit.value).WithField(limit.key)
		}
	}
	return nil
}

func (c Chunking) validate() error {
	if c.Rows < 0 {
		return Errorf(Invalid, "rows is negative: %d", c.Rows).WithField("rows")
	}
	if c.Files < 0 {
		return Errorf(Invalid, "files is negative: %d", c.Files).WithField("files")
	}
	const oneWay = "chunks are cut one way: keep one of by, rows and files"
	switch {
	case c.By != "" && c.Rows > 0:
		return Errorf(Invalid, "rows and by are both set").WithField("rows").WithHint(oneWay)
	case c.By != "" && c.Files > 0:
		return Errorf(Invalid, "files and by are both set").WithField("files").WithHint(oneWay)
	case c.Rows > 0 && c.Files > 0:
		return Errorf(Invalid, "files and rows are both set").WithField("files").WithHint(oneWay)
	}
	const needsBy = "add by: COLUMN, the column whose values make the chunks"
	switch {
	case c.Keys != "" && c.By == "":
		return Errorf(Invalid, "keys is set without by").WithField("keys").WithHint(needsBy)
	case c.NewKeys && c.By == "":
		return Errorf(Invalid, "new_keys is set without by").WithField("new_keys").WithHint(needsBy)
	case c.Spool && c.By == "":
		return Errorf(Invalid, "spool is set without by").WithField("spool").WithHint(needsBy)
	case c.Others != "" && c.Others != "ignore":
		return Errorf(Invalid, "unknown others %q", c.Others).WithField("others").
			WithHint("write others: ignore to leave out rows whose key is not listed, or leave others out to make one more chunk of them")
	case c.Others != "" && c.By == "":
		return Errorf(Invalid, "others is set without by").WithField("others").WithHint(needsBy)
	case c.Others != "" && c.Keys == "":
		return Errorf(Invalid, "others is set without keys").WithField("others").
			WithHint("add keys: SELECT ..., the query that lists the values; without it every value has its chunk and there are no others")
	}
	return nil
}

// under puts a part's error below the part's place in the job.
func under(path string, err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return Errorf(Invalid, "%w", err).WithField(path)
	}
	if e.Field != "" {
		path += "." + e.Field
	}
	c := *e
	c.Field = path
	return &c
}

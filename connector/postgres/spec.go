// Package postgres reads and writes PostgreSQL tables by binary COPY.
package postgres

import (
	"net/url"
	"strings"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/pgurl"
)

// Name is the connector's name in job files.
const Name = "postgres"

// URL is a connection URL (postgres://...) or a libpq keyword string. Printing it hides the password; its JSON
// form holds it.
type URL string

// String returns the server and database, without user options and secrets.
func (u URL) String() string {
	if text := string(u); !strings.Contains(text, "://") && pgurl.Is(text) {
		if server := pgurl.Server(text); server != "" {
			return server
		}
		return Name
	}
	p, err := url.Parse(string(u))
	if err != nil || p.Host == "" || pgurl.Misread(p) {
		return Name
	}
	return p.Host + p.Path
}

// GoString hides the password from %#v.
func (u URL) GoString() string { return u.String() }

// Source says which table or query to read. Exactly one of Table and Query is set.
type Source struct {
	URL URL `json:"url" jsonschema:"required"`
	// Table is "name" or "schema.name", with the parts quoted where SQL would need it.
	Table string `json:"table,omitempty"`
	Query string `json:"query,omitempty"`
	// StatementTimeout is how long a statement that reads may take; 0 means no bound. It is not part of a job's meaning.
	StatementTimeout time.Duration `json:"statement_timeout,omitempty" unit:"age"`
	// plain says that Query is no more than columns of a table: it does not matter in which order conditions are evaluated.
	plain bool
}

// Table reads a table.
func Table(url, table string) *Source { return &Source{URL: URL(url), Table: table} }

// Query reads the answer to a query.
func Query(url, query string) *Source { return &Source{URL: URL(url), Query: query} }

// Connector implements drover.Source.
func (*Source) Connector() string { return Name }

func (s *Source) String() string {
	if s.Table == "" {
		return "postgres query"
	}
	return "postgres " + s.Table
}

// Meaning implements drover.Source.
func (s *Source) Meaning() any { return map[string]string{"table": s.Table, "query": s.Query} }

// AsSink returns a sink that refuses a table with rows, and one that writes what the source would read, all or nothing.
func (s *Source) AsSink() (empty, write drover.Sink, err error) {
	if s.Table == "" {
		return nil, nil, drover.Errorf(drover.Invalid, "a query cannot be written to").WithField("query").WithHint("name a table in its place")
	}
	return &Sink{URL: s.URL, Table: s.Table, Mode: Error}, &Sink{URL: s.URL, Table: s.Table, Mode: Replace}, nil
}

// Mode says what a sink does with rows that are there already.
type Mode string

// The modes of a postgres sink.
const (
	Error   Mode = "error" // refuse a table that has rows
	Append  Mode = "append"
	Replace Mode = "replace"
	Upsert  Mode = "upsert"
)

// Sink says which table to write, and how.
type Sink struct {
	URL   URL    `json:"url" jsonschema:"required"`
	Table string `json:"table" jsonschema:"required"`
	Mode  Mode   `json:"mode,omitempty" jsonschema:"enum=append,enum=replace,enum=upsert,enum=error"`
	// Key is the columns that identify a row, for upsert.
	Key []string `json:"key,omitempty"`
	// OnConflict is update (default) or ignore, for upsert.
	OnConflict string `json:"on_conflict,omitempty" jsonschema:"enum=update,enum=ignore"`
	// Latest names the column whose highest value wins among rows of one key, for upsert.
	Latest string `json:"latest,omitempty"`
}

// Into writes a table.
func Into(url, table string) *Sink { return &Sink{URL: URL(url), Table: table} }

// Replace swaps the table's rows for the new ones at the end of the run.
func (s *Sink) Replace() *Sink { s.Mode = Replace; return s }

// Append adds rows.
func (s *Sink) Append() *Sink { s.Mode = Append; return s }

// Upsert inserts rows, or updates those with the same key.
func (s *Sink) Upsert(key ...string) *Sink { s.Mode, s.Key = Upsert, key; return s }

// Connector implements drover.Sink.
func (*Sink) Connector() string { return Name }

func (s *Sink) String() string {
	mode := s.Mode
	if mode == "" {
		mode = Error
	}
	return "postgres " + s.Table + " (" + string(mode) + ")"
}

// Meaning implements drover.Sink.
func (s *Sink) Meaning() any {
	m := *s
	m.URL = ""
	return m
}

// Doubles reports whether a second run adds the same rows again.
func (s *Sink) Doubles() bool { return s.Mode == Append }

// NeedsUnique returns the columns that must identify a row of what is written: without Latest nothing else says which of two rows wins.
func (s *Sink) NeedsUnique() []string {
	if s.Mode != Upsert || s.Latest != "" {
		return nil
	}
	return s.Key
}

// CommitsEarly reports whether chunks are visible before the run is over, and stay so if it is given up.
func (s *Sink) CommitsEarly() bool { return s.Mode != Replace }

// KeepsRows reports whether a run adds to the rows of earlier ones.
func (s *Sink) KeepsRows() bool { return s.Mode == Append || s.Mode == Upsert }

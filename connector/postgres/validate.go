package postgres

import (
	"net/url"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/pgurl"
	"github.com/droverdata/drover/internal/vocabulary"
)

// Validate refuses a source that is wrong whatever the server says. The error's Field is relative to the source.
func (s *Source) Validate() error {
	if err := vocabulary.Check(s); err != nil {
		return err
	}
	if err := s.URL.validate(); err != nil {
		return err
	}
	switch {
	case s.Table == "" && s.Query == "":
		return drover.Errorf(drover.Invalid, "the source names neither a table nor a query").WithHint("add table: NAME or query: SELECT ...")
	case s.Table != "" && s.Query != "":
		return drover.Errorf(drover.Invalid, "table and query are both set").WithField("query").WithHint("keep one of them")
	}
	return nil
}

// ValidateChunking refuses ways of chunking that a database does not have.
func (*Source) ValidateChunking(c drover.Chunking) error {
	if c.Files != 0 {
		return drover.Errorf(drover.Invalid, "a postgres source has no files to chunk by").
			WithField("files").WithHint("use by: COLUMN or rows: N")
	}
	return nil
}

// Validate refuses a sink that is wrong whatever the server says. The error's Field is relative to the sink.
func (s *Sink) Validate() error {
	if err := vocabulary.Check(s); err != nil {
		return err
	}
	if err := s.URL.validate(); err != nil {
		return err
	}
	if s.Mode == Upsert {
		if len(s.Key) == 0 {
			return drover.Errorf(drover.Invalid, "mode upsert needs a key").WithField("mode").WithHint("add key: [COLUMN], the columns that identify a row")
		}
		return nil
	}
	const onlyUpsert = "write mode: upsert, or remove it"
	switch {
	case len(s.Key) > 0:
		return drover.Errorf(drover.Invalid, "key is for mode upsert").WithField("key").WithHint(onlyUpsert)
	case s.OnConflict != "":
		return drover.Errorf(drover.Invalid, "on_conflict is for mode upsert").WithField("on_conflict").WithHint(onlyUpsert)
	case s.Latest != "":
		return drover.Errorf(drover.Invalid, "latest is for mode upsert").WithField("latest").WithHint(onlyUpsert)
	}
	return nil
}

// validate checks the URL's form. Its messages never show it: it may hold a password wherever it is malformed.
func (u URL) validate() error {
	invalid := func(what string) error {
		return drover.Errorf(drover.Invalid, "%s", what).WithField("url").
			WithHint("write postgres://USER@HOST:5432/DATABASE, with the password in the URL's variable or in ~/.pgpass")
	}
	text := string(u)
	scheme, _, isURL := strings.Cut(text, "://")
	switch {
	case isURL && scheme != "postgres" && scheme != "postgresql":
		return invalid("url is not a postgres:// URL")
	case !isURL && (pgurl.Of(text) == pgurl.Mistyped || !strings.Contains(text, "=")):
		return invalid("url is neither a postgres:// URL nor keywords such as host=db dbname=sales")
	case isURL:
		if p, err := url.Parse(pgurl.Readable(text)); err != nil || pgurl.Misread(p) {
			return invalid("url cannot be read as a URL; characters such as @ : / # % in a password are percent-encoded, as %40 %3A %2F %23 %25")
		}
	}
	return nil
}

// Package duck is drover's DuckDB: sessions, streaming results, table functions and types. It is the only package that
// imports DuckDB.
package duck

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"
	"unsafe"

	db "github.com/duckdb/duckdb-go-bindings"
)

// VectorSize is the most rows that a Chunk holds.
const VectorSize = 2048

// Options set up a session.
type Options struct {
	// Memory is DuckDB's memory_limit in bytes; 0 leaves DuckDB's default.
	Memory int64
	// Threads is DuckDB's thread count; 0 means 1.
	Threads int
	// TempDir is where sorts and joins spill. Empty forbids spilling.
	TempDir string
	// Timezone is the session's TimeZone; empty means UTC.
	Timezone string
	// Now is what now(), current_timestamp, current_date and their kin mean. Zero leaves them to DuckDB.
	Now time.Time
}

// Session is one in-memory DuckDB instance with one connection. Its methods may be called from one goroutine at a time; the
// callbacks of scans run on DuckDB's threads.
type Session struct {
	db    db.Database
	con   db.Connection
	types map[string]db.LogicalType // of scans, by their spelling
	self  unsafe.Pointer            // C memory that holds the handle of this session, for callbacks

	mu    sync.Mutex
	next  int64
	scans map[int64]scan
	tally map[int64][]int64
	// consumers are what drover_consume calls.
	consumers map[int64]func(Chunk) error
	memory    int64
	temp      string // Options.TempDir
	// failed is the first error of a scan or a consumer in the running query.
	failed error
}

// Open starts a session.
func Open(ctx context.Context, o Options) (*Session, error) {
	var cfg db.Config
	if db.CreateConfig(&cfg) != db.StateSuccess {
		return nil, fmt.Errorf("create DuckDB configuration")
	}
	defer db.DestroyConfig(&cfg)
	settings := map[string]string{
		"threads":                  strconv.Itoa(max(o.Threads, 1)),
		"preserve_insertion_order": "false",
		"temp_directory":           o.TempDir,
		"secret_directory":         o.TempDir,
		"extension_directory":      o.TempDir,
		// A missing extension must be a clear error, never a download.
		"autoinstall_known_extensions": "false",
		"autoload_known_extensions":    "false",
		// It keeps what was read of Parquet files, in fresh memory, and nobody reads a file twice that the kernel does not keep, too.
		"enable_external_file_cache": "false",
	}
	if o.TempDir != "" {
		// DuckDB's own limit is what the disk has room for when it first spills: it calls that memory, and other processes fill disks too.
		settings["max_temp_directory_size"] = "1048576TiB"
	}
	if o.Memory > 0 {
		settings["memory_limit"] = strconv.FormatInt(o.Memory/1024, 10) + "KiB"
	}
	for k, v := range settings {
		if db.SetConfig(cfg, k, v) != db.StateSuccess {
			return nil, fmt.Errorf("DuckDB refuses the setting %s=%s", k, v)
		}
	}
	s := &Session{
		types: map[string]db.LogicalType{}, scans: map[int64]scan{}, tally: map[int64][]int64{},
		consumers: map[int64]func(Chunk) error{}, memory: o.Memory, temp: o.TempDir,
	}
	var msg string
	if db.OpenExt(":memory:", &s.db, cfg, &msg) != db.StateSuccess {
		return nil, fmt.Errorf("open DuckDB: %s", msg)
	}
	if db.Connect(s.db, &s.con) != db.StateSuccess {
		db.Close(&s.db)
		return nil, fmt.Errorf("connect to DuckDB")
	}
	s.self = newHandle(s)
	if err := s.setUp(ctx, o); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Session) setUp(ctx context.Context, o Options) error {
	if err := s.registerScan(); err != nil {
		return err
	}
	if err := s.registerTally(); err != nil {
		return err
	}
	if err := s.registerConsume(); err != nil {
		return err
	}
	zone := o.Timezone
	if zone == "" {
		zone = "UTC"
	}
	if err := s.Exec(ctx, "SET TimeZone = "+Literal(zone)); err != nil {
		return fmt.Errorf("set the time zone: %w", err)
	}
	if o.Now.IsZero() {
		return nil
	}
	return s.freezeClock(ctx, o.Now)
}

// Memory returns Options.Memory.
func (s *Session) Memory() int64 { return s.memory }

// Close ends the session. No query may be running.
func (s *Session) Close() {
	for _, t := range s.types {
		db.DestroyLogicalType(&t)
	}
	db.Disconnect(&s.con)
	db.Close(&s.db)
	freeHandle(s.self)
}

// Exec runs one statement whose rows do not matter.
func (s *Session) Exec(ctx context.Context, sql string) error {
	rows, err := s.Query(ctx, sql)
	if err != nil {
		return err
	}
	defer rows.Close()
	for {
		c, err := rows.Next()
		if err != nil || c.Rows() == 0 {
			return err
		}
	}
}

// Query runs one statement and streams its rows. Cancelling ctx interrupts it.
func (s *Session) Query(ctx context.Context, sql string) (*Rows, error) {
	st, err := s.Prepare(sql)
	if err != nil {
		return nil, err
	}
	rows, err := st.Query(ctx)
	if err != nil {
		st.Close()
		return nil, err
	}
	rows.owned = st
	return rows, nil
}

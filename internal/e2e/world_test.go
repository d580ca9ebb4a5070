package e2e

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3" // the user's own way into the ledger

	"github.com/droverdata/drover/internal/pgtest"
)

// secret is the password of every role that drover logs in with here. It must never be seen again.
const secret = "Hunter2-Zq9x"

// patience bounds every wait for something that must happen soon.
const patience = 30 * time.Second

// postgres gives the place a database that a role with a password owns, and puts its URL into $DB. p.sql works as that role.
func (p *place) postgres(t *testing.T) {
	t.Helper()
	admin := pgtest.Database(t)
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(u.Path, "/")
	rowsOf(t, admin, fmt.Sprintf(`CREATE ROLE loader_%[1]s LOGIN PASSWORD '%[2]s'; ALTER DATABASE %[1]s OWNER TO loader_%[1]s; GRANT ALL ON SCHEMA public TO loader_%[1]s`,
		name, secret))
	u.User = url.UserPassword("loader_"+name, secret)
	p.setenv("DB", u.String())
	p.write(t, "url", u.String())
	p.admin = admin
}

// envValue returns what the place's commands see as $name.
func (p *place) envValue(name string) string {
	for _, e := range slices.Backward(p.env) {
		if value, ok := strings.CutPrefix(e, name+"="); ok {
			return value
		}
	}
	return ""
}

// with returns $DB with a part of it changed.
func (p *place) with(t *testing.T, change func(u *url.URL)) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, "url"))
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	change(u)
	return u.String()
}

// relations lists every table and view of the place's database with its rows, and the schemas.
func (p *place) relations(t *testing.T) string {
	t.Helper()
	return rowsOf(t, p.admin, `SELECT n.nspname || '.' || c.relname || ' ' || c.relkind::text || ' ' || CASE WHEN c.relkind IN ('r','p') THEN
		(xpath('//h/text()', query_to_xml(format('SELECT md5(coalesce(string_agg(x::text, chr(10) ORDER BY x::text), '''')) AS h FROM %s x', c.oid::regclass), false, true, '')))[1]::text ELSE '' END
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r','v','m','p','S') AND n.nspname !~ '^(pg_|information_schema)'
		UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)' ORDER BY 1`)
}

// tree describes every file below the place but drover's own .drover, by content.
func (p *place) tree(t *testing.T) string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(p.dir, path)
		if err != nil {
			return err
		}
		if rel == ".drover" {
			return fs.SkipDir
		}
		line := rel
		if d.Type().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %x", sha256.Sum256(data))[:17]
		}
		out = append(out, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, "\n")
}

// keepsSecret fails the test if the password lies in any file below the place that the test did not write itself.
func (p *place) keepsSecret(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Base(path) == "url" || filepath.Ext(path) == ".yaml" {
			return err
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if bytes.Contains(data, []byte(secret)) {
			t.Errorf("the password is in %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// ledger runs plain SQL over the place's SQLite ledger.
func (p *place) ledger(t *testing.T, query string) string {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(p.dir, ".drover", "ledger.db")+"?mode=ro&_busy_timeout=10000")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("%v\n%s", err, query)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for rows.Next() {
		values, targets := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			t.Fatal(err)
		}
		row := make([]string, len(columns))
		for i, v := range values {
			row[i] = "NULL"
			if v.Valid {
				row[i] = v.String
			}
		}
		out = append(out, strings.Join(row, "|"))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, "\n")
}

// process is a drover that runs beside the test.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr buffer
	done           chan struct{}
}

// buffer is a bytes.Buffer that may be read while a process writes.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(data)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// said says whether the process has written the text to stderr by now.
func (r *process) said(text string) bool { return strings.Contains(r.stderr.String(), text) }

// start starts a command and makes sure that it is gone when the test ends.
func (p *place) start(t *testing.T, args ...string) *process {
	t.Helper()
	r := &process{cmd: exec.Command(binary, args...), done: make(chan struct{})}
	r.cmd.Dir, r.cmd.Env = p.dir, p.env
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, &r.stderr
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.done)
		_ = r.cmd.Wait() // how it ended is in ProcessState
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill() // it may have ended
		<-r.done
	})
	return r
}

func (r *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		t.Fatalf("signal drover: %v\n%s", err, r.stderr.String())
	}
}

// wait waits for the end of the process.
func (r *process) wait(t *testing.T) result {
	t.Helper()
	select {
	case <-r.done:
		end := result{code: r.cmd.ProcessState.ExitCode(), stdout: r.stdout.String(), stderr: r.stderr.String()}
		end.check(t)
		return end
	case <-time.After(patience):
		t.Fatal("drover did not end")
	}
	panic("unreachable")
}

// workers returns the process IDs of the workers of a driver.
func (r *process) workers(t *testing.T) []int {
	t.Helper()
	var pids []int
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[0] != "Z" && f[1] == strconv.Itoa(r.cmd.Process.Pid) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("in vain waited until %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// says fails the test unless text holds every part.
func says(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in:\n%s", part, text)
		}
	}
}

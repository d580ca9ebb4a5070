package pgtest

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// childVariable makes the test binary start a server, print its URL and wait.
const childVariable = "PGTEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		s, err := Start(context.Background(), os.Getenv(childVariable), Options{})
		if err != nil {
			panic(err)
		}
		if _, err := os.Stdout.WriteString(s.URL("postgres") + "\n"); err != nil {
			panic(err)
		}
		select {}
	}
	os.Exit(Main(m))
}

// openDir is a temporary directory that the server's user can reach.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pgtest-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func closeConn(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	if err := conn.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func execute(t *testing.T, url, sql string) {
	t.Helper()
	conn := connect(t, url)
	defer closeConn(t, conn)
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func query(t *testing.T, url, sql string) string {
	t.Helper()
	conn := connect(t, url)
	defer closeConn(t, conn)
	var s string
	if err := conn.QueryRow(t.Context(), sql).Scan(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEveryDatabaseIsFresh(t *testing.T) {
	a, b := Database(t), Database(t)
	if a == b {
		t.Fatalf("one URL twice: %s", a)
	}
	query(t, a, "SELECT set_config('x.y', 'z', false)")
	if got := query(t, b, "SELECT current_setting('server_encoding')"); got != "UTF8" {
		t.Errorf("encoding %s", got)
	}
}

func TestOtherRolesNeedTheirPassword(t *testing.T) {
	url := Database(t)
	execute(t, url, "CREATE ROLE reader LOGIN PASSWORD 'right'")
	defer execute(t, url, "DROP ROLE reader")
	query(t, strings.Replace(url, "postgres@", "reader:right@", 1), "SELECT 'ok'")
	if c, err := pgx.Connect(t.Context(), strings.Replace(url, "postgres@", "reader:wrong@", 1)); err == nil {
		closeConn(t, c)
		t.Error("a wrong password was accepted")
	}
}

func TestKilledServerRecoversOnRestart(t *testing.T) {
	s, err := Start(t.Context(), "", Options{Settings: map[string]string{"max_connections": "20"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(s.dir); err == nil {
			t.Error("Stop left the directory")
		}
	}()
	url := s.URL("postgres")
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "CREATE TABLE kept AS SELECT 'kept'::text AS v"); err != nil {
		t.Fatal(err)
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("the connection outlived the server")
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := query(t, url, "SELECT v FROM kept"); got != "kept" {
		t.Errorf("got %q", got)
	}
	if got := query(t, url, "SHOW max_connections"); got != "20" {
		t.Errorf("max_connections %s", got)
	}
}

func TestNamedDirectoryKeepsItsDatabases(t *testing.T) {
	dir := filepath.Join(openDir(t), strings.Repeat("long", 40)) // longer than a socket's path may be
	for _, want := range []string{"CREATE TABLE kept AS SELECT 'a'::text AS v", ""} {
		s, err := Start(t.Context(), dir, Options{Durable: true})
		if err != nil {
			t.Fatal(err)
		}
		if want != "" {
			execute(t, s.URL("postgres"), want)
		}
		if got := query(t, s.URL("postgres"), "SELECT v FROM kept"); got != "a" {
			t.Errorf("got %q", got)
		}
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestClosedDirectoryIsNamed(t *testing.T) {
	if os.Geteuid() != 0 {
		return // only root gives its directory to another user
	}
	closed := openDir(t)
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := Start(t.Context(), filepath.Join(closed, "pg"), Options{})
	if err == nil {
		t.Fatal("started", s.Stop())
	}
	if !strings.Contains(err.Error(), closed+" is closed to uid") {
		t.Error(err)
	}
}

func TestServerDiesWithItsParent(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+filepath.Join(openDir(t), "pg"))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	url := strings.TrimSpace(line)
	query(t, url, "SELECT 'up'")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			break
		}
		closeConn(t, conn)
		if time.Now().After(deadline) {
			t.Fatal("the server outlived its parent")
		}
	}
	// The directory must be free of writers before the test removes it.
	time.Sleep(200 * time.Millisecond)
}

func TestFetchedBinariesRun(t *testing.T) {
	bin, err := fetchBinaries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := Start(t.Context(), "", Options{Bin: bin})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}()
	if got := query(t, s.URL("postgres"), "SHOW server_version"); !strings.HasPrefix(got, "18") {
		t.Errorf("version %s", got)
	}
}

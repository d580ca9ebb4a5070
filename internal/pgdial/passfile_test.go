package pgdial

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestAPasswordFileThatOthersMayReadIsIgnored, as libpq does.
func TestAPasswordFileThatOthersMayReadIsIgnored(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	for _, name := range []string{"PGPASSFILE", "PGPASSWORD", "PGSERVICE"} {
		t.Setenv(name, "")
	}
	usual, other := filepath.Join(home, ".pgpass"), filepath.Join(home, "other")
	for _, file := range []string{usual, other} {
		if err := os.WriteFile(file, []byte("*:*:*:*:S3CR\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	texts := map[string]string{
		"postgres://u@h/db": usual, "postgres://u@h/db?sslmode=disable": usual, "host=h user=u": usual,
		"postgres://u@h/db?passfile=" + other: other, "host=h user=u passfile='" + other + "'": other, "passfile=" + other + " host=h": other,
	}
	for _, mode := range []os.FileMode{0o600, 0o400, 0o640, 0o604} {
		for text, file := range texts {
			if err := os.Chmod(file, mode); err != nil {
				t.Fatal(err)
			}
			used := WithoutPublicPassfile(text)
			c, err := pgconn.ParseConfig(used)
			if err != nil {
				t.Fatal(err)
			}
			private := mode&0o077 == 0
			if (c.Password == "S3CR") != private || (PublicPassfile(used) == "") != private {
				t.Errorf("%s, mode %o: password %q, public %q", text, mode, c.Password, PublicPassfile(used))
			}
			if hint := HintOfPassfile("check", used, c.Password); strings.Contains(hint, "chmod 0600 "+file) == private || !strings.HasSuffix(hint, "check") {
				t.Errorf("%s, mode %o: %s", text, mode, hint)
			}
		}
	}
}

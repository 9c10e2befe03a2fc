package dbtest_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/promptforge/payments/db/dbtest"
	"github.com/promptforge/payments/internal/pgembed"
)

func TestEachTestHasAFreshMigratedDatabaseOfItsOwn(t *testing.T) {
	for range 3 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			pool := dbtest.New(t)
			var users int
			if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM users").Scan(&users); err != nil || users != 0 {
				t.Errorf("users = %d, %v; want a migrated database with none", users, err)
			}
			if _, err := pool.Exec(t.Context(), `INSERT INTO users (email, name, password_hash, created_at) VALUES ('a@example.com', 'A', 'x', now())`); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestNothingIsLeftBehind runs this binary again and kills it in the middle of a
// test: on a server of its own, whose folder must go, and on one that outlives
// it, where the next run must drop its databases.
func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts servers")
	}
	t.Run("of a server of its own", func(t *testing.T) {
		t.Parallel()
		pid, _ := killed(t, "")
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			var left []string
			for _, parent := range []string{"/dev/shm", os.TempDir()} {
				found, err := filepath.Glob(filepath.Join(parent, fmt.Sprintf("promptforge-test-postgres-%d", pid)))
				if err != nil {
					t.Fatal(err)
				}
				left = append(left, found...)
			}
			if len(left) == 0 {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("left behind: %q", left)
			}
		}
	})
	t.Run("on a server that outlives it", func(t *testing.T) {
		t.Parallel()
		srv, err := pgembed.Start(t.Context(), pgembed.Config{Dir: t.TempDir(), NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := srv.Stop(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
		_, first := killed(t, srv.URL("postgres"))
		_, second := killed(t, srv.URL("postgres"))
		connection, err := pgx.Connect(t.Context(), srv.URL("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close(t.Context())
		there := func(name string) (n int) {
			if err := connection.QueryRow(t.Context(), "SELECT count(*) FROM pg_database WHERE datname = $1", name).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		if there(first) != 0 {
			t.Errorf("%s of a dead run is still there", first)
		}
		if there(second) != 1 {
			t.Errorf("%s is gone before anyone swept", second)
		}
	})
}

// killed runs TestVictim in another process, kills it once it has a database, and
// returns its process id and that database's name.
func killed(t *testing.T, server string) (pid int, database string) {
	t.Helper()
	victim := exec.Command(os.Args[0], "-test.run=^TestVictim$", "-test.v")
	note := filepath.Join(t.TempDir(), "url")
	victim.Env = append(os.Environ(), "DBTEST_VICTIM="+note, "TEST_DATABASE_URL="+server)
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = victim.Process.Kill()
		_ = victim.Wait()
	}()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if b, err := os.ReadFile(note); err == nil && strings.HasSuffix(string(b), "\n") {
			u, err := url.Parse(strings.TrimSpace(string(b)))
			if err != nil {
				t.Fatal(err)
			}
			return victim.Process.Pid, strings.TrimPrefix(u.Path, "/")
		}
		if time.Now().After(deadline) {
			t.Fatal("the victim has no database after a minute")
		}
	}
}

// TestVictim is not a test by itself: it holds a database until it is killed.
func TestVictim(t *testing.T) {
	note := os.Getenv("DBTEST_VICTIM")
	if note == "" {
		t.Skip("only as a child of TestNothingIsLeftBehind")
	}
	if err := os.WriteFile(note, []byte(dbtest.URL(t)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute)
}

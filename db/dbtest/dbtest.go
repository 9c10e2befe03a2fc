// Package dbtest gives each test a fresh, migrated, real Postgres database.
//
// The first test of a binary starts a server, in memory where there is room;
// each database is a copy of a template and costs some 20 ms. With
// TEST_DATABASE_URL the databases are made on that server instead. A machine
// without Postgres fails the tests; it does not skip them.
package dbtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/internal/pgembed"
	"github.com/promptforge/payments/migrations"
)

// New returns a pool on a database of the test's own, dropped at its end.
func New(t testing.TB) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(URL(t))
	if err != nil {
		t.Fatal(err)
	}
	cfg.MaxConns = 20
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// URL returns the address of a database of the test's own, dropped at its end.
func URL(t testing.TB) string {
	t.Helper()
	ctx := context.Background()
	admin := server(t)
	name := "test_" + strconv.Itoa(os.Getpid()) + "_" + strconv.FormatInt(next(), 10)
	create(ctx, t, admin, fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s STRATEGY file_copy", name, template()))
	t.Cleanup(func() { create(ctx, t, admin, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	return withDatabase(t, admin, name)
}

var (
	counter struct {
		sync.Mutex
		n int64
	}
	start sync.Once
	// adminURL and startErr are what start left.
	adminURL string
	startErr error
	// making lets one database be copied at a time: Postgres refuses to copy a
	// template that is in use.
	making sync.Mutex
)

func next() int64 {
	counter.Lock()
	defer counter.Unlock()
	counter.n++
	return counter.n
}

func create(ctx context.Context, t testing.TB, admin, sql string) {
	t.Helper()
	making.Lock()
	defer making.Unlock()
	connection, err := pgx.Connect(ctx, admin)
	if err != nil {
		t.Fatalf("reach the test server: %v", err)
	}
	defer connection.Close(ctx)
	if _, err := connection.Exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// server starts the binary's server once and returns its address.
func server(t testing.TB) string {
	t.Helper()
	start.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if adminURL = os.Getenv("TEST_DATABASE_URL"); adminURL == "" {
			adminURL, startErr = startServer(ctx)
		}
		if startErr == nil {
			startErr = makeTemplate(ctx, adminURL)
		}
	})
	if startErr != nil {
		t.Fatalf("no Postgres for the tests (run \"npm ci\", or set TEST_DATABASE_URL): %v", startErr)
	}
	return adminURL
}

// prefix begins the name of each server's folder; the rest is the process id.
const prefix = "promptforge-test-postgres-"

// startServer starts a server that trades safety for speed. Nothing stops it:
// it ends when this process does.
func startServer(ctx context.Context) (string, error) {
	parent := os.TempDir()
	if free("/dev/shm") >= 1<<30 {
		parent = "/dev/shm"
	}
	sweep(parent)
	s, err := pgembed.Start(ctx, pgembed.Config{
		Dir: filepath.Join(parent, prefix+strconv.Itoa(os.Getpid())), NoSync: true,
		Settings: map[string]string{
			"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off",
			"max_wal_size": "4GB", "max_connections": "200",
		},
	})
	if err != nil {
		return "", err
	}
	return s.URL("postgres"), nil
}

// sweep removes the folders of test binaries that are gone.
func sweep(parent string) {
	folders, _ := filepath.Glob(filepath.Join(parent, prefix+"*")) // the pattern is good
	for _, folder := range folders {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(folder), prefix))
		if err == nil && !alive(pid) {
			_ = os.RemoveAll(folder) // the next sweep tries again
		}
	}
}

func alive(pid int) bool {
	process, err := os.FindProcess(pid)
	return err == nil && process.Signal(syscall.Signal(0)) == nil
}

func template() string { return "template_" + migrations.Hash() }

// makeTemplate migrates the template unless an earlier run has. The lock is for
// test binaries that share a server.
func makeTemplate(ctx context.Context, admin string) error {
	connection, err := pgx.Connect(ctx, admin)
	if err != nil {
		return fmt.Errorf("reach the test server: %w", err)
	}
	defer connection.Close(ctx)
	if _, err := connection.Exec(ctx, "SELECT pg_advisory_lock(hashtext('promptforge test template'))"); err != nil {
		return fmt.Errorf("lock the template: %w", err)
	}
	var there bool
	if err := connection.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)", template()).Scan(&there); err != nil {
		return fmt.Errorf("look for the template: %w", err)
	}
	if there {
		return nil
	}
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + template() + " WITH (FORCE)", "CREATE DATABASE " + template()} {
		if _, err := connection.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	target, err := replaceDatabase(admin, template())
	if err != nil {
		return err
	}
	if _, err := migrations.Up(ctx, target); err != nil {
		return fmt.Errorf("migrate the template: %w", err)
	}
	// Marked last, so that a half-made template is made again.
	if _, err := connection.Exec(ctx, "ALTER DATABASE "+template()+" IS_TEMPLATE true"); err != nil {
		return fmt.Errorf("mark the template: %w", err)
	}
	return nil
}

func withDatabase(t testing.TB, admin, name string) string {
	t.Helper()
	s, err := replaceDatabase(admin, name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func replaceDatabase(admin, name string) (string, error) {
	u, err := url.Parse(admin)
	if err != nil {
		return "", fmt.Errorf("read the address of the test server: %w", err)
	}
	u.Path = "/" + name
	return u.String(), nil
}

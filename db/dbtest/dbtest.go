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
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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
	name := fmt.Sprintf("test_%d_%d", run, count.Add(1))
	create(ctx, t, admin, fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s STRATEGY file_copy", name, template()))
	t.Cleanup(func() { create(ctx, t, admin, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	return withDatabase(t, admin, name)
}

var (
	// run tells this binary's databases from those of others on a shared server.
	run   = rand.Int32()
	count atomic.Int64
	start sync.Once
	// adminURL and startErr are what start left.
	adminURL string
	startErr error
	// untilTheEnd holds what the garbage collector must not close while this process lives.
	untilTheEnd []any
	// making lets one database be copied at a time: two copies flush the same disk.
	making sync.Mutex
)

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
			startErr = sweepDatabases(ctx, adminURL)
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
// it ends when this process does, and its folder goes with it.
func startServer(ctx context.Context) (string, error) {
	parent := os.TempDir()
	if free("/dev/shm") >= 1<<30 {
		parent = "/dev/shm"
	}
	sweepFolders(ctx, parent)
	folder := filepath.Join(parent, prefix+strconv.Itoa(os.Getpid()))
	s, err := pgembed.Start(ctx, pgembed.Config{
		Dir: folder, NoSync: true,
		Settings: map[string]string{
			"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off",
			"max_wal_size": "4GB", "max_connections": "200",
		},
	})
	if err != nil {
		return "", err
	}
	removeAfterwards(folder)
	return s.URL("postgres"), nil
}

// sweepFolders removes the folders of test binaries that are gone, for those
// that removeAfterwards could not serve.
func sweepFolders(ctx context.Context, parent string) {
	folders, _ := filepath.Glob(filepath.Join(parent, prefix+"*")) // the pattern is good
	for _, folder := range folders {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(folder), prefix))
		if err == nil && !alive(pid) {
			_ = pgembed.Remove(ctx, folder) // the next sweep tries again
		}
	}
}

// runLock is the first half of the lock that a run holds on its number.
const runLock = 0x70667465

// sweepDatabases drops what dead runs left on a server that outlives them, and
// marks this run as alive.
func sweepDatabases(ctx context.Context, admin string) error {
	connection, err := pgx.Connect(ctx, admin)
	if err != nil {
		return fmt.Errorf("reach the test server: %w", err)
	}
	untilTheEnd = append(untilTheEnd, connection) // and the lock with it
	if _, err := connection.Exec(ctx, "SELECT pg_advisory_lock($1, $2)", runLock, run); err != nil {
		return fmt.Errorf("mark the test run: %w", err)
	}
	rows, err := connection.Query(ctx, `SELECT datname FROM pg_database WHERE datname ~ '^test_[0-9]{1,10}_[0-9]+$'`)
	if err != nil {
		return fmt.Errorf("list test databases: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list test databases: %w", err)
	}
	for _, name := range names {
		owner, err := strconv.ParseInt(strings.Split(name, "_")[1], 10, 32)
		if err != nil || int32(owner) == run {
			continue
		}
		var dead bool
		if err := connection.QueryRow(ctx, "SELECT pg_try_advisory_lock($1, $2)", runLock, int32(owner)).Scan(&dead); err != nil {
			return fmt.Errorf("ask for the owner of %s: %w", name, err)
		}
		if !dead {
			continue
		}
		if _, err := connection.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			return fmt.Errorf("drop %s: %w", name, err)
		}
		if _, err := connection.Exec(ctx, "SELECT pg_advisory_unlock($1, $2)", runLock, int32(owner)); err != nil {
			return fmt.Errorf("let go of %s: %w", name, err)
		}
	}
	return nil
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

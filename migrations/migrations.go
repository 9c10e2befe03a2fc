// Package migrations holds the schema and moves a database to it.
package migrations

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver goose speaks through
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed *.sql
var files embed.FS

// Step is one migration and whether the database has it.
type Step struct {
	Version int64
	File    string
	// AppliedAt is zero while the step is not applied.
	AppliedAt time.Time
}

// Up applies what is missing and returns the steps it took. Two processes may
// call it at once: a lock in the database lets one after the other.
func Up(ctx context.Context, url string) ([]Step, error) {
	return steps(url, func(p *goose.Provider) ([]*goose.MigrationResult, error) { return p.Up(ctx) })
}

// Down takes the newest step back; without one it takes none.
func Down(ctx context.Context, url string) ([]Step, error) {
	return steps(url, func(p *goose.Provider) ([]*goose.MigrationResult, error) {
		result, err := p.Down(ctx)
		switch {
		case errors.Is(err, goose.ErrNoNextVersion):
			return nil, nil
		case err != nil:
			return nil, err
		}
		return []*goose.MigrationResult{result}, nil
	})
}

// Querier is a pool, a connection or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Status lists every step, oldest first. It only reads, and waits for no lock, so that a server may
// ask as often as it likes, while a migration runs too.
func Status(ctx context.Context, q Querier) ([]Step, error) {
	applied, err := appliedAt(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("read schema version: %w", err)
	}
	var out []Step
	for _, file := range names() {
		version, err := goose.NumericComponent(file)
		if err != nil {
			return nil, fmt.Errorf("read migrations: %w", err)
		}
		out = append(out, Step{Version: version, File: file, AppliedAt: applied[version]})
	}
	return out, nil
}

// Pending returns the steps that a database lacks; a server must not run on one
// that lacks any.
func Pending(ctx context.Context, q Querier) ([]Step, error) {
	all, err := Status(ctx, q)
	return slices.DeleteFunc(all, func(s Step) bool { return !s.AppliedAt.IsZero() }), err
}

// appliedAt reads goose's table; a database that has none has no step.
func appliedAt(ctx context.Context, q Querier) (map[int64]time.Time, error) {
	out := map[int64]time.Time{}
	rows, err := q.Query(ctx, "SELECT version_id, tstamp FROM goose_db_version WHERE is_applied")
	if err == nil {
		var version int64
		var at time.Time
		_, err = pgx.ForEachRow(rows, []any{&version, &at}, func() error {
			out[version] = at
			return nil
		})
	}
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == "42P01" { // undefined_table
		return out, nil
	}
	return out, err
}

// Hash names the schema: equal files, equal hash.
func Hash() string {
	h := sha256.New()
	for _, name := range names() {
		b, _ := fs.ReadFile(files, name) // it is embedded, but for River's, whose names say it all
		fmt.Fprintf(h, "%s %d\n", name, len(b))
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// names are the files in the order of their versions, and what stands for
// River's among them.
func names() []string {
	names, _ := fs.Glob(files, "*.sql") // the pattern is good
	for _, s := range riverSteps {
		names = append(names, s.file)
	}
	slices.Sort(names)
	return names
}

// fileOf is the name of a step; goose knows none for those that are Go.
func fileOf(s *goose.Source) string {
	for _, r := range riverSteps {
		if r.version == s.Version {
			return r.file
		}
	}
	return s.Path
}

func steps(url string, run func(*goose.Provider) ([]*goose.MigrationResult, error)) ([]Step, error) {
	var out []Step
	err := with(url, func(p *goose.Provider) error {
		results, err := run(p)
		for _, r := range results {
			out = append(out, Step{Version: r.Source.Version, File: fileOf(r.Source)})
		}
		return err
	})
	return out, err
}

func with(url string, f func(*goose.Provider) error) error {
	database, err := sql.Open("pgx", url)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	defer database.Close()
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return fmt.Errorf("make migration lock: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, database, files, goose.WithSessionLocker(locker), goose.WithGoMigrations(riverMigrations(url)...))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if err := f(provider); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

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
	"time"

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
	return steps(ctx, url, func(p *goose.Provider) ([]*goose.MigrationResult, error) { return p.Up(ctx) })
}

// Down takes the newest step back.
func Down(ctx context.Context, url string) ([]Step, error) {
	return steps(ctx, url, func(p *goose.Provider) ([]*goose.MigrationResult, error) {
		result, err := p.Down(ctx)
		if errors.Is(err, goose.ErrNoNextVersion) {
			return nil, nil
		}
		return []*goose.MigrationResult{result}, err
	})
}

// Status lists every step, oldest first.
func Status(ctx context.Context, url string) ([]Step, error) {
	var out []Step
	err := with(url, func(p *goose.Provider) error {
		all, err := p.Status(ctx)
		for _, s := range all {
			out = append(out, Step{Version: s.Source.Version, File: s.Source.Path, AppliedAt: s.AppliedAt})
		}
		return err
	})
	return out, err
}

// Pending returns the steps that a database lacks; a server must not run on one
// that lacks any.
func Pending(ctx context.Context, url string) ([]Step, error) {
	all, err := Status(ctx, url)
	var out []Step
	for _, s := range all {
		if s.AppliedAt.IsZero() {
			out = append(out, s)
		}
	}
	return out, err
}

// Hash names the schema: equal files, equal hash.
func Hash() string {
	h := sha256.New()
	names, _ := fs.Glob(files, "*.sql") // the pattern is good
	for _, name := range names {
		b, _ := fs.ReadFile(files, name) // it is embedded
		fmt.Fprintf(h, "%s %d\n", name, len(b))
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

func steps(_ context.Context, url string, run func(*goose.Provider) ([]*goose.MigrationResult, error)) ([]Step, error) {
	var out []Step
	err := with(url, func(p *goose.Provider) error {
		results, err := run(p)
		for _, r := range results {
			out = append(out, Step{Version: r.Source.Version, File: r.Source.Path})
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
	provider, err := goose.NewProvider(goose.DialectPostgres, database, files, goose.WithSessionLocker(locker))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if err := f(provider); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

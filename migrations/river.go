package migrations

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// JobsSchema is where River, which carries mails, keeps its tables: apart from
// ours, which they would otherwise outnumber.
const JobsSchema = "river"

// riverSteps are the steps that River's own migrations take, told by the file
// name under which Status lists them. A newer River is a step more.
var riverSteps = []struct {
	version int64
	file    string
	// target is the version of River's schema that the step leads to, and
	// before the one it leads back to; -1 is none at all.
	target, before int
}{
	{15, "00015_river.go", 8, -1},
}

// riverMigrations are the same steps for goose. They connect by themselves:
// River migrates step by step, each in a transaction of its own, because
// Postgres lets nobody use a new value of an enumeration before it is committed.
// One that was cut off goes on where it stopped.
func riverMigrations(url string) []*goose.Migration {
	var out []*goose.Migration
	for _, s := range riverSteps {
		out = append(out, goose.NewGoMigration(s.version,
			&goose.GoFunc{RunDB: func(ctx context.Context, _ *sql.DB) error { return riverUp(ctx, url, s.target) }},
			&goose.GoFunc{RunDB: func(ctx context.Context, _ *sql.DB) error { return riverDown(ctx, url, s.before) }},
		))
	}
	return out
}

func riverUp(ctx context.Context, url string, target int) error {
	return withRiver(ctx, url, func(pool *pgxpool.Pool, m *rivermigrate.Migrator[pgx.Tx]) error {
		if _, err := pool.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+JobsSchema); err != nil {
			return fmt.Errorf("create the schema of jobs: %w", err)
		}
		if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, &rivermigrate.MigrateOpts{TargetVersion: target}); err != nil {
			return fmt.Errorf("migrate jobs up: %w", err)
		}
		return nil
	})
}

func riverDown(ctx context.Context, url string, before int) error {
	return withRiver(ctx, url, func(pool *pgxpool.Pool, m *rivermigrate.Migrator[pgx.Tx]) error {
		if _, err := m.Migrate(ctx, rivermigrate.DirectionDown, &rivermigrate.MigrateOpts{TargetVersion: before}); err != nil {
			return fmt.Errorf("migrate jobs down: %w", err)
		}
		if before >= 0 {
			return nil
		}
		if _, err := pool.Exec(ctx, "DROP SCHEMA IF EXISTS "+JobsSchema); err != nil {
			return fmt.Errorf("drop the schema of jobs: %w", err)
		}
		return nil
	})
}

func withRiver(ctx context.Context, url string, f func(*pgxpool.Pool, *rivermigrate.Migrator[pgx.Tx]) error) error {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	defer pool.Close()
	m, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: JobsSchema, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return fmt.Errorf("read River's migrations: %w", err)
	}
	return f(pool, m)
}

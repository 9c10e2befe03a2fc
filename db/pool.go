// Package db is the database: the queries that sqlc generates, and the little
// that every user of them needs. It imports nothing of ours.
package db

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// defaultConns is how many connections a process holds at most, unless
// pool_max_conns in the URL says otherwise.
const defaultConns = 20

// Open returns a pool and proves that the database can be reached.
func Open(ctx context.Context, url string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("read database URL: %w", err)
	}
	if !strings.Contains(url, "pool_max_conns=") {
		// pgx would take as many as there are cores, too few where requests and
		// workers wait for Stripe in between.
		cfg.MaxConns = defaultConns
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("reach database: %w", err)
	}
	return pool, nil
}

// InTx runs f in one READ COMMITTED transaction: committed when f returns nil,
// rolled back otherwise. Nothing inside may wait for a network.
func InTx(ctx context.Context, pool *pgxpool.Pool, f func(tx pgx.Tx, q *Queries) error) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return f(tx, New(tx)) })
}

// IsNotFound reports whether a query for one row found none.
func IsNotFound(err error) bool { return errors.Is(err, pgx.ErrNoRows) }

// IsConflict reports whether a write broke a unique constraint; with names,
// whether it was one of those.
func IsConflict(err error, constraints ...string) bool {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Code != "23505" {
		return false
	}
	if len(constraints) == 0 {
		return true
	}
	for _, name := range constraints {
		if pgErr.ConstraintName == name {
			return true
		}
	}
	return false
}

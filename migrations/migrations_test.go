package migrations_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/db/dbtest"
	"github.com/promptforge/payments/migrations"
)

func TestEveryStepCanBeTakenBackAndTakenAgain(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	whole := tables(t, pool) // dbtest has migrated it

	var back int
	for {
		steps, err := migrations.Down(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		if len(steps) == 0 {
			break
		}
		back++
	}
	if left := tables(t, pool); len(left) != 1 || left[0] != "goose_db_version" {
		t.Errorf("after every step back there is still %q", left)
	}
	pending, err := migrations.Pending(t.Context(), pool)
	if err != nil || len(pending) != back || back == 0 {
		t.Errorf("pending = %v, %v; want the %d that were taken back", pending, err, back)
	}

	// Two replicas migrate at the same time; each step is taken once.
	var wg sync.WaitGroup
	taken := make([]int, 2)
	for i := range taken {
		wg.Go(func() {
			steps, err := migrations.Up(t.Context(), url)
			if err != nil {
				t.Errorf("up: %v", err)
			}
			taken[i] = len(steps)
		})
	}
	wg.Wait()
	if taken[0]+taken[1] != back {
		t.Errorf("steps taken = %v, want %d in all", taken, back)
	}
	if again := tables(t, pool); fmt.Sprint(again) != fmt.Sprint(whole) {
		t.Errorf("tables = %q, want %q", again, whole)
	}
	if pending, err := migrations.Pending(t.Context(), pool); err != nil || len(pending) != 0 {
		t.Errorf("pending = %v, %v; want none", pending, err)
	}
}

// TestStatusOnlyReads: it serves /readyz, and the role that serves may not own the schema.
func TestStatusOnlyReads(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	err := pgx.BeginTxFunc(t.Context(), pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		steps, err := migrations.Status(t.Context(), tx)
		for i, s := range steps {
			if s.AppliedAt.IsZero() || s.Version != int64(i+1) {
				t.Errorf("step %d = %+v, want it applied", i, s)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := pool.Exec(t.Context(), "DROP TABLE goose_db_version"); err != nil {
		t.Fatal(err)
	}
	all, err := migrations.Pending(t.Context(), pool)
	if err != nil || len(all) == 0 {
		t.Errorf("a database without a schema: pending = %v, %v; want every step", all, err)
	}
}

func TestAFailureIsAnError(t *testing.T) {
	t.Parallel()
	url := "postgres://nobody:wrong@127.0.0.1:1/none"
	if _, err := migrations.Up(t.Context(), url); err == nil {
		t.Error("up: no error")
	}
	if _, err := migrations.Down(t.Context(), url); err == nil {
		t.Error("down: no error")
	}
}

// database returns the address of a migrated database and a pool on it.
func database(t *testing.T) (string, *pgxpool.Pool) {
	t.Helper()
	url := dbtest.URL(t)
	pool, err := pgxpool.New(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return url, pool
}

func tables(t *testing.T, pool *pgxpool.Pool) []string {
	t.Helper()
	rows, err := pool.Query(t.Context(), `SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname IN ('public', 'river') AND c.relkind IN ('r', 'v', 'm', 'p') ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

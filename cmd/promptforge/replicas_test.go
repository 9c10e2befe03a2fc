package main

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/db/dbtest"
)

// counted is a replica that notes what it was told.
type counted struct {
	replica
	told []int
}

func newCounted(t *testing.T, pool *pgxpool.Pool) *counted {
	t.Helper()
	c := &counted{replica: replica{pool: pool, log: slog.New(slog.DiscardHandler)}}
	c.share = func(live int) { c.told = append(c.told, live) }
	if err := c.join(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *counted) beats(t *testing.T, want ...int) {
	t.Helper()
	if err := c.beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.told, want) {
		t.Errorf("it was told %v, want %v", c.told, want)
	}
}

func TestReplicasAreCountedWhileTheyLive(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	first := newCounted(t, pool)
	first.beats(t) // alone from the beginning: nothing to tell
	second, third := newCounted(t, pool), newCounted(t, pool)
	first.beats(t, 3)
	first.beats(t, 3) // told once
	second.beats(t, 2, 3)

	if err := third.leave(t.Context()); err != nil { // a clean stop
		t.Fatal(err)
	}
	first.beats(t, 3, 2)
	late(t, second, "20 seconds") // a beat that was missed
	first.beats(t, 3, 2)
	late(t, second, "31 seconds") // a death
	first.beats(t, 3, 2, 1)
	late(t, second, "61 minutes")
	first.beats(t, 3, 2, 1)
	var rows int
	if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM replicas").Scan(&rows); err != nil || rows != 1 {
		t.Errorf("%d rows are kept (%v), want the one that lives", rows, err)
	}
	second.beats(t, 2, 3, 2) // it was not dead but paused, and is back
}

func late(t *testing.T, c *counted, by string) {
	t.Helper()
	if _, err := c.pool.Exec(t.Context(), "UPDATE replicas SET seen_at = now() - $2::interval WHERE id = $1", c.id, by); err != nil {
		t.Fatal(err)
	}
}

func TestWithoutTheDatabaseTheLastCountStands(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	newCounted(t, pool)
	c := newCounted(t, pool)
	pool.Close()
	if err := c.beat(t.Context()); err == nil {
		t.Error("a beat without a database is no error")
	}
	if !slices.Equal(c.told, []int{2}) {
		t.Errorf("it was told %v, want [2]", c.told)
	}
}

func TestAStopTakesTheReplicaOutOfTheCount(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	stays, goes := newCounted(t, pool), newCounted(t, pool)
	stays.beats(t, 2)
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error)
	go func() { stopped <- goes.run(ctx) }()
	stop()
	select {
	case err := <-stopped:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it does not stop")
	}
	stays.beats(t, 2, 1)
}

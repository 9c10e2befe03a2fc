package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/db"
)

const (
	// heartbeat is how often a process says that it lives; BeatReplica counts
	// those that missed no more than two.
	heartbeat = 10 * time.Second
	// goodbye is how long a stop may take to say that the process no longer does.
	goodbye = 2 * time.Second
)

// replica is this process among those that work on one database and ask Stripe
// with one key. share is told how many live whenever that changes.
//
// While the database cannot be reached the last count stands: the others have
// lost it too, and none of them asks Stripe less for that. One that died
// counts for half a minute, one that is new is not counted by the others for as
// long as their beat takes: until then Stripe's own refusals keep the rate down.
type replica struct {
	pool  *pgxpool.Pool
	id    uuid.UUID
	share func(live int)
	log   *slog.Logger
	live  int
}

// join says for the first time that the process lives, before it asks anything.
func (r *replica) join(ctx context.Context) error {
	r.id, r.live = uuid.New(), 1
	return r.beat(ctx)
}

// run beats until the context ends and then takes the process out of the count,
// so that those that stay need not wait to have all of the budget.
func (r *replica) run(ctx context.Context) error {
	every := time.NewTicker(heartbeat)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return r.leave(context.WithoutCancel(ctx))
		case <-every.C:
			if err := r.beat(ctx); err != nil && ctx.Err() == nil {
				r.log.WarnContext(ctx, "replicas not counted", "live", r.live, "error", err)
			}
		}
	}
}

func (r *replica) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, heartbeat)
	defer cancel()
	q := db.New(r.pool)
	live, err := q.BeatReplica(ctx, r.id)
	if err != nil {
		return fmt.Errorf("say that the process lives: %w", err)
	}
	if int(live) != r.live {
		r.log.InfoContext(ctx, "budget of requests shared", "replicas", live)
		r.live = int(live)
		r.share(r.live)
	}
	if err := q.ForgetReplicas(ctx); err != nil {
		return fmt.Errorf("forget dead replicas: %w", err)
	}
	return nil
}

func (r *replica) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, goodbye)
	defer cancel()
	if err := db.New(r.pool).RemoveReplica(ctx, r.id); err != nil {
		// It only takes the others longer to notice.
		r.log.WarnContext(ctx, "replica not taken out of the count", "error", err)
	}
	return nil
}

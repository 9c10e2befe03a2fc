// Package ledger is the door through which figures are derived: for each
// customer that changed it computes the MRR movements anew from the versions of
// its subscriptions and writes the difference, into the rollups too. It is
// their only writer, and what it writes is a pure function of the versions, the
// prices and coupons, the definition and the time.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
)

// Ledger derives. Any number of processes may run one on the same database:
// they take turns.
type Ledger struct {
	Pool *pgxpool.Pool
	// Now is the business clock: it says which coupons have ended.
	Now func() time.Time
	// Livemode is the mode of the configured key: what happened in the other one
	// is not in the funnel.
	Livemode bool
	Logger   *slog.Logger
	// Changed is told after a transaction that may have changed figures, and must
	// not block; nil: nobody is.
	Changed func()

	once sync.Once
	wake chan struct{}
	// built says that a generation has counted everyone.
	built chan struct{}
	// refused is when one was last found not to hold, by Watch alone.
	refused time.Time
}

const (
	// poll is how often each process looks for work that no one woke it for.
	poll = 250 * time.Millisecond
	// slowest is the longest wait after transactions that failed.
	slowest = 30 * time.Second
	// batch bounds the marks, and the clocks, that one transaction takes up.
	batch = 500
	// fewMarks are so few that there is time for a generation that is being built.
	fewMarks = 100
	// lockKey is that of the ledger's advisory lock: "ledger" in ASCII.
	lockKey = 0x6c6564676572
)

// Wake lets Run look for work at once. It never blocks.
func (l *Ledger) Wake() {
	select {
	case l.waker() <- struct{}{}:
	default:
	}
}

func (l *Ledger) waker() chan struct{} {
	l.once.Do(l.make)
	return l.wake
}

func (l *Ledger) make() { l.wake, l.built = make(chan struct{}, 1), make(chan struct{}, 1) }

// builtSignal is told by Run when a generation has counted everyone.
func (l *Ledger) builtSignal() chan struct{} {
	l.once.Do(l.make)
	return l.built
}

// tellBuilt lets Watch look at a generation that has counted everyone. It never
// blocks: what it takes to check one must not hold up the figures.
func (l *Ledger) tellBuilt(ctx context.Context) error {
	built, err := db.New(l.Pool).BuiltGenerations(ctx)
	if err != nil {
		return fmt.Errorf("look for built generations: %w", err)
	}
	if len(built) == 0 {
		return nil
	}
	select {
	case l.builtSignal() <- struct{}{}:
	default:
	}
	return nil
}

// Run keeps the figures up to date until the context ends, which is no error.
// A transaction that fails is logged and tried again, after longer and longer
// waits.
func (l *Ledger) Run(ctx context.Context) error {
	wait := poll
	for {
		wait = l.afterCatchUp(ctx, wait)
		select {
		case <-ctx.Done():
			return nil
		case <-l.waker():
		case <-time.After(wait):
		}
	}
}

// afterCatchUp is how long to wait for work after doing what there was, longer
// and longer while that fails.
func (l *Ledger) afterCatchUp(ctx context.Context, last time.Duration) time.Duration {
	err := errors.Join(l.catchUp(ctx), l.tellBuilt(ctx))
	if err == nil || ctx.Err() != nil {
		return poll
	}
	wait := min(2*last, slowest)
	l.Logger.ErrorContext(ctx, "ledger step", "error", err, "retry_in", wait)
	return wait
}

// catchUp steps until nothing is to be done, for a generation that is being
// built either. Looking first keeps an idle process from queueing for the lock.
func (l *Ledger) catchUp(ctx context.Context) error {
	for {
		settled, err := l.Settled(ctx)
		if err != nil {
			return err
		}
		if settled {
			isBuilt, err := db.New(l.Pool).TodoIsEmpty(ctx)
			if err != nil {
				return fmt.Errorf("look for customers to count: %w", err)
			}
			if isBuilt {
				return nil
			}
		}
		if _, err := l.Step(ctx); err != nil {
			return err
		}
	}
}

// Settled reports whether the figures follow from all that is recorded: no
// customer is marked and no clock is due.
func (l *Ledger) Settled(ctx context.Context) (bool, error) {
	settled, err := db.New(l.Pool).LedgerIsSettled(ctx, l.Now())
	if err != nil {
		return false, fmt.Errorf("look for marked customers: %w", err)
	}
	return settled, nil
}

// Step is one transaction of the ledger: it takes up to 500 marks and 500 due
// clocks, and computes their customers for every generation that is live or
// being built. Where there are few of them it also takes customers whom a
// generation that is being built has not counted yet. It returns how many of all
// of these it took.
//
// Marks are deleted before versions are read, and whoever writes versions marks
// in the same transaction: what is read is at least as new as the mark, and a
// version that comes later brings a mark of its own.
func (l *Ledger) Step(ctx context.Context) (int, error) {
	taken := 0
	err := db.InTx(ctx, l.Pool, func(_ pgx.Tx, q *db.Queries) error {
		// The lock must be the first statement: a snapshot taken before the
		// lock is granted would miss what its last holder wrote.
		if _, err := q.LockLedger(ctx, lockKey); err != nil {
			return fmt.Errorf("lock: %w", err)
		}
		now := l.Now()
		marked, err := q.TakeMarks(ctx, db.TakeMarksParams{AtMost: batch, Now: now})
		if err != nil {
			return fmt.Errorf("take marks and due clocks: %w", err)
		}
		all, building, err := definitions(ctx, q)
		if err != nil {
			return err
		}
		var todo []string
		if taken = len(marked); taken < fewMarks && len(building) > 0 {
			if todo, err = q.TakeTodo(ctx, batch); err != nil {
				return fmt.Errorf("take customers to count: %w", err)
			}
		}
		if len(todo) > 0 {
			// Only under the generations that are being built: counting the live one
			// anew might mend in silence what a verification should find.
			uncounted := sortMarks(todo)
			if uncounted.customers, _, err = resolve(ctx, q, uncounted.customers); err != nil {
				return err
			}
			if err := l.count(ctx, q, uncounted, building, now); err != nil {
				return err
			}
		}
		if taken > 0 {
			changed := sortMarks(marked)
			var counted db.RememberLedgerCustomersParams
			if changed.customers, counted, err = resolve(ctx, q, changed.customers); err != nil {
				return err
			}
			if len(counted.Customers) > 0 {
				if err := q.RememberLedgerCustomers(ctx, counted); err != nil {
					return fmt.Errorf("remember customers: %w", err)
				}
			}
			if err := l.count(ctx, q, changed, all, now); err != nil {
				return err
			}
			if err := q.FiguresChanged(ctx, now); err != nil {
				return fmt.Errorf("note the change: %w", err)
			}
		}
		taken += len(todo)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("derive figures: %w", err)
	}
	if taken > 0 && l.Changed != nil {
		l.Changed()
	}
	return taken, nil
}

// count derives everything that follows from what changed, under some
// generations. The customers are the ledger's.
func (l *Ledger) count(ctx context.Context, q *db.Queries, changed marks, generations map[int32]analytics.Definition, now time.Time) error {
	accounts, err := l.compute(ctx, q, changed.customers, generations, now)
	if err != nil {
		return err
	}
	if err := apply(ctx, q, accounts); err != nil {
		return err
	}
	if err := countOutcomes(ctx, q, accounts, generations, now); err != nil {
		return err
	}
	if err := countOutlook(ctx, q, accounts, generations); err != nil {
		return err
	}
	if err := countCash(ctx, q, changed.transactions, generations); err != nil {
		return err
	}
	if err := l.countFunnel(ctx, q, changed.visits, generations); err != nil {
		return err
	}
	return setClocks(ctx, q, changed.customers, accounts, now)
}

// What a mark begins with says what it names; without one of these it is a
// customer, Stripe's or the ledger's.
const (
	transactionMark = "txn_"   // a balance transaction, by Stripe's id
	visitMark       = "visit:" // a visitor in the funnel
)

// marks are what changed, each once.
type marks struct{ customers, transactions, visits []string }

func sortMarks(ids []string) marks {
	var m marks
	for _, id := range distinct(ids) {
		switch {
		case strings.HasPrefix(id, transactionMark):
			m.transactions = append(m.transactions, id)
		case strings.HasPrefix(id, visitMark):
			m.visits = append(m.visits, id)
		default:
			m.customers = append(m.customers, id)
		}
	}
	return m
}

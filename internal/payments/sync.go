package payments

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/promptforge/payments/db"
)

// claim is the right to write a subject: it holds while the ticket is still the
// row's. Wanted is what had been wanted when Stripe was asked.
type claim struct {
	Subject   string
	Ticket    int64
	Wanted    int64
	Attempts  int32
	StaleAsks int32
}

// maxStaleAsks is how often an answer older than its event is asked again
// before it is taken at its word.
const maxStaleAsks = 5

var (
	// errOvertaken: somebody claimed the subject after us and will write it.
	errOvertaken = errors.New("overtaken by a later claim")
	// errStale: the answer is older than the event that raised the ask.
	errStale = errors.New("the answer is older than the event")
)

// SyncCustomer asks Stripe how a customer stands and makes our rows equal,
// ahead of any worker. It is what buttons and the return from checkout use;
// the worker ends in the same code. A stale answer or a later claim is no
// error: the queue takes the subject up again.
func (p *Payments) SyncCustomer(ctx context.Context, customerID string) error {
	row, err := db.New(p.Pool).ClaimNow(ctx, customerID)
	if err != nil {
		return fmt.Errorf("claim %s: %w", customerID, err)
	}
	return p.sync(ctx, claim(row))
}

// Run works the queue off until the context ends, then lets what is under way
// finish. Any number of processes may run it on one database.
func (p *Payments) Run(ctx context.Context) error {
	poll := time.NewTicker(250 * time.Millisecond)
	defer poll.Stop()
	sweep := time.NewTicker(time.Minute)
	defer sweep.Stop()
	for {
		n, err := p.Work(ctx)
		if err != nil && ctx.Err() == nil {
			p.Log.ErrorContext(ctx, "work the sync queue off", "error", err)
		}
		if n == batch {
			continue // there may be more
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		case <-poll.C:
		case <-sweep.C:
			if err := p.SweepAttempts(ctx); err != nil && ctx.Err() == nil {
				p.Log.ErrorContext(ctx, "close checkouts past their end", "error", err)
			}
		}
	}
}

const (
	batch   = 32               // claims at once
	workers = 8                // of them asked at the same time
	patient = 45 * time.Second // for one subject; shorter than the lease
)

// Work claims what is due, once, and syncs it. It returns how many subjects it
// claimed; failures of single subjects are logged, and put off in the queue.
func (p *Payments) Work(ctx context.Context) (int, error) {
	rows, err := db.New(p.Pool).ClaimDue(ctx, batch)
	if err != nil {
		return 0, fmt.Errorf("claim due subjects: %w", err)
	}
	var group errgroup.Group
	group.SetLimit(workers)
	for _, row := range rows {
		group.Go(func() error {
			// What was claimed is finished even while the process stops.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patient)
			defer cancel()
			if err := p.sync(ctx, claim(row)); err != nil {
				p.Log.WarnContext(ctx, "sync put off", "subject", row.Subject, "attempts", row.Attempts+1, "error", err)
			}
			return nil
		})
	}
	return len(rows), group.Wait()
}

// sync asks and writes under a claim. Whatever goes wrong, the subject stays
// due: an error has put it off, and a death lets the lease run out.
func (p *Payments) sync(ctx context.Context, c claim) error {
	err := func() error {
		m, err := p.ask(ctx, c)
		if err != nil {
			return err
		}
		return p.write(ctx, m)
	}()
	switch {
	case err == nil, errors.Is(err, errOvertaken):
		return nil
	case errors.Is(err, errStale):
		if err := db.New(p.Pool).PostponeStale(ctx, db.PostponeStaleParams{Subject: c.Subject, Ticket: c.Ticket}); err != nil {
			return fmt.Errorf("ask %s again soon: %w", c.Subject, err)
		}
		return nil
	default:
		// The request that failed may have taken the context with it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = fmt.Errorf("sync %s: %w", c.Subject, err)
		return errors.Join(err, db.New(p.Pool).PostponeFailed(ctx, db.PostponeFailedParams{
			Subject: c.Subject, Ticket: c.Ticket, LastError: clean(err.Error()), NextIn: backoff(c.Attempts),
		}))
	}
}

// backoff doubles from a second up to an hour, with jitter so that subjects
// that failed together do not come back together. A subject is never given up.
func backoff(attempts int32) time.Duration {
	d := min(time.Second<<min(attempts, 12), time.Hour)
	return d/2 + rand.N(d/2)
}

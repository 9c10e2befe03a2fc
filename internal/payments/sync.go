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
	if _, err := p.syncNow(ctx, customerID); !errors.Is(err, errStale) {
		return err
	}
	return nil
}

// syncNow is SyncCustomer for who needs the answer itself: our rows may be
// behind it, where a later claim has overtaken this one. A stale answer is
// errStale.
func (p *Payments) syncNow(ctx context.Context, customerID string) (Answer, error) {
	// Whoever asked may leave; what was claimed is finished all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patient)
	defer cancel()
	q := db.New(p.Pool)
	row, err := q.ClaimNow(ctx, customerID)
	if err != nil {
		return Answer{}, fmt.Errorf("claim %s: %w", customerID, err)
	}
	answer, err := p.sync(ctx, claim(row))
	if err != nil && !errors.Is(err, errStale) {
		err = errors.Join(err, q.ReleaseClaim(ctx, db.ReleaseClaimParams{Subject: row.Subject, Ticket: row.Ticket, LastError: clean(err.Error())}))
	}
	return answer, err
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
			_, err := p.sync(ctx, claim(row))
			if err == nil || errors.Is(err, errStale) {
				return nil
			}
			p.Log.WarnContext(ctx, "sync put off", "subject", row.Subject, "attempts", row.Attempts+1, "error", err)
			if err := p.putOff(ctx, claim(row), err); err != nil {
				p.Log.ErrorContext(ctx, "put a sync off", "subject", row.Subject, "error", err)
			}
			return nil
		})
	}
	return len(rows), group.Wait()
}

// sync asks and writes under a claim. A stale answer is errStale and asked again
// soon; to be overtaken is no error. After any other the claim is still held,
// and the caller gives it back; after a death the lease runs out.
func (p *Payments) sync(ctx context.Context, c claim) (Answer, error) {
	m, err := p.ask(ctx, c)
	if err == nil {
		err = p.write(ctx, m)
	}
	switch {
	case err == nil, errors.Is(err, errOvertaken):
		return m.answer, nil
	case errors.Is(err, errStale):
		if err := db.New(p.Pool).PostponeStale(ctx, db.PostponeStaleParams{Subject: c.Subject, Ticket: c.Ticket}); err != nil {
			return m.answer, fmt.Errorf("ask %s again soon: %w", c.Subject, err)
		}
		return m.answer, errStale
	default:
		return m.answer, fmt.Errorf("sync %s: %w", c.Subject, err)
	}
}

// putOff backs a subject off after a failure. It is never given up.
func (p *Payments) putOff(ctx context.Context, c claim, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second) // the failure may have been the deadline
	defer cancel()
	return db.New(p.Pool).PostponeFailed(ctx, db.PostponeFailedParams{
		Subject: c.Subject, Ticket: c.Ticket, LastError: clean(cause.Error()), NextIn: backoff(c.Attempts),
	})
}

// backoff doubles from a second up to an hour, with jitter so that subjects
// that failed together do not come back together.
func backoff(attempts int32) time.Duration {
	d := min(time.Second<<min(attempts, 12), time.Hour)
	return d/2 + rand.N(d/2)
}

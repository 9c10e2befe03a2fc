package payments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

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
	Lane      int16
}

// maxStaleAsks is how often an answer older than its event is asked again
// before it is taken at its word.
const maxStaleAsks = 5

var (
	// errOvertaken: somebody claimed the subject after us and will write it.
	errOvertaken = errors.New("overtaken by a later claim")
	// errVanished: too many customers at once that Stripe does not know.
	errVanished = errors.New("many customers vanished at once: the key or the account may be wrong")
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
	row, err := q.ClaimNow(ctx, db.ClaimNowParams{Subject: customerID, Now: p.Now()})
	if err != nil {
		return Answer{}, fmt.Errorf("claim %s: %w", customerID, err)
	}
	answer, err := p.syncAlone(ctx, claim(row))
	if err == nil {
		return answer, nil
	}
	// Given back as due as it was: presses must neither put the workers off nor
	// use up the patience with stale answers. The failure may have been ctx's end.
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return answer, errors.Join(err, q.ReleaseClaim(ctx, db.ReleaseClaimParams{Subject: row.Subject, Ticket: row.Ticket, LastError: clean(err.Error())}))
}

// Run works the queue off until the context ends, then lets what is under way
// finish, deliveries included: it is to be stopped after the server that takes
// them. Any number of processes may run it on one database.
func (p *Payments) Run(ctx context.Context) error {
	defer p.finishIntake(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { p.sweepEveryMinute(ctx) })
	running.Go(func() { p.keepAlertsEverySecond(ctx) })
	running.Go(func() { p.writeViewsEverySecond(ctx) })
	running.Go(func() { p.keepCash(ctx) })
	poll := time.NewTicker(250 * time.Millisecond)
	defer poll.Stop()
	slots := make(chan struct{}, workers)
	for {
		// As many as can be asked about at once, so that a lease begins with its
		// ask and one slow answer holds up nobody else.
		claims, err := p.claimWhole(ctx, cap(slots)-len(slots))
		if err != nil {
			p.Log.ErrorContext(ctx, "claim due subjects", "error", err)
		}
		for _, c := range claims {
			slots <- struct{}{}
			running.Go(func() {
				p.work(ctx, c)
				<-slots
				p.Wake() // there may be more
			})
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		case <-poll.C:
		}
	}
}

const (
	workers = 64 // subjects asked about at the same time
	// reserved are the workers that a backlog leaves to whoever comes.
	reserved = workers / 4
	patient  = 45 * time.Second // for one of them; shorter than the lease
)

// Work claims what is due, once, syncs it and waits for the end. It returns how
// many subjects it claimed.
func (p *Payments) Work(ctx context.Context) (int, error) {
	claims, err := p.claimDue(ctx, workers)
	var running sync.WaitGroup
	for _, c := range claims {
		running.Go(func() { p.work(ctx, c) })
	}
	running.Wait()
	return len(claims), err
}

// due is a claim with the pending events of its subject.
type due struct {
	claim
	events []db.PendingEventsRow
}

// claimWhole is claimDue that a stop does not cut off: what was claimed and never
// heard of would be nobody's until its lease runs out.
func (p *Payments) claimWhole(ctx context.Context, n int) ([]due, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return p.claimDue(ctx, n)
}

// claimDue claims at most n subjects, lane by lane.
func (p *Payments) claimDue(ctx context.Context, n int) ([]due, error) {
	var claims []claim
	for _, lane := range Lanes() {
		room := n - len(claims)
		if lane == LaneBacklog {
			room -= reserved
		}
		if room <= 0 {
			continue
		}
		rows, err := db.New(p.Pool).ClaimDue(ctx, db.ClaimDueParams{InLane: int16(lane), Now: p.Now(), MaxRows: int32(room)}) //nolint:gosec // at most workers
		if err != nil {
			return nil, fmt.Errorf("claim due subjects of lane %d: %w", lane, err)
		}
		for _, row := range rows {
			claims = append(claims, claim(row))
		}
	}
	return p.withEvents(ctx, claims)
}

// What one sync takes up of one subject; the rest follows at once.
const (
	maxEvents     = 500
	maxEventBytes = 1 << 20
)

func (p *Payments) withEvents(ctx context.Context, claims []claim) ([]due, error) {
	if len(claims) == 0 {
		return nil, nil
	}
	subjects := make([]string, len(claims))
	for i, c := range claims {
		subjects[i] = c.Subject
	}
	rows, err := db.New(p.Pool).PendingEvents(ctx, db.PendingEventsParams{Subjects: subjects, MaxEvents: maxEvents, MaxBytes: maxEventBytes})
	if err != nil {
		return nil, fmt.Errorf("read pending events: %w", err)
	}
	pending := map[string][]db.PendingEventsRow{}
	for _, row := range rows {
		pending[row.Subject] = append(pending[row.Subject], row)
	}
	out := make([]due, len(claims))
	for i, c := range claims {
		out[i] = due{c, pending[c.Subject]}
	}
	return out, nil
}

// work syncs a claimed subject and puts it off if that fails. What was claimed
// is finished even while the process stops.
func (p *Payments) work(ctx context.Context, d due) {
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), patient)
	defer cancel()
	err := p.syncWhole(WithLane(asking, Lane(d.Lane)), d)
	if err == nil {
		return
	}
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second) // the failure may have been asking's end
	defer cancel()
	if errors.Is(err, errStale) {
		err = db.New(p.Pool).PostponeStale(ctx, db.PostponeStaleParams{
			Subject: d.Subject, Ticket: d.Ticket, NextAt: p.Now().Add(2 * time.Second),
		})
	} else {
		p.Log.WarnContext(ctx, "sync put off", "subject", d.Subject, "attempts", d.Attempts+1, "error", err)
		err = p.putOff(ctx, d.claim, err)
	}
	if err != nil {
		p.Log.ErrorContext(ctx, "put a sync off", "subject", d.Subject, "error", err)
	}
}

// syncWhole is sync for a goroutine that is nobody's request. A panic in it is
// its failure: one subject must not end the process, and with it every process
// that claims the subject next.
func (p *Payments) syncWhole(ctx context.Context, d due) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic while syncing %s: %v\n%s", d.Subject, r, debug.Stack())
		}
	}()
	_, err = p.sync(ctx, d)
	return err
}

func (p *Payments) syncAlone(ctx context.Context, c claim) (Answer, error) {
	all, err := p.withEvents(ctx, []claim{c})
	if err != nil {
		return Answer{}, err
	}
	return p.sync(ctx, all[0])
}

// sync asks and writes under a claim. An answer older than the events is
// errStale; to be overtaken is no error. After an error the claim is still held
// and the caller gives it back; after a death the lease runs out.
func (p *Payments) sync(ctx context.Context, d due) (Answer, error) {
	if !namesCustomer(d.Subject) {
		if err := p.resolve(ctx, d.claim); !errors.Is(err, errOvertaken) {
			return Answer{}, err
		}
		return Answer{}, nil
	}
	m, err := p.ask(ctx, d)
	if err == nil {
		err = p.writes.do(ctx, m)
		for range 2 {
			if !isContention(err) {
				break
			}
			err = p.writes.do(ctx, m) // whoever was in the way has gone on, or failed
		}
	}
	if isDataFault(err) && len(m.events) > 0 {
		err = p.writeWithoutCulprits(ctx, m, err)
	}
	if err == nil {
		err = m.refused
	}
	switch {
	case err == nil, errors.Is(err, errOvertaken):
		return m.answer, nil
	case errors.Is(err, errStale):
		return m.answer, errStale
	default:
		return m.answer, fmt.Errorf("sync %s: %w", d.Subject, err)
	}
}

// isContention reports whether a write failed because of others: a lock not had
// in time, or one of a circle.
func isContention(err error) bool {
	var fault *pgconn.PgError
	return errors.As(err, &fault) && (fault.Code == "55P03" || fault.Code == "40P01")
}

// isDataFault reports whether Postgres refused a value: class 22, data
// exceptions, or 23, constraints; or whether it could not even be sent, as a
// year of five digits.
func isDataFault(err error) bool {
	var unsendable *json.MarshalerError
	if errors.As(err, &unsendable) {
		return true
	}
	var fault *pgconn.PgError
	return errors.As(err, &fault) && (strings.HasPrefix(fault.Code, "22") || strings.HasPrefix(fault.Code, "23"))
}

// writeWithoutCulprits tries each event alone, parks those that no row takes,
// and writes the rest: one event never stops the next.
func (p *Payments) writeWithoutCulprits(ctx context.Context, m *material, cause error) error {
	found := false
	for i := range m.events {
		alone := *m
		alone.events = m.events[i : i+1 : i+1]
		alone.isTrial = true
		err := p.write(ctx, []*material{&alone})
		if isDataFault(err) {
			m.events[i].parked, found = clean(err.Error()), true
		} else if err != nil {
			return err
		}
	}
	if !found {
		return cause // it is not an event's fault
	}
	return p.write(ctx, []*material{m})
}

// putOff backs a subject off after a failure. It is never given up.
func (p *Payments) putOff(ctx context.Context, c claim, cause error) error {
	err := db.New(p.Pool).PostponeFailed(ctx, db.PostponeFailedParams{
		Subject: c.Subject, Ticket: c.Ticket, LastError: clean(cause.Error()), NextAt: p.Now().Add(backoff(c.Attempts)),
	})
	return errors.Join(err, p.alertOfFailure(ctx, c, cause))
}

// backoff doubles from a second up to an hour, with jitter so that subjects
// that failed together do not come back together.
func backoff(attempts int32) time.Duration {
	d := min(time.Second<<min(attempts, 12), time.Hour)
	return d/2 + rand.N(d/2)
}

func (p *Payments) sweepEveryMinute(ctx context.Context) {
	ctx = WithLane(ctx, LaneBacklog)
	every := time.NewTicker(time.Minute)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			if err := p.SweepAttempts(ctx); err != nil && ctx.Err() == nil {
				p.Log.ErrorContext(ctx, "close checkouts past their end", "error", err)
			}
		}
	}
}

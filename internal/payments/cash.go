package payments

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/billing"
)

// BalanceQuery asks for balance transactions that were created from From on and
// before Before, in whole seconds; a zero time bounds nothing. After is the last
// of the page before.
type BalanceQuery struct {
	From, Before time.Time
	After        string
}

// BalancePage is a page of a list, newest first.
type BalancePage struct {
	Transactions []billing.BalanceTransaction
	HasMore      bool
}

const (
	// cashEvery is how often Stripe's list is read whether or not anything was
	// heard; cashSoon is how long after the balance has moved, so that a burst of
	// events is one reading.
	cashEvery = 5 * time.Minute
	cashSoon  = 2 * time.Second
	// cashOverlap is read again each time: Stripe's lists are eventually
	// consistent, and its clock may be behind ours.
	cashOverlap = 3 * time.Hour
	// cashReach is how far back the first reading goes: no report asks for more.
	// Stripe itself keeps everything.
	cashReach = 10 // years
	// cashSpan is how much is read before it is noted that it is whole.
	cashSpan = 31 * 24 * time.Hour
	// cashLease is how long one page may take.
	cashLease = time.Minute
)

// SyncCash reads what moved the account's balance at Stripe and is not recorded
// yet: what is new since the last time and, until all of it is there, what was
// before. It reads after it is called, and waits where another process reads.
func (p *Payments) SyncCash(ctx context.Context) error {
	for {
		isOurs, err := p.readCash(ctx)
		if isOurs || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// keepCash is SyncCash every few minutes, and soon after an event that moved the
// balance, until the context ends.
func (p *Payments) keepCash(ctx context.Context) {
	for {
		wait := cashEvery
		isOurs, err := p.readCashWhole(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			p.Log.WarnContext(ctx, "read balance transactions", "error", err, "retry_in", wait)
		case !isOurs: // who reads may have asked before what we have heard of
			wait = cashSoon
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
			continue
		case <-p.moved:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(cashSoon):
		}
	}
}

// readCashWhole is readCash for a goroutine that is nobody's request: a panic in
// it is its failure.
func (p *Payments) readCashWhole(ctx context.Context) (isOurs bool, err error) {
	defer func() {
		if r := recover(); r != nil {
			isOurs, err = true, fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return p.readCash(ctx)
}

// movesCash are the events behind which there is a balance transaction.
var movesCash = map[string]bool{
	"charge.dispute.closed":           true,
	"charge.dispute.created":          true,
	"charge.dispute.funds_reinstated": true,
	"charge.dispute.funds_withdrawn":  true,
	"charge.refund.updated":           true,
	"charge.refunded":                 true,
	"charge.succeeded":                true,
}

// noticeCash lets keepCash know what was committed.
func (b *batch) noticeCash() {
	for _, m := range b.ours {
		for _, t := range m.events {
			if movesCash[t.row.Type] {
				select {
				case b.moved <- struct{}{}:
				default:
				}
				return
			}
		}
	}
}

// cashReading is one process's turn with the list.
type cashReading struct {
	*Payments
	q      *db.Queries
	holder uuid.UUID
}

// readCash takes a turn; false: another process has it.
func (p *Payments) readCash(ctx context.Context) (isOurs bool, err error) {
	r := cashReading{p, db.New(p.Pool), uuid.New()}
	now := p.Now().UTC()
	progress, err := r.q.ClaimCash(ctx, db.ClaimCashParams{Livemode: p.Livemode, Now: now, Holder: r.holder, Lease: cashLease})
	if db.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("claim the list of balance transactions: %w", err)
	}
	defer func() {
		// Given back also when the context has ended.
		giving, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if failed := r.q.ReleaseCash(giving, db.ReleaseCashParams{Livemode: p.Livemode, Holder: r.holder}); failed != nil && err == nil {
			err = fmt.Errorf("release the list of balance transactions: %w", failed)
		}
	}()
	err = r.read(WithLane(ctx, LaneBacklog), progress, now)
	if errors.Is(err, errOvertaken) {
		return false, nil
	}
	return true, err
}

func (r cashReading) read(ctx context.Context, progress db.CashProgress, now time.Time) error {
	if err := r.ahead(ctx, progress.WholeTo.UTC(), now); err != nil {
		return fmt.Errorf("read new balance transactions: %w", err)
	}
	if err := r.back(ctx, progress.WholeFrom.UTC(), now.AddDate(-cashReach, 0, 0)); err != nil {
		return fmt.Errorf("read earlier balance transactions: %w", err)
	}
	return nil
}

// ahead reads from a little before where all is recorded up to now. After a long
// silence that is a span at a time, so that a process that dies in it loses little.
func (r cashReading) ahead(ctx context.Context, wholeTo, now time.Time) error {
	for from := wholeTo.Add(-cashOverlap); from.Before(now); from = from.Add(cashSpan) {
		query, to := BalanceQuery{From: from}, from.Add(cashSpan)
		if to.Before(now) {
			query.Before = to
		} else {
			to = now // and whatever is newer by Stripe's clock
		}
		if err := r.pages(ctx, query, nil); err != nil {
			return err
		}
		if err := r.q.CashWholeTo(ctx, db.CashWholeToParams{Livemode: r.Livemode, WholeTo: to}); err != nil {
			return fmt.Errorf("note progress: %w", err)
		}
	}
	return nil
}

// back reads what was before all that is recorded, and notes how far it has come
// with each page.
func (r cashReading) back(ctx context.Context, wholeFrom, reach time.Time) error {
	if !reach.Before(wholeFrom) {
		return nil
	}
	err := r.pages(ctx, BalanceQuery{From: reach, Before: wholeFrom}, func(page []billing.BalanceTransaction) time.Time {
		// Of the second of the last one there may be more.
		return page[len(page)-1].CreatedAt.Add(time.Second)
	})
	if err != nil {
		return err
	}
	if err := r.q.CashWholeFrom(ctx, db.CashWholeFromParams{Livemode: r.Livemode, WholeFrom: reach}); err != nil {
		return fmt.Errorf("note progress: %w", err)
	}
	return nil
}

// pages records what a query finds, newest first. With wholeFrom it is noted after
// each page from when on all is recorded.
func (r cashReading) pages(ctx context.Context, query BalanceQuery, wholeFrom func([]billing.BalanceTransaction) time.Time) error {
	for {
		page, err := r.Stripe.BalanceTransactions(ctx, query)
		if err != nil {
			return err
		}
		if len(page.Transactions) > 0 {
			var from time.Time
			if wholeFrom != nil {
				from = wholeFrom(page.Transactions)
			}
			if err := r.record(ctx, page.Transactions, from); err != nil {
				return err
			}
			query.After = page.Transactions[len(page.Transactions)-1].ID
		}
		switch {
		case !page.HasMore:
			return nil
		case len(page.Transactions) == 0: // it cannot be gone on from, and a part is no answer
			return fmt.Errorf("%w: its list promises more and has nothing", ErrUnavailable)
		}
	}
}

// errCashTaken: the page took longer than the lease, and another process reads on.
var errCashTaken = fmt.Errorf("%w: another process reads the list by now", errOvertaken)

// record writes a page, with a mark for each transaction that is new.
func (r cashReading) record(ctx context.Context, page []billing.BalanceTransaction, wholeFrom time.Time) error {
	rows := make([]db.BalanceTransaction, len(page))
	for i, t := range page {
		rows[i] = db.BalanceTransaction{
			ID: t.ID, Type: t.Type, ReportingCategory: t.Category, Currency: string(t.Currency), AmountMinor: t.AmountMinor,
			FeeMinor: t.FeeMinor, NetMinor: t.NetMinor, SourceID: optional(t.SourceID), CreatedAt: t.CreatedAt, AvailableAt: t.AvailableAt,
			Livemode: r.Livemode,
		}
	}
	return db.InTx(ctx, r.Pool, func(_ pgx.Tx, q *db.Queries) error {
		held, err := q.KeepCash(ctx, db.KeepCashParams{Livemode: r.Livemode, Holder: r.holder, Lease: cashLease})
		if err != nil {
			return fmt.Errorf("keep the list: %w", err)
		}
		if held == 0 {
			return errCashTaken
		}
		if _, err := q.RecordBalanceTransactions(ctx, mustJSON(rows)); err != nil {
			return fmt.Errorf("record balance transactions: %w", err)
		}
		if wholeFrom.IsZero() {
			return nil
		}
		if err := q.CashWholeFrom(ctx, db.CashWholeFromParams{Livemode: r.Livemode, WholeFrom: wholeFrom}); err != nil {
			return fmt.Errorf("note progress: %w", err)
		}
		return nil
	})
}

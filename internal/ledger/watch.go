package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
)

// verifyKey is that of the advisory lock of whoever verifies: "verify" in ASCII.
const verifyKey = 0x766572696679

const (
	// recentEvery and fullEvery are how often the figures are checked, by the
	// business clock.
	recentEvery = 10 * time.Minute
	fullEvery   = 24 * time.Hour
	// retryVerification is after how long one that did not come to its end, and a
	// generation whose invariants did not hold, is looked at again.
	retryVerification = time.Hour
	// verificationsKept is for how long it is known when they were.
	verificationsKept = 90 * 24 * time.Hour
)

// Watch checks the figures again and again until the context ends: quickly every
// ten minutes, and everything once a day, in one process at a time. What does not
// hold is kept as an open issue, which the figures show until it holds again.
func (l *Ledger) Watch(ctx context.Context) error {
	for {
		if err := l.watch(ctx); err != nil && ctx.Err() == nil {
			l.Logger.ErrorContext(ctx, "verify figures", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-l.builtSignal():
		case <-time.After(time.Minute):
		}
	}
}

func (l *Ledger) watch(ctx context.Context) error {
	return db.InTx(ctx, l.Pool, func(_ pgx.Tx, q *db.Queries) error {
		isOurs, err := q.LockVerification(ctx, verifyKey)
		if err != nil || !isOurs {
			return err
		}
		for _, extent := range []struct {
			name  string
			every time.Duration
		}{{full, fullEvery}, {recent, recentEvery}} {
			now := l.Now()
			last, err := q.LastVerification(ctx, db.LastVerificationParams{Scope: extent.name, UnderWaySince: now.Add(-retryVerification)})
			if err != nil {
				return fmt.Errorf("read the last verification: %w", err)
			}
			// A clock that was set back is no reason to wait for it.
			if now.Before(last.Add(extent.every)) && !now.Before(last) {
				continue
			}
			if err := l.examine(ctx, extent.name); err != nil {
				return err
			}
			if extent.name == full {
				if err := l.prune(ctx); err != nil {
					return err
				}
				break // everything was looked at, what is recent too
			}
		}
		return l.finish(ctx)
	})
}

// Examine checks all invariants now and keeps what was found, as Watch does.
func (l *Ledger) Examine(ctx context.Context) (Checked, error) {
	var out Checked
	err := l.examineInto(ctx, full, &out)
	return out, err
}

func (l *Ledger) examine(ctx context.Context, extent string) error {
	return l.examineInto(ctx, extent, new(Checked))
}

func (l *Ledger) examineInto(ctx context.Context, extent string, out *Checked) error {
	q := db.New(l.Pool)
	began := l.Now()
	id, err := q.BeginVerification(ctx, db.BeginVerificationParams{Scope: extent, At: began})
	if err != nil {
		return fmt.Errorf("note the verification: %w", err)
	}
	live, err := q.LiveGeneration(ctx)
	if err != nil {
		return fmt.Errorf("read the live generation: %w", err)
	}
	checked, err := l.verify(ctx, extent, []int32{live.Gen})
	if err != nil {
		return err
	}
	*out = checked
	if err := l.keepFindings(ctx, q, checked, began); err != nil {
		return err
	}
	ended := l.Now()
	if err := q.EndVerification(ctx, db.EndVerificationParams{
		ID: id, At: &ended, Customers: checked.Customers, Findings: int32(len(checked.Findings)), //nolint:gosec // a dozen at most
	}); err != nil {
		return fmt.Errorf("note the verification: %w", err)
	}
	return q.ForgetVerifications(ctx, began.Add(-verificationsKept))
}

// keepFindings opens an issue for each finding that is new, and closes those
// whose check holds again.
func (l *Ledger) keepFindings(ctx context.Context, q *db.Queries, checked Checked, at time.Time) error {
	changed := 0
	for _, f := range checked.Findings {
		isNew, err := q.RaiseIntegrityIssue(ctx, db.RaiseIntegrityIssueParams{
			CheckName: f.Check, Detail: f.Detail, FirstDay: f.First, LastDay: f.Last, At: at, IsFull: checked.since.IsZero(),
		})
		if err != nil {
			return fmt.Errorf("keep what was found: %w", err)
		}
		if isNew {
			changed++
			l.Logger.ErrorContext(ctx, "figures are under verification", "check", f.Check, "detail", f.Detail, "first_day", f.First, "last_day", f.Last)
		}
	}
	resolved, err := q.ResolveIntegrityIssues(ctx, db.ResolveIntegrityIssuesParams{At: &at, Held: checked.Held, Since: analytics.DayOf(checked.since, time.UTC)})
	if err != nil {
		return fmt.Errorf("close what holds again: %w", err)
	}
	for _, name := range resolved {
		l.Logger.WarnContext(ctx, "figures hold again", "check", name)
	}
	if changed+len(resolved) > 0 {
		return q.FiguresChanged(ctx, at)
	}
	return nil
}

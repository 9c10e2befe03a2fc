package ledger

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
)

// Rules is the number of the rules by which this program counts. A program with
// a greater one than the live generation has opens a generation of its own.
const Rules = 2

// keepOld is how long a generation stays after another took its place.
const keepOld = 7 * 24 * time.Hour

// pruneAtOnce is how many rows of an old generation one statement deletes.
const pruneAtOnce = 20_000

// Proposal is the definition that the environment asks for.
type Proposal struct {
	// TimeZone is an IANA name; empty: that of the live generation stays.
	TimeZone string
	// Discounts is empty where that of the live generation stays.
	Discounts analytics.DiscountPolicy
	// PastDueCap is analytics.Definition's, in days; nil: that of the live
	// generation stays.
	PastDueCap *int
}

// Propose makes the definition of the figures that of the proposal and of this
// program's rules. Where it is another than the live one, a generation is opened
// beside it: the figures stay as they are until everyone is counted under the new
// one and its invariants hold. Where nobody was ever seen the live one is
// redefined. Proposing the same again changes nothing.
func (l *Ledger) Propose(ctx context.Context, p Proposal) error {
	err := db.InTx(ctx, l.Pool, func(_ pgx.Tx, q *db.Queries) error {
		if _, err := q.LockLedger(ctx, lockKey); err != nil {
			return fmt.Errorf("lock: %w", err)
		}
		generations, err := q.Generations(ctx)
		if err != nil {
			return fmt.Errorf("read generations: %w", err)
		}
		live, want := db.MetricGeneration{}, db.MetricGeneration{}
		for _, g := range generations {
			if g.State == "live" {
				live, want = g, g
			}
		}
		want.Definition = Rules
		for _, g := range generations {
			if g.State != "old" { // a newer program has proposed more than this one knows
				want.Definition = max(want.Definition, g.Definition)
			}
		}
		if p.TimeZone != "" {
			if _, err := time.LoadLocation(p.TimeZone); err != nil {
				return fmt.Errorf("time zone: %w", err)
			}
			want.TimeZone = p.TimeZone
		}
		if p.Discounts != "" {
			want.DiscountPolicy = string(p.Discounts)
		}
		if p.PastDueCap != nil {
			want.PastDueCapDays = int32(*p.PastDueCap) //nolint:gosec // some days
		}
		isProposed := func(g db.MetricGeneration) bool {
			return g.TimeZone == want.TimeZone && g.DiscountPolicy == want.DiscountPolicy && g.PastDueCapDays == want.PastDueCapDays && g.Definition == want.Definition
		}
		for _, g := range generations {
			if g.State == "building" {
				if isProposed(g) {
					return nil
				}
				if err := retire(ctx, q, g.Gen); err != nil {
					return err
				}
			}
		}
		if isProposed(live) {
			return nil
		}
		return l.open(ctx, q, live, want)
	})
	if err != nil {
		return fmt.Errorf("propose a definition of the figures: %w", err)
	}
	return nil
}

func (l *Ledger) open(ctx context.Context, q *db.Queries, live, want db.MetricGeneration) error {
	isEmpty, err := q.LedgerIsEmpty(ctx)
	if err != nil {
		return fmt.Errorf("look for customers: %w", err)
	}
	if isEmpty {
		return q.RedefineGeneration(ctx, db.RedefineGenerationParams{
			Gen: live.Gen, TimeZone: want.TimeZone, DiscountPolicy: want.DiscountPolicy, PastDueCapDays: want.PastDueCapDays, Definition: want.Definition,
		})
	}
	gen, err := q.OpenGeneration(ctx, db.OpenGenerationParams{
		TimeZone: want.TimeZone, DiscountPolicy: want.DiscountPolicy, PastDueCapDays: want.PastDueCapDays, Definition: want.Definition,
	})
	if err != nil {
		return fmt.Errorf("open a generation: %w", err)
	}
	n, err := q.MarkEveryCustomer(ctx, gen)
	if err != nil {
		return fmt.Errorf("mark everyone: %w", err)
	}
	visits, err := q.MarkEveryVisit(ctx, gen)
	if err != nil {
		return fmt.Errorf("mark every visitor: %w", err)
	}
	transactions, err := q.MarkEveryTransaction(ctx, gen)
	if err != nil {
		return fmt.Errorf("mark every balance transaction: %w", err)
	}
	n += visits + transactions
	l.Logger.InfoContext(ctx, "generation opened", "generation", gen, "time_zone", want.TimeZone, "discounts", want.DiscountPolicy,
		"past_due_cap_days", want.PastDueCapDays, "definition", want.Definition, "to_count", n)
	return nil
}

func retire(ctx context.Context, q *db.Queries, gen int32) error {
	if err := q.ForgetTodo(ctx, gen); err != nil {
		return fmt.Errorf("forget who is to be counted: %w", err)
	}
	if err := q.RetireGeneration(ctx, gen); err != nil {
		return fmt.Errorf("retire generation %d: %w", gen, err)
	}
	return nil
}

// finish lets a generation that has counted everyone take the place of the live
// one, once its invariants hold. One whose do not is left as it is, the log says
// why, and after an hour it is checked again: the figures that are shown are those
// of the live one and hold.
func (l *Ledger) finish(ctx context.Context) error {
	q, now := db.New(l.Pool), l.Now()
	if now.Before(l.refused.Add(retryVerification)) && !now.Before(l.refused) {
		return nil
	}
	built, err := q.BuiltGenerations(ctx)
	if err != nil {
		return fmt.Errorf("look for built generations: %w", err)
	}
	for _, g := range built {
		checked, err := l.verify(ctx, "generation", []int32{g.Gen})
		if err != nil {
			return fmt.Errorf("verify generation %d: %w", g.Gen, err)
		}
		if len(checked.Findings) > 0 {
			l.refused = now
			return fmt.Errorf("generation %d does not go live: %w", g.Gen, &checked.Findings[0])
		}
		if err := l.swap(ctx, g.Gen); err != nil {
			return err
		}
	}
	return nil
}

// swap makes a generation the live one, in one transaction.
func (l *Ledger) swap(ctx context.Context, gen int32) error {
	err := db.InTx(ctx, l.Pool, func(_ pgx.Tx, q *db.Queries) error {
		if _, err := q.LockLedger(ctx, lockKey); err != nil {
			return fmt.Errorf("lock: %w", err)
		}
		built, err := q.BuiltGenerations(ctx)
		if err != nil {
			return fmt.Errorf("look for built generations: %w", err)
		}
		if len(built) == 0 || built[0].Gen != gen {
			return nil // another process was first, or another one is proposed by now
		}
		live, err := q.LiveGeneration(ctx)
		if err != nil {
			return fmt.Errorf("read the live generation: %w", err)
		}
		before, err := mrrOf(ctx, q, live.Gen)
		if err != nil {
			return err
		}
		after, err := mrrOf(ctx, q, gen)
		if err != nil {
			return err
		}
		now := l.Now()
		if err := retire(ctx, q, live.Gen); err != nil {
			return err
		}
		if err := q.ReviveGeneration(ctx, db.ReviveGenerationParams{Gen: gen, At: &now}); err != nil {
			return fmt.Errorf("let it live: %w", err)
		}
		l.Logger.InfoContext(ctx, "generation is live", "generation", gen, "before", live.Gen, "mrr_before", before, "mrr_after", after)
		return q.FiguresChanged(ctx, now)
	})
	if err != nil {
		return fmt.Errorf("swap generations: %w", err)
	}
	return nil
}

// mrrOf is the MRR of a generation in words, for the log.
func mrrOf(ctx context.Context, q *db.Queries, gen int32) (string, error) {
	rows, err := q.GenerationMRR(ctx, gen)
	if err != nil {
		return "", fmt.Errorf("add up generation %d: %w", gen, err)
	}
	var words []string
	for _, row := range rows {
		words = append(words, fmt.Sprintf("%s %d", row.Currency, row.MRRMicro))
	}
	return strings.Join(words, ", "), nil
}

// prune deletes what generations counted that have not been live for a while, a
// handful of rows at a time.
func (l *Ledger) prune(ctx context.Context) error {
	q := db.New(l.Pool)
	generations, err := q.Generations(ctx)
	if err != nil {
		return fmt.Errorf("read generations: %w", err)
	}
	var since time.Time
	for _, g := range generations {
		if g.State == "live" && g.LiveSince != nil {
			since = *g.LiveSince
		}
	}
	if since.IsZero() || l.Now().Before(since.Add(keepOld)) {
		return nil
	}
	for _, g := range generations {
		if g.State != "old" {
			continue
		}
		if err := l.erase(ctx, g.Gen); err != nil {
			return fmt.Errorf("erase generation %d: %w", g.Gen, err)
		}
		l.Logger.InfoContext(ctx, "generation erased", "generation", g.Gen)
	}
	return nil
}

func (l *Ledger) erase(ctx context.Context, gen int32) error {
	// Every table whose rows belong to a generation, those to come included.
	rows, err := l.Pool.Query(ctx, `SELECT DISTINCT conrelid::regclass::text FROM pg_constraint
		WHERE contype = 'f' AND confrelid = 'metric_generation'::regclass ORDER BY 1`)
	if err != nil {
		return err
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, table := range tables {
		for {
			tag, err := l.Pool.Exec(ctx, `DELETE FROM `+table+` WHERE ctid = ANY (ARRAY(SELECT ctid FROM `+table+` WHERE gen = $1 LIMIT $2))`, gen, pruneAtOnce)
			if err != nil {
				return fmt.Errorf("delete from %s: %w", table, err)
			}
			if tag.RowsAffected() < pruneAtOnce {
				break
			}
		}
	}
	_, err = l.Pool.Exec(ctx, `DELETE FROM metric_generation WHERE gen = $1 AND state = 'old'`, gen)
	return err
}

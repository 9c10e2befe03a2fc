package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
)

// countCash counts balance transactions, by id, on their days under each
// generation. A transaction never changes, so that counting one again changes
// nothing.
func countCash(ctx context.Context, q *db.Queries, ids []string, generations map[int32]analytics.Definition) error {
	if len(ids) == 0 {
		return nil
	}
	transactions, err := q.BalanceTransactionsByID(ctx, ids)
	if err != nil {
		return fmt.Errorf("read balance transactions: %w", err)
	}
	var all []book
	var entries []db.CashEntry
	for gen, definition := range generations {
		for _, t := range transactions {
			all = append(all, book{gen, t.ID})
			kind, counts := analytics.CashKindOf(t.Type, t.ReportingCategory)
			if !counts {
				continue
			}
			entries = append(entries, db.CashEntry{
				Gen: gen, ID: t.ID, Day: analytics.DayOf(t.CreatedAt, definition.Zone), Currency: t.Currency, Kind: string(kind),
				AmountMinor: t.AmountMinor, FeeMinor: t.FeeMinor, NetMinor: t.NetMinor,
			})
		}
	}
	days := newCashDaily()
	shelf := cashShelf
	shelf.changed = func(before, after []db.CashEntry) {
		takeCash(&days, before, -1)
		takeCash(&days, after, 1)
	}
	if err := shelf.replace(ctx, q, all, entries); err != nil {
		return err
	}
	return days.flush(ctx, q)
}

func takeCash(days *rollup[db.CashDaily], entries []db.CashEntry, sign int64) {
	for _, e := range entries {
		days.count(db.CashDaily{
			Gen: e.Gen, Day: e.Day, Currency: e.Currency, Kind: e.Kind, AmountMinor: e.AmountMinor, FeeMinor: e.FeeMinor, NetMinor: e.NetMinor,
			Transactions: 1,
		}, sign)
	}
}

// cashShelf holds entries by transaction, where others hold rows by customer.
var cashShelf = shelf[db.CashEntry]{
	what: "balance transactions that are counted",
	of:   func(e db.CashEntry) book { return book{e.Gen, e.ID} },
	applied: func(ctx context.Context, q *db.Queries, b books) ([]db.CashEntry, error) {
		return q.AppliedCash(ctx, db.AppliedCashParams{Gens: b.gens, Ids: b.customers})
	},
	remove: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error { return q.DeleteCash(ctx, rows) },
	insert: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error { return q.InsertCash(ctx, rows) },
}

func newCashDaily() rollup[db.CashDaily] {
	return rollup[db.CashDaily]{
		what: "cash by day",
		key: func(r db.CashDaily) db.CashDaily {
			return db.CashDaily{Gen: r.Gen, Day: r.Day, Currency: r.Currency, Kind: r.Kind}
		},
		plus: func(a, b db.CashDaily, sign int64) db.CashDaily {
			a.AmountMinor += sign * b.AmountMinor
			a.FeeMinor += sign * b.FeeMinor
			a.NetMinor += sign * b.NetMinor
			a.Transactions += sign * b.Transactions
			return a
		},
		before: func(a, b db.CashDaily) int {
			return cmp.Or(cmp.Compare(a.Gen, b.Gen), a.Day.Compare(b.Day), cmp.Compare(a.Currency, b.Currency), cmp.Compare(a.Kind, b.Kind))
		},
		add: func(ctx context.Context, q *db.Queries, rows json.RawMessage) (int64, error) {
			return q.AddToCashDaily(ctx, rows)
		},
		drop: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error {
			return q.DropEmptyCashDaily(ctx, rows)
		},
	}
}

// The names of the invariants of cash.
const (
	cashIsRecount = "cash by day is a recount of the balance transactions that are counted"
	cashIsStripes = "what is counted of a balance transaction is what Stripe says"
	cashIsWhole   = "every balance transaction is counted"
)

// cash checks what is counted of balance transactions, of the days since v.since
// against the rollup and, where all is looked at, against the transactions.
func (v *verification) cash(ctx context.Context) ([]Finding, error) {
	rows, err := v.q.BrokenCashDaily(ctx, db.BrokenCashDailyParams{Since: v.since, Gens: v.gens})
	if err != nil {
		return nil, fmt.Errorf("recount cash: %w", err)
	}
	findings := found(rows, func(r db.BrokenCashDailyRow) Finding {
		return Finding{
			cashIsRecount, fmt.Sprintf("generation %d, %s, %s, %s", r.Gen, r.Day.Format(time.DateOnly), r.Currency, r.Kind), r.Day, v.today(),
		}
	})
	if !v.since.IsZero() {
		return findings, nil
	}
	differing, err := v.q.BrokenCashEntry(ctx, v.gens)
	if err != nil {
		return nil, fmt.Errorf("compare cash with its transactions: %w", err)
	}
	findings = append(findings, found(differing, func(r db.BrokenCashEntryRow) Finding {
		return Finding{cashIsStripes, fmt.Sprintf("generation %d, %s", r.Gen, r.ID), r.Day, r.Day}
	})...)
	uncounted, err := v.q.UncountedCash(ctx, db.UncountedCashParams{Gens: v.gens, Outside: analytics.CashOutside})
	if err != nil {
		return nil, fmt.Errorf("look for transactions that are not counted: %w", err)
	}
	return append(findings, found(uncounted, func(r db.UncountedCashRow) Finding {
		day := analytics.DayOf(r.CreatedAt, time.UTC)
		return Finding{cashIsWhole, fmt.Sprintf("generation %d, %s of type %s", r.Gen, r.ID, r.Type), day.AddDate(0, 0, -1), day.AddDate(0, 0, 1)}
	})...), nil
}

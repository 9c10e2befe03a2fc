package ledger

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
)

// levelsOf are what a customer has after all of its movements: on each plan, and
// in each currency on all of them together.
func levelsOf(key book, figures analytics.Account) []db.CustomerLevel {
	micro := map[db.CustomerLevel]int64{}
	for _, m := range figures.Movements {
		level := db.CustomerLevel{Gen: key.gen, Customer: key.customer, Currency: string(m.Currency), Plan: m.Plan}
		micro[level] += m.AmountMicro
		level.Plan = analytics.AllPlans
		micro[level] += m.AmountMicro
	}
	var out []db.CustomerLevel
	for level, amount := range micro {
		if amount > 0 {
			level.MRRMicro = amount
			out = append(out, level)
		}
	}
	return out
}

var levelShelf = shelf[db.CustomerLevel]{
	what: "levels",
	of:   func(l db.CustomerLevel) book { return book{l.Gen, l.Customer} },
	key: func(l db.CustomerLevel) db.CustomerLevel {
		l.MRRMicro = 0
		return l
	},
	applied: func(ctx context.Context, q *db.Queries, b books) ([]db.CustomerLevel, error) {
		return q.AppliedLevels(ctx, db.AppliedLevelsParams{Gens: b.gens, Customers: b.customers})
	},
	remove: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error { return q.DeleteLevels(ctx, rows) },
	insert: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error { return q.InsertLevels(ctx, rows) },
}

// levelsAreRecount names the invariant of customer_level.
const levelsAreRecount = "levels of customers are a recount of their movements"

func (v *verification) customerLevels(ctx context.Context) ([]Finding, error) {
	rows, err := v.q.BrokenCustomerLevels(ctx, v.gens)
	return found(rows, func(r db.BrokenCustomerLevelsRow) Finding {
		return Finding{Check: levelsAreRecount, Detail: fmt.Sprintf("generation %d, %s, %s, plan %q: %d micro", r.Gen, r.Customer, r.Currency, r.Plan, r.MRRMicro)}
	}), err
}

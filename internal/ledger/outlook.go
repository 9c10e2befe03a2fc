package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
)

// countOutlook makes what is to come of the customers' subscriptions follow from
// their copies, which is what Stripe last said of them, and adds the difference to
// the rollup. Whoever writes a copy of which something else is to come marks its
// customer.
func countOutlook(ctx context.Context, q *db.Queries, accounts []account, generations map[int32]analytics.Definition) error {
	if len(accounts) == 0 {
		return nil
	}
	copies, err := readCopies(ctx, q, accounts)
	if err != nil {
		return err
	}
	var all []book
	var rows []db.CustomerOutlook
	for _, a := range accounts {
		for gen, definition := range generations {
			key := book{gen, a.customer}
			all = append(all, key)
			rows = append(rows, outlookOf(key, a, copies[a.customer], definition.Zone)...)
		}
	}
	days := newOutlookDaily()
	shelf := outlookShelf
	shelf.changed = func(before, after []db.CustomerOutlook) {
		takeOutlook(&days, before, -1)
		takeOutlook(&days, after, 1)
	}
	if err := shelf.replace(ctx, q, all, rows); err != nil {
		return err
	}
	return days.flush(ctx, q)
}

func readCopies(ctx context.Context, q *db.Queries, accounts []account) (map[string][]db.OutlookCopiesRow, error) {
	var params db.OutlookCopiesParams
	for _, a := range accounts {
		if id, ok := strings.CutPrefix(a.customer, organization); ok {
			if org, err := uuid.Parse(id); err == nil {
				params.OrgIds = append(params.OrgIds, org)
				continue
			}
		}
		params.StripeCustomerIds = append(params.StripeCustomerIds, a.customer)
	}
	rows, err := q.OutlookCopies(ctx, params)
	if err != nil {
		return nil, fmt.Errorf("read copies of subscriptions: %w", err)
	}
	copies := map[string][]db.OutlookCopiesRow{}
	for _, row := range rows {
		copies[row.Customer] = append(copies[row.Customer], row)
	}
	return copies, nil
}

// outlookOf are the rows of a customer. A copy whose facts cannot be read, or that
// has no price that anybody knows, has nothing to come.
func outlookOf(key book, a account, copies []db.OutlookCopiesRow, zone *time.Location) []db.CustomerOutlook {
	worth := map[string]int64{}
	for _, s := range a.figures[key.gen].Subscriptions {
		worth[s.SubscriptionID] = s.MRRMicro
	}
	var out []db.CustomerOutlook
	for _, row := range copies {
		s := analytics.Standing{
			SubscriptionID: row.StripeSubscriptionID, Plan: analytics.UnknownPlan, PeriodStart: row.CurrentPeriodStart, PeriodEnd: row.CurrentPeriodEnd,
			MRRMicro: worth[row.StripeSubscriptionID],
		}
		if json.Unmarshal(row.Facts, &s.Facts) != nil {
			continue
		}
		if row.Plan != nil {
			s.Plan = *row.Plan
		}
		if row.Interval != nil && row.IntervalCount != nil {
			s.Interval, s.IntervalCount = billing.Interval(*row.Interval), int64(*row.IntervalCount)
		}
		for _, e := range analytics.Outlook(s, a.catalog, zone) {
			out = append(out, db.CustomerOutlook{
				Gen: key.gen, Customer: key.customer, SubscriptionID: e.SubscriptionID, Kind: string(e.Kind), Day: e.Day,
				Currency: string(e.Currency), Plan: e.Plan, AmountMicro: e.AmountMicro,
			})
		}
	}
	return out
}

func takeOutlook(days *rollup[db.OutlookDaily], rows []db.CustomerOutlook, sign int64) {
	for _, r := range rows {
		days.count(db.OutlookDaily{
			Gen: r.Gen, Currency: r.Currency, Day: r.Day, Plan: r.Plan, Kind: r.Kind, AmountMicro: r.AmountMicro, Subscriptions: 1,
		}, sign)
	}
}

var outlookShelf = shelf[db.CustomerOutlook]{
	what: "outlooks of customers",
	of:   func(r db.CustomerOutlook) book { return book{r.Gen, r.Customer} },
	applied: func(ctx context.Context, q *db.Queries, b books) ([]db.CustomerOutlook, error) {
		return q.AppliedOutlook(ctx, db.AppliedOutlookParams{Gens: b.gens, Customers: b.customers})
	},
	remove: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error {
		return q.DeleteOutlook(ctx, rows)
	},
	insert: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error {
		return q.InsertOutlook(ctx, rows)
	},
}

func newOutlookDaily() rollup[db.OutlookDaily] {
	return rollup[db.OutlookDaily]{
		what: "outlook by day",
		key: func(r db.OutlookDaily) db.OutlookDaily {
			return db.OutlookDaily{Gen: r.Gen, Currency: r.Currency, Day: r.Day, Plan: r.Plan, Kind: r.Kind}
		},
		plus: func(a, b db.OutlookDaily, sign int64) db.OutlookDaily {
			a.AmountMicro += sign * b.AmountMicro
			a.Subscriptions += sign * b.Subscriptions
			return a
		},
		before: func(a, b db.OutlookDaily) int {
			return cmp.Or(cmp.Compare(a.Gen, b.Gen), cmp.Compare(a.Currency, b.Currency), a.Day.Compare(b.Day), cmp.Compare(a.Plan, b.Plan),
				cmp.Compare(a.Kind, b.Kind))
		},
		add: func(ctx context.Context, q *db.Queries, rows json.RawMessage) (int64, error) {
			return q.AddToOutlookDaily(ctx, rows)
		},
		drop: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error {
			return q.DropEmptyOutlookDaily(ctx, rows)
		},
	}
}

// outlookIsRecount is the name of the invariant of the outlook.
const outlookIsRecount = "the outlook by day is a recount of the customers'"

func (v *verification) outlook(ctx context.Context) ([]Finding, error) {
	rows, err := v.q.BrokenOutlook(ctx, v.gens)
	if err != nil {
		return nil, fmt.Errorf("recount the outlook: %w", err)
	}
	return found(rows, func(r db.BrokenOutlookRow) Finding {
		return Finding{
			outlookIsRecount, fmt.Sprintf("generation %d, %s, %s, plan %s, %s", r.Gen, r.Day.Format(time.DateOnly), r.Currency, r.Plan, r.Kind), r.Day, r.Day,
		}
	}), nil
}

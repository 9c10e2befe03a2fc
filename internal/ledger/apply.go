package ledger

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
)

// retry is how long after versions could not be read they are tried again.
const retry = time.Hour

// book is a generation's contributions of one customer.
type book struct {
	gen      int32
	customer string
}

// entries are the rows of a book as sets, so that their order does not matter.
type entries struct {
	days          map[db.CustomerDay]bool
	movements     map[db.CustomerMovement]bool
	subscriptions map[db.CustomerSubscription]bool
}

func newEntries() entries {
	return entries{
		days: map[db.CustomerDay]bool{}, movements: map[db.CustomerMovement]bool{}, subscriptions: map[db.CustomerSubscription]bool{},
	}
}

func (e entries) equal(f entries) bool {
	return maps.Equal(e.days, f.days) && maps.Equal(e.movements, f.movements) && maps.Equal(e.subscriptions, f.subscriptions)
}

// apply makes the stored contributions equal to the accounts and adds the
// difference to the rollups. What was counted before comes from the
// contributions themselves, never from a source that may have changed since.
func apply(ctx context.Context, q *db.Queries, accounts []account) error {
	applied, err := readBooks(ctx, q, accounts)
	if err != nil {
		return err
	}
	changed := map[int32][]string{}
	var days []db.InsertDaysParams
	var movements []db.InsertMovementsParams
	var subscriptions []db.InsertContributingSubscriptionsParams
	daily, monthly := flows{}, flows{}
	for _, a := range accounts {
		for gen, figures := range a.figures {
			key := book{gen, a.customer}
			before, after := applied[key], entriesOf(key, figures)
			if after.equal(before) {
				continue
			}
			changed[gen] = append(changed[gen], a.customer)
			for d := range after.days {
				days = append(days, db.InsertDaysParams(d))
			}
			for m := range before.movements {
				daily.add(m, m.Day, -1)
				monthly.add(m, firstOfMonth(m.Day), -1)
			}
			for m := range after.movements {
				movements = append(movements, db.InsertMovementsParams(m))
				daily.add(m, m.Day, 1)
				monthly.add(m, firstOfMonth(m.Day), 1)
			}
			for s := range after.subscriptions {
				subscriptions = append(subscriptions, db.InsertContributingSubscriptionsParams(s))
			}
		}
	}
	for gen, customers := range changed {
		if err := q.DeleteDays(ctx, db.DeleteDaysParams{Gen: gen, Customers: customers}); err != nil {
			return fmt.Errorf("delete balances: %w", err)
		}
		if err := q.DeleteMovements(ctx, db.DeleteMovementsParams{Gen: gen, Customers: customers}); err != nil {
			return fmt.Errorf("delete movements: %w", err)
		}
		if err := q.DeleteContributingSubscriptions(ctx, db.DeleteContributingSubscriptionsParams{Gen: gen, Customers: customers}); err != nil {
			return fmt.Errorf("delete subscriptions: %w", err)
		}
	}
	if _, err := q.InsertDays(ctx, days); err != nil {
		return fmt.Errorf("insert balances: %w", err)
	}
	if _, err := q.InsertMovements(ctx, movements); err != nil {
		return fmt.Errorf("insert movements: %w", err)
	}
	if _, err := q.InsertContributingSubscriptions(ctx, subscriptions); err != nil {
		return fmt.Errorf("insert subscriptions: %w", err)
	}
	return rollUp(ctx, q, daily, monthly)
}

// readBooks returns what is applied of the accounts; every book is there, if
// only empty.
func readBooks(ctx context.Context, q *db.Queries, accounts []account) (map[book]entries, error) {
	books := map[book]entries{}
	var gens []int32
	var customers []string
	for _, a := range accounts {
		customers = append(customers, a.customer)
		for gen := range a.figures {
			gens = append(gens, gen)
			books[book{gen, a.customer}] = newEntries()
		}
	}
	slices.Sort(gens)
	gens = slices.Compact(gens)
	days, err := q.AppliedDays(ctx, db.AppliedDaysParams{Gens: gens, Customers: customers})
	if err != nil {
		return nil, fmt.Errorf("read balances: %w", err)
	}
	for _, d := range days {
		books[book{d.Gen, d.Customer}].days[d] = true
	}
	movements, err := q.AppliedMovements(ctx, db.AppliedMovementsParams{Gens: gens, Customers: customers})
	if err != nil {
		return nil, fmt.Errorf("read movements: %w", err)
	}
	for _, m := range movements {
		books[book{m.Gen, m.Customer}].movements[m] = true
	}
	subscriptions, err := q.AppliedSubscriptions(ctx, db.AppliedSubscriptionsParams{Gens: gens, Customers: customers})
	if err != nil {
		return nil, fmt.Errorf("read subscriptions: %w", err)
	}
	for _, s := range subscriptions {
		books[book{s.Gen, s.Customer}].subscriptions[s] = true
	}
	return books, nil
}

func entriesOf(key book, figures analytics.Account) entries {
	e := newEntries()
	for _, d := range figures.Days {
		e.days[db.CustomerDay{
			Gen: key.gen, Customer: key.customer, Currency: string(d.Currency), Day: d.Day, MRRMicro: d.MRRMicro,
		}] = true
	}
	for _, m := range figures.Movements {
		e.movements[db.CustomerMovement{
			Gen: key.gen, Customer: key.customer, Currency: string(m.Currency), Day: m.Day, Kind: string(m.Kind), Plan: m.Plan,
			AmountMicro: m.AmountMicro, Customers: int32(m.Customers), Reason: string(m.Reason),
		}] = true
	}
	for _, s := range figures.Subscriptions {
		e.subscriptions[db.CustomerSubscription{
			Gen: key.gen, Customer: key.customer, SubscriptionID: s.SubscriptionID, Currency: string(s.Currency), MRRMicro: s.MRRMicro,
		}] = true
	}
	return e
}

// flowKey is the key of a rollup; start is a day or the first of a month.
type flowKey struct {
	gen                  int32
	start                time.Time
	currency, plan, kind string
}

type flow struct{ amountMicro, customers int64 }

// flows are differences to add to a rollup.
type flows map[flowKey]flow

func (f flows) add(m db.CustomerMovement, start time.Time, sign int64) {
	key := flowKey{gen: m.Gen, start: start, currency: m.Currency, plan: m.Plan, kind: m.Kind}
	sum := f[key]
	sum.amountMicro += sign * m.AmountMicro
	sum.customers += sign * int64(m.Customers)
	f[key] = sum
}

func firstOfMonth(day time.Time) time.Time { return day.AddDate(0, 0, 1-day.Day()) }

// columns are flows as columns, in the order of the key.
type columns struct {
	gens                    []int32
	starts                  []time.Time
	currencies, plans       []string
	kinds                   []string
	amountsMicro, customers []int64
}

func (f flows) columns() columns {
	var c columns
	for _, key := range slices.SortedFunc(maps.Keys(f), func(a, b flowKey) int {
		return cmp.Or(cmp.Compare(a.gen, b.gen), a.start.Compare(b.start), cmp.Compare(a.currency, b.currency),
			cmp.Compare(a.plan, b.plan), cmp.Compare(a.kind, b.kind))
	}) {
		sum := f[key]
		if sum == (flow{}) {
			continue
		}
		c.gens = append(c.gens, key.gen)
		c.starts = append(c.starts, key.start)
		c.currencies = append(c.currencies, key.currency)
		c.plans = append(c.plans, key.plan)
		c.kinds = append(c.kinds, key.kind)
		c.amountsMicro = append(c.amountsMicro, sum.amountMicro)
		c.customers = append(c.customers, sum.customers)
	}
	return c
}

// rollUp adds the differences. A row that comes to nothing is deleted: every
// movement of a kind has the same sign, so nothing means that no movement is
// behind it, and a rebuild from the movements would not make it either.
func rollUp(ctx context.Context, q *db.Queries, daily, monthly flows) error {
	if d := daily.columns(); len(d.gens) > 0 {
		if err := q.AddToFlowDaily(ctx, db.AddToFlowDailyParams{
			Gens: d.gens, Days: d.starts, Currencies: d.currencies, Plans: d.plans, Kinds: d.kinds,
			AmountsMicro: d.amountsMicro, Customers: d.customers,
		}); err != nil {
			return fmt.Errorf("add to daily flows: %w", err)
		}
		if err := q.DropEmptyFlowDaily(ctx, db.DropEmptyFlowDailyParams{Gens: d.gens, Days: d.starts}); err != nil {
			return fmt.Errorf("drop empty daily flows: %w", err)
		}
	}
	if m := monthly.columns(); len(m.gens) > 0 {
		if err := q.AddToFlowMonthly(ctx, db.AddToFlowMonthlyParams{
			Gens: m.gens, Months: m.starts, Currencies: m.currencies, Plans: m.plans, Kinds: m.kinds,
			AmountsMicro: m.amountsMicro, Customers: m.customers,
		}); err != nil {
			return fmt.Errorf("add to monthly flows: %w", err)
		}
		if err := q.DropEmptyFlowMonthly(ctx, db.DropEmptyFlowMonthlyParams{Gens: m.gens, Months: m.starts}); err != nil {
			return fmt.Errorf("drop empty monthly flows: %w", err)
		}
	}
	return nil
}

// setClocks notes when each customer's figures change by themselves: at the
// first such instant of any generation, and in an hour for those that could
// not be computed.
func setClocks(ctx context.Context, q *db.Queries, customers []string, accounts []account, now time.Time) error {
	next := map[string]time.Time{}
	for _, customer := range customers {
		next[customer] = now.Add(retry)
	}
	for _, a := range accounts {
		delete(next, a.customer)
		for _, figures := range a.figures {
			if first, ok := next[a.customer]; !figures.Next.IsZero() && (!ok || figures.Next.Before(first)) {
				next[a.customer] = figures.Next
			}
		}
	}
	if err := q.ClearClocks(ctx, customers); err != nil {
		return fmt.Errorf("clear clocks: %w", err)
	}
	var clocks db.SetClocksParams
	for _, customer := range slices.Sorted(maps.Keys(next)) {
		clocks.Customers = append(clocks.Customers, customer)
		clocks.NextAt = append(clocks.NextAt, next[customer])
	}
	if err := q.SetClocks(ctx, clocks); err != nil {
		return fmt.Errorf("set clocks: %w", err)
	}
	return nil
}

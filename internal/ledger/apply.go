package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/money"
)

// retry is how long after versions could not be read they are tried again.
const retry = time.Hour

// apply makes the stored contributions equal to the accounts and adds the
// difference to the rollups.
func apply(ctx context.Context, q *db.Queries, accounts []account) error {
	var all []book
	var days []db.CustomerDay
	var movements []db.CustomerMovement
	var pledges []db.CustomerPledge
	var subscriptions []db.CustomerSubscription
	var balances []db.CustomerLevel
	for _, a := range accounts {
		for gen, figures := range a.figures {
			key := book{gen, a.customer}
			all = append(all, key)
			days = append(days, daysOf(key, figures)...)
			movements = append(movements, movementsOf(key, figures)...)
			pledges = append(pledges, pledgesOf(key, figures)...)
			subscriptions = append(subscriptions, subscriptionsOf(key, figures)...)
			balances = append(balances, levelsOf(key, figures)...)
		}
	}
	if err := dayShelf.replace(ctx, q, all, days); err != nil {
		return err
	}
	if err := subscriptionShelf.replace(ctx, q, all, subscriptions); err != nil {
		return err
	}
	if err := levelShelf.replace(ctx, q, all, balances); err != nil {
		return err
	}

	levels := newPledgeRollup()
	shelf := pledgeShelf
	shelf.changed = func(before, after []db.CustomerPledge) {
		levels.take(before, -1)
		levels.take(after, 1)
	}
	if err := shelf.replace(ctx, q, all, pledges); err != nil {
		return err
	}
	if err := levels.flush(ctx, q); err != nil {
		return err
	}

	flows := newFlowRollups()
	moved := movementShelf
	moved.changed = func(before, after []db.CustomerMovement) {
		flows.take(before, -1)
		flows.take(after, 1)
	}
	if err := moved.replace(ctx, q, all, movements); err != nil {
		return err
	}
	return flows.flush(ctx, q)
}

func daysOf(key book, figures analytics.Account) []db.CustomerDay {
	var out []db.CustomerDay
	for _, d := range figures.Days {
		out = append(out, db.CustomerDay{Gen: key.gen, Customer: key.customer, Currency: string(d.Currency), Day: d.Day, MRRMicro: d.MRRMicro})
	}
	return out
}

func movementsOf(key book, figures analytics.Account) []db.CustomerMovement {
	var out []db.CustomerMovement
	for _, m := range figures.Movements {
		out = append(out, db.CustomerMovement{
			Gen: key.gen, Customer: key.customer, Currency: string(m.Currency), Day: m.Day, Kind: string(m.Kind), Plan: m.Plan,
			AmountMicro: m.AmountMicro, Customers: int32(m.Customers), Subscribers: int32(m.Subscribers), Reason: string(m.Reason),
		})
	}
	return out
}

func pledgesOf(key book, figures analytics.Account) []db.CustomerPledge {
	var out []db.CustomerPledge
	for _, p := range figures.Pledges {
		out = append(out, db.CustomerPledge{
			Gen: key.gen, Customer: key.customer, Currency: string(p.Currency), Day: p.Day, Plan: p.Plan,
			EndingMicro: p.EndingMicro, TrialMicro: p.TrialMicro,
		})
	}
	return out
}

func subscriptionsOf(key book, figures analytics.Account) []db.CustomerSubscription {
	var out []db.CustomerSubscription
	for _, s := range figures.Subscriptions {
		out = append(out, db.CustomerSubscription{
			Gen: key.gen, Customer: key.customer, SubscriptionID: s.SubscriptionID, Currency: string(s.Currency), MRRMicro: s.MRRMicro,
		})
	}
	return out
}

var dayShelf = shelf[db.CustomerDay]{
	what: "balances",
	of:   func(d db.CustomerDay) book { return book{d.Gen, d.Customer} },
	applied: func(ctx context.Context, q *db.Queries, b books) ([]db.CustomerDay, error) {
		return q.AppliedDays(ctx, db.AppliedDaysParams{Gens: b.gens, Customers: b.customers})
	},
	remove: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error { return q.DeleteDays(ctx, rows) },
	insert: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error { return q.InsertDays(ctx, rows) },
}

var movementShelf = shelf[db.CustomerMovement]{
	what: "movements",
	of:   func(m db.CustomerMovement) book { return book{m.Gen, m.Customer} },
	applied: func(ctx context.Context, q *db.Queries, b books) ([]db.CustomerMovement, error) {
		return q.AppliedMovements(ctx, db.AppliedMovementsParams{Gens: b.gens, Customers: b.customers})
	},
	remove: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error {
		return q.DeleteMovements(ctx, rows)
	},
	insert: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error {
		return q.InsertMovements(ctx, rows)
	},
}

var pledgeShelf = shelf[db.CustomerPledge]{
	what: "pledges",
	of:   func(p db.CustomerPledge) book { return book{p.Gen, p.Customer} },
	applied: func(ctx context.Context, q *db.Queries, b books) ([]db.CustomerPledge, error) {
		return q.AppliedPledges(ctx, db.AppliedPledgesParams{Gens: b.gens, Customers: b.customers})
	},
	remove: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error {
		return q.DeletePledges(ctx, rows)
	},
	insert: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error {
		return q.InsertPledges(ctx, rows)
	},
}

var subscriptionShelf = shelf[db.CustomerSubscription]{
	what: "subscriptions",
	of:   func(s db.CustomerSubscription) book { return book{s.Gen, s.Customer} },
	key: func(s db.CustomerSubscription) db.CustomerSubscription {
		return db.CustomerSubscription{Gen: s.Gen, Customer: s.Customer, SubscriptionID: s.SubscriptionID}
	},
	applied: func(ctx context.Context, q *db.Queries, b books) ([]db.CustomerSubscription, error) {
		return q.AppliedSubscriptions(ctx, db.AppliedSubscriptionsParams{Gens: b.gens, Customers: b.customers})
	},
	remove: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error {
		return q.DeleteContributingSubscriptions(ctx, rows)
	},
	insert: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error {
		return q.InsertContributingSubscriptions(ctx, rows)
	},
}

// pledgeRollup is what is pledged by all customers.
type pledgeRollup struct {
	daily   rollup[db.PledgeDaily]
	monthly rollup[db.PledgeMonthly]
}

func newPledgeRollup() *pledgeRollup {
	return &pledgeRollup{rollup[db.PledgeDaily]{
		what: "pledges by day",
		key: func(r db.PledgeDaily) db.PledgeDaily {
			return db.PledgeDaily{Gen: r.Gen, Day: r.Day, Currency: r.Currency, Plan: r.Plan}
		},
		plus: func(a, b db.PledgeDaily, sign int64) db.PledgeDaily {
			a.EndingMicro += sign * b.EndingMicro
			a.TrialMicro += sign * b.TrialMicro
			return a
		},
		before: func(a, b db.PledgeDaily) int {
			return cmp.Or(cmp.Compare(a.Gen, b.Gen), a.Day.Compare(b.Day), cmp.Compare(a.Currency, b.Currency), cmp.Compare(a.Plan, b.Plan))
		},
		add: func(ctx context.Context, q *db.Queries, rows json.RawMessage) (int64, error) {
			return q.AddToPledgeDaily(ctx, rows)
		},
		drop: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error {
			return q.DropEmptyPledgeDaily(ctx, rows)
		},
	}, rollup[db.PledgeMonthly]{
		what: "pledges by month",
		key: func(r db.PledgeMonthly) db.PledgeMonthly {
			return db.PledgeMonthly{Gen: r.Gen, Month: r.Month, Currency: r.Currency, Plan: r.Plan}
		},
		plus: func(a, b db.PledgeMonthly, sign int64) db.PledgeMonthly {
			a.EndingMicro += sign * b.EndingMicro
			a.TrialMicro += sign * b.TrialMicro
			return a
		},
		before: func(a, b db.PledgeMonthly) int {
			return cmp.Or(cmp.Compare(a.Gen, b.Gen), a.Month.Compare(b.Month), cmp.Compare(a.Currency, b.Currency), cmp.Compare(a.Plan, b.Plan))
		},
		add: func(ctx context.Context, q *db.Queries, rows json.RawMessage) (int64, error) {
			return q.AddToPledgeMonthly(ctx, rows)
		},
		drop: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error {
			return q.DropEmptyPledgeMonthly(ctx, rows)
		},
	}}
}

func (r *pledgeRollup) take(rows []db.CustomerPledge, sign int64) {
	for _, p := range rows {
		r.daily.count(db.PledgeDaily{
			Gen: p.Gen, Day: p.Day, Currency: p.Currency, Plan: p.Plan, EndingMicro: p.EndingMicro, TrialMicro: p.TrialMicro,
		}, sign)
		r.monthly.count(db.PledgeMonthly{
			Gen: p.Gen, Month: analytics.Monthly.Start(p.Day), Currency: p.Currency, Plan: p.Plan, EndingMicro: p.EndingMicro, TrialMicro: p.TrialMicro,
		}, sign)
	}
}

func (r *pledgeRollup) flush(ctx context.Context, q *db.Queries) error {
	if err := r.daily.flush(ctx, q); err != nil {
		return err
	}
	return r.monthly.flush(ctx, q)
}

// flowRollups are all that follows from movements.
type flowRollups struct {
	daily     rollup[db.FlowDaily]
	monthly   rollup[db.FlowMonthly]
	cohorts   rollup[db.CohortChange]
	retention rollup[db.RetentionChange]
}

// take counts the movements of one customer, all of them.
func (r *flowRollups) take(rows []db.CustomerMovement, sign int64) {
	for _, m := range rows {
		r.daily.count(db.FlowDaily{
			Gen: m.Gen, Day: m.Day, Currency: m.Currency, Plan: m.Plan, Kind: m.Kind, AmountMicro: m.AmountMicro,
			Customers: int64(m.Customers), Subscribers: int64(m.Subscribers),
		}, sign)
		r.monthly.count(db.FlowMonthly{
			Gen: m.Gen, Month: analytics.Monthly.Start(m.Day), Currency: m.Currency, Plan: m.Plan, Kind: m.Kind, AmountMicro: m.AmountMicro,
			Customers: int64(m.Customers), Subscribers: int64(m.Subscribers),
		}, sign)
	}
	r.takeHistory(rows, sign)
}

// takeHistory counts what follows from all movements of one customer together,
// and returns them.
func (r *flowRollups) takeHistory(rows []db.CustomerMovement, sign int64) []analytics.Movement {
	if len(rows) == 0 {
		return nil
	}
	gen := rows[0].Gen
	movements := make([]analytics.Movement, 0, len(rows))
	for _, m := range rows {
		movements = append(movements, analytics.Movement{
			Currency: money.Currency(m.Currency), Day: m.Day, Kind: analytics.MovementKind(m.Kind), Plan: m.Plan,
			AmountMicro: m.AmountMicro, Customers: int(m.Customers), Subscribers: int(m.Subscribers), Reason: analytics.Reason(m.Reason),
		})
	}
	for _, c := range analytics.CohortChanges(movements) {
		r.cohorts.count(db.CohortChange{
			Gen: gen, Cohort: c.Cohort, Month: c.Month, Currency: string(c.Currency), Plan: c.Plan, MRRMicro: c.MRRMicro, GrossMicro: c.GrossMicro,
			Active: c.Active, InitialMicro: c.InitialMicro, Customers: c.Customers,
		}, sign)
	}
	for _, c := range analytics.RetentionChanges(movements) {
		r.retention.count(db.RetentionChange{
			Gen: gen, PeriodEnd: c.PeriodEnd, Horizon: int16(c.Horizon), Currency: string(c.Currency), Plan: c.Plan, //nolint:gosec // 1 or 12
			NetMicro: c.NetMicro, GrossLostMicro: c.GrossLostMicro, LostCustomers: c.LostCustomers, LostMicro: c.LostMicro,
			InvoluntaryCustomers: c.InvoluntaryCustomers, InvoluntaryMicro: c.InvoluntaryMicro,
		}, sign)
	}
	return movements
}

func (r *flowRollups) flush(ctx context.Context, q *db.Queries) error {
	for _, flush := range []func(context.Context, *db.Queries) error{r.daily.flush, r.monthly.flush, r.cohorts.flush, r.retention.flush} {
		if err := flush(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

func newFlowRollups() *flowRollups {
	return &flowRollups{daily: newFlowDaily(), monthly: newFlowMonthly(), cohorts: newCohortChange(), retention: newRetentionChange()}
}

func newFlowDaily() rollup[db.FlowDaily] {
	return rollup[db.FlowDaily]{
		what: "flows by day",
		key: func(r db.FlowDaily) db.FlowDaily {
			return db.FlowDaily{Gen: r.Gen, Day: r.Day, Currency: r.Currency, Plan: r.Plan, Kind: r.Kind}
		},
		plus: func(a, b db.FlowDaily, sign int64) db.FlowDaily {
			a.AmountMicro += sign * b.AmountMicro
			a.Customers += sign * b.Customers
			a.Subscribers += sign * b.Subscribers
			return a
		},
		before: func(a, b db.FlowDaily) int {
			return cmp.Or(cmp.Compare(a.Gen, b.Gen), a.Day.Compare(b.Day), cmp.Compare(a.Currency, b.Currency),
				cmp.Compare(a.Plan, b.Plan), cmp.Compare(a.Kind, b.Kind))
		},
		add: func(ctx context.Context, q *db.Queries, rows json.RawMessage) (int64, error) {
			return q.AddToFlowDaily(ctx, rows)
		},
		drop: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error {
			return q.DropEmptyFlowDaily(ctx, rows)
		},
	}
}

func newFlowMonthly() rollup[db.FlowMonthly] {
	return rollup[db.FlowMonthly]{
		what: "flows by month",
		key: func(r db.FlowMonthly) db.FlowMonthly {
			return db.FlowMonthly{Gen: r.Gen, Month: r.Month, Currency: r.Currency, Plan: r.Plan, Kind: r.Kind}
		},
		plus: func(a, b db.FlowMonthly, sign int64) db.FlowMonthly {
			a.AmountMicro += sign * b.AmountMicro
			a.Customers += sign * b.Customers
			a.Subscribers += sign * b.Subscribers
			return a
		},
		before: func(a, b db.FlowMonthly) int {
			return cmp.Or(cmp.Compare(a.Gen, b.Gen), a.Month.Compare(b.Month), cmp.Compare(a.Currency, b.Currency),
				cmp.Compare(a.Plan, b.Plan), cmp.Compare(a.Kind, b.Kind))
		},
		add: func(ctx context.Context, q *db.Queries, rows json.RawMessage) (int64, error) {
			return q.AddToFlowMonthly(ctx, rows)
		},
		drop: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error {
			return q.DropEmptyFlowMonthly(ctx, rows)
		},
	}
}

func newCohortChange() rollup[db.CohortChange] {
	return rollup[db.CohortChange]{
		what: "cohorts",
		key: func(r db.CohortChange) db.CohortChange {
			return db.CohortChange{Gen: r.Gen, Cohort: r.Cohort, Month: r.Month, Currency: r.Currency, Plan: r.Plan}
		},
		plus: func(a, b db.CohortChange, sign int64) db.CohortChange {
			a.MRRMicro += sign * b.MRRMicro
			a.GrossMicro += sign * b.GrossMicro
			a.Active += sign * b.Active
			a.InitialMicro += sign * b.InitialMicro
			a.Customers += sign * b.Customers
			return a
		},
		before: func(a, b db.CohortChange) int {
			return cmp.Or(cmp.Compare(a.Gen, b.Gen), a.Cohort.Compare(b.Cohort), a.Month.Compare(b.Month),
				cmp.Compare(a.Currency, b.Currency), cmp.Compare(a.Plan, b.Plan))
		},
		add: func(ctx context.Context, q *db.Queries, rows json.RawMessage) (int64, error) {
			return q.AddToCohorts(ctx, rows)
		},
		drop: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error {
			return q.DropEmptyCohorts(ctx, rows)
		},
	}
}

func newRetentionChange() rollup[db.RetentionChange] {
	return rollup[db.RetentionChange]{
		what: "retention",
		key: func(r db.RetentionChange) db.RetentionChange {
			return db.RetentionChange{Gen: r.Gen, PeriodEnd: r.PeriodEnd, Horizon: r.Horizon, Currency: r.Currency, Plan: r.Plan}
		},
		plus: func(a, b db.RetentionChange, sign int64) db.RetentionChange {
			a.NetMicro += sign * b.NetMicro
			a.GrossLostMicro += sign * b.GrossLostMicro
			a.LostCustomers += sign * b.LostCustomers
			a.LostMicro += sign * b.LostMicro
			a.InvoluntaryCustomers += sign * b.InvoluntaryCustomers
			a.InvoluntaryMicro += sign * b.InvoluntaryMicro
			return a
		},
		before: func(a, b db.RetentionChange) int {
			return cmp.Or(cmp.Compare(a.Gen, b.Gen), a.PeriodEnd.Compare(b.PeriodEnd), cmp.Compare(a.Horizon, b.Horizon),
				cmp.Compare(a.Currency, b.Currency), cmp.Compare(a.Plan, b.Plan))
		},
		add: func(ctx context.Context, q *db.Queries, rows json.RawMessage) (int64, error) {
			return q.AddToRetention(ctx, rows)
		},
		drop: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error {
			return q.DropEmptyRetention(ctx, rows)
		},
	}
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
			sooner(next, a.customer, figures.Next)
		}
		sooner(next, a.customer, a.next)
	}
	if err := q.ClearClocks(ctx, customers); err != nil {
		return fmt.Errorf("clear clocks: %w", err)
	}
	var clocks db.SetClocksParams
	for _, customer := range slices.Sorted(maps.Keys(next)) {
		clocks.Customers = append(clocks.Customers, customer)
		clocks.NextAt = append(clocks.NextAt, next[customer])
	}
	if len(clocks.Customers) == 0 {
		return nil
	}
	if err := q.SetClocks(ctx, clocks); err != nil {
		return fmt.Errorf("set clocks: %w", err)
	}
	return nil
}

// sooner notes an instant where none is noted that is before it; the zero time
// is none.
func sooner(next map[string]time.Time, customer string, at time.Time) {
	if first, ok := next[customer]; !at.IsZero() && (!ok || at.Before(first)) {
		next[customer] = at
	}
}

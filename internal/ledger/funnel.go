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
)

// countFunnel makes the stored ways of the marked visitors through the funnel
// follow from their looks at the prices and from their checkouts, and adds the
// difference to the rollups.
func (l *Ledger) countFunnel(ctx context.Context, q *db.Queries, visits []string, generations map[int32]analytics.Definition) error {
	if len(visits) == 0 {
		return nil
	}
	visitors := make([]string, len(visits))
	for i, visit := range visits {
		visitors[i] = strings.TrimPrefix(visit, visitMark)
	}
	all, units, err := l.units(ctx, q, visitors, generations)
	if err != nil {
		return err
	}
	rollups := newFunnelRollups()
	shelf := unitShelf
	shelf.changed = func(before, after []db.FunnelUnit) {
		rollups.take(before, -1)
		rollups.take(after, 1)
	}
	if err := shelf.replace(ctx, q, all, units); err != nil {
		return err
	}
	return rollups.flush(ctx, q)
}

// units are the ways of the visitors under each generation, with the books that
// they are all of. A visitor is a random id, or an organization for checkouts
// that came without one.
func (l *Ledger) units(ctx context.Context, q *db.Queries, visitors []string, generations map[int32]analytics.Definition) ([]book, []db.FunnelUnit, error) {
	params := db.FunnelCheckoutsParams{Livemode: l.Livemode}
	for _, visitor := range visitors {
		org, isOrganization := strings.CutPrefix(visitor, organization)
		id, err := uuid.Parse(org)
		switch {
		case err != nil: // nobody's
		case isOrganization:
			params.OrgIds = append(params.OrgIds, id)
		default:
			params.VisitorIds = append(params.VisitorIds, id)
		}
	}
	rows, err := q.PricingViews(ctx, db.PricingViewsParams{VisitorIds: params.VisitorIds, Livemode: l.Livemode})
	if err != nil {
		return nil, nil, fmt.Errorf("read looks at the prices: %w", err)
	}
	views := map[string][]time.Time{}
	for _, r := range rows {
		views[r.VisitorID.String()] = append(views[r.VisitorID.String()], r.At.UTC())
	}
	started, err := q.FunnelCheckouts(ctx, params)
	if err != nil {
		return nil, nil, fmt.Errorf("read checkouts: %w", err)
	}
	checkouts := map[string][]analytics.FunnelCheckout{}
	for _, r := range started {
		customer := organization + r.OrgID.String()
		visitor := customer
		if r.VisitorID != nil {
			visitor = r.VisitorID.String()
		}
		checkouts[visitor] = append(checkouts[visitor], analytics.FunnelCheckout{
			ID: r.ID.String(), StartedAt: happened(r.StartedAt), CompletedAt: happened(r.CompletedAt), ActivatedAt: happened(r.ActivatedAt),
			PaidAt: happened(r.PaidAt), Plan: r.Plan, Customer: customer, TrialDays: int(r.TrialDays),
		})
	}
	var all []book
	var units []db.FunnelUnit
	for gen, definition := range generations {
		for _, visitor := range visitors {
			all = append(all, book{gen, visitor})
			for _, u := range analytics.FunnelUnits(views[visitor], checkouts[visitor], definition.Zone) {
				units = append(units, unitRow(gen, visitor, u))
			}
		}
	}
	return all, units, nil
}

// happened is the zero time for what has not.
func happened(at time.Time) time.Time {
	if at.Unix() == 0 {
		return time.Time{}
	}
	return at.UTC()
}

func unitRow(gen int32, visitor string, u analytics.FunnelUnit) db.FunnelUnit {
	return db.FunnelUnit{
		Gen: gen, Visitor: visitor, EnteredAt: u.EnteredAt, Day: u.Day, Bucket: string(u.Bucket), Plan: u.Plan, Customer: u.Customer,
		Reached: int16(u.Reached), StartedSeconds: u.After[analytics.FunnelStarted], CompletedSeconds: u.After[analytics.FunnelCompleted], //nolint:gosec // one of five
		ActivatedSeconds: u.After[analytics.FunnelActivated], PaidSeconds: u.After[analytics.FunnelPaid], SettledOn: u.SettledOn,
	}
}

var unitShelf = shelf[db.FunnelUnit]{
	what: "ways through the funnel",
	of:   func(u db.FunnelUnit) book { return book{u.Gen, u.Visitor} },
	applied: func(ctx context.Context, q *db.Queries, b books) ([]db.FunnelUnit, error) {
		rows, err := q.AppliedUnits(ctx, db.AppliedUnitsParams{Gens: b.gens, Visitors: b.customers})
		for i := range rows {
			rows[i].EnteredAt = rows[i].EnteredAt.UTC() // as those that are computed, to be compared with them
		}
		return rows, err
	},
	remove: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error { return q.DeleteUnits(ctx, rows) },
	insert: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error { return q.InsertUnits(ctx, rows) },
}

// funnelRollups are all that follows from ways through the funnel.
type funnelRollups struct {
	daily   rollup[db.FunnelDaily]
	times   rollup[db.FunnelTime]
	months  rollup[db.FunnelTimeMonthly]
	pending rollup[db.FunnelPending]
}

func (r *funnelRollups) take(units []db.FunnelUnit, sign int64) {
	for _, u := range units {
		has := func(step analytics.FunnelStep) int64 {
			if analytics.FunnelStep(u.Reached) < step {
				return 0
			}
			return 1
		}
		day := db.FunnelDaily{
			Gen: u.Gen, Day: u.Day, Bucket: u.Bucket, Plan: u.Plan, Started: has(analytics.FunnelStarted), Completed: has(analytics.FunnelCompleted),
			Activated: has(analytics.FunnelActivated), Paid: has(analytics.FunnelPaid),
		}
		if u.Bucket == string(analytics.FunnelFromPrices) {
			day.Viewed = 1
		}
		r.daily.count(day, sign)
		r.takeTimes(u, sign)
		if analytics.FunnelStep(u.Reached) != analytics.FunnelPaid {
			r.pending.count(db.FunnelPending{Gen: u.Gen, SettledOn: u.SettledOn, Day: u.Day, Bucket: u.Bucket, Plan: u.Plan, Reached: u.Reached, N: 1}, sign)
		}
	}
}

// takeTimes counts how long each step took that another goes before, and the
// whole way as step 0.
func (r *funnelRollups) takeTimes(u db.FunnelUnit, sign int64) {
	count := func(step int16, seconds int64) {
		took := analytics.TimeClass(seconds)
		r.times.count(db.FunnelTime{Gen: u.Gen, Day: u.Day, Bucket: u.Bucket, Plan: u.Plan, Step: step, Took: took, N: 1}, sign)
		r.months.count(db.FunnelTimeMonthly{Gen: u.Gen, Month: analytics.Monthly.Start(u.Day), Bucket: u.Bucket, Plan: u.Plan, Step: step, Took: took, N: 1}, sign)
	}
	before := int64(0)
	for i, after := range []int64{u.StartedSeconds, u.CompletedSeconds, u.ActivatedSeconds, u.PaidSeconds} {
		step := int16(i + 1) //nolint:gosec // 1 to 4
		if step > u.Reached {
			break
		}
		if analytics.FunnelStep(step) != analytics.FunnelStarted || u.Bucket == string(analytics.FunnelFromPrices) {
			count(step, after-before)
		}
		before = after
	}
	if analytics.FunnelStep(u.Reached) == analytics.FunnelPaid {
		count(0, u.PaidSeconds)
	}
}

func (r *funnelRollups) flush(ctx context.Context, q *db.Queries) error {
	for _, flush := range []func(context.Context, *db.Queries) error{r.daily.flush, r.times.flush, r.months.flush, r.pending.flush} {
		if err := flush(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

func newFunnelRollups() *funnelRollups {
	return &funnelRollups{daily: newFunnelDaily(), times: newFunnelTime(), months: newFunnelTimeMonthly(), pending: newFunnelPending()}
}

func newFunnelDaily() rollup[db.FunnelDaily] {
	return rollup[db.FunnelDaily]{
		what: "the funnel by day",
		key: func(r db.FunnelDaily) db.FunnelDaily {
			return db.FunnelDaily{Gen: r.Gen, Day: r.Day, Bucket: r.Bucket, Plan: r.Plan}
		},
		plus: func(a, b db.FunnelDaily, sign int64) db.FunnelDaily {
			a.Viewed += sign * b.Viewed
			a.Started += sign * b.Started
			a.Completed += sign * b.Completed
			a.Activated += sign * b.Activated
			a.Paid += sign * b.Paid
			return a
		},
		before: func(a, b db.FunnelDaily) int {
			return cmp.Or(cmp.Compare(a.Gen, b.Gen), a.Day.Compare(b.Day), cmp.Compare(a.Bucket, b.Bucket), cmp.Compare(a.Plan, b.Plan))
		},
		add: func(ctx context.Context, q *db.Queries, rows json.RawMessage) (int64, error) {
			return q.AddToFunnelDaily(ctx, rows)
		},
		drop: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error {
			return q.DropEmptyFunnelDaily(ctx, rows)
		},
	}
}

func newFunnelTime() rollup[db.FunnelTime] {
	return rollup[db.FunnelTime]{
		what: "times in the funnel",
		key: func(r db.FunnelTime) db.FunnelTime {
			r.N = 0
			return r
		},
		plus: func(a, b db.FunnelTime, sign int64) db.FunnelTime {
			a.N += sign * b.N
			return a
		},
		before: func(a, b db.FunnelTime) int {
			return cmp.Or(cmp.Compare(a.Gen, b.Gen), a.Day.Compare(b.Day), cmp.Compare(a.Bucket, b.Bucket), cmp.Compare(a.Plan, b.Plan),
				cmp.Compare(a.Step, b.Step), cmp.Compare(a.Took, b.Took))
		},
		add: func(ctx context.Context, q *db.Queries, rows json.RawMessage) (int64, error) {
			return q.AddToFunnelTime(ctx, rows)
		},
		drop: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error {
			return q.DropEmptyFunnelTime(ctx, rows)
		},
	}
}

func newFunnelTimeMonthly() rollup[db.FunnelTimeMonthly] {
	return rollup[db.FunnelTimeMonthly]{
		what: "times in the funnel by month",
		key: func(r db.FunnelTimeMonthly) db.FunnelTimeMonthly {
			r.N = 0
			return r
		},
		plus: func(a, b db.FunnelTimeMonthly, sign int64) db.FunnelTimeMonthly {
			a.N += sign * b.N
			return a
		},
		before: func(a, b db.FunnelTimeMonthly) int {
			return cmp.Or(cmp.Compare(a.Gen, b.Gen), a.Month.Compare(b.Month), cmp.Compare(a.Bucket, b.Bucket), cmp.Compare(a.Plan, b.Plan),
				cmp.Compare(a.Step, b.Step), cmp.Compare(a.Took, b.Took))
		},
		add: func(ctx context.Context, q *db.Queries, rows json.RawMessage) (int64, error) {
			return q.AddToFunnelTimeMonthly(ctx, rows)
		},
		drop: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error {
			return q.DropEmptyFunnelTimeMonthly(ctx, rows)
		},
	}
}

func newFunnelPending() rollup[db.FunnelPending] {
	return rollup[db.FunnelPending]{
		what: "who is still in the funnel",
		key: func(r db.FunnelPending) db.FunnelPending {
			r.N = 0
			return r
		},
		plus: func(a, b db.FunnelPending, sign int64) db.FunnelPending {
			a.N += sign * b.N
			return a
		},
		before: func(a, b db.FunnelPending) int {
			return cmp.Or(cmp.Compare(a.Gen, b.Gen), a.SettledOn.Compare(b.SettledOn), a.Day.Compare(b.Day), cmp.Compare(a.Bucket, b.Bucket),
				cmp.Compare(a.Plan, b.Plan), cmp.Compare(a.Reached, b.Reached))
		},
		add: func(ctx context.Context, q *db.Queries, rows json.RawMessage) (int64, error) {
			return q.AddToFunnelPending(ctx, rows)
		},
		drop: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error {
			return q.DropEmptyFunnelPending(ctx, rows)
		},
	}
}

// funnelIsRecount is the invariant of the funnel's rollups.
const funnelIsRecount = "the funnel is a recount of the visitors' ways through it"

// unitsAtOnce is how many ways a verification reads at a time.
const unitsAtOnce = 10_000

// funnel recounts every way through the funnel and compares the rollups.
func (v *verification) funnel(ctx context.Context) ([]Finding, error) {
	for _, gen := range v.gens {
		if findings, err := v.funnelOf(ctx, gen); err != nil || len(findings) > 0 {
			return findings, err
		}
	}
	return nil, nil
}

func (v *verification) funnelOf(ctx context.Context, gen int32) ([]Finding, error) {
	recount := newFunnelRollups()
	page := db.UnitsAfterParams{Gen: gen, AtMost: unitsAtOnce, AfterEnteredAt: time.Unix(0, 0)}
	for {
		units, err := v.q.UnitsAfter(ctx, page)
		if err != nil {
			return nil, fmt.Errorf("read ways through the funnel: %w", err)
		}
		recount.take(units, 1)
		if len(units) < unitsAtOnce {
			break
		}
		page.AfterVisitor, page.AfterEnteredAt = units[len(units)-1].Visitor, units[len(units)-1].EnteredAt
	}
	broken := func(day time.Time, format string, args ...any) []Finding {
		return []Finding{{funnelIsRecount, fmt.Sprintf("generation %d, %s, ", gen, day.Format(time.DateOnly)) + fmt.Sprintf(format, args...), day, v.today()}}
	}
	daily, err := v.q.FunnelDailyOf(ctx, gen)
	if err != nil {
		return nil, fmt.Errorf("read the funnel by day: %w", err)
	}
	if row, differs := recount.daily.firstDifference(daily); differs {
		return broken(row.Day, "%s, plan %q", row.Bucket, row.Plan), nil
	}
	times, err := v.q.FunnelTimeOf(ctx, gen)
	if err != nil {
		return nil, fmt.Errorf("read times in the funnel: %w", err)
	}
	if row, differs := recount.times.firstDifference(times); differs {
		return broken(row.Day, "%s, plan %q, time of step %d", row.Bucket, row.Plan, row.Step), nil
	}
	months, err := v.q.FunnelTimeMonthlyOf(ctx, gen)
	if err != nil {
		return nil, fmt.Errorf("read times in the funnel by month: %w", err)
	}
	if row, differs := recount.months.firstDifference(months); differs {
		return broken(row.Month, "%s, plan %q, time of step %d in the month", row.Bucket, row.Plan, row.Step), nil
	}
	pending, err := v.q.FunnelPendingOf(ctx, gen)
	if err != nil {
		return nil, fmt.Errorf("read who is still in the funnel: %w", err)
	}
	if row, differs := recount.pending.firstDifference(pending); differs {
		return broken(row.Day, "%s, plan %q, pending until %s", row.Bucket, row.Plan, row.SettledOn.Format(time.DateOnly)), nil
	}
	return nil, nil
}

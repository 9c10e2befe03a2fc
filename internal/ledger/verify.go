package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
)

// Finding is an invariant that does not hold, at the first place found.
type Finding struct {
	// Check names the invariant.
	Check string
	// Detail is the row, with the figures that disagree.
	Detail string
	// First and Last are the days whose figures are concerned, midnight UTC; zero:
	// all of them.
	First, Last time.Time
}

// Error says what is broken where.
func (f *Finding) Error() string { return f.Check + ": " + f.Detail }

// Checked is what came of checking the invariants.
type Checked struct {
	// Held are the names of those that hold, Findings the others.
	Held     []string
	Findings []Finding
	// Customers is how many histories were recounted one by one.
	Customers int64
	// since is the first day that was looked at; zero: all.
	since time.Time
}

// check is one invariant, or several that one look tells: each name is checked
// whether or not there is a finding of it.
type check struct {
	names []string
	run   func(*verification, context.Context) ([]Finding, error)
	by    worker
}

// worker is who has most of the work of a check.
type worker int

const (
	byDatabase worker = iota
	byProgram
)

// verification is a look at the figures in one snapshot.
type verification struct {
	*Ledger
	tx   pgx.Tx
	q    *db.Queries
	gens []int32
	// since is the first day that is looked at; zero: all.
	since time.Time
	now   time.Time
	// zone is that of the days.
	zone *time.Location
	// customers counts the histories that were recounted.
	customers int64
}

// The names of the invariants.
const (
	dailyIsRecount     = "daily flows are a recount of the movements"
	monthlyIsSum       = "monthly flows are the sum of the daily ones"
	flowsAreChanges    = "flows are the change of the balances"
	transfersEven      = "transfers between plans add up to nothing"
	pledgesAreRecount  = "pledges by day are a recount of the customers'"
	pledgeMonthsAreSum = "pledges by month are the sum of the daily ones"
	subscriptionsAddUp = "subscriptions add up to the balance of their customer"
	totalsAgree        = "subscriptions add up to the sum of all flows"
	movementsAreLegal  = "movements are legal and add up to a balance that is never negative"
	cohortsAreRecount  = "cohorts are a recount of the movements"
	retentionIsRecount = "retention is a recount of the movements"
	rebuildIsEqual     = "a customer counted anew has the same figures"
)

// recentChecks are quick enough for every few minutes, whatever the size: they
// read rollups, and the movements of some weeks.
var recentChecks = []check{
	{[]string{dailyIsRecount}, (*verification).daily, byDatabase},
	{[]string{monthlyIsSum}, (*verification).monthly, byDatabase},
	{[]string{transfersEven}, (*verification).transfers, byDatabase},
	{[]string{totalsAgree}, (*verification).totals, byDatabase},
	{[]string{cashIsRecount}, (*verification).cash, byDatabase},
}

// fullChecks read everything there is.
var fullChecks = []check{
	{[]string{dailyIsRecount}, (*verification).daily, byDatabase},
	{[]string{monthlyIsSum}, (*verification).monthly, byDatabase},
	{[]string{transfersEven}, (*verification).transfers, byDatabase},
	{[]string{totalsAgree}, (*verification).totals, byDatabase},
	{[]string{flowsAreChanges}, (*verification).levels, byDatabase},
	{[]string{pledgesAreRecount}, (*verification).pledges, byDatabase},
	{[]string{pledgeMonthsAreSum}, (*verification).pledgeMonths, byDatabase},
	{[]string{subscriptionsAddUp}, (*verification).subscriptions, byDatabase},
	{[]string{levelsAreRecount}, (*verification).customerLevels, byDatabase},
	{[]string{paymentsAreRecount, paymentMonthsAreSum, paymentHoursAreCount, trialsAreRecount}, (*verification).outcomes, byDatabase},
	{[]string{movementsAreLegal, cohortsAreRecount, retentionIsRecount}, (*verification).histories, byProgram},
	{[]string{cashIsRecount, cashIsStripes, cashIsWhole}, (*verification).cash, byDatabase},
	{[]string{outlookIsRecount}, (*verification).outlook, byDatabase},
	{[]string{rebuildIsEqual}, (*verification).sample, byProgram},
	{[]string{funnelIsRecount}, (*verification).funnel, byDatabase},
}

// recentDays is how far back a quick look goes.
const recentDays = 35

// Verify checks every invariant of the figures in one snapshot, for the live
// generation and those that are being built, and returns a *Finding for the first
// that does not hold. It repairs nothing.
func (l *Ledger) Verify(ctx context.Context) error {
	checked, err := l.Check(ctx)
	if err != nil {
		return err
	}
	if len(checked.Findings) > 0 {
		return &checked.Findings[0]
	}
	return nil
}

// Check is Verify with everything that it found.
func (l *Ledger) Check(ctx context.Context) (Checked, error) {
	generations, err := db.New(l.Pool).WorkingGenerations(ctx)
	if err != nil {
		return Checked{}, fmt.Errorf("read generations: %w", err)
	}
	var gens []int32
	for _, g := range generations {
		gens = append(gens, g.Gen)
	}
	return l.verify(ctx, full, gens)
}

// The extents of a verification.
const (
	recent = "recent"
	full   = "full"
)

// verify makes the checks of an extent, those that the database does beside those
// that this program does: both look at the same snapshot.
func (l *Ledger) verify(ctx context.Context, extent string, gens []int32) (Checked, error) {
	checks := fullChecks
	look := verification{Ledger: l, gens: gens, now: l.Now(), zone: time.UTC}
	if all, _, err := definitions(ctx, db.New(l.Pool)); err != nil {
		return Checked{}, err
	} else if definition, ok := all[slices.Max(gens)]; ok {
		look.zone = definition.Zone
	}
	if extent == recent {
		checks, look.since = recentChecks, look.now.AddDate(0, 0, -recentDays)
	}
	findings := make([][]Finding, len(checks))
	var customers int64
	err := look.within(ctx, "", func(v *verification) error {
		var snapshot string
		if err := v.tx.QueryRow(ctx, "SELECT pg_export_snapshot()").Scan(&snapshot); err != nil {
			return fmt.Errorf("share the snapshot: %w", err)
		}
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error {
			return look.within(ctx, snapshot, func(beside *verification) error {
				return beside.make(ctx, checks, byDatabase, findings)
			})
		})
		group.Go(func() error { return v.make(ctx, checks, byProgram, findings) })
		err := group.Wait()
		customers = v.customers
		return err
	})
	if err != nil {
		return Checked{}, fmt.Errorf("verify ledger: %w", err)
	}
	out := Checked{Customers: customers, Findings: slices.Concat(findings...), since: look.since}
	for _, c := range checks {
		for _, name := range c.names {
			if !slices.ContainsFunc(out.Findings, func(f Finding) bool { return f.Check == name }) {
				out.Held = append(out.Held, name)
			}
		}
	}
	return out, nil
}

// within looks in a transaction of its own, at a snapshot that another one has
// shared or, without one, at a new one.
func (v verification) within(ctx context.Context, snapshot string, look func(*verification) error) error {
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return pgx.BeginTxFunc(ctx, v.Pool, options, func(tx pgx.Tx) error {
		if snapshot != "" { // a name that Postgres made, and no value for a parameter
			if _, err := tx.Exec(ctx, "SET TRANSACTION SNAPSHOT '"+snapshot+"'"); err != nil {
				return fmt.Errorf("take the snapshot: %w", err)
			}
		}
		// What is sorted and grouped is everything there is.
		if _, err := tx.Exec(ctx, "SET LOCAL work_mem = '64MB'"); err != nil {
			return fmt.Errorf("make room: %w", err)
		}
		v.tx, v.q = tx, db.New(tx)
		return look(&v)
	})
}

// make makes the checks of one kind, one after the other.
func (v *verification) make(ctx context.Context, checks []check, by worker, findings [][]Finding) error {
	for i, c := range checks {
		if c.by != by {
			continue
		}
		found, err := c.run(v, ctx)
		if err != nil {
			return fmt.Errorf("check that %s: %w", c.names[0], err)
		}
		findings[i] = found
	}
	return nil
}

// found is the finding of the first row, if there is one.
func found[T any](rows []T, finding func(T) Finding) []Finding {
	if len(rows) == 0 {
		return nil
	}
	return []Finding{finding(rows[0])}
}

func (v *verification) daily(ctx context.Context) ([]Finding, error) {
	rows, err := v.q.BrokenFlowDaily(ctx, db.BrokenFlowDailyParams{Since: v.since, Gens: v.gens})
	return found(rows, func(r db.BrokenFlowDailyRow) Finding {
		return Finding{dailyIsRecount, fmt.Sprintf("generation %d, %s, %s, plan %s, %s", r.Gen, r.Day.Format(time.DateOnly), r.Currency, r.Plan, r.Kind), r.Day, v.today()}
	}), err
}

func (v *verification) monthly(ctx context.Context) ([]Finding, error) {
	rows, err := v.q.BrokenFlowMonthly(ctx, v.gens)
	return found(rows, func(r db.BrokenFlowMonthlyRow) Finding {
		return Finding{
			monthlyIsSum, fmt.Sprintf("generation %d, %s, %s, plan %s, %s", r.Gen, r.Month.Format("2006-01"), r.Currency, r.Plan, r.Kind),
			r.Month, v.today(),
		}
	}), err
}

func (v *verification) levels(ctx context.Context) ([]Finding, error) {
	rows, err := v.q.BrokenLevels(ctx, v.gens)
	return found(rows, func(r db.BrokenLevelsRow) Finding {
		return Finding{flowsAreChanges, fmt.Sprintf("generation %d, %s, %s: %d micro and %d customers flowed, %d and %d changed",
			r.Gen, r.Day.Format(time.DateOnly), r.Currency, r.FlowedMicro, r.FlowedCustomers, r.ChangedMicro, r.ChangedCustomers), r.Day, v.today()}
	}), err
}

func (v *verification) transfers(ctx context.Context) ([]Finding, error) {
	rows, err := v.q.BrokenTransfers(ctx, v.gens)
	return found(rows, func(r db.BrokenTransfersRow) Finding {
		return Finding{transfersEven, fmt.Sprintf("generation %d, %s, %s: %d micro", r.Gen, r.Day.Format(time.DateOnly), r.Currency, r.AmountMicro), r.Day, v.today()}
	}), err
}

func (v *verification) pledges(ctx context.Context) ([]Finding, error) {
	rows, err := v.q.BrokenPledges(ctx, v.gens)
	return found(rows, func(r db.BrokenPledgesRow) Finding {
		return Finding{pledgesAreRecount, fmt.Sprintf("generation %d, %s, %s, plan %s", r.Gen, r.Day.Format(time.DateOnly), r.Currency, r.Plan), r.Day, v.today()}
	}), err
}

func (v *verification) pledgeMonths(ctx context.Context) ([]Finding, error) {
	rows, err := v.q.BrokenPledgeMonths(ctx, v.gens)
	return found(rows, func(r db.BrokenPledgeMonthsRow) Finding {
		return Finding{pledgeMonthsAreSum, fmt.Sprintf("generation %d, %s, %s, plan %s", r.Gen, r.Month.Format("2006-01"), r.Currency, r.Plan), r.Month, v.today()}
	}), err
}

func (v *verification) subscriptions(ctx context.Context) ([]Finding, error) {
	rows, err := v.q.BrokenSubscriptions(ctx, v.gens)
	return found(rows, func(r db.BrokenSubscriptionsRow) Finding {
		return Finding{Check: subscriptionsAddUp, Detail: fmt.Sprintf("generation %d, %s, %s: %d micro in subscriptions, %d in the balance",
			r.Gen, r.Customer, r.Currency, r.AddedMicro, r.BalanceMicro), First: v.today(), Last: v.today()}
	}), err
}

func (v *verification) totals(ctx context.Context) ([]Finding, error) {
	rows, err := v.q.BrokenTotals(ctx, v.gens)
	return found(rows, func(r db.BrokenTotalsRow) Finding {
		return Finding{Check: totalsAgree, Detail: fmt.Sprintf("generation %d, %s: %d micro of %d customers in subscriptions, %d of %d in flows",
			r.Gen, r.Currency, r.NowMicro, r.NowCustomers, r.FlowedMicro, r.FlowedCustomers), First: v.today(), Last: v.today()}
	}), err
}

// today is the last day that something wrong before it may show on: levels are
// running sums.
func (v *verification) today() time.Time { return analytics.DayOf(v.now, v.zone) }

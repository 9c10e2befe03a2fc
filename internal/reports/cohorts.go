package reports

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
)

// MaxCohorts is how many cohorts are shown at once, and how many months of each.
const MaxCohorts = 36

// Cohorts is how much is left of the customers who began in each month
// (metrics.md 1.12).
type Cohorts struct {
	// Scope is that of the months in which customers began: the newest MaxCohorts
	// in the range. What became of them is told up to the running month.
	Scope
	// Running is the running month, whose states are not settled.
	Running analytics.Period
	// Cohorts are oldest first; a month in which nobody began has none. Averages
	// are over all of them.
	Cohorts  []analytics.Cohort
	Averages []analytics.CohortLevel
	// Columns is how many months there are to show, M0 among them.
	Columns int
	// HasOlder says that the range has cohorts before those.
	HasOlder bool
}

// Cohorts reads the cohorts that began in a range, whatever its interval.
func (r *Reports) Cohorts(ctx context.Context, query Query) (Cohorts, error) {
	var out Cohorts
	err := r.within(ctx, query, func(q *db.Queries, scope Scope) error {
		var err error
		out, err = cohorts(ctx, q, scope)
		return err
	})
	if err != nil {
		return Cohorts{}, fmt.Errorf("read cohorts: %w", err)
	}
	return out, nil
}

func cohorts(ctx context.Context, q *db.Queries, scope Scope) (Cohorts, error) {
	out := Cohorts{Scope: scope}
	running := analytics.Monthly.Start(scope.Today)
	out.Running = analytics.Period{Start: running, End: analytics.Monthly.Next(running), IsRunning: true}
	months := analytics.Periods(scope.First(), scope.Last(), scope.Today, analytics.Monthly)
	if surplus := len(months) - MaxCohorts; surplus > 0 {
		months = months[surplus:]
		out.HasOlder = scope.Earliest.Before(months[0].Start)
	}
	out.Interval, out.Periods, out.Compared = analytics.Monthly, months, nil
	rows, err := q.CohortChangesBetween(ctx, db.CohortChangesBetweenParams{
		Gen: scope.Generation, First: months[0].Start, Last: months[len(months)-1].Start, Currency: string(scope.Currency), Plan: scope.Plan,
	})
	if err != nil {
		return out, fmt.Errorf("changes of cohorts: %w", err)
	}
	changes := make([]analytics.CohortChange, 0, len(rows))
	for _, row := range rows {
		changes = append(changes, analytics.CohortChange{
			Cohort: row.Cohort, Month: row.Month, Currency: scope.Currency, Plan: scope.Plan,
			MRRMicro: row.MRRMicro, GrossMicro: row.GrossMicro, Active: row.Active, InitialMicro: row.InitialMicro, Customers: row.Customers,
		})
	}
	out.Cohorts = analytics.Cohorts(changes, running)
	out.Averages = analytics.CohortAverages(out.Cohorts, running)
	for _, c := range out.Cohorts {
		out.Columns = min(max(out.Columns, len(c.Levels)), MaxCohorts)
	}
	return out, nil
}

// ErrNoCohort says that nobody can have begun in a month: it has not come yet, or
// it is before anything that is shown.
var ErrNoCohort = errors.New("no such cohort")

// CohortDetail is one cohort with those who are in it.
type CohortDetail struct {
	Scope
	// Running is the running month, whose state is not settled.
	Running analytics.Period
	// Cohort has no levels where nobody began in its month.
	Cohort analytics.Cohort
	// K is the month after the first of which Members are told: 0 is the first.
	K int
	// Members are a page of those who began, in the order in which they did. Who
	// had MRR in another currency first is counted by the cohort and not listed.
	Members []CohortMember
	// Next is the key after which the next page begins; zero: there is none.
	Next MemberKey
}

// CohortMember is one customer of a cohort.
type CohortMember struct {
	Customer
	// Day is the first with MRR, midnight UTC of the date.
	Day time.Time
	// InitialMicro is what they had at its end, MRRMicro what they had at the end of
	// the month that is told.
	InitialMicro, MRRMicro int64
}

// MemberKey is the place of a customer in the list of a cohort.
type MemberKey struct {
	Day      time.Time
	customer string
}

// IsZero reports whether the key is of nobody.
func (k MemberKey) IsZero() bool { return k.Day.IsZero() }

// String is the key as an address has it; empty for the zero key.
func (k MemberKey) String() string {
	if k.IsZero() {
		return ""
	}
	return k.Day.Format(time.DateOnly) + "~" + k.customer
}

// ParseMemberKey reads what String has written.
func ParseMemberKey(s string) (MemberKey, error) {
	if s == "" {
		return MemberKey{}, nil
	}
	text, customer, ok := strings.Cut(s, "~")
	day, err := time.Parse(time.DateOnly, text)
	if !ok || err != nil || strings.ContainsRune(customer, 0) {
		return MemberKey{}, fmt.Errorf("%q is no key of a customer", s)
	}
	return MemberKey{day, customer}, nil
}

// MembersPerPage is how many customers of a cohort a page has.
const MembersPerPage = 50

// CohortAsk is what is asked of one cohort.
type CohortAsk struct {
	// Month is the first of the month in which it began.
	Month time.Time
	// K is of which month after it the customers are told; below nought or beyond
	// the running month: the running month.
	K     int
	After MemberKey
}

// Cohort reads one cohort, whatever the range of the query. One of a month that
// cannot have any is ErrNoCohort.
func (r *Reports) Cohort(ctx context.Context, query Query, about CohortAsk) (CohortDetail, error) {
	query.Recent, query.Interval, query.Compare = Recent{}, analytics.Monthly, CompareNone
	query.First, query.Last = about.Month, analytics.Monthly.Next(about.Month).AddDate(0, 0, -1)
	var out CohortDetail
	err := r.within(ctx, query, func(q *db.Queries, scope Scope) error {
		var err error
		out, err = cohortDetail(ctx, q, scope, about)
		return err
	})
	var refusal *billing.Refusal
	if errors.As(err, &refusal) && refusal.Fields["from"]+refusal.Fields["to"] != "" {
		return CohortDetail{}, ErrNoCohort
	}
	if err != nil {
		return CohortDetail{}, fmt.Errorf("read cohort of %s: %w", about.Month.Format("2006-01"), err)
	}
	return out, nil
}

func cohortDetail(ctx context.Context, q *db.Queries, scope Scope, about CohortAsk) (CohortDetail, error) {
	all, err := cohorts(ctx, q, scope)
	if err != nil {
		return CohortDetail{}, err
	}
	out := CohortDetail{Scope: all.Scope, Running: all.Running, Cohort: analytics.Cohort{Month: about.Month}}
	if len(all.Cohorts) == 0 {
		return out, nil
	}
	out.Cohort = all.Cohorts[0]
	out.K = len(out.Cohort.Levels) - 1
	if about.K >= 0 {
		out.K = min(about.K, out.K)
	}
	params := db.CohortMembersParams{
		Gen: scope.Generation, Currency: string(scope.Currency), Plan: scope.Plan, Until: about.Month.AddDate(0, out.K+1, 0),
		AfterDay: about.Month, MonthEnd: analytics.Monthly.Next(about.Month), AtMost: MembersPerPage + 1,
	}
	if !about.After.IsZero() && !about.After.Day.Before(about.Month) {
		params.AfterDay, params.AfterCustomer = about.After.Day, about.After.customer
	}
	rows, err := q.CohortMembers(ctx, params)
	if err != nil {
		return out, fmt.Errorf("members: %w", err)
	}
	if len(rows) > MembersPerPage {
		rows = rows[:MembersPerPage]
		last := rows[MembersPerPage-1]
		out.Next = MemberKey{last.Day, last.Customer}
	}
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.Customer
	}
	named, err := customersOf(ctx, q, ids)
	if err != nil {
		return out, err
	}
	for i, row := range rows {
		out.Members = append(out.Members, CohortMember{Customer: named[i], Day: row.Day, InitialMicro: row.InitialMicro, MRRMicro: row.MRRMicro})
	}
	return out, nil
}

package reports

import (
	"context"
	"fmt"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
)

// Outlook is what is to come in the next ninety days if nobody does anything.
type Outlook struct {
	Scope
	Ahead
}

// Ahead is what is scheduled by the copies of the subscriptions, in the currency
// and plan of a scope, whatever its periods are.
type Ahead struct {
	// Weeks are seven days each, the first beginning today and the last cut short
	// by the ninetieth day. None where all currencies are shown in the base one:
	// nobody knows the rates of days to come.
	Weeks []AheadWeek
	// Endings are the largest, at most MaxEndings.
	Endings []ScheduledEnding
}

// AheadWeek is what is to come in some days.
type AheadWeek struct {
	analytics.Period
	// Renewals are by what is due before tax, and so are Trials that end: less than
	// all of them will pay. Endings are by the MRR that they take along.
	Renewals, Trials, Endings Scheduled
}

// Scheduled is a number of subscriptions with what they come to.
type Scheduled struct {
	Subscriptions, AmountMicro int64
}

func (s Scheduled) plus(o Scheduled) Scheduled {
	return Scheduled{s.Subscriptions + o.Subscriptions, s.AmountMicro + o.AmountMicro}
}

// ScheduledEnding is a subscription that is going to end.
type ScheduledEnding struct {
	Customer
	SubscriptionID string
	// Day is midnight UTC of the date in the definition's zone.
	Day  time.Time
	Plan string
	// MRRMicro is what it is worth a month now.
	MRRMicro int64
}

// MaxEndings is how many scheduled endings are listed.
const MaxEndings = 10

// Sum is all weeks together.
func (a Ahead) Sum() AheadWeek {
	var sum AheadWeek
	for i, w := range a.Weeks {
		if i == 0 {
			sum.Start = w.Start
		}
		sum.End = w.End
		sum.Renewals, sum.Trials, sum.Endings = sum.Renewals.plus(w.Renewals), sum.Trials.plus(w.Trials), sum.Endings.plus(w.Endings)
	}
	return sum
}

// Outlook reads what is to come.
func (r *Reports) Outlook(ctx context.Context, query Query) (Outlook, error) {
	var out Outlook
	err := r.withinAny(ctx, query, func(q *db.Queries, scope Scope) error {
		next, err := ahead(ctx, q, scope)
		out = Outlook{scope, next}
		return err
	})
	if err != nil {
		return Outlook{}, fmt.Errorf("read the outlook: %w", err)
	}
	return out, nil
}

func ahead(ctx context.Context, q *db.Queries, scope Scope) (Ahead, error) {
	var out Ahead
	if scope.IsConverted {
		return out, nil
	}
	end := scope.Today.AddDate(0, 0, analytics.OutlookDays)
	for start := scope.Today; start.Before(end); start = start.AddDate(0, 0, 7) {
		week := AheadWeek{Period: analytics.Period{Start: start, End: start.AddDate(0, 0, 7)}}
		if week.End.After(end) {
			week.End = end
		}
		out.Weeks = append(out.Weeks, week)
	}
	rows, err := q.OutlookBetween(ctx, db.OutlookBetweenParams{
		Gen: scope.Generation, Currency: string(scope.Currency), First: scope.Today, Last: end.AddDate(0, 0, -1), Plan: scope.Plan,
	})
	if err != nil {
		return out, fmt.Errorf("outlook by day: %w", err)
	}
	for _, r := range rows {
		week := &out.Weeks[int(r.Day.Sub(scope.Today).Hours())/(7*24)]
		some := Scheduled{r.Subscriptions, r.AmountMicro}
		switch analytics.OutlookKind(r.Kind) {
		case analytics.Renewal:
			week.Renewals = week.Renewals.plus(some)
		case analytics.TrialEnd:
			week.Trials = week.Trials.plus(some)
		case analytics.Ending:
			week.Endings = week.Endings.plus(some)
		}
	}
	out.Endings, err = largestEndings(ctx, q, scope, end.AddDate(0, 0, -1))
	return out, err
}

func largestEndings(ctx context.Context, q *db.Queries, scope Scope, last time.Time) ([]ScheduledEnding, error) {
	params := db.LargestEndingsParams{
		Gen: scope.Generation, Currency: string(scope.Currency), First: scope.Today, Last: last, AtMost: MaxEndings,
	}
	var rows []db.LargestEndingsRow
	var err error
	if scope.Plan == "" {
		rows, err = q.LargestEndings(ctx, params)
	} else {
		var own []db.LargestEndingsOfPlanRow
		own, err = q.LargestEndingsOfPlan(ctx, db.LargestEndingsOfPlanParams{
			Gen: params.Gen, Currency: params.Currency, Plan: scope.Plan, First: params.First, Last: params.Last, AtMost: params.AtMost,
		})
		for _, r := range own {
			rows = append(rows, db.LargestEndingsRow(r))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("largest endings: %w", err)
	}
	var out []ScheduledEnding
	for _, r := range rows {
		name := ""
		if r.OrgName != nil {
			name = *r.OrgName
		}
		out = append(out, ScheduledEnding{filedCustomer(r.Customer, name), r.SubscriptionID, r.Day, r.Plan, r.AmountMicro})
	}
	return out, nil
}

package reports

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

// ErrUnknownMetric says that no figure has such a key.
var ErrUnknownMetric = errors.New("no such figure")

// Ask is which figure is to be explained.
type Ask struct {
	// Metric is its key in analytics.Metrics.
	Metric string
	// At is a day of the period to explain; zero: all periods together, or, of a
	// figure that is for whole months only, the last month of them.
	At time.Time
	// Kind narrows the movements to one kind; empty: all that are behind the figure.
	Kind analytics.MovementKind
	// After is where a page of rows begins, as Evidence.Older has it; one that
	// cannot be read is the first page.
	After string
}

// Explanation is how a figure came about.
type Explanation struct {
	Scope
	Metric analytics.Metric
	// Point has what the figure is computed from, Before the same of the period
	// before, or of as many periods before.
	Point, Before analytics.Point
	// IsRange says that Point is all periods together.
	IsRange bool
	// Earlier and Later are the periods beside it; nil where there are none, and of
	// a range.
	Earlier, Later *analytics.Period
	Evidence       Evidence
}

// EvidenceKind is what the rows behind a figure are.
type EvidenceKind string

// The kinds of rows.
const (
	// ByMovement: each movement. Their amounts, or Counts, add up to what moved.
	ByMovement EvidenceKind = "movements"
	// ByCustomer: each customer of the base whose MRR changed, with what it was as
	// the period began and at its end. Their Parts add up to the term of the formula
	// that is not the base.
	ByCustomer EvidenceKind = "customers"
	// ByPledge: each customer of whose MRR some is scheduled to end, or who has a
	// trial under way. Their amounts add up to the term.
	ByPledge EvidenceKind = "pledges"
	// ByInvoice: each renewal that was declined, with what was due and its fate.
	ByInvoice EvidenceKind = "invoices"
	// ByTrial: each trial that ended, with its fate.
	ByTrial EvidenceKind = "trials"
	// ByTransaction: each balance transaction. Their amounts add up to the figure.
	ByTransaction EvidenceKind = "transactions"
	// ByVisitor: each visitor who reached the step of the funnel that is counted.
	ByVisitor EvidenceKind = "visitors"
	// ByCurrency: the same figure of each currency that was converted, in Currencies.
	ByCurrency EvidenceKind = "currencies"
	// ByMonth: the months that a mean is of; they are in Point.Earlier.
	ByMonth EvidenceKind = "months"
	// ByNothing: nothing is listed.
	ByNothing EvidenceKind = ""
)

// Evidence is a page of the rows behind a figure, newest first.
type Evidence struct {
	Kind EvidenceKind
	// Kinds are the movements that are looked at, all of them.
	Kinds []analytics.MovementKind
	// IsCounted says that rows count and do not weigh: Count, not AmountMicro, adds
	// up to the figure.
	IsCounted bool
	Rows      []EvidenceRow
	// Currencies are what a figure in the base currency is made of.
	Currencies []CurrencyPart
	// Older is where the next page begins; empty: this is the last.
	Older string
	// IsFirst says that this is the first page.
	IsFirst bool
}

// CurrencyPart is a point in the currency that it happened in.
type CurrencyPart struct {
	Currency money.Currency
	Point    analytics.Point
}

// EvidenceRow is one of the rows behind a figure.
type EvidenceRow struct {
	Customer Customer
	// Day is midnight UTC of the date in the zone of the figures; of a customer,
	// that of the last movement in the period.
	Day time.Time
	// Kind, Plan and Reason are those of a movement.
	Kind   analytics.MovementKind
	Plan   string
	Reason analytics.Reason
	// AmountMicro is what moved; of a customer, what it adds to the term.
	AmountMicro int64
	// Count is by how much a number of customers changed; of a customer, 1 where it
	// is counted.
	Count int64
	// ID is Stripe's, of an invoice, a subscription on trial or a transaction.
	ID string
	// Fate is what became of an invoice or a trial (analytics.InvoiceFate and
	// TrialFate), or Stripe's type of a transaction; Decline is the bank's reason.
	Fate, Decline string
	// Reached is the last step of a visitor.
	Reached analytics.FunnelStep
	// Source is the object that a transaction is about, by Stripe's id.
	Source string
	// OpeningMicro and ClosingMicro are the MRR of a customer as the period began
	// and at its end.
	OpeningMicro, ClosingMicro int64
	// Events are what happened to the customer on the days of its movements.
	Events []CustomerEvent
}

// EvidencePerPage is how many rows a page has at most.
const EvidencePerPage = 50

// Explain returns how a figure came about, in one snapshot, and a page of what is
// behind it. A key that no figure has is ErrUnknownMetric; a query that makes no
// sense is a *billing.Refusal, with the field "at" for a day that lies in none of
// the periods.
func (r *Reports) Explain(ctx context.Context, query Query, ask Ask) (Explanation, error) {
	metric, ok := analytics.MetricByKey(ask.Metric)
	if !ok {
		return Explanation{}, ErrUnknownMetric
	}
	if metric.WholeMonths {
		query.Interval = analytics.Monthly
	}
	query.Compare = CompareNone
	out := Explanation{Metric: metric}
	err := r.withinAny(ctx, query, func(q *db.Queries, scope Scope) error {
		out.Scope = scope
		if err := out.choose(ask.At); err != nil {
			return err
		}
		if err := out.compute(ctx, q); err != nil {
			return err
		}
		return out.find(ctx, q, ask)
	})
	if err != nil {
		return Explanation{}, fmt.Errorf("explain %s: %w", ask.Metric, err)
	}
	return out, nil
}

// choose finds the period that is meant.
func (e *Explanation) choose(at time.Time) error {
	if at.IsZero() && !e.Metric.WholeMonths {
		e.IsRange = true
		return nil
	}
	i := len(e.Periods) - 1
	if !at.IsZero() {
		i = slices.IndexFunc(e.Periods, func(p analytics.Period) bool { return p.Has(at) })
	}
	if i < 0 {
		return refuseField("at", "This day lies in none of the periods.")
	}
	e.Point.Period = e.Periods[i]
	if i > 0 {
		e.Earlier = &e.Periods[i-1]
	}
	if i+1 < len(e.Periods) {
		e.Later = &e.Periods[i+1]
	}
	return nil
}

// compute reads the point and the one before it.
func (e *Explanation) compute(ctx context.Context, q *db.Queries) error {
	if e.IsRange {
		before, err := points(ctx, q, e.Scope, e.before(len(e.Periods)))
		if err != nil {
			return err
		}
		now, err := points(ctx, q, e.Scope, e.Periods)
		if err != nil {
			return err
		}
		e.Point, e.Before = analytics.Sum(now), analytics.Sum(before)
		return nil
	}
	first := e.Interval.Start(e.Point.Start.AddDate(0, 0, -1))
	both, err := points(ctx, q, e.Scope, analytics.Periods(first, e.Point.Start, e.Today, e.Interval))
	if err != nil {
		return err
	}
	e.Before, e.Point = both[0], both[1]
	return nil
}

// retainedTerms are the figures that compare the customers of a base with what
// became of them, with what one customer adds to the term of each.
var retainedTerms = map[string]struct {
	horizon   int
	isCounted bool
	isLost    bool // only who has nothing any more can add
	isSigned  bool // some add and some take away
	reason    analytics.Reason
	part      func(analytics.Retained) int64
}{
	"nrr":                     {horizon: analytics.HorizonMonth, isSigned: true, part: func(r analytics.Retained) int64 { return r.NetMicro }},
	"netRevenueChurn":         {horizon: analytics.HorizonMonth, isSigned: true, part: func(r analytics.Retained) int64 { return r.NetMicro }},
	"grr":                     {horizon: analytics.HorizonMonth, part: func(r analytics.Retained) int64 { return r.GrossLostMicro }},
	"revenueChurn":            {horizon: analytics.HorizonMonth, part: func(r analytics.Retained) int64 { return r.GrossLostMicro }},
	"nrrYear":                 {horizon: analytics.HorizonYear, isSigned: true, part: func(r analytics.Retained) int64 { return r.NetMicro }},
	"grrYear":                 {horizon: analytics.HorizonYear, part: func(r analytics.Retained) int64 { return r.GrossLostMicro }},
	"logoChurn":               {horizon: analytics.HorizonMonth, isCounted: true, isLost: true, part: func(r analytics.Retained) int64 { return r.LostCustomers }},
	"involuntaryLogoChurn":    {horizon: analytics.HorizonMonth, isCounted: true, isLost: true, reason: analytics.ReasonCancelInvoluntary, part: func(r analytics.Retained) int64 { return r.InvoluntaryCustomers }},
	"voluntaryLogoChurn":      {horizon: analytics.HorizonMonth, isCounted: true, isLost: true, part: func(r analytics.Retained) int64 { return r.LostCustomers - r.InvoluntaryCustomers }},
	"voluntaryRevenueChurn":   {horizon: analytics.HorizonMonth, isLost: true, part: func(r analytics.Retained) int64 { return r.LostMicro - r.InvoluntaryMicro }},
	"churnOnlyRevenueChurn":   {horizon: analytics.HorizonMonth, isLost: true, part: func(r analytics.Retained) int64 { return r.LostMicro }},
	"involuntaryRevenueChurn": {horizon: analytics.HorizonMonth, isLost: true, reason: analytics.ReasonCancelInvoluntary, part: func(r analytics.Retained) int64 { return r.InvoluntaryMicro }},
}

// derived are figures that are made of others; what is behind them is what is
// behind MRR.
var derived = []string{"arr", "growth", "arpa"}

// find reads the rows behind the figure.
func (e *Explanation) find(ctx context.Context, q *db.Queries, ask Ask) error {
	after := strings.SplitN(ask.After, cursorBreak, 4)
	for _, part := range after {
		if !isCursorPart(part) {
			after = nil
			break
		}
	}
	var err error
	_, isRetained := retainedTerms[e.Metric.Key]
	_, isCash := cashKinds[e.Metric.Key]
	step, isVisitor := funnelSteps[e.Metric.Key]
	switch {
	case e.IsConverted:
		err = e.findCurrencies(ctx, q)
	case isVisitor:
		err = e.findVisitors(ctx, q, step, after)
	case isRetained:
		err = e.findCustomers(ctx, q, after)
	case e.Metric.Key == "committedMrr", e.Metric.Key == "trialMrr":
		err = e.findPledges(ctx, q, after)
	case e.Metric.Key == "paymentFailureRate", e.Metric.Key == "recoveryRate":
		err = e.findDeclined(ctx, q, after)
	case e.Metric.Key == "trialConversion":
		err = e.findTrials(ctx, q, after)
	case isCash:
		err = e.findTransactions(ctx, q, after)
	case e.Metric.Key == "ltv":
		e.Evidence.Kind, e.Evidence.IsFirst = ByMonth, true
	case len(e.Metric.Kinds) > 0 || slices.Contains(derived, e.Metric.Key):
		err = e.findMovements(ctx, q, ask.Kind, after)
	}
	if err != nil {
		return err
	}
	return e.addEvents(ctx, q)
}

// cursorBreak stands between the parts of a cursor. Only its last part, a plan,
// may have one in it.
const cursorBreak = "~"

// isCursorPart reports whether somebody's text may be part of a key in the
// database.
func isCursorPart(text string) bool {
	const longest = 300
	return len(text) <= longest && !strings.ContainsRune(text, 0) && strings.ToValidUTF8(text, "") == text
}

// cursorDay is the day that a cursor begins with; the last of the period where
// there is no cursor, or none of this period.
func (e *Explanation) cursorDay(after []string, parts int) (time.Time, bool) {
	if len(after) == parts {
		if day, err := time.Parse(time.DateOnly, after[0]); err == nil && e.Point.Has(day) {
			return day, true
		}
	}
	return e.Point.Last(), false
}

// movementKinds are the kinds of movements that a figure is made of: for a plan
// also what came from other plans and went there.
func (e *Explanation) movementKinds() (kinds []analytics.MovementKind, isCounted bool) {
	kinds = e.Metric.Kinds
	if len(kinds) == 0 {
		kinds = AccountKinds
	}
	isCounted = e.Metric.Unit == analytics.Count
	isLevel := slices.Contains(derived, e.Metric.Key) || slices.Contains([]string{"mrr", "netNew", "customers"}, e.Metric.Key)
	if e.Plan != "" && isLevel {
		kinds = PlanKinds
	}
	return kinds, isCounted
}

func (e *Explanation) findMovements(ctx context.Context, q *db.Queries, only analytics.MovementKind, after []string) error {
	kinds, isCounted := e.movementKinds()
	e.Evidence.Kind, e.Evidence.Kinds, e.Evidence.IsCounted = ByMovement, kinds, isCounted
	params := db.MovementsBehindParams{
		Gen: e.Generation, Currency: string(e.Currency), Plan: e.Plan, First: e.Point.Start,
		IsCounted: isCounted, IsPlan: e.Plan != "", AtMost: EvidencePerPage + 1,
	}
	for _, kind := range kinds {
		if only == "" || only == kind {
			params.Kinds = append(params.Kinds, string(kind))
		}
	}
	until, isLater := e.cursorDay(after, 4)
	params.Until, e.Evidence.IsFirst = until, !isLater
	if isLater {
		params.AfterCustomer, params.AfterKind, params.AfterPlan = after[1], after[2], after[3]
	}
	rows, err := q.MovementsBehind(ctx, params)
	if err != nil {
		return fmt.Errorf("movements: %w", err)
	}
	if len(rows) > EvidencePerPage {
		rows = rows[:EvidencePerPage]
		last := rows[EvidencePerPage-1]
		e.Evidence.Older = strings.Join([]string{last.Day.Format(time.DateOnly), last.Customer, last.Kind, last.Plan}, cursorBreak)
	}
	for _, row := range rows {
		counted := row.Customers
		if e.Plan != "" {
			counted = row.Subscribers
		}
		e.Evidence.Rows = append(e.Evidence.Rows, EvidenceRow{
			Customer: filedCustomer(row.Customer, row.OrgName), Day: row.Day, Kind: analytics.MovementKind(row.Kind), Plan: row.Plan,
			Reason: analytics.Reason(row.Reason), AmountMicro: row.AmountMicro, Count: int64(counted),
		})
	}
	return nil
}

// Customers are looked at some at a time until a page is full, or all of what
// they add up to is found, but not for ever: where few of them add anything, a
// page is short and goes on with the next.
const (
	lookedAtOnce = 200
	mostLooks    = 10
)

// search is a walk through customers, newest first, for those who add something
// to a term.
type search struct {
	until time.Time
	after string
	// left is what is still to be found; where parts are of either sign, nobody
	// knows when that is.
	left     int64
	isSigned bool
}

// begin takes up the walk where a cursor says, or at its beginning.
func (e *Explanation) begin(s *search, first time.Time, cursor []string) {
	e.Evidence.IsFirst = true
	if len(cursor) != 3 {
		return
	}
	day, dayErr := time.Parse(time.DateOnly, cursor[0])
	left, leftErr := strconv.ParseInt(cursor[1], 10, 64)
	if dayErr == nil && leftErr == nil && !day.Before(first) && !day.After(s.until) {
		s.until, s.left, s.after, e.Evidence.IsFirst = day, left, cursor[2], false
	}
}

// found adds a row, and reports whether to go on after it.
func (e *Explanation) found(s *search, row EvidenceRow, part int64) bool {
	e.Evidence.Rows = append(e.Evidence.Rows, row)
	s.left -= part
	return len(e.Evidence.Rows) < EvidencePerPage && !s.isDone()
}

func (s *search) isDone() bool { return !s.isSigned && s.left <= 0 }

func (s *search) cursor() string {
	if s.isDone() {
		return ""
	}
	return strings.Join([]string{s.until.Format(time.DateOnly), strconv.FormatInt(s.left, 10), s.after}, cursorBreak)
}

// findCustomers lists what each customer of the base adds to the term. Whether
// and how much is told by the rule that the rollup is made by, from the
// customer's own movements.
func (e *Explanation) findCustomers(ctx context.Context, q *db.Queries, after []string) error {
	term := retainedTerms[e.Metric.Key]
	e.Evidence.Kind, e.Evidence.Kinds, e.Evidence.IsCounted = ByCustomer, e.Metric.Kinds, term.isCounted
	all := e.Point.Month
	if term.horizon == analytics.HorizonYear {
		all = e.Point.Year
	}
	if all == nil {
		return nil
	}
	first := e.Point.End.AddDate(0, -term.horizon, 0)
	walk := search{until: e.Point.Last(), left: term.part(*all), isSigned: term.isSigned}
	e.begin(&walk, first, after)
	if walk.isDone() {
		return nil
	}
	params := db.LastMovedBetweenParams{
		Gen: e.Generation, Currency: string(e.Currency), First: first, Last: e.Point.Last(), Reason: string(term.reason), AtMost: lookedAtOnce,
	}
	for _, kind := range AccountKinds {
		if !term.isLost || kind == analytics.Churn {
			params.Kinds = append(params.Kinds, string(kind))
		}
	}
	for range mostLooks {
		params.Until, params.AfterCustomer = walk.until, walk.after
		candidates, err := q.LastMovedBetween(ctx, params)
		if err != nil {
			return fmt.Errorf("customers who moved: %w", err)
		}
		isLast := len(candidates) < lookedAtOnce
		// Who was not there cannot add anything, nor whoever has what they had, unless
		// it is on another plan.
		likely := slices.DeleteFunc(slices.Clone(candidates), func(c db.LastMovedBetweenRow) bool {
			return c.OpeningMicro == 0 || (e.Plan == "" && c.OpeningMicro == c.ClosingMicro) || (term.isLost && c.ClosingMicro != 0)
		})
		for some := range slices.Chunk(likely, 2*EvidencePerPage) {
			rows, err := e.retained(ctx, q, some, first, term.horizon, term.part)
			if err != nil {
				return err
			}
			for i, row := range rows {
				walk.until, walk.after = some[i].Day, some[i].Customer
				if row.Count == 0 {
					continue
				}
				if !e.found(&walk, row, row.AmountMicro) {
					e.Evidence.Older = walk.cursor()
					return e.nameCustomers(ctx, q)
				}
			}
		}
		if isLast {
			return e.nameCustomers(ctx, q)
		}
		walk.until, walk.after = candidates[len(candidates)-1].Day, candidates[len(candidates)-1].Customer
	}
	e.Evidence.Older = walk.cursor()
	return e.nameCustomers(ctx, q)
}

// nameCustomers puts names to the customers of the page.
func (e *Explanation) nameCustomers(ctx context.Context, q *db.Queries) error {
	ids := make([]string, len(e.Evidence.Rows))
	for i, row := range e.Evidence.Rows {
		ids[i] = ledgerName(row.Customer)
	}
	named, err := customersOf(ctx, q, ids)
	for i := range named {
		e.Evidence.Rows[i].Customer = named[i]
	}
	return err
}

// ledgerName is how the ledger calls a customer.
func ledgerName(c Customer) string {
	if _, err := uuid.Parse(c.ID); err == nil {
		return orgPrefix + c.ID
	}
	return c.ID
}

// retained is a row for each candidate; one that adds nothing has a Count of 0.
func (e *Explanation) retained(
	ctx context.Context, q *db.Queries, candidates []db.LastMovedBetweenRow, first time.Time, horizon int, part func(analytics.Retained) int64,
) ([]EvidenceRow, error) {
	ids := make([]string, len(candidates))
	for i, c := range candidates {
		ids[i] = c.Customer
	}
	applied, err := q.AppliedMovements(ctx, db.AppliedMovementsParams{Gens: []int32{e.Generation}, Customers: ids})
	if err != nil {
		return nil, fmt.Errorf("movements of customers: %w", err)
	}
	movements := map[string][]analytics.Movement{}
	for _, m := range applied {
		movements[m.Customer] = append(movements[m.Customer], analytics.Movement{
			Currency: money.Currency(m.Currency), Day: m.Day, Kind: analytics.MovementKind(m.Kind), Plan: m.Plan, AmountMicro: m.AmountMicro,
			Customers: int(m.Customers), Subscribers: int(m.Subscribers), Reason: analytics.Reason(m.Reason),
		})
	}
	out := make([]EvidenceRow, len(candidates))
	for i, c := range candidates {
		row := EvidenceRow{Customer: filedCustomer(c.Customer, ""), Day: c.Day}
		for _, m := range movements[c.Customer] {
			if m.Currency == e.Currency && m.Day.Before(first) && (e.Plan == "" || m.Plan == e.Plan) {
				row.OpeningMicro += m.AmountMicro
			}
			if m.Currency == e.Currency && m.Day.Equal(c.Day) && (m.Kind != analytics.TransferIn && m.Kind != analytics.TransferOut) {
				row.Kind, row.Reason = m.Kind, m.Reason
			}
		}
		for _, change := range analytics.RetentionChanges(movements[c.Customer]) {
			if change.PeriodEnd.Equal(e.Point.End) && change.Horizon == horizon && change.Currency == e.Currency && change.Plan == e.Plan && part(change.Retained) != 0 {
				row.Count, row.AmountMicro = 1, part(change.Retained)
				row.ClosingMicro = row.OpeningMicro + change.NetMicro
			}
		}
		out[i] = row
	}
	return out, nil
}

// findPledges lists what is scheduled to end, or the trials under way, newest
// first.
func (e *Explanation) findPledges(ctx context.Context, q *db.Queries, after []string) error {
	isTrial := e.Metric.Key == "trialMrr"
	e.Evidence.Kind = ByPledge
	walk := search{until: e.Point.Last(), left: e.Point.EndingMicro}
	if isTrial {
		walk.left = e.Point.TrialMicro
	}
	e.begin(&walk, time.Time{}, after)
	params := db.LastPledgedBeforeParams{
		Gen: e.Generation, Currency: string(e.Currency), Plan: e.Plan, Last: e.Point.Last(), AtMost: lookedAtOnce,
	}
	for range mostLooks {
		if walk.isDone() {
			return nil
		}
		params.Until, params.AfterCustomer = walk.until, walk.after
		rows, err := q.LastPledgedBefore(ctx, params)
		if err != nil {
			return fmt.Errorf("pledges: %w", err)
		}
		for _, row := range rows {
			walk.until, walk.after = row.Day, row.Customer
			micro := row.EndingMicro
			if isTrial {
				micro = row.TrialMicro
			}
			if micro == 0 {
				continue
			}
			found := EvidenceRow{Customer: filedCustomer(row.Customer, row.OrgName), Day: row.Day, AmountMicro: micro, Count: 1}
			if !e.found(&walk, found, micro) {
				e.Evidence.Older = walk.cursor()
				return nil
			}
		}
		if len(rows) < lookedAtOnce {
			return nil
		}
	}
	e.Evidence.Older = walk.cursor()
	return nil
}

func (e *Explanation) findDeclined(ctx context.Context, q *db.Queries, after []string) error {
	e.Evidence.Kind = ByInvoice
	params := db.DeclinedBehindParams{Gen: e.Generation, Currency: string(e.Currency), Plan: e.Plan, First: e.Point.Start, AtMost: EvidencePerPage + 1}
	until, isLater := e.cursorDay(after, 3)
	params.Until, e.Evidence.IsFirst = until, !isLater
	if isLater {
		params.AfterCustomer, params.AfterInvoice = after[1], after[2]
	}
	rows, err := q.DeclinedBehind(ctx, params)
	if err != nil {
		return fmt.Errorf("declined renewals: %w", err)
	}
	if len(rows) > EvidencePerPage {
		rows = rows[:EvidencePerPage]
		last := rows[EvidencePerPage-1]
		e.Evidence.Older = strings.Join([]string{last.Day.Format(time.DateOnly), last.Customer, last.InvoiceID}, cursorBreak)
	}
	for _, row := range rows {
		e.Evidence.Rows = append(e.Evidence.Rows, EvidenceRow{
			Customer: filedCustomer(row.Customer, row.OrgName), Day: row.Day, Plan: row.Plan, AmountMicro: row.AmountMinor * money.Micro, Count: 1,
			ID: row.InvoiceID, Fate: row.Fate, Decline: row.Reason,
		})
	}
	return nil
}

func (e *Explanation) findTrials(ctx context.Context, q *db.Queries, after []string) error {
	e.Evidence.Kind, e.Evidence.IsCounted = ByTrial, true
	params := db.TrialsBehindParams{Gen: e.Generation, Currency: string(e.Currency), Plan: e.Plan, First: e.Point.Start, AtMost: EvidencePerPage + 1}
	until, isLater := e.cursorDay(after, 3)
	params.Until, e.Evidence.IsFirst = until, !isLater
	if isLater {
		params.AfterCustomer, params.AfterSubscription = after[1], after[2]
	}
	rows, err := q.TrialsBehind(ctx, params)
	if err != nil {
		return fmt.Errorf("trials: %w", err)
	}
	if len(rows) > EvidencePerPage {
		rows = rows[:EvidencePerPage]
		last := rows[EvidencePerPage-1]
		e.Evidence.Older = strings.Join([]string{last.EndedDay.Format(time.DateOnly), last.Customer, last.SubscriptionID}, cursorBreak)
	}
	for _, row := range rows {
		e.Evidence.Rows = append(e.Evidence.Rows, EvidenceRow{
			Customer: filedCustomer(row.Customer, row.OrgName), Day: row.EndedDay, Plan: row.Plan, Count: 1, ID: row.SubscriptionID, Fate: row.Fate,
		})
	}
	return nil
}

// cashKinds are the figures of cash, with the kind of transactions that each adds
// up; empty: all.
var cashKinds = map[string]string{"grossVolume": "gross", "refunds": "refund", "disputes": "dispute", "fees": "", "netVolume": ""}

func (e *Explanation) findTransactions(ctx context.Context, q *db.Queries, after []string) error {
	if e.Plan != "" { // cash belongs to no plan
		return nil
	}
	e.Evidence.Kind = ByTransaction
	params := db.TransactionsBehindParams{
		Gen: e.Generation, Currency: string(e.Currency), Kind: cashKinds[e.Metric.Key], HasFee: e.Metric.Key == "fees",
		First: e.Point.Start, AtMost: EvidencePerPage + 1,
	}
	until, isLater := e.cursorDay(after, 2)
	params.Until, e.Evidence.IsFirst = until, !isLater
	if isLater {
		params.AfterID = after[1]
	}
	rows, err := q.TransactionsBehind(ctx, params)
	if err != nil {
		return fmt.Errorf("balance transactions: %w", err)
	}
	if len(rows) > EvidencePerPage {
		rows = rows[:EvidencePerPage]
		last := rows[EvidencePerPage-1]
		e.Evidence.Older = last.Day.Format(time.DateOnly) + cursorBreak + last.ID
	}
	for _, row := range rows {
		amount := row.AmountMinor
		switch e.Metric.Key {
		case "fees":
			amount = row.FeeMinor
		case "netVolume":
			amount = row.NetMinor
		}
		e.Evidence.Rows = append(e.Evidence.Rows, EvidenceRow{
			Customer: filedCustomer(row.Customer, row.OrgName), Day: row.Day, AmountMicro: amount * money.Micro, Count: 1, ID: row.ID, Fate: row.Type, Source: row.SourceID,
		})
	}
	return nil
}

// funnelSteps are the figures of the funnel, with the step that is counted.
var funnelSteps = map[string]analytics.FunnelStep{
	"visitors": analytics.FunnelViewed, "checkoutStartRate": analytics.FunnelStarted, "checkoutCompletionRate": analytics.FunnelCompleted,
	"activationRate": analytics.FunnelActivated, "firstPaymentRate": analytics.FunnelPaid, "visitorConversion": analytics.FunnelPaid,
}

func (e *Explanation) findVisitors(ctx context.Context, q *db.Queries, step analytics.FunnelStep, after []string) error {
	e.Evidence.Kind, e.Evidence.IsCounted = ByVisitor, true
	params := db.VisitorsBehindParams{Gen: e.Generation, Plan: e.Plan, Reached: int16(step), First: e.Point.Start, AtMost: EvidencePerPage + 1} //nolint:gosec // five steps
	until, isLater := e.cursorDay(after, 2)
	params.Until, e.Evidence.IsFirst = until, !isLater
	if isLater {
		params.AfterVisitor = after[1]
	}
	rows, err := q.VisitorsBehind(ctx, params)
	if err != nil {
		return fmt.Errorf("visitors: %w", err)
	}
	if len(rows) > EvidencePerPage {
		rows = rows[:EvidencePerPage]
		last := rows[EvidencePerPage-1]
		e.Evidence.Older = last.Day.Format(time.DateOnly) + cursorBreak + last.Visitor
	}
	for _, row := range rows {
		e.Evidence.Rows = append(e.Evidence.Rows, EvidenceRow{
			Customer: filedCustomer(row.Customer, row.OrgName), Day: row.Day, Plan: row.Plan, Count: 1, ID: row.Visitor, Reached: analytics.FunnelStep(row.Reached),
		})
	}
	return nil
}

// findCurrencies reads the same figure of each currency by itself.
func (e *Explanation) findCurrencies(ctx context.Context, q *db.Queries) error {
	e.Evidence.Kind, e.Evidence.IsFirst = ByCurrency, true
	periods := []analytics.Period{e.Point.Period}
	if e.IsRange {
		periods = e.Periods
	}
	for _, currency := range e.Currencies {
		if slices.Contains(e.Unconverted, currency) {
			continue
		}
		scope := e.Scope
		scope.Currency, scope.IsConverted = currency, false
		all, err := points(ctx, q, scope, periods)
		if err != nil {
			return err
		}
		part := CurrencyPart{Currency: currency, Point: all[0]}
		if e.IsRange {
			part.Point = analytics.Sum(all)
		}
		e.Evidence.Currencies = append(e.Evidence.Currencies, part)
	}
	return nil
}

// addEvents reads what happened to the customers of a page on the days that it
// tells of.
func (e *Explanation) addEvents(ctx context.Context, q *db.Queries) error {
	if len(e.Evidence.Rows) == 0 {
		return nil
	}
	params := db.EventsOfDaysParams{TimeZone: e.Zone.String()}
	type key struct {
		customer string
		day      time.Time
	}
	asked := map[key]bool{}
	for _, row := range e.Evidence.Rows {
		k := key{ledgerName(row.Customer), row.Day}
		if !asked[k] && row.Customer.ID != "" {
			asked[k] = true
			params.Customers, params.Days = append(params.Customers, k.customer), append(params.Days, k.day)
		}
	}
	rows, err := q.EventsOfDays(ctx, params)
	if err != nil {
		return fmt.Errorf("events of days: %w", err)
	}
	events := map[key][]CustomerEvent{}
	for _, row := range rows {
		event := CustomerEvent{
			Kind: row.Kind, At: row.At.UTC(), Plan: orZero(row.Plan), Interval: billing.Interval(orZero(row.Interval)),
			Currency: money.Currency(orZero(row.Currency)), AmountMinor: row.AmountMinor, SubscriptionID: orZero(row.SubscriptionID),
			InvoiceID: orZero(row.InvoiceID), SourceID: orZero(row.SourceEventID),
		}
		if err := json.Unmarshal(row.Details, &event.Details); err != nil {
			return fmt.Errorf("details of %s at %s: %w", row.Kind, row.At, err)
		}
		k := key{row.Customer, row.Day}
		events[k] = append(events[k], event)
	}
	for i, row := range e.Evidence.Rows {
		e.Evidence.Rows[i].Events = events[key{ledgerName(row.Customer), row.Day}]
	}
	return nil
}

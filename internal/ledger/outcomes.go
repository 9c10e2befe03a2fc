package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/money"
)

// countOutcomes makes the stored outcomes of the customers' invoices and trials
// follow from what happened to them, adds the difference to the rollups, and
// notes when one changes by itself.
func countOutcomes(ctx context.Context, q *db.Queries, accounts []account, generations map[int32]analytics.Definition, now time.Time) error {
	if len(accounts) == 0 {
		return nil
	}
	all, invoices, trials, err := outcomesOf(ctx, q, accounts, generations, now)
	if err != nil {
		return err
	}
	payments, trialDays := newPaymentRollups(), newTrialDaily()
	renewed := invoiceShelf
	renewed.changed = func(before, after []invoiceRow) {
		payments.take(before, -1)
		payments.take(after, 1)
	}
	if err := renewed.replace(ctx, q, all, invoices); err != nil {
		return err
	}
	if err := payments.flush(ctx, q); err != nil {
		return err
	}
	tried := trialShelf
	tried.changed = func(before, after []trialRow) {
		takeTrials(&trialDays, before, -1)
		takeTrials(&trialDays, after, 1)
	}
	if err := tried.replace(ctx, q, all, trials); err != nil {
		return err
	}
	return trialDays.flush(ctx, q)
}

// outcomesOf are the outcomes of the accounts under each generation, by book, and
// it notes when one changes by itself.
func outcomesOf(
	ctx context.Context, q *db.Queries, accounts []account, generations map[int32]analytics.Definition, now time.Time,
) (all []book, invoices []invoiceRow, trials []trialRow, err error) {
	customers := make([]string, len(accounts))
	for i, a := range accounts {
		customers[i] = a.customer
	}
	told, err := readInvoices(ctx, q, customers)
	if err != nil {
		return nil, nil, nil, err
	}
	for i := range accounts {
		a := &accounts[i]
		renewals, next := analytics.InvoiceOutcomes(told.events[a.customer], told.declines[a.customer], a.history, a.catalog, now)
		a.changesAt(next)
		trialed, next := analytics.TrialOutcomes(told.events[a.customer], a.history, a.catalog, now)
		a.changesAt(next)
		for gen, definition := range generations {
			key := book{gen, a.customer}
			all = append(all, key)
			invoices = append(invoices, invoicesOf(key, renewals, definition.Zone)...)
			trials = append(trials, trialsOf(key, trialed, definition.Zone)...)
		}
	}
	return all, invoices, trials, nil
}

// changesAt notes an instant at which something about the customer changes by
// itself; zero is none.
func (a *account) changesAt(next time.Time) {
	if !next.IsZero() && (a.next.IsZero() || next.Before(a.next)) {
		a.next = next
	}
}

// toldInvoices are what is told of invoices, by ledger customer, in no order.
type toldInvoices struct {
	events   map[string][]analytics.InvoiceEvent
	declines map[string][]analytics.DeclinedCharge
}

func readInvoices(ctx context.Context, q *db.Queries, customers []string) (toldInvoices, error) {
	told := toldInvoices{map[string][]analytics.InvoiceEvent{}, map[string][]analytics.DeclinedCharge{}}
	var orgs []uuid.UUID
	var stripeCustomers []string
	for _, customer := range customers {
		if id, ok := strings.CutPrefix(customer, organization); ok {
			if org, err := uuid.Parse(id); err == nil {
				orgs = append(orgs, org)
				continue
			}
		}
		stripeCustomers = append(stripeCustomers, customer)
	}
	events, err := q.InvoiceEvents(ctx, db.InvoiceEventsParams{OrgIds: orgs, StripeCustomerIds: stripeCustomers, Kinds: []string{
		string(analytics.InvoicePaid), string(analytics.InvoiceDeclined), string(analytics.InvoiceAsked),
		string(analytics.InvoiceVoided), string(analytics.InvoiceWrittenOff),
	}})
	if err != nil {
		return told, fmt.Errorf("read events of invoices: %w", err)
	}
	isAnyUnpaid := false
	for _, e := range events {
		isAnyUnpaid = isAnyUnpaid || e.Kind != string(analytics.InvoicePaid)
		told.events[e.Customer] = append(told.events[e.Customer], analytics.InvoiceEvent{
			Kind: analytics.InvoiceEventKind(e.Kind), At: e.At.UTC(), InvoiceID: e.InvoiceID, SubscriptionID: e.SubscriptionID,
			BillingReason: e.BillingReason, Currency: money.Currency(e.Currency), AmountMinor: e.AmountMinor,
		})
	}
	if !isAnyUnpaid {
		return told, nil // nothing whose reason could be asked for
	}
	declines, err := q.DeclinedCharges(ctx, db.DeclinedChargesParams{OrgIds: orgs, StripeCustomerIds: stripeCustomers})
	if err != nil {
		return told, fmt.Errorf("read declined charges: %w", err)
	}
	for _, d := range declines {
		told.declines[d.Customer] = append(told.declines[d.Customer], analytics.DeclinedCharge{InvoiceID: d.InvoiceID, At: d.At.UTC(), Reason: d.Reason})
	}
	return told, nil
}

// invoiceRow is a row of invoice_outcome with zero times for what is NULL, so that
// rows can be compared.
type invoiceRow struct {
	Gen            int32     `json:"gen"`
	Customer       string    `json:"customer"`
	InvoiceID      string    `json:"invoice_id"`
	SubscriptionID string    `json:"subscription_id"`
	Currency       string    `json:"currency"`
	Plan           string    `json:"plan"`
	AmountMinor    int64     `json:"amount_minor"`
	FirstAt        time.Time `json:"first_at"`
	LastAt         time.Time `json:"last_at"`
	Day            time.Time `json:"day"`
	Attempts       int       `json:"attempts"`
	Asked          bool      `json:"asked"`
	Fate           string    `json:"fate"`
	SettledAt      time.Time `json:"settled_at,omitzero"`
	SettledDay     time.Time `json:"settled_day,omitzero"`
	Reason         string    `json:"reason"`
	FailedDay      bool      `json:"failed_day"`
	FailedWeek     bool      `json:"failed_week"`
	FailedMonth    bool      `json:"failed_month"`
}

// invoicesOf are the rows of outcomes, which are in order of their first attempt:
// a customer is counted where something of theirs was declined first.
func invoicesOf(key book, outcomes []analytics.InvoiceOutcome, zone *time.Location) []invoiceRow {
	type span struct {
		currency money.Currency
		interval analytics.Interval
		start    time.Time
	}
	counted := map[span]bool{}
	isFirst := func(o analytics.InvoiceOutcome, interval analytics.Interval, day time.Time) bool {
		s := span{o.Currency, interval, interval.Start(day)}
		defer func() { counted[s] = counted[s] || o.IsFailed() }()
		return o.IsFailed() && !counted[s]
	}
	var out []invoiceRow
	for _, o := range outcomes {
		day := analytics.DayOf(o.FirstAt, zone)
		row := invoiceRow{
			Gen: key.gen, Customer: key.customer, InvoiceID: o.InvoiceID, SubscriptionID: o.SubscriptionID, Currency: string(o.Currency),
			Plan: o.Plan, AmountMinor: o.AmountMinor, FirstAt: o.FirstAt, LastAt: o.LastAt, Day: day, Attempts: o.Attempts, Asked: o.Asked,
			Fate: string(o.Fate), SettledAt: o.SettledAt, Reason: o.Reason, FailedDay: isFirst(o, analytics.Daily, day),
			FailedWeek: isFirst(o, analytics.Weekly, day), FailedMonth: isFirst(o, analytics.Monthly, day),
		}
		if !o.SettledAt.IsZero() {
			row.SettledDay = analytics.DayOf(o.SettledAt, zone)
		}
		out = append(out, row)
	}
	return out
}

// trialRow is a row of trial_outcome, likewise.
type trialRow struct {
	Gen            int32     `json:"gen"`
	Customer       string    `json:"customer"`
	SubscriptionID string    `json:"subscription_id"`
	Currency       string    `json:"currency"`
	Plan           string    `json:"plan"`
	StartedAt      time.Time `json:"started_at"`
	StartedDay     time.Time `json:"started_day"`
	EndedAt        time.Time `json:"ended_at,omitzero"`
	EndedDay       time.Time `json:"ended_day,omitzero"`
	Fate           string    `json:"fate"`
}

func trialsOf(key book, outcomes []analytics.TrialOutcome, zone *time.Location) []trialRow {
	var out []trialRow
	for _, o := range outcomes {
		row := trialRow{
			Gen: key.gen, Customer: key.customer, SubscriptionID: o.SubscriptionID, Currency: string(o.Currency), Plan: o.Plan,
			StartedAt: o.StartedAt, StartedDay: analytics.DayOf(o.StartedAt, zone), EndedAt: o.EndedAt, Fate: string(o.Fate),
		}
		if !o.EndedAt.IsZero() {
			row.EndedDay = analytics.DayOf(o.EndedAt, zone)
		}
		out = append(out, row)
	}
	return out
}

var invoiceShelf = shelf[invoiceRow]{
	what: "outcomes of invoices",
	of:   func(r invoiceRow) book { return book{r.Gen, r.Customer} },
	applied: func(ctx context.Context, q *db.Queries, b books) ([]invoiceRow, error) {
		rows, err := q.AppliedInvoiceOutcomes(ctx, db.AppliedInvoiceOutcomesParams{Gens: b.gens, Customers: b.customers})
		out := make([]invoiceRow, 0, len(rows))
		for _, r := range rows {
			out = append(out, invoiceRow{
				r.Gen, r.Customer, r.InvoiceID, r.SubscriptionID, r.Currency, r.Plan, r.AmountMinor, r.FirstAt.UTC(), r.LastAt.UTC(), r.Day,
				int(r.Attempts), r.Asked, r.Fate, utc(r.SettledAt), r.SettledDay.Time, r.Reason, r.FailedDay, r.FailedWeek, r.FailedMonth,
			})
		}
		return out, err
	},
	remove: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error {
		return q.DeleteInvoiceOutcomes(ctx, rows)
	},
	insert: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error {
		return q.InsertInvoiceOutcomes(ctx, rows)
	},
}

var trialShelf = shelf[trialRow]{
	what: "outcomes of trials",
	of:   func(r trialRow) book { return book{r.Gen, r.Customer} },
	applied: func(ctx context.Context, q *db.Queries, b books) ([]trialRow, error) {
		rows, err := q.AppliedTrialOutcomes(ctx, db.AppliedTrialOutcomesParams{Gens: b.gens, Customers: b.customers})
		out := make([]trialRow, 0, len(rows))
		for _, r := range rows {
			out = append(out, trialRow{
				r.Gen, r.Customer, r.SubscriptionID, r.Currency, r.Plan, r.StartedAt.UTC(), r.StartedDay, utc(r.EndedAt), r.EndedDay.Time, r.Fate,
			})
		}
		return out, err
	},
	remove: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error {
		return q.DeleteTrialOutcomes(ctx, rows)
	},
	insert: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error {
		return q.InsertTrialOutcomes(ctx, rows)
	},
}

// utc is the zero time for NULL.
func utc(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// paymentRollups are all that follows from the outcomes of invoices.
type paymentRollups struct {
	hourly  rollup[db.PaymentHourly]
	daily   rollup[db.PaymentDaily]
	monthly rollup[db.PaymentMonthly]
}

// take counts the outcomes of one customer.
func (r *paymentRollups) take(rows []invoiceRow, sign int64) {
	for _, row := range rows {
		r.takeAttempt(row, sign)
		day := db.PaymentDaily{
			Gen: row.Gen, Day: row.Day, Currency: row.Currency, Plan: row.Plan, Reason: row.Reason,
			Attempted: 1, AttemptedMinor: row.AmountMinor,
			CustomersDay: one(row.FailedDay), CustomersWeek: one(row.FailedWeek), CustomersMonth: one(row.FailedMonth),
		}
		settled := db.PaymentDaily{Gen: row.Gen, Day: row.SettledDay, Currency: row.Currency, Plan: row.Plan, Reason: row.Reason}
		fate := analytics.InvoiceFate(row.Fate)
		switch {
		case fate == analytics.FatePaid:
		case row.Asked:
			day.Asked, day.AskedMinor = 1, row.AmountMinor
			day.AskedOpen, day.AskedOpenMinor = 1, row.AmountMinor
			settled.AskedOpen, settled.AskedOpenMinor = -1, -row.AmountMinor
			if fate == analytics.FateRecovered {
				day.Confirmed, day.ConfirmedMinor = 1, row.AmountMinor
			}
		default:
			day.Open, day.OpenMinor = 1, row.AmountMinor
			settled.Open, settled.OpenMinor = -1, -row.AmountMinor
			switch fate {
			case analytics.FateRecovered:
				day.Recovered, day.RecoveredMinor = 1, row.AmountMinor
			case analytics.FateLost:
				day.Lost, day.LostMinor = 1, row.AmountMinor
			case analytics.FateInRetry, analytics.FatePaid:
				day.InRetry, day.InRetryMinor = 1, row.AmountMinor
			}
		}
		r.takeDay(day, sign)
		if fate == analytics.FateRecovered || fate == analytics.FateLost {
			r.takeDay(settled, sign)
		}
	}
}

// takeAttempt counts the first attempt by what it came to.
func (r *paymentRollups) takeAttempt(row invoiceRow, sign int64) {
	hour := db.PaymentHourly{
		Gen: row.Gen, Hour: row.FirstAt.Truncate(time.Hour), Currency: row.Currency, Plan: row.Plan, Attempted: 1, AttemptedMinor: row.AmountMinor,
	}
	switch {
	case row.Asked:
		hour.Asked, hour.AskedMinor = 1, row.AmountMinor
	case analytics.InvoiceFate(row.Fate) != analytics.FatePaid:
		hour.Failed, hour.FailedMinor = 1, row.AmountMinor
	}
	r.hourly.count(hour, sign)
}

func (r *paymentRollups) takeDay(d db.PaymentDaily, sign int64) {
	r.daily.count(d, sign)
	r.monthly.count(db.PaymentMonthly{
		Gen: d.Gen, Month: analytics.Monthly.Start(d.Day), Currency: d.Currency, Plan: d.Plan, Reason: d.Reason,
		Attempted: d.Attempted, AttemptedMinor: d.AttemptedMinor, Asked: d.Asked, AskedMinor: d.AskedMinor,
		Confirmed: d.Confirmed, ConfirmedMinor: d.ConfirmedMinor, Recovered: d.Recovered, RecoveredMinor: d.RecoveredMinor,
		InRetry: d.InRetry, InRetryMinor: d.InRetryMinor, Lost: d.Lost, LostMinor: d.LostMinor, Open: d.Open, OpenMinor: d.OpenMinor,
		AskedOpen: d.AskedOpen, AskedOpenMinor: d.AskedOpenMinor, Customers: d.CustomersMonth,
	}, sign)
}

func one(is bool) int64 {
	if is {
		return 1
	}
	return 0
}

func (r *paymentRollups) flush(ctx context.Context, q *db.Queries) error {
	for _, flush := range []func(context.Context, *db.Queries) error{r.hourly.flush, r.daily.flush, r.monthly.flush} {
		if err := flush(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

func newPaymentRollups() *paymentRollups {
	return &paymentRollups{newPaymentHourly(), newPaymentDaily(), newPaymentMonthly()}
}

func newPaymentHourly() rollup[db.PaymentHourly] {
	return rollup[db.PaymentHourly]{
		what: "payments by hour",
		key: func(r db.PaymentHourly) db.PaymentHourly {
			return db.PaymentHourly{Gen: r.Gen, Hour: r.Hour, Currency: r.Currency, Plan: r.Plan}
		},
		plus: func(a, b db.PaymentHourly, sign int64) db.PaymentHourly {
			a.Attempted += sign * b.Attempted
			a.AttemptedMinor += sign * b.AttemptedMinor
			a.Asked += sign * b.Asked
			a.AskedMinor += sign * b.AskedMinor
			a.Failed += sign * b.Failed
			a.FailedMinor += sign * b.FailedMinor
			return a
		},
		before: func(a, b db.PaymentHourly) int {
			return cmp.Or(cmp.Compare(a.Gen, b.Gen), a.Hour.Compare(b.Hour), cmp.Compare(a.Currency, b.Currency), cmp.Compare(a.Plan, b.Plan))
		},
		add: func(ctx context.Context, q *db.Queries, rows json.RawMessage) (int64, error) {
			return q.AddToPaymentHourly(ctx, rows)
		},
		drop: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error {
			return q.DropEmptyPaymentHourly(ctx, rows)
		},
	}
}

// Whatever opens in a key was attempted in it, so that it comes to nought only
// where something is taken away.
func newPaymentDaily() rollup[db.PaymentDaily] {
	return rollup[db.PaymentDaily]{
		what: "payments by day",
		key: func(r db.PaymentDaily) db.PaymentDaily {
			return db.PaymentDaily{Gen: r.Gen, Day: r.Day, Currency: r.Currency, Plan: r.Plan, Reason: r.Reason}
		},
		plus: func(a, b db.PaymentDaily, sign int64) db.PaymentDaily {
			a.Attempted += sign * b.Attempted
			a.AttemptedMinor += sign * b.AttemptedMinor
			a.Asked += sign * b.Asked
			a.AskedMinor += sign * b.AskedMinor
			a.Confirmed += sign * b.Confirmed
			a.ConfirmedMinor += sign * b.ConfirmedMinor
			a.Recovered += sign * b.Recovered
			a.RecoveredMinor += sign * b.RecoveredMinor
			a.InRetry += sign * b.InRetry
			a.InRetryMinor += sign * b.InRetryMinor
			a.Lost += sign * b.Lost
			a.LostMinor += sign * b.LostMinor
			a.Open += sign * b.Open
			a.OpenMinor += sign * b.OpenMinor
			a.AskedOpen += sign * b.AskedOpen
			a.AskedOpenMinor += sign * b.AskedOpenMinor
			a.CustomersDay += sign * b.CustomersDay
			a.CustomersWeek += sign * b.CustomersWeek
			a.CustomersMonth += sign * b.CustomersMonth
			return a
		},
		before: func(a, b db.PaymentDaily) int {
			return cmp.Or(cmp.Compare(a.Gen, b.Gen), a.Day.Compare(b.Day), cmp.Compare(a.Currency, b.Currency),
				cmp.Compare(a.Plan, b.Plan), cmp.Compare(a.Reason, b.Reason))
		},
		add: func(ctx context.Context, q *db.Queries, rows json.RawMessage) (int64, error) {
			return q.AddToPaymentDaily(ctx, rows)
		},
		drop: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error {
			return q.DropEmptyPaymentDaily(ctx, rows)
		},
	}
}

func newPaymentMonthly() rollup[db.PaymentMonthly] {
	return rollup[db.PaymentMonthly]{
		what: "payments by month",
		key: func(r db.PaymentMonthly) db.PaymentMonthly {
			return db.PaymentMonthly{Gen: r.Gen, Month: r.Month, Currency: r.Currency, Plan: r.Plan, Reason: r.Reason}
		},
		plus: func(a, b db.PaymentMonthly, sign int64) db.PaymentMonthly {
			a.Attempted += sign * b.Attempted
			a.AttemptedMinor += sign * b.AttemptedMinor
			a.Asked += sign * b.Asked
			a.AskedMinor += sign * b.AskedMinor
			a.Confirmed += sign * b.Confirmed
			a.ConfirmedMinor += sign * b.ConfirmedMinor
			a.Recovered += sign * b.Recovered
			a.RecoveredMinor += sign * b.RecoveredMinor
			a.InRetry += sign * b.InRetry
			a.InRetryMinor += sign * b.InRetryMinor
			a.Lost += sign * b.Lost
			a.LostMinor += sign * b.LostMinor
			a.Open += sign * b.Open
			a.OpenMinor += sign * b.OpenMinor
			a.AskedOpen += sign * b.AskedOpen
			a.AskedOpenMinor += sign * b.AskedOpenMinor
			a.Customers += sign * b.Customers
			return a
		},
		before: func(a, b db.PaymentMonthly) int {
			return cmp.Or(cmp.Compare(a.Gen, b.Gen), a.Month.Compare(b.Month), cmp.Compare(a.Currency, b.Currency),
				cmp.Compare(a.Plan, b.Plan), cmp.Compare(a.Reason, b.Reason))
		},
		add: func(ctx context.Context, q *db.Queries, rows json.RawMessage) (int64, error) {
			return q.AddToPaymentMonthly(ctx, rows)
		},
		drop: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error {
			return q.DropEmptyPaymentMonthly(ctx, rows)
		},
	}
}

func newTrialDaily() rollup[db.TrialDaily] {
	return rollup[db.TrialDaily]{
		what: "trials by day",
		key: func(r db.TrialDaily) db.TrialDaily {
			return db.TrialDaily{Gen: r.Gen, Day: r.Day, Currency: r.Currency, Plan: r.Plan}
		},
		plus: func(a, b db.TrialDaily, sign int64) db.TrialDaily {
			a.Started += sign * b.Started
			a.StartedConverted += sign * b.StartedConverted
			a.StartedOpen += sign * b.StartedOpen
			a.Ended += sign * b.Ended
			a.Converted += sign * b.Converted
			a.Provisional += sign * b.Provisional
			return a
		},
		before: func(a, b db.TrialDaily) int {
			return cmp.Or(cmp.Compare(a.Gen, b.Gen), a.Day.Compare(b.Day), cmp.Compare(a.Currency, b.Currency), cmp.Compare(a.Plan, b.Plan))
		},
		add: func(ctx context.Context, q *db.Queries, rows json.RawMessage) (int64, error) {
			return q.AddToTrialDaily(ctx, rows)
		},
		drop: func(ctx context.Context, q *db.Queries, rows json.RawMessage) error {
			return q.DropEmptyTrialDaily(ctx, rows)
		},
	}
}

// takeTrials counts the trials of one customer: on the day on which each began,
// and on that on which it ended.
func takeTrials(r *rollup[db.TrialDaily], rows []trialRow, sign int64) {
	for _, row := range rows {
		fate := analytics.TrialFate(row.Fate)
		isConverted, isOpen := fate == analytics.TrialConverted, fate == analytics.TrialRunning || fate == analytics.TrialProvisional
		r.count(db.TrialDaily{
			Gen: row.Gen, Day: row.StartedDay, Currency: row.Currency, Plan: row.Plan,
			Started: 1, StartedConverted: one(isConverted), StartedOpen: one(isOpen),
		}, sign)
		if fate != analytics.TrialRunning {
			r.count(db.TrialDaily{
				Gen: row.Gen, Day: row.EndedDay, Currency: row.Currency, Plan: row.Plan,
				Ended: 1, Converted: one(isConverted), Provisional: one(fate == analytics.TrialProvisional),
			}, sign)
		}
	}
}

// The names of the invariants of outcomes.
const (
	paymentsAreRecount   = "payments by day are a recount of the renewals"
	paymentMonthsAreSum  = "payments by month are the sum of those by day"
	paymentHoursAreCount = "payments by hour are a recount of the renewals"
	trialsAreRecount     = "trials by day are a recount of the trials"
)

// outcomes checks that the rollups of renewals and trials are a recount of them.
func (v *verification) outcomes(ctx context.Context) ([]Finding, error) {
	var out []Finding
	days, err := v.q.BrokenPaymentDaily(ctx, v.gens)
	if err != nil {
		return nil, fmt.Errorf("recount payments by day: %w", err)
	}
	out = append(out, found(days, func(r db.BrokenPaymentDailyRow) Finding {
		return Finding{paymentsAreRecount, fmt.Sprintf("generation %d, %s, %s, plan %s, reason %q",
			r.Gen, r.Day.Format(time.DateOnly), r.Currency, r.Plan, r.Reason), r.Day, r.LastDay}
	})...)
	months, err := v.q.BrokenPaymentMonthly(ctx, v.gens)
	if err != nil {
		return nil, fmt.Errorf("add up payments by month: %w", err)
	}
	out = append(out, found(months, func(r db.BrokenPaymentMonthlyRow) Finding {
		return Finding{paymentMonthsAreSum, fmt.Sprintf("generation %d, %s, %s, plan %s, reason %q",
			r.Gen, r.Month.Format("2006-01"), r.Currency, r.Plan, r.Reason), r.Month, r.LastMonth.AddDate(0, 1, -1)}
	})...)
	hours, err := v.q.BrokenPaymentHourly(ctx, v.gens)
	if err != nil {
		return nil, fmt.Errorf("recount payments by hour: %w", err)
	}
	out = append(out, found(hours, func(r db.BrokenPaymentHourlyRow) Finding {
		return Finding{paymentHoursAreCount, fmt.Sprintf("generation %d, %s, %s, plan %s",
			r.Gen, r.Hour.UTC().Format(time.RFC3339), r.Currency, r.Plan), analytics.DayOf(r.Hour, time.UTC), v.today()}
	})...)
	trials, err := v.q.BrokenTrialDaily(ctx, v.gens)
	if err != nil {
		return nil, fmt.Errorf("recount trials by day: %w", err)
	}
	return append(out, found(trials, func(r db.BrokenTrialDailyRow) Finding {
		return Finding{trialsAreRecount, fmt.Sprintf("generation %d, %s, %s, plan %s",
			r.Gen, r.Day.Format(time.DateOnly), r.Currency, r.Plan), r.Day, r.LastDay}
	})...), nil
}

// recountOutcomes compares what is stored of the accounts' invoices and trials
// with what follows from what was told of them.
func (v *verification) recountOutcomes(ctx context.Context, accounts []account, about books, generations map[int32]analytics.Definition) ([]Finding, error) {
	if len(accounts) == 0 {
		return nil, nil
	}
	all, invoices, trials, err := outcomesOf(ctx, v.q, accounts, generations, v.now)
	if err != nil {
		return nil, err
	}
	storedInvoices, err := invoiceShelf.applied(ctx, v.q, about)
	if err != nil {
		return nil, err
	}
	storedTrials, err := trialShelf.applied(ctx, v.q, about)
	if err != nil {
		return nil, err
	}
	invoicesBefore, invoicesNow := group(storedInvoices, invoiceShelf.of), group(invoices, invoiceShelf.of)
	trialsBefore, trialsNow := group(storedTrials, trialShelf.of), group(trials, trialShelf.of)
	for _, key := range all {
		if maps.Equal(set(invoicesBefore[key]), set(invoicesNow[key])) && maps.Equal(set(trialsBefore[key]), set(trialsNow[key])) {
			continue
		}
		first := v.today()
		for _, row := range append(invoicesBefore[key], invoicesNow[key]...) {
			first = slices.MinFunc([]time.Time{first, row.Day}, time.Time.Compare)
		}
		for _, row := range append(trialsBefore[key], trialsNow[key]...) {
			first = slices.MinFunc([]time.Time{first, row.StartedDay}, time.Time.Compare)
		}
		return []Finding{{rebuildIsEqual, fmt.Sprintf("generation %d, %s, renewals or trials", key.gen, key.customer), first, v.today()}}, nil
	}
	return nil, nil
}

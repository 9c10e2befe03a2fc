package reports_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/db/dbtest"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
)

const dollar = 100 * money.Micro

type bundle struct {
	*testing.T
	pool    *pgxpool.Pool
	reports *reports.Reports
}

// setup asks in the evening of New Year's Eve, UTC.
func setup(t *testing.T) *bundle {
	t.Helper()
	pool := dbtest.New(t)
	now := func() time.Time { return time.Date(2026, 12, 31, 20, 0, 0, 0, time.UTC) }
	return &bundle{t, pool, &reports.Reports{Pool: pool, Now: now}}
}

func (b *bundle) exec(sql string, args ...any) {
	b.Helper()
	if _, err := b.pool.Exec(b.Context(), sql, args...); err != nil {
		b.Fatal(err)
	}
}

func (b *bundle) flow(gen int, month, currency, plan, kind string, dollars, customers int64) {
	b.Helper()
	b.exec(`INSERT INTO flow_monthly VALUES ($1, $2::text::date, $3, $4, $5, $6, $7)`, gen, month, currency, plan, kind, dollars*dollar, customers)
}

func (b *bundle) subscription(id, customer, status string, plan *string, amountMinor *int64) {
	b.Helper()
	b.exec(`INSERT INTO customers (stripe_customer_id, livemode, created_at) VALUES ($1, false, now()) ON CONFLICT DO NOTHING`, customer)
	b.exec(`INSERT INTO subscriptions (stripe_subscription_id, stripe_customer_id, status, plan, quantity, currency, amount_minor,
		current_period_start, current_period_end, cancel_at_period_end, has_paid, livemode, facts, created_at, read_at)
		VALUES ($1, $5, $2, $3, 1, 'usd', $4, now(), now(), false, true, false, '{}', now(), now())`, id, status, plan, amountMinor, customer)
}

func (b *bundle) organization(name string) uuid.UUID {
	b.Helper()
	var id uuid.UUID
	if err := b.pool.QueryRow(b.Context(), `INSERT INTO organizations (name, created_at) VALUES ($1, now()) RETURNING id`, name).Scan(&id); err != nil {
		b.Fatal(err)
	}
	return id
}

// event is one of cus_1, in dollars; an invoice is a renewal.
func (b *bundle) event(kind, key string, at time.Time, subscription, invoice string, minor int64) {
	b.Helper()
	b.exec(`INSERT INTO payment_events (kind, natural_key, at, stripe_customer_id, subscription_id, invoice_id, plan, "interval", currency, amount_minor, details, livemode)
		VALUES ($1, $2, $3, 'cus_1', $4, nullif($5, ''), 'pro', 'month', 'usd', $6, '{"billing_reason": "subscription_cycle"}', false)`, kind, key, at, subscription, invoice, minor)
}

func (b *bundle) overview(span ...reports.Span) reports.Overview {
	b.Helper()
	o, err := b.reports.Overview(b.Context(), append(span, reports.Span{})[0])
	if err != nil {
		b.Fatal(err)
	}
	return o
}

func month(year int, m time.Month) time.Time { return time.Date(year, m, 1, 0, 0, 0, 0, time.UTC) }

func TestAnEmptyDatabaseIsAnEmptyOverview(t *testing.T) {
	t.Parallel()
	b := setup(t)
	want := reports.Overview{
		AsOf: b.reports.Now(), TimeZone: "UTC", DefinitionVersion: 1, First: month(2026, time.January), Last: month(2026, time.December),
		Running: month(2026, time.December), Earliest: month(2026, time.December),
	}
	if diff := cmp.Diff(want, b.overview()); diff != "" {
		t.Errorf("overview differs (-want +got):\n%s", diff)
	}
}

func TestLevelsAreRunningSumsAndCurrenciesAreNeverAdded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.flow(1, "2024-03-01", "usd", "pro", "new", 1000, 10)
	b.flow(1, "2025-12-01", "usd", "pro", "churn", -100, -1)
	// The twelve months begin here.
	b.flow(1, "2026-01-01", "usd", "pro", "new", 99, 1)
	b.flow(1, "2026-03-01", "usd", "pro", "transfer_out", -99, 0)
	b.flow(1, "2026-03-01", "usd", "enterprise", "transfer_in", 99, 0)
	b.flow(1, "2026-03-01", "usd", "enterprise", "expansion", 300, 0)
	b.flow(1, "2026-12-01", "usd", "enterprise", "churn", -399, -1)
	b.flow(1, "2026-06-01", "eur", "pro", "new", 90, 1)
	// Another generation is not shown.
	b.exec(`INSERT INTO metric_generation VALUES (2, 'UTC', 'none', 1, 'building')`)
	b.flow(2, "2026-06-01", "gbp", "pro", "new", 1, 1)

	o := b.overview()
	if len(o.Currencies) != 2 || o.Currencies[0].Currency != "eur" || o.Currencies[1].Currency != "usd" {
		t.Fatalf("currencies are %+v, want eur and usd", o.Currencies)
	}
	eur, usd := o.Currencies[0], o.Currencies[1]
	if eur.MRRMicro != 90*dollar || eur.ARRMicro != 1080*dollar || eur.ActiveCustomers != 1 {
		t.Errorf("eur figures are %+v", eur)
	}
	if usd.MRRMicro != 900*dollar || usd.ARRMicro != 10_800*dollar || usd.ActiveCustomers != 9 {
		t.Errorf("usd figures are %+v", usd)
	}
	if len(usd.Months) != 12 {
		t.Fatalf("there are %d months, want 12", len(usd.Months))
	}
	type moved = map[analytics.MovementKind]analytics.Level
	for i, want := range map[int]analytics.Point{
		0: {
			Period: analytics.Period{Start: month(2026, time.January), End: month(2026, time.February)}, Moved: moved{analytics.New: {MRRMicro: 99 * dollar, Customers: 1}},
			Opening: analytics.Level{MRRMicro: 900 * dollar, Customers: 9}, Closing: analytics.Level{MRRMicro: 999 * dollar, Customers: 10},
		},
		2: { // what went from plan to plan moved nothing
			Period: analytics.Period{Start: month(2026, time.March), End: month(2026, time.April)}, Moved: moved{analytics.Expansion: {MRRMicro: 300 * dollar}},
			Opening: analytics.Level{MRRMicro: 999 * dollar, Customers: 10}, Closing: analytics.Level{MRRMicro: 1299 * dollar, Customers: 10},
		},
		11: {
			Period: analytics.Period{Start: month(2026, time.December), End: month(2027, time.January), IsRunning: true}, Moved: moved{analytics.Churn: {MRRMicro: -399 * dollar, Customers: -1}},
			Opening: analytics.Level{MRRMicro: 1299 * dollar, Customers: 10}, Closing: analytics.Level{MRRMicro: 900 * dollar, Customers: 9},
		},
	} {
		if diff := cmp.Diff(want, usd.Months[i]); diff != "" {
			t.Errorf("month %d differs (-want +got):\n%s", i, diff)
		}
	}
	if want := month(2025, time.December); !usd.Before.Start.Equal(want) || usd.Before.NetNewMicro() != -100*dollar {
		t.Errorf("the month before is %+v, want that of the churn", usd.Before)
	}
	if want := month(2024, time.March); !o.Earliest.Equal(want) {
		t.Errorf("the earliest month is %s, want %s", o.Earliest, want)
	}
	// The plans add up to the account; what changed plans took its MRR along.
	plans := []reports.PlanFigures{
		{Plan: "enterprise", OpeningMicro: 399 * dollar}, {Plan: "pro", MRRMicro: 900 * dollar, OpeningMicro: 900 * dollar},
	}
	if diff := cmp.Diff(plans, usd.Plans); diff != "" {
		t.Errorf("plans differ (-want +got):\n%s", diff)
	}
}

func TestASpanIsMonthsOfWhichNoneIsAhead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.flow(1, "2023-11-01", "usd", "pro", "new", 99, 1)
	for name, test := range map[string]struct {
		span        reports.Span
		first, last time.Time
		field       string
	}{
		"nothing asked for is twelve months":   {reports.Span{}, month(2026, time.January), month(2026, time.December), ""},
		"six up to the running one":            {reports.Span{Months: 6}, month(2026, time.July), month(2026, time.December), ""},
		"more than three years are three":      {reports.Span{Months: 99}, month(2024, time.January), month(2026, time.December), ""},
		"this year":                            {reports.Span{ThisYear: true}, month(2026, time.January), month(2026, time.December), ""},
		"from and to, whatever the day":        {reports.Span{From: month(2026, time.March).AddDate(0, 0, 30), To: month(2026, time.May)}, month(2026, time.March), month(2026, time.May), ""},
		"one month":                            {reports.Span{From: month(2026, time.March), To: month(2026, time.March)}, month(2026, time.March), month(2026, time.March), ""},
		"from alone goes up to now":            {reports.Span{From: month(2026, time.November)}, month(2026, time.November), month(2026, time.December), ""},
		"three years to the month":             {reports.Span{From: month(2024, time.January)}, month(2024, time.January), month(2026, time.December), ""},
		"a month more than three years":        {span: reports.Span{From: month(2023, time.December)}, field: "from"},
		"a month that is ahead":                {span: reports.Span{From: month(2026, time.January), To: month(2027, time.January)}, field: "to"},
		"an end before the beginning":          {span: reports.Span{From: month(2026, time.May), To: month(2026, time.April)}, field: "from"},
		"a month before anything moved":        {span: reports.Span{From: month(2023, time.October), To: month(2023, time.November)}, field: "from"},
		"months of another age":                {span: reports.Span{From: month(2, time.January), To: month(2, time.February)}, field: "from"},
		"an end of another age":                {span: reports.Span{To: month(2, time.February)}, field: "to"},
		"an end before all that is shown else": {span: reports.Span{To: month(2025, time.April)}, field: "from"},
	} {
		o, err := b.reports.Overview(b.Context(), test.span)
		var refusal *billing.Refusal
		switch {
		case test.field != "":
			if !errors.As(err, &refusal) || refusal.Fields[test.field] == "" {
				t.Errorf("%s: %v, want a refusal of %s", name, err, test.field)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case !o.First.Equal(test.first) || !o.Last.Equal(test.last):
			t.Errorf("%s: %s to %s, want %s to %s", name, o.First, o.Last, test.first, test.last)
		}
	}
}

func TestNobodyLooksBackFurtherThanThereIsAnything(t *testing.T) {
	t.Parallel()
	b := setup(t)
	refused := func(span reports.Span, field, message string) {
		t.Helper()
		var refusal *billing.Refusal
		if _, err := b.reports.Overview(t.Context(), span); !errors.As(err, &refusal) || refusal.Fields[field] != message {
			t.Errorf("%+v is answered with %v, want %q", span, err, message)
		}
	}
	refused(reports.Span{From: month(2026, time.November)}, "from", "There is nothing before December 2026.")
	b.flow(1, "2026-10-01", "usd", "pro", "new", 99, 1)
	refused(reports.Span{From: month(2026, time.September)}, "from", "There is nothing before October 2026.")
	if o := b.overview(reports.Span{To: month(2026, time.November)}); !o.First.Equal(month(2026, time.October)) {
		t.Errorf("without a first month it is %s, want the earliest", o.First)
	}
	// What is long ago is over.
	b.flow(1, "2009-10-01", "usd", "pro", "new", 99, 1)
	refused(reports.Span{From: month(2016, time.November), To: month(2017, time.January)}, "from", "Choose a month of the last ten years.")
	o := b.overview(reports.Span{From: month(2016, time.December), To: month(2017, time.January)})
	if want := month(2016, time.December); !o.Earliest.Equal(want) || !o.First.Equal(want) {
		t.Errorf("the earliest month is %s and the first %s, want %s", o.Earliest, o.First, want)
	}
}

func TestASpanOfThePastEndsWithItsOwnLevels(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.flow(1, "2026-02-01", "usd", "pro", "new", 99, 1)
	b.flow(1, "2026-03-01", "usd", "pro", "transfer_out", -99, 0)
	b.flow(1, "2026-03-01", "usd", "pilot", "transfer_in", 99, 0)
	b.flow(1, "2026-03-01", "usd", "pilot", "contraction", -70, 0)
	b.flow(1, "2026-04-01", "usd", "enterprise", "new", 399, 1)
	// Who is on a plan today was on none then.
	b.subscription("sub_1", "cus_1", "trialing", new("enterprise"), new(int64(39900)))
	o := b.overview(reports.Span{From: month(2026, time.February), To: month(2026, time.March)})
	if o.Trialing != 1 {
		t.Errorf("%d trials are under way, want 1", o.Trialing)
	}
	usd := o.Currencies[0]
	if usd.MRRMicro != 29*dollar || usd.ActiveCustomers != 1 || len(usd.Months) != 2 || usd.Months[1].IsRunning || usd.Before.Closing.MRRMicro != 0 {
		t.Errorf("figures are %+v", usd)
	}
	plans := []reports.PlanFigures{{Plan: "pilot", MRRMicro: 29 * dollar}, {Plan: "pro", OpeningMicro: 99 * dollar}}
	if diff := cmp.Diff(plans, usd.Plans); diff != "" {
		t.Errorf("plans differ (-want +got):\n%s", diff)
	}
}

func TestTheRunningMonthIsThatOfTheDefinitionsZone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(`UPDATE metric_generation SET time_zone = 'Pacific/Auckland'`)
	b.flow(1, "2027-01-01", "usd", "pro", "new", 99, 1)
	o := b.overview()
	if o.TimeZone != "Pacific/Auckland" || len(o.Currencies) != 1 {
		t.Fatalf("overview is %+v", o)
	}
	last := o.Currencies[0].Months[11]
	if !last.Start.Equal(month(2027, time.January)) || !last.IsRunning || last.Closing.MRRMicro != 99*dollar {
		t.Errorf("last month is %+v, want January with 99.00", last)
	}
}

func TestCustomersAreCountedByThePlansOnWhichTheyHaveMRR(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.flow(1, "2026-02-01", "usd", "pro", "new", 99, 1)
	worth := func(customer, subscription string) {
		b.exec(`INSERT INTO customer_subscription (gen, customer, subscription_id, currency, mrr_micro) VALUES (1, $1, $2, 'usd', 1)`, customer, subscription)
	}
	// Two subscriptions to a plan are one customer; a trial, what is paused and
	// what has ended are worth nothing.
	b.subscription("sub_1", "cus_1", "active", new("pro"), new(int64(9900)))
	b.subscription("sub_2", "cus_1", "past_due", new("pro"), new(int64(9900)))
	b.subscription("sub_3", "cus_1", "trialing", new("pilot"), new(int64(2900)))
	b.subscription("sub_4", "cus_1", "active", nil, nil)
	b.subscription("sub_5", "cus_1", "canceled", new("pro"), new(int64(9900)))
	b.subscription("sub_6", "cus_4", "active", new("pro"), new(int64(9900)))
	worth("cus_1", "sub_1")
	worth("cus_1", "sub_2")
	// Two Stripe customers of one organization are one customer.
	acme := b.organization("Acme")
	b.subscription("sub_7", "cus_2", "active", new("enterprise"), new(int64(39900)))
	b.subscription("sub_8", "cus_3", "active", new("enterprise"), new(int64(39900)))
	b.exec(`UPDATE customers SET org_id = $1, is_current = false WHERE stripe_customer_id IN ('cus_2', 'cus_3')`, acme)
	worth("org:"+acme.String(), "sub_7")
	worth("org:"+acme.String(), "sub_8")
	// A price that no plan claims is one row, whoever tells of it.
	b.flow(1, "2026-03-01", "usd", "unknown", "new", 7, 1)
	b.subscription("sub_9", "cus_9", "active", nil, new(int64(700)))
	worth("cus_9", "sub_9")
	o := b.overview()
	want := []reports.PlanFigures{
		{Plan: "enterprise", Customers: 1},
		{Plan: "pilot", Trialing: 1},
		{Plan: "pro", Customers: 1, MRRMicro: 99 * dollar, OpeningMicro: 99 * dollar},
		{Plan: "unknown", Customers: 1, MRRMicro: 7 * dollar, OpeningMicro: 7 * dollar},
	}
	if diff := cmp.Diff(want, o.Currencies[0].Plans); diff != "" {
		t.Errorf("plans differ (-want +got):\n%s", diff)
	}
	if o.UnpricedSubscriptions != 1 || o.Trialing != 1 {
		t.Errorf("%d subscriptions have no known price and %d are in a trial, want 1 and 1", o.UnpricedSubscriptions, o.Trialing)
	}
}

func TestAFailedInvoiceCountsOnceInTheMonthOfItsFirstFailure(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.flow(1, "2026-02-01", "usd", "pro", "new", 99, 1)
	at := func(m time.Month, day int) time.Time { return time.Date(2026, m, day, 12, 0, 0, 0, time.UTC) }
	failed := func(invoice, subscription string, minor int64, when ...time.Time) {
		for i, t := range when {
			b.event("payment_failed", fmt.Sprint(invoice, ":", i+1), t, subscription, invoice, minor)
		}
	}
	// Paid at the third try, in the next month.
	failed("in_back", "sub_1", 9900, at(time.August, 30), at(time.September, 2))
	b.event("payment_succeeded", "in_back", at(time.September, 7), "sub_1", "in_back", 9900)
	// Never paid: the subscription ends in October.
	failed("in_gone", "sub_2", 2900, at(time.September, 20), at(time.September, 23), at(time.October, 1))
	b.event("subscription_canceled", "sub_2", at(time.October, 1), "sub_2", "", 2900)
	// The end of another subscription of the same customer says nothing of it.
	failed("in_open", "sub_3", 39900, at(time.December, 20))
	b.event("subscription_canceled", "sub_4", at(time.December, 21), "sub_4", "", 2900)
	// Nobody retries for so long: lost on 24 December, sixty days after the last try.
	failed("in_old", "sub_5", 100, at(time.October, 25))
	// The end comes first, the money after all.
	failed("in_late", "sub_6", 700, at(time.November, 1))
	b.event("subscription_unpaid", "sub_6:1", at(time.November, 20), "sub_6", "", 700)
	b.event("payment_succeeded", "in_late", at(time.December, 2), "sub_6", "in_late", 700)
	// A sign-up that never began, and one that was paid at once.
	failed("in_first", "sub_7", 5000, at(time.November, 3))
	b.exec(`UPDATE payment_events SET details = '{"billing_reason": "subscription_create"}' WHERE invoice_id = 'in_first'`)
	b.event("payment_succeeded", "in_fine", at(time.November, 5), "sub_8", "in_fine", 9900)
	// Of another currency, which has no MRR.
	failed("in_eur", "sub_9", 9000, at(time.November, 9))
	b.exec(`UPDATE payment_events SET currency = 'eur' WHERE invoice_id = 'in_eur'`)

	one := func(minor int64) reports.Invoices { return reports.Invoices{Count: 1, AmountMinor: minor} }
	want := []reports.FailedMonth{
		{Month: month(2026, time.August), Recovered: one(9900), Open: one(9900)},
		{Month: month(2026, time.September), Lost: one(2900), Open: one(2900)},
		{Month: month(2026, time.October), Lost: one(100), Open: one(100)},
		{Month: month(2026, time.November), Recovered: one(700), Open: reports.Invoices{Count: 2, AmountMinor: 800}},
		{Month: month(2026, time.December), InRetry: one(39900), Open: one(39900), IsRunning: true},
	}
	usd := b.overview(reports.Span{From: month(2026, time.August)}).Currencies[0]
	if diff := cmp.Diff(want, usd.Failed); diff != "" {
		t.Errorf("failed payments differ (-want +got):\n%s", diff)
	}
	if got := usd.Failed[1].Failed(); got != one(2900) {
		t.Errorf("September failed %+v in all", got)
	}
	// What began to fail before the first month is open in it, and counts as
	// failed in none.
	usd = b.overview(reports.Span{From: month(2026, time.November), To: month(2026, time.November)}).Currencies[0]
	if diff := cmp.Diff(want[3:4], usd.Failed); diff != "" {
		t.Errorf("November alone differs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[2], usd.BeforeFailed); diff != "" {
		t.Errorf("the month before differs (-want +got):\n%s", diff)
	}
	// The first failure is of 31 August in Honolulu, and of September in Tokyo.
	b.exec(`UPDATE payment_events SET at = '2026-08-31T23:00:00Z' WHERE natural_key = 'in_back:1'`)
	b.exec(`UPDATE metric_generation SET time_zone = 'Asia/Tokyo'`)
	usd = b.overview(reports.Span{From: month(2026, time.August), To: month(2026, time.September)}).Currencies[0]
	if usd.Failed[0].Recovered.Count != 0 || usd.Failed[1].Recovered.Count != 1 {
		t.Errorf("in Tokyo the months are %+v", usd.Failed)
	}
}

// failedIn is what became of the payments of one month.
func (b *bundle) failedIn(m time.Month) reports.FailedMonth {
	b.Helper()
	o := b.overview(reports.Span{From: month(2026, m), To: month(2026, m)})
	return o.Currencies[0].Failed[0]
}

func TestAnInvoiceThatIsWrittenOffIsNotInRecovery(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.flow(1, "2026-02-01", "usd", "pro", "new", 99, 1)
	at := func(m time.Month, day int) time.Time { return time.Date(2026, m, day, 12, 0, 0, 0, time.UTC) }
	one := func(minor int64) reports.Invoices { return reports.Invoices{Count: 1, AmountMinor: minor} }
	b.event("payment_failed", "in_bad:1", at(time.November, 28), "sub_1", "in_bad", 9900)
	b.event("payment_failed", "in_void:1", at(time.November, 28), "sub_2", "in_void", 2900)
	b.event("payment_failed", "in_back:1", at(time.November, 28), "sub_3", "in_back", 700)
	all := reports.Invoices{Count: 3, AmountMinor: 13500}
	if diff := cmp.Diff(reports.FailedMonth{Month: month(2026, time.November), InRetry: all, Open: all}, b.failedIn(time.November)); diff != "" {
		t.Fatalf("before anybody acts, November differs (-want +got):\n%s", diff)
	}
	// Lost is dated by who gave it up, in December; nothing is owed of what is
	// voided; and what is written off may still be paid.
	b.event("invoice_marked_uncollectible", "in_bad", at(time.December, 10), "sub_1", "in_bad", 9900)
	b.event("invoice_voided", "in_void", at(time.December, 10), "sub_2", "in_void", 2900)
	b.event("invoice_marked_uncollectible", "in_back", at(time.December, 10), "sub_3", "in_back", 700)
	b.event("payment_succeeded", "in_back", at(time.December, 11), "sub_3", "in_back", 700)
	november := reports.FailedMonth{Month: month(2026, time.November), Lost: one(9900), Recovered: one(700), Open: reports.Invoices{Count: 2, AmountMinor: 10600}}
	if diff := cmp.Diff(november, b.failedIn(time.November)); diff != "" {
		t.Errorf("November differs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(reports.FailedMonth{Month: month(2026, time.December), IsRunning: true}, b.failedIn(time.December)); diff != "" {
		t.Errorf("December differs (-want +got):\n%s", diff)
	}
}

func TestOnlyRenewalsCanFail(t *testing.T) {
	t.Parallel()
	trialEnd := time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		failed time.Time
		reason string
		trial  string // the end that the history knows at the failure
		known  time.Time
		want   int64
	}{
		"a renewal":                                     {trialEnd, "subscription_cycle", "", trialEnd.AddDate(0, -1, 0), 1},
		"a sign-up":                                     {trialEnd, "subscription_create", "", trialEnd, 0},
		"a change that is paid for at once":             {trialEnd, "subscription_update", "", trialEnd.AddDate(0, -1, 0), 0},
		"an invoice made by hand":                       {trialEnd, "manual", "", trialEnd.AddDate(0, -1, 0), 0},
		"the first after a trial":                       {trialEnd.Add(time.Hour), "subscription_cycle", "2026-11-03", trialEnd.AddDate(0, 0, -14), 0},
		"the first after a trial, its draft was kept":   {trialEnd.Add(71 * time.Hour), "subscription_cycle", "2026-11-03", trialEnd.AddDate(0, 0, -14), 0},
		"the second after a trial":                      {trialEnd.AddDate(0, 0, 7), "subscription_cycle", "2026-11-03", trialEnd.AddDate(0, 0, -14), 1},
		"a trial that is yet to come":                   {trialEnd.AddDate(0, 0, -2), "subscription_cycle", "2026-11-03", trialEnd.AddDate(0, 0, -14), 1},
		"a trial that was read about after the failure": {trialEnd.Add(time.Hour), "subscription_cycle", "2026-11-03", trialEnd.Add(2 * time.Hour), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.flow(1, "2026-02-01", "usd", "pro", "new", 99, 1)
			facts := `{"status": "active"}`
			if tt.trial != "" {
				facts = fmt.Sprintf(`{"status": "active", "trial_end": %d}`, trialEnd.Unix())
			}
			version := `INSERT INTO subscription_versions (subscription_id, at, stripe_customer_id, facts, source, source_id)
				VALUES ('sub_1', $1, 'cus_1', $2::text::jsonb, 'event', 'evt_1')`
			b.exec(version, tt.known, facts)
			// What was changed later says nothing of that day.
			b.exec(version, trialEnd.AddDate(0, 1, 0), fmt.Sprintf(`{"trial_end": %d}`, tt.failed.Unix()))
			b.event("payment_failed", "in_1:1", tt.failed, "sub_1", "in_1", 9900)
			b.exec(`UPDATE payment_events SET details = jsonb_build_object('billing_reason', $1::text)`, tt.reason)
			if got := b.failedIn(time.November).Failed().Count; got != tt.want {
				t.Errorf("%d invoices failed, want %d", got, tt.want)
			}
		})
	}
}

func TestAskingTheCustomerToConfirmIsNoDecline(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.flow(1, "2026-02-01", "usd", "pro", "new", 99, 1)
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	one := func(minor int64) reports.Invoices { return reports.Invoices{Count: 1, AmountMinor: minor} }
	// Stripe tells of one try in two events, a second apart; of the next tries
	// for the same payment it tells the failure alone.
	b.event("payment_failed", "in_ask:1", at, "sub_1", "in_ask", 9900)
	b.event("payment_action_required", "pi_1", at.Add(time.Second), "sub_1", "in_ask", 9900)
	b.event("payment_failed", "in_ask:2", at.AddDate(0, 0, 3), "sub_1", "in_ask", 9900)
	// The request alone says as much.
	b.event("payment_action_required", "pi_2", at, "sub_2", "in_alone", 2900)
	b.event("payment_succeeded", "in_alone", at.AddDate(0, 0, 4), "sub_2", "in_alone", 2900)
	// A card that was declined first and must be confirmed later was declined.
	b.event("payment_failed", "in_both:1", at, "sub_3", "in_both", 700)
	b.event("payment_action_required", "pi_3", at.AddDate(0, 0, 1), "sub_3", "in_both", 700)
	asked := reports.Invoices{Count: 2, AmountMinor: 12800}
	november := reports.FailedMonth{Month: month(2026, time.November), InRetry: one(700), Open: one(700), Asked: asked, AskedOpen: asked}
	if diff := cmp.Diff(november, b.failedIn(time.November)); diff != "" {
		t.Errorf("November differs (-want +got):\n%s", diff)
	}
	december := reports.FailedMonth{Month: month(2026, time.December), Open: one(700), AskedOpen: one(9900), IsRunning: true}
	if diff := cmp.Diff(december, b.failedIn(time.December)); diff != "" {
		t.Errorf("December differs (-want +got):\n%s", diff)
	}
}

func TestAPurchaseIsOneStory(t *testing.T) {
	t.Parallel()
	b := setup(t)
	acme := b.organization("Acme")
	at := time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC)
	for i := range 9 {
		b.exec(`INSERT INTO payment_events (kind, natural_key, at, livemode) VALUES ('old', $1, $2, false)`, fmt.Sprint(i), at.Add(time.Duration(i)*time.Second))
	}
	b.exec(`INSERT INTO customers (stripe_customer_id, livemode, created_at) VALUES ('cus_1', false, now()), ('cus_2', false, now())`)
	later := at.Add(time.Hour)
	b.event("subscription_created", "sub_1", later, "sub_1", "", 9900)
	b.event("payment_succeeded", "in_1", later, "sub_1", "in_1", 9900)
	b.exec(`INSERT INTO payment_events (kind, natural_key, at, stripe_customer_id, livemode) VALUES ('trial_will_end', 'other', $1, 'cus_2', false)`, later.Add(time.Second))
	b.event("subscription_activated", "sub_1", later.Add(2*time.Second), "sub_1", "", 9900)
	// A change, more than a minute later, is a story of its own.
	b.exec(`INSERT INTO payment_events (kind, natural_key, at, stripe_customer_id, subscription_id, plan, "interval", details, livemode)
		VALUES ('plan_changed', 'sub_1:9', $1, 'cus_1', 'sub_1', 'enterprise', 'year', '{"from_plan": "pro"}', false)`, later.Add(2*time.Minute))
	// Linked after it happened.
	b.exec(`UPDATE customers SET org_id = $1 WHERE stripe_customer_id = 'cus_1'`, acme)

	stories := b.overview().Stories
	if len(stories) != 8 {
		t.Fatalf("there are %d stories, want 8", len(stories))
	}
	kinds := func(s reports.Story) (out []string) {
		for _, e := range s.Events {
			out = append(out, e.Kind)
		}
		return out
	}
	for i, want := range [][]string{{"plan_changed"}, {"subscription_created", "payment_succeeded", "subscription_activated"}, {"trial_will_end"}, {"old"}} {
		if diff := cmp.Diff(want, kinds(stories[i])); diff != "" {
			t.Errorf("story %d differs (-want +got):\n%s", i, diff)
		}
	}
	change := stories[0].Newest()
	want := reports.Event{
		ID: change.ID, Kind: "plan_changed", At: later.Add(2 * time.Minute), OrgID: &acme, OrgName: "Acme", StripeCustomerID: "cus_1",
		SubscriptionID: "sub_1", Plan: "enterprise", Interval: "year", FromPlan: "pro",
	}
	if diff := cmp.Diff(want, change); diff != "" {
		t.Errorf("newest event differs (-want +got):\n%s", diff)
	}
	if paid, ok := stories[1].Find("payment_succeeded"); !ok || paid.AmountMinor == nil || *paid.AmountMinor != 9900 || paid.Currency != "usd" {
		t.Errorf("the payment is %+v, %v", paid, ok)
	}
	if _, ok := stories[1].Find("payment_failed"); ok {
		t.Error("a failure is found that did not happen")
	}
}

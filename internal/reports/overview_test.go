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

func (b *bundle) overview(query ...reports.Query) reports.Overview {
	b.Helper()
	o, err := b.reports.Overview(b.Context(), append(query, reports.Query{})[0])
	if err != nil {
		b.Fatal(err)
	}
	return o
}

func month(year int, m time.Month) time.Time { return time.Date(year, m, 1, 0, 0, 0, 0, time.UTC) }

func TestAnEmptyDatabaseIsAnEmptyOverview(t *testing.T) {
	t.Parallel()
	b := setup(t)
	o := b.overview()
	if !o.IsEmpty() || len(o.Points) != 12 || o.Points[11].Closing != (analytics.Level{}) || len(o.Stories) != 0 || o.Trialing != 0 {
		t.Errorf("overview is %+v", o)
	}
	if !o.First().Equal(month(2026, time.January)) || !o.Earliest.Equal(month(2026, time.December)) || o.Zone != time.UTC || !o.AsOf.Equal(b.reports.Now()) {
		t.Errorf("scope is %+v", o.Scope)
	}
	b.subscription("sub_1", "cus_1", "trialing", new("pilot"), new(int64(2900)))
	if o := b.overview(); o.Trialing != 1 {
		t.Errorf("%d trials are under way, want 1", o.Trialing)
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

	usd := b.overview()
	if diff := cmp.Diff([]money.Currency{"eur", "usd"}, usd.Currencies); diff != "" || usd.Currency != "usd" {
		t.Fatalf("currencies are %v and %s is shown, want the one with most MRR of eur and usd", usd.Currencies, usd.Currency)
	}
	if eur := b.overview(reports.Query{Currency: "eur"}); eur.Sum().Closing != (analytics.Level{MRRMicro: 90 * dollar, Customers: 1}) || eur.DefaultCurrency != "usd" {
		t.Errorf("in eur there are %+v", eur.Sum())
	}
	if len(usd.Points) != 12 {
		t.Fatalf("there are %d months, want 12", len(usd.Points))
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
		if diff := cmp.Diff(want, usd.Points[i]); diff != "" {
			t.Errorf("month %d differs (-want +got):\n%s", i, diff)
		}
	}
	if want := month(2025, time.December); !usd.Ahead.Start.Equal(want) || usd.Ahead.NetNewMicro() != -100*dollar {
		t.Errorf("the month before is %+v, want that of the churn", usd.Ahead)
	}
	if want := month(2024, time.March); !usd.Earliest.Equal(want) {
		t.Errorf("the earliest month is %s, want %s", usd.Earliest, want)
	}
	// The same months of the year before, of which the first had nothing yet.
	before := b.overview(reports.Query{Compare: reports.CompareYear}).Before
	if len(before) != 12 || before[0].Closing.MRRMicro != 1000*dollar || before[11].Closing.MRRMicro != 900*dollar {
		t.Errorf("the year before is %+v", before)
	}
}

func TestARangeIsWholePeriodsOfWhichNoneIsAhead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.flow(1, "2024-11-01", "usd", "pro", "new", 99, 1)
	day := func(m time.Month, d int) time.Time { return time.Date(2026, m, d, 0, 0, 0, 0, time.UTC) }
	recent := func(r reports.Recent) reports.Query { return reports.Query{Recent: r} }
	for name, test := range map[string]struct {
		query       reports.Query
		first, last time.Time
		field       string
	}{
		"nothing asked for is twelve months":      {reports.Query{}, month(2026, time.January), day(time.December, 31), ""},
		"six months up to the running one":        {recent(reports.Recent{Months: 6}), month(2026, time.July), day(time.December, 31), ""},
		"more months than there are":              {recent(reports.Recent{Months: 99}), month(2024, time.November), day(time.December, 31), ""},
		"this year":                               {recent(reports.Recent{ThisYear: true}), month(2026, time.January), day(time.December, 31), ""},
		"all there are":                           {recent(reports.Recent{All: true}), month(2024, time.November), day(time.December, 31), ""},
		"thirty days":                             {reports.Query{Recent: reports.Recent{Days: 30}, Interval: analytics.Daily}, day(time.December, 2), day(time.December, 31), ""},
		"thirty days in months":                   {recent(reports.Recent{Days: 30}), month(2026, time.December), day(time.December, 31), ""},
		"days are widened to months":              {reports.Query{First: day(time.March, 31), Last: day(time.May, 2)}, month(2026, time.March), day(time.May, 31), ""},
		"and to weeks":                            {reports.Query{First: day(time.March, 5), Last: day(time.March, 5), Interval: analytics.Weekly}, day(time.March, 2), day(time.March, 8), ""},
		"one day":                                 {reports.Query{First: day(time.March, 5), Last: day(time.March, 5), Interval: analytics.Daily}, day(time.March, 5), day(time.March, 5), ""},
		"a beginning alone goes up to now":        {reports.Query{First: day(time.November, 3)}, month(2026, time.November), day(time.December, 31), ""},
		"an end alone is of twelve months":        {reports.Query{Last: day(time.November, 3)}, month(2025, time.December), day(time.November, 30), ""},
		"an end before the beginning":             {query: reports.Query{First: day(time.May, 1), Last: day(time.April, 1)}, field: "from"},
		"a beginning that is ahead":               {query: reports.Query{First: day(time.December, 31).AddDate(0, 0, 1)}, field: "from"},
		"an end before anything moved":            {query: reports.Query{Last: month(2024, time.October)}, field: "to"},
		"a beginning of another age":              {query: reports.Query{First: month(2, time.January), Last: month(2, time.February)}, field: "from"},
		"more days than anybody can look at":      {query: reports.Query{Recent: reports.Recent{All: true}, Interval: analytics.Daily}, field: "interval"},
		"a currency that there are no figures of": {query: reports.Query{Currency: "chf"}, field: "currency"},
		"a plan that there are no figures of":     {query: reports.Query{Plan: "gold"}, field: "plan"},
		"a comparison that nobody knows":          {query: reports.Query{Compare: "moon"}, field: "compare"},
	} {
		o, err := b.reports.Overview(b.Context(), test.query)
		var refusal *billing.Refusal
		switch {
		case test.field != "":
			if !errors.As(err, &refusal) || refusal.Fields[test.field] == "" {
				t.Errorf("%s: %v, want a refusal of %s", name, err, test.field)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case !o.First().Equal(test.first) || !o.Last().Equal(test.last):
			t.Errorf("%s: %s to %s, want %s to %s", name, o.First(), o.Last(), test.first, test.last)
		case len(o.Points) != len(o.Payments):
			t.Errorf("%s: %d points and %d of payments", name, len(o.Points), len(o.Payments))
		}
	}
}

func TestARangeOfThePastEndsWithItsOwnLevels(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.flow(1, "2026-02-01", "usd", "pro", "new", 99, 1)
	b.flow(1, "2026-03-01", "usd", "pro", "contraction", -70, 0)
	b.flow(1, "2026-04-01", "usd", "enterprise", "new", 399, 1)
	usd := b.overview(reports.Query{First: month(2026, time.February), Last: month(2026, time.March)})
	want := analytics.Level{MRRMicro: 29 * dollar, Customers: 1}
	if got := usd.Sum().Closing; got != want || len(usd.Points) != 2 || usd.Points[1].IsRunning || usd.Ahead.Closing.MRRMicro != 0 {
		t.Errorf("figures are %+v", usd.Points)
	}
}

func TestTheRunningMonthIsThatOfTheDefinitionsZone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(`UPDATE metric_generation SET time_zone = 'Pacific/Auckland'`)
	b.flow(1, "2027-01-01", "usd", "pro", "new", 99, 1)
	o := b.overview()
	if o.Zone.String() != "Pacific/Auckland" {
		t.Fatalf("scope is %+v", o.Scope)
	}
	last := o.Points[11]
	if !last.Start.Equal(month(2027, time.January)) || !last.IsRunning || last.Closing.MRRMicro != 99*dollar {
		t.Errorf("last month is %+v, want January with 99.00", last)
	}
}

func TestWhatIsPaidForAtAnUnknownPriceIsCounted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.subscription("sub_1", "cus_1", "active", new("pro"), new(int64(9900)))
	b.subscription("sub_2", "cus_1", "active", nil, nil)
	b.subscription("sub_3", "cus_1", "past_due", nil, nil)
	b.subscription("sub_4", "cus_1", "trialing", nil, nil)
	b.subscription("sub_5", "cus_1", "canceled", nil, nil)
	if got := b.overview().UnpricedSubscriptions; got != 2 {
		t.Errorf("%d subscriptions have no known price, want 2", got)
	}
}

func TestTheOverviewKnowsWhatWasInRecovery(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.flow(1, "2026-02-01", "usd", "pro", "new", 99, 1)
	changed := func(month, day string, open, minor int64) {
		for _, table := range []string{"payment_monthly", "payment_daily"} {
			row := `{"gen": 1, "%s": "%s", "currency": "usd", "plan": "pro", "reason": "", "open": %d, "open_minor": %d}`
			name, date := "month", month
			if table == "payment_daily" {
				name, date = "day", day
			}
			b.exec(fmt.Sprintf(`INSERT INTO %[1]s SELECT * FROM jsonb_populate_record((SELECT jsonb_populate_record(NULL::%[1]s, jsonb_object_agg(column_name, 0))
				FROM information_schema.columns WHERE table_name = '%[1]s' AND data_type IN ('bigint', 'integer')), $1::text::jsonb)`, table), fmt.Sprintf(row, name, date, open, minor))
		}
	}
	changed("2025-01-01", "2025-01-07", 1, 100)
	changed("2026-11-01", "2026-11-20", 2, 5000)
	changed("2026-12-01", "2026-12-30", -1, -100)
	months := b.overview().Payments
	if got := months[9].Open; got != (analytics.Invoices{Count: 1, AmountMinor: 100}) {
		t.Errorf("at the end of October %+v were open", got)
	}
	if got := months[11].Open; got != (analytics.Invoices{Count: 2, AmountMinor: 5000}) {
		t.Errorf("now %+v are open", got)
	}
	days := b.overview(reports.Query{Recent: reports.Recent{Days: 30}, Interval: analytics.Daily})
	if got := days.Payments[27].Open; got.AmountMinor != 5100 || days.PaymentsAhead.Open.AmountMinor != 5100 || days.Payments[28].Open.AmountMinor != 5000 {
		t.Errorf("day by day %+v", days.Payments)
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

package reports_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/db/dbtest"
	"github.com/promptforge/payments/internal/analytics"
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

func (b *bundle) subscription(id, status string, plan *string, amountMinor *int64) {
	b.Helper()
	b.exec(`INSERT INTO customers (stripe_customer_id, livemode, created_at) VALUES ('cus_1', false, now()) ON CONFLICT DO NOTHING`)
	b.exec(`INSERT INTO subscriptions (stripe_subscription_id, stripe_customer_id, status, plan, quantity, currency, amount_minor,
		current_period_start, current_period_end, cancel_at_period_end, has_paid, livemode, facts, created_at, read_at)
		VALUES ($1, 'cus_1', $2, $3, 1, 'usd', $4, now(), now(), false, true, false, '{}', now(), now())`, id, status, plan, amountMinor)
}

func (b *bundle) overview() reports.Overview {
	b.Helper()
	o, err := b.reports.Overview(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return o
}

func month(year int, m time.Month) time.Time { return time.Date(year, m, 1, 0, 0, 0, 0, time.UTC) }

func TestAnEmptyDatabaseIsAnEmptyOverview(t *testing.T) {
	t.Parallel()
	b := setup(t)
	want := reports.Overview{AsOf: b.reports.Now(), TimeZone: "UTC", DefinitionVersion: 1}
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
	for i, want := range map[int]analytics.Point{
		0: {
			Month:   month(2026, time.January),
			Opening: analytics.Level{MRRMicro: 900 * dollar, Customers: 9}, Closing: analytics.Level{MRRMicro: 999 * dollar, Customers: 10},
		},
		2: {
			Month:   month(2026, time.March),
			Opening: analytics.Level{MRRMicro: 999 * dollar, Customers: 10}, Closing: analytics.Level{MRRMicro: 1299 * dollar, Customers: 10},
		},
		11: {
			Month: month(2026, time.December), IsRunning: true,
			Opening: analytics.Level{MRRMicro: 1299 * dollar, Customers: 10}, Closing: analytics.Level{MRRMicro: 900 * dollar, Customers: 9},
		},
	} {
		if diff := cmp.Diff(want, usd.Months[i]); diff != "" {
			t.Errorf("month %d differs (-want +got):\n%s", i, diff)
		}
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
	if !last.Month.Equal(month(2027, time.January)) || !last.IsRunning || last.Closing.MRRMicro != 99*dollar {
		t.Errorf("last month is %+v, want January with 99.00", last)
	}
}

func TestSubscriptionsAreCountedByPlanAsStripeHasThem(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.subscription("sub_1", "active", new("pro"), new(int64(9900)))
	b.subscription("sub_2", "past_due", new("pro"), new(int64(9900)))
	b.subscription("sub_3", "trialing", new("pilot"), new(int64(2900)))
	b.subscription("sub_4", "active", nil, nil)
	b.subscription("sub_5", "canceled", new("pro"), new(int64(9900)))
	b.subscription("sub_6", "unpaid", new("pro"), new(int64(9900)))
	o := b.overview()
	want := []reports.PlanSubscriptions{{Plan: "", Active: 1}, {Plan: "pilot", Trialing: 1}, {Plan: "pro", Active: 2}}
	if diff := cmp.Diff(want, o.Plans); diff != "" {
		t.Errorf("plans differ (-want +got):\n%s", diff)
	}
	if o.UnpricedSubscriptions != 1 {
		t.Errorf("%d subscriptions have no known price, want 1", o.UnpricedSubscriptions)
	}
}

func TestTheNewestEventsNameTheOrganization(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var acme uuid.UUID
	if err := b.pool.QueryRow(t.Context(), `INSERT INTO organizations (name, created_at) VALUES ('Acme', now()) RETURNING id`).Scan(&acme); err != nil {
		t.Fatal(err)
	}
	b.exec(`INSERT INTO customers (stripe_customer_id, org_id, livemode, created_at) VALUES ('cus_1', $1, false, now())`, acme)
	at := time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC)
	for i := range 11 {
		b.exec(`INSERT INTO payment_events (kind, natural_key, at, livemode) VALUES ('old', $1, $2, false)`, fmt.Sprint(i), at.Add(time.Duration(i)*time.Minute))
	}
	// Happened before the customer was linked.
	b.exec(`INSERT INTO payment_events (kind, natural_key, at, stripe_customer_id, subscription_id, plan, "interval", currency, amount_minor, livemode)
		VALUES ('subscription_started', 'sub_1', $1, 'cus_1', 'sub_1', 'pro', 'month', 'usd', 9900, false)`, at.Add(time.Hour))

	events := b.overview().Events
	if len(events) != 10 {
		t.Fatalf("there are %d events, want 10", len(events))
	}
	want := reports.Event{
		ID: events[0].ID, Kind: "subscription_started", At: at.Add(time.Hour), OrgID: &acme, OrgName: "Acme", StripeCustomerID: "cus_1",
		SubscriptionID: "sub_1", Plan: "pro", Interval: "month", Currency: "usd", AmountMinor: new(int64(9900)),
	}
	if diff := cmp.Diff(want, events[0]); diff != "" {
		t.Errorf("newest event differs (-want +got):\n%s", diff)
	}
	if got, want := events[1], (reports.Event{ID: events[1].ID, Kind: "old", At: at.Add(10 * time.Minute)}); !cmp.Equal(want, got) {
		t.Errorf("second event is %+v, want %+v", got, want)
	}
}

package reports_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/reports"
)

// told records what happened with an invoice, and marks its customer.
func (b *bundle) told(kind, key string, at time.Time, customer, invoice string, minor int64) {
	b.Helper()
	b.exec(`INSERT INTO payment_events (kind, natural_key, at, stripe_customer_id, subscription_id, invoice_id, currency, amount_minor, details, livemode)
		VALUES ($1, $2, $3, $4, 'sub_' || $4, $5, 'usd', $6, '{"billing_reason": "subscription_cycle"}', false)`, kind, key, at, customer, invoice, minor)
	if err := db.New(b.pool).MarkDirty(b.Context(), []string{customer}); err != nil {
		b.Fatal(err)
	}
}

func (b *bundle) declined(customer, invoice string, minor int64, at ...time.Time) {
	b.Helper()
	for i, t := range at {
		b.told("payment_failed", fmt.Sprint(invoice, ":", i+1), t, customer, invoice, minor)
	}
}

func (b *bundle) paid(customer, invoice string, minor int64, at time.Time) {
	b.Helper()
	b.told("payment_succeeded", invoice, at, customer, invoice, minor)
}

func (b *bundle) payments(query reports.Query) reports.Payments {
	b.Helper()
	p, err := b.reports.Payments(b.Context(), query)
	if err != nil {
		b.Fatal(err)
	}
	return p
}

func some(n, minor int64) analytics.Invoices { return analytics.Invoices{Count: n, AmountMinor: minor} }

// renewals has the shop's customers renew: Acme at once, cus_b after a decline that
// went into the next month, cus_c never, and cus_d's bank asks.
func renewals(t *testing.T) *bundle {
	t.Helper()
	b := shop(t)
	b.paid("cus_a", "in_a1", 9900, day(time.October, 10))
	b.paid("cus_a", "in_a2", 9900, day(time.November, 10))
	b.declined("cus_b", "in_b1", 2900, day(time.October, 30), day(time.November, 2))
	b.paid("cus_b", "in_b1", 2900, day(time.November, 3))
	b.declined("cus_c", "in_c1", 2900, day(time.November, 28), day(time.December, 1))
	b.declined("cus_a", "in_a3", 39900, day(time.December, 28))
	b.told("payment_action_required", "pi_d1", day(time.November, 12), "cus_d", "in_d1", 9900)
	b.paid("cus_d", "in_d1", 9900, day(time.December, 2))
	b.told("payment_action_required", "pi_d2", day(time.December, 12), "cus_d", "in_d2", 9900)
	b.exec(`INSERT INTO stripe_objects (object_id, stripe_customer_id, invoice_id, created_at, failure_reason) VALUES
		('ch_b', 'cus_b', 'in_b1', '2026-10-30T12:00:00Z', 'expired_card'), ('ch_a', 'cus_a', 'in_a3', '2026-12-28T12:00:00Z', 'insufficient_funds')`)
	b.subscription("sub_cus_a", "cus_a", "past_due", new("enterprise"), new(int64(39900)))
	b.exec(`UPDATE subscriptions SET latest_invoice_id = 'in_a3', next_payment_attempt = '2027-01-02T09:00:00Z' WHERE stripe_subscription_id = 'sub_cus_a'`)
	b.settle()
	return b
}

func TestPaymentsStandWhereTheyWereAttemptedFirst(t *testing.T) {
	t.Parallel()
	b := renewals(t)
	p := b.payments(autumn())
	want := []reports.PaymentPoint{
		{Period: p.Periods[0]},
		{
			Period: p.Periods[1], Payments: analytics.Payments{Attempted: some(2, 12800), Recovered: some(1, 2900)}, Open: some(1, 2900), Customers: 1,
		},
		{
			Period: p.Periods[2], Payments: analytics.Payments{Attempted: some(3, 22700), Asked: some(1, 9900), Lost: some(1, 2900)},
			Confirmed: some(1, 9900), Open: some(1, 2900), AskedOpen: some(1, 9900), Customers: 1,
		},
		{
			Period: p.Periods[3], Payments: analytics.Payments{Attempted: some(2, 49800), Asked: some(1, 9900), InRetry: some(1, 39900)},
			Open: some(1, 39900), AskedOpen: some(1, 9900), Customers: 1,
		},
	}
	if diff := cmp.Diff(want, p.Points); diff != "" {
		t.Errorf("points differ (-want +got):\n%s", diff)
	}
	if got := p.Points[2].PaidAtOnce(); got != some(1, 9900) {
		t.Errorf("in November %+v were paid at once", got)
	}
	sum := reports.SumPayments(p.Points)
	b.wantMetric("autumn", "paymentFailureRate", sum.Point(), 45700.0/85300)
	b.wantMetric("autumn", "recoveryRate", sum.Point(), 2900.0/45700)
	b.wantMetric("October", "recoveryRate", p.Points[1].Point(), 1)
	reasons := []reports.DeclineReason{
		{Lost: some(1, 2900)}, {Reason: "expired_card", Recovered: some(1, 2900)}, {Reason: "insufficient_funds", InRetry: some(1, 39900)},
	}
	if diff := cmp.Diff(reasons, p.Reasons); diff != "" {
		t.Errorf("reasons differ (-want +got):\n%s", diff)
	}
	if p.Open != some(1, 39900) || p.AskedOpen != some(1, 9900) || len(p.Retrying) != 2 {
		t.Fatalf("open are %+v and %+v in %d lines", p.Open, p.AskedOpen, len(p.Retrying))
	}
	first, second := p.Retrying[0], p.Retrying[1]
	if first.Name != "Acme" || len(first.ID) != 36 {
		t.Errorf("the largest is of %+v, want Acme", first.Customer)
	}
	first.Customer = reports.Customer{}
	if diff := cmp.Diff(reports.Retrying{
		InvoiceID: "in_a3", AmountMinor: 39900, Plan: "enterprise", FirstAt: day(time.December, 28), LastAt: day(time.December, 28), Attempts: 1,
		NextAttemptAt: time.Date(2027, 1, 2, 9, 0, 0, 0, time.UTC), Reason: "insufficient_funds",
	}, first); diff != "" {
		t.Errorf("the largest differs (-want +got):\n%s", diff)
	}
	if second.ID != "cus_d" || second.Name != "" || !second.IsAsked || !second.NextAttemptAt.IsZero() {
		t.Errorf("the second is %+v", second)
	}
}

func TestPaymentsOfAPlanAndOfAComparison(t *testing.T) {
	t.Parallel()
	b := renewals(t)
	query := autumn()
	query.Plan = "pilot"
	p := b.payments(query)
	sum := reports.SumPayments(p.Points)
	if sum.Attempted != some(2, 5800) || sum.Asked.Count != 0 || len(p.Retrying) != 0 || p.Open.Count != 0 {
		t.Errorf("of the plan there are %+v, and in retry %+v", sum.Payments, p.Retrying)
	}
	query = reports.Query{First: date(time.November, 1), Last: date(time.December, 1), Compare: reports.ComparePrevious}
	p = b.payments(query)
	if len(p.Before) != 2 || p.Before[1].Recovered != some(1, 2900) || p.Before[1].Open != some(1, 2900) {
		t.Errorf("before there were %+v", p.Before)
	}
	// What began to fail before the first period is open in it.
	if p.Points[0].Open != some(1, 2900) {
		t.Errorf("in November %+v are open", p.Points[0].Open)
	}
	var refusal *billing.Refusal
	if _, err := b.reports.Payments(t.Context(), reports.Query{Plan: "none"}); !errors.As(err, &refusal) || refusal.Fields["plan"] == "" {
		t.Errorf("a plan that there is not: %v", err)
	}
}

func TestPaymentsByDayAndWeekComeToTheSame(t *testing.T) {
	t.Parallel()
	b := renewals(t)
	// A second decline of the same customer in the week, on another day: today.
	b.declined("cus_a", "in_a4", 100, day(time.December, 31))
	b.settle()
	for interval, points := range map[analytics.Interval]int{analytics.Daily: 31, analytics.Weekly: 5} {
		query := reports.Query{First: date(time.December, 1), Last: date(time.December, 31), Interval: interval}
		p := b.payments(query)
		if len(p.Points) != points {
			t.Errorf("by %s there are %d points, want %d", interval, len(p.Points), points)
		}
		sum := reports.SumPayments(p.Points)
		if sum.Attempted.Count != 3 || sum.InRetry != some(2, 40000) || sum.Open != some(2, 40000) || sum.AskedOpen != some(1, 9900) {
			t.Errorf("by %s it is %+v, open %+v and %+v", interval, sum.Payments, sum.Open, sum.AskedOpen)
		}
		if p.Open != some(2, 40000) {
			t.Errorf("by %s %+v are open now", interval, p.Open)
		}
		var customers []int64
		for _, point := range p.Points {
			if point.Customers > 0 {
				customers = append(customers, point.Customers)
			}
		}
		want := []int64{1, 1}
		if interval == analytics.Weekly {
			want = []int64{1}
		}
		if diff := cmp.Diff(want, customers); diff != "" {
			t.Errorf("by %s customers differ (-want +got):\n%s", interval, diff)
		}
	}
}

func TestTrialsConvertByWhenTheyEnd(t *testing.T) {
	t.Parallel()
	b := shop(t)
	trial := func(id string, start time.Time, ends time.Time) {
		b.exec(`INSERT INTO customers (stripe_customer_id, livemode, created_at) VALUES ($1, false, now()) ON CONFLICT DO NOTHING`, id)
		b.exec(`INSERT INTO subscription_versions (subscription_id, at, stripe_customer_id, facts, source, source_id) VALUES
			('sub_' || $1::text, $2, $1, jsonb_build_object('status', 'trialing', 'currency', 'usd', 'trial_end', $3::bigint, 'items', jsonb_build_array(jsonb_build_object('price', 'price_pilot', 'quantity', 1))), 'event', 'evt_' || $1)`,
			id, start, ends.Unix())
		if err := db.New(b.pool).MarkDirty(b.Context(), []string{id}); err != nil {
			b.Fatal(err)
		}
	}
	trial("cus_t1", day(time.October, 20), day(time.November, 3))
	b.on(day(time.November, 3), "cus_t1", "pilot")
	b.paid("cus_t1", "in_t1", 2900, day(time.November, 3).Add(time.Hour))
	trial("cus_t2", day(time.October, 25), day(time.November, 8))
	b.off(day(time.November, 1), "cus_t2", "pilot", "cancellation_requested")
	trial("cus_t3", day(time.December, 10), day(time.December, 24)) // over, and not paid
	trial("cus_t4", day(time.December, 30), day(time.December, 30).AddDate(0, 0, 14))
	b.settle()
	r, err := b.reports.Trials(t.Context(), autumn())
	if err != nil {
		t.Fatal(err)
	}
	want := []reports.TrialPoint{
		{Period: r.Periods[0]},
		{Period: r.Periods[1], Trials: analytics.Trials{Started: 2}, Cohort: reports.TrialCohort{Started: 2, Converted: 1}},
		{Period: r.Periods[2], Trials: analytics.Trials{Ended: 2, Converted: 1}},
		{Period: r.Periods[3], Trials: analytics.Trials{Started: 2, Ended: 1, Provisional: 1}, Cohort: reports.TrialCohort{Started: 2, Open: 2}},
	}
	if diff := cmp.Diff(want, r.Points); diff != "" {
		t.Errorf("trials differ (-want +got):\n%s", diff)
	}
	if got := r.Points[1].Cohort.Lapsed(); got != 1 {
		t.Errorf("of October %d lapsed, want 1", got)
	}
	b.wantMetric("autumn", "trialConversion", reports.SumTrials(r.Points).Point(), 1.0/3)

	// A series says the same.
	series, err := b.reports.Series(t.Context(), autumn())
	if err != nil {
		t.Fatal(err)
	}
	b.wantMetric("November", "trialConversion", series.Points[2], 1.0/2)
	b.wantMetric("autumn", "trialConversion", series.Sum(), 1.0/3)
}

package reports_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
)

// moved records balance transactions; their net follows.
func (b *bundle) moved(transactions ...db.BalanceTransaction) {
	b.Helper()
	for i := range transactions {
		t := &transactions[i]
		t.ID, t.NetMinor, t.AvailableAt = fmt.Sprintf("txn_%s_%d", t.CreatedAt.Format("0102150405"), i), t.AmountMinor-t.FeeMinor, t.CreatedAt
		if t.Currency == "" {
			t.Currency = "usd"
		}
	}
	rows, err := json.Marshal(transactions)
	if err == nil {
		_, err = db.New(b.pool).RecordBalanceTransactions(b.Context(), rows)
	}
	if err != nil {
		b.Fatal(err)
	}
}

func charge(at time.Time, minor, fee int64) db.BalanceTransaction {
	return db.BalanceTransaction{Type: "charge", ReportingCategory: "charge", AmountMinor: minor, FeeMinor: fee, CreatedAt: at}
}

func balance(kind, category string, at time.Time, minor, fee int64) db.BalanceTransaction {
	return db.BalanceTransaction{Type: kind, ReportingCategory: category, AmountMinor: minor, FeeMinor: fee, CreatedAt: at}
}

func TestCashIsWhatMovedTheBalance(t *testing.T) {
	t.Parallel()
	b := shop(t)
	euros := charge(day(time.November, 3), 5000, 175)
	euros.Currency = "eur"
	b.moved(
		charge(day(time.October, 10), 9900, 317), charge(day(time.October, 31), 2900, 114), balance("payout", "payout", day(time.October, 12), -9000, 0),
		balance("refund", "refund", day(time.November, 2), -2900, 0), balance("adjustment", "dispute", day(time.November, 9), -9900, 1500),
		balance("stripe_fee", "fee", day(time.November, 30), -200, 0), charge(day(time.December, 24), 39900, 1187), euros,
	)
	b.exec(`INSERT INTO cash_progress (livemode, whole_from, whole_to, holder, lease_until) VALUES (false, '2016-01-01', '2026-12-31 19:59Z', gen_random_uuid(), 'epoch')`)
	b.settle()
	c, err := b.reports.Cash(t.Context(), autumn())
	if err != nil {
		t.Fatal(err)
	}
	want := []analytics.Cash{
		{},
		{GrossMinor: 12800, FeesMinor: 431, NetMinor: 12369},
		{RefundsMinor: -2900, DisputesMinor: -9900, FeesMinor: 1500, OtherMinor: -200, NetMinor: -14500},
		{GrossMinor: 39900, FeesMinor: 1187, NetMinor: 38713},
	}
	for i, p := range c.Points {
		if diff := cmp.Diff(want[i], *p.Cash); diff != "" {
			t.Errorf("%s differs (-want +got):\n%s", p.Start.Format("January"), diff)
		}
	}
	if sum := *c.Sum().Cash; sum.NetMinor != 12369-14500+38713 || sum.NetMinor != sum.GrossMinor+sum.RefundsMinor+sum.DisputesMinor+sum.OtherMinor-sum.FeesMinor {
		t.Errorf("the sum is %+v", sum)
	}
	if !slices.Equal(c.Elsewhere, []money.Currency{"eur"}) || !c.ReadTo.Equal(time.Date(2026, 12, 31, 19, 59, 0, 0, time.UTC)) || c.ReadFrom.Year() != 2016 {
		t.Errorf("elsewhere %v, read from %s to %s", c.Elsewhere, c.ReadFrom, c.ReadTo)
	}
	b.wantMetric("October", "netVolume", c.Points[1], 12369*money.Micro)

	// By day and by week there is the same, and of a plan there is none.
	for _, interval := range []analytics.Interval{analytics.Daily, analytics.Weekly} {
		query := autumn()
		query.Interval = interval
		fine, err := b.reports.Cash(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.Sum().Cash, fine.Sum().Cash); diff != "" {
			t.Errorf("by %s it differs (-by month +got):\n%s", interval, diff)
		}
	}
	query := autumn()
	query.Plan = "pro"
	of, err := b.reports.Cash(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	if of.Points[1].Cash != nil {
		t.Errorf("of a plan there is %+v", *of.Points[1].Cash)
	}
	query = autumn()
	query.First, query.Compare = date(time.November, 1), reports.ComparePrevious
	if c, err = b.reports.Cash(t.Context(), query); err != nil {
		t.Fatal(err)
	}
	if len(c.Before) != 2 || c.Before[1].Cash.NetMinor != 12369 {
		t.Errorf("the months before are %+v", c.Before)
	}
}

// stands makes the copy of a customer's subscription that of an active monthly one.
func (b *bundle) stands(customer, subscription, plan string, periodEnd time.Time, change func(*billing.Facts)) {
	b.Helper()
	facts := billing.Facts{Status: billing.StatusActive, Currency: "usd", Items: []billing.Item{{PriceID: "price_" + plan, Quantity: 1}}}
	if change != nil {
		change(&facts)
	}
	raw, err := json.Marshal(facts)
	if err != nil {
		b.Fatal(err)
	}
	b.subscription(subscription, customer, string(facts.Status), &plan, nil)
	b.exec(`UPDATE subscriptions SET facts = $2, "interval" = 'month', interval_count = 1, current_period_start = $3::timestamptz - interval '1 month',
		current_period_end = $3 WHERE stripe_subscription_id = $1`, subscription, raw, periodEnd)
	b.exec(`INSERT INTO metric_dirty (customer_id) VALUES ($1)`, customer)
}

func TestTheOutlookIsOfNinetyDays(t *testing.T) {
	t.Parallel()
	b := shop(t) // it is the 31st of December
	ends := func(at time.Time) func(*billing.Facts) { return func(f *billing.Facts) { f.EndsAt = billing.At(at) } }
	b.stands("cus_a", "sub_cus_a", "enterprise", time.Date(2027, 1, 2, 9, 0, 0, 0, time.UTC), nil)
	b.stands("cus_b", "sub_b_again", "pilot", time.Date(2027, 1, 20, 9, 0, 0, 0, time.UTC), ends(time.Date(2027, 1, 20, 9, 0, 0, 0, time.UTC)))
	b.stands("cus_d", "sub_cus_d", "pro", time.Date(2027, 1, 10, 9, 0, 0, 0, time.UTC), ends(time.Date(2027, 5, 20, 9, 0, 0, 0, time.UTC)))
	b.stands("cus_c", "sub_c_trial", "pilot", time.Date(2027, 1, 12, 9, 0, 0, 0, time.UTC), func(f *billing.Facts) {
		f.Status, f.TrialEnd = billing.StatusTrialing, billing.At(time.Date(2027, 1, 12, 9, 0, 0, 0, time.UTC))
	})
	b.settle()
	o, err := b.reports.Outlook(t.Context(), reports.Query{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(o.Weeks); n != 13 || !o.Weeks[0].Start.Equal(date(time.December, 31)) || !o.Weeks[12].End.Equal(date(time.December, 31).AddDate(0, 0, 90)) {
		t.Fatalf("weeks are %+v", o.Weeks)
	}
	var lines []string
	for _, w := range o.Weeks {
		for name, s := range map[string]reports.Scheduled{"renewals": w.Renewals, "trials": w.Trials, "endings": w.Endings} {
			if s != (reports.Scheduled{}) {
				lines = append(lines, fmt.Sprintf("%s %s %d %d", w.Start.Format("2006-01-02"), name, s.Subscriptions, s.AmountMicro/dollar))
			}
		}
	}
	slices.Sort(lines)
	if diff := cmp.Diff([]string{
		"2026-12-31 renewals 1 399", "2027-01-07 renewals 1 99", "2027-01-07 trials 1 29", "2027-01-14 endings 1 29",
		"2027-01-28 renewals 1 399", "2027-02-04 renewals 1 99", "2027-02-25 renewals 1 399", "2027-03-04 renewals 1 99",
	}, lines); diff != "" {
		t.Errorf("weeks differ (-want +got):\n%s", diff)
	}
	if sum := o.Sum(); sum.Renewals != (reports.Scheduled{Subscriptions: 6, AmountMicro: 1494 * dollar}) || sum.Endings.Subscriptions != 1 {
		t.Errorf("the sum is %+v", sum)
	}
	if len(o.Endings) != 1 || o.Endings[0].ID != "cus_b" || o.Endings[0].MRRMicro != 29*dollar || !o.Endings[0].Day.Equal(time.Date(2027, 1, 20, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("endings are %+v", o.Endings)
	}
	if o, err = b.reports.Outlook(t.Context(), reports.Query{Plan: "pro"}); err != nil || o.Sum().Renewals.Subscriptions != 3 || len(o.Endings) != 0 {
		t.Errorf("of a plan it is %+v, %v", o.Sum(), err)
	}
}

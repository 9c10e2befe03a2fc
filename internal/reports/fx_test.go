package reports_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
)

// abroad is the shop with a customer in euros since 5 October, and rates of the
// euro from then on. In dollars:
//
//	           Sep   Oct   Nov   Dec (running)
//	dollars    128   285   527   527
//	100 euros        110   120   115
//	MRR        128   395   647   642
func abroad(t *testing.T) *bundle {
	t.Helper()
	b := shop(t)
	b.reports.Base = "usd"
	_, err := db.New(b.pool).RememberPrice(b.Context(), db.RememberPriceParams{
		StripePriceID: "price_euro", Plan: "pro", Interval: "month", IntervalCount: 1, UsageType: "licensed", Product: "prod_pro",
		Amounts: []byte(`{"eur": {"unit_micro": 10000000000}}`), SeenAt: b.reports.Now(),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.exec(`INSERT INTO customers (stripe_customer_id, is_current, livemode, created_at) VALUES ('cus_e', false, false, now())`)
	facts, err := json.Marshal(billing.Facts{Status: billing.StatusActive, Currency: "eur", Items: []billing.Item{{PriceID: "price_euro", Quantity: 1}}})
	if err != nil {
		b.Fatal(err)
	}
	rows, err := json.Marshal([]db.SubscriptionVersion{{SubscriptionID: "sub_e", At: day(time.October, 5), StripeCustomerID: "cus_e", Facts: facts, Source: "event", SourceID: "evt_e"}})
	if err != nil {
		b.Fatal(err)
	}
	if err := db.New(b.pool).WriteVersions(b.Context(), rows); err != nil {
		b.Fatal(err)
	}
	if err := db.New(b.pool).MarkDirty(b.Context(), []string{"cus_e"}); err != nil {
		b.Fatal(err)
	}
	b.settle()
	b.rates("usd", map[time.Time]string{date(time.October, 5): "1.10", date(time.November, 1): "1.20", date(time.December, 2): "1.15", date(time.December, 31): "9"})
	return b
}

// rates are those of the euro.
func (b *bundle) rates(base string, byDay map[time.Time]string) {
	b.Helper()
	params := db.WriteExchangeRatesParams{Base: base}
	for day, rate := range byDay {
		params.Currencies, params.Days, params.Rates = append(params.Currencies, "eur"), append(params.Days, day), append(params.Rates, rate)
	}
	if _, err := db.New(b.pool).WriteExchangeRates(b.Context(), params); err != nil {
		b.Fatal(err)
	}
}

func inBase() reports.Query {
	return reports.Query{First: date(time.September, 1), Currency: reports.InBase}
}

func TestRevenueOfAllCurrenciesInOne(t *testing.T) {
	t.Parallel()
	b := abroad(t)
	f, err := b.reports.Series(t.Context(), inBase())
	if err != nil {
		t.Fatal(err)
	}
	// The rate of today, 31 December, is not one of a day that is over.
	if !f.IsConverted || f.Currency != "usd" || f.Base != "usd" || len(f.Unconverted) > 0 || !f.RatesUntil.Equal(date(time.December, 2)) || len(f.Points) != 4 {
		t.Fatalf("the figures cover %+v", f.Scope)
	}
	for i, want := range []struct{ mrr, net, fx, customers int64 }{{128, 128, 0, 2}, {395, 267, 0, 5}, {647, 242, 10, 4}, {642, 0, -5, 4}} {
		p := f.Points[i]
		if p.Closing.MRRMicro != want.mrr*dollar || p.NetNewMicro() != want.net*dollar || p.FXMicro != want.fx*dollar || p.Closing.Customers != want.customers {
			t.Errorf("month %d: MRR %s, net %s, rates %s, %d customers; want %+v", i+1, money.DecimalMicro(p.Closing.MRRMicro),
				money.DecimalMicro(p.NetNewMicro()), money.DecimalMicro(p.FXMicro), p.Closing.Customers, want)
		}
	}
	if added := f.Points[1].Moved[analytics.New].MRRMicro; added != 267*dollar { // of which a hundred euros at 1.10
		t.Errorf("new in October is %s", money.DecimalMicro(added))
	}
	// In constant currency: 395 at the rate at which November began.
	b.wantMetric("retention of November", "nrr", f.Points[2], float64(395+242)/395)
	b.wantMetric("growth in November", "growth", f.Points[2], 242.0/395)
	if f.Points[2].Payments != nil || f.Points[2].Cash != nil {
		t.Error("payments of one currency are told of all")
	}

	query := inBase()
	query.Interval, query.First = analytics.Daily, date(time.October, 15)
	byDay, err := b.reports.Series(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	if sum := byDay.Sum(); sum.Closing.MRRMicro != 642*dollar || sum.FXMicro != 5*dollar || byDay.Points[17].FXMicro != 10*dollar {
		t.Errorf("by day it comes to %+v", sum)
	}
	revenue, err := b.reports.Revenue(t.Context(), query, reports.MovementFilter{})
	if err != nil || len(revenue.Rates) == 0 || revenue.Rates[len(revenue.Rates)-1].Closing.MRRMicro != 642*dollar {
		t.Errorf("rates by month of days: %+v, %v", revenue.Rates, err)
	}
}

func TestWhatHasNoRateIsLeftOut(t *testing.T) {
	t.Parallel()
	b := abroad(t)
	b.exec(`DELETE FROM exchange_rates WHERE day < '2026-11-01'`)
	f, err := b.reports.Series(t.Context(), inBase())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(f.Unconverted, []money.Currency{"eur"}) || f.Points[3].Closing.MRRMicro != 527*dollar {
		t.Errorf("left out is %v of %s", f.Unconverted, money.DecimalMicro(f.Points[3].Closing.MRRMicro))
	}
	query := inBase()
	query.First = date(time.December, 1) // it has had a rate since
	if f, err = b.reports.Series(t.Context(), query); err != nil || len(f.Unconverted) > 0 || f.Points[0].Closing.MRRMicro != 642*dollar {
		t.Errorf("December is %+v, %v", f.Points, err)
	}
}

func TestOnlyWhatCanBeAddedUpHasABase(t *testing.T) {
	t.Parallel()
	b := abroad(t)
	wantRefusal := func(what string, err error) {
		t.Helper()
		var refusal *billing.Refusal
		if !errors.As(err, &refusal) || refusal.Fields["currency"] == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := b.reports.Payments(t.Context(), inBase())
	wantRefusal("payments", err)
	_, err = b.reports.Cohorts(t.Context(), inBase())
	wantRefusal("cohorts", err)
	wantNone := func(what string) {
		t.Helper()
		_, err := b.reports.Series(t.Context(), inBase())
		wantRefusal(what, err)
		if f, err := b.reports.Series(t.Context(), autumn()); err != nil || f.Base != "" || f.IsConverted {
			t.Errorf("%s: %+v, %v", what, f.Scope, err)
		}
	}
	b.reports.Base = "gbp"
	wantNone("a base that there are no rates into")
	b.reports.Base = ""
	wantNone("no base")
	b.reports.Base = "usd"
	b.exec(`DELETE FROM flow_daily WHERE currency = 'eur'`)
	b.exec(`DELETE FROM flow_monthly WHERE currency = 'eur'`)
	b.exec(`DELETE FROM customer_level WHERE currency = 'eur'`)
	wantNone("one currency, the base itself")
}

package analytics_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

func TestTheOutlookOfASubscription(t *testing.T) {
	t.Parallel()
	at := func(s string) time.Time {
		parsed, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return parsed.Add(10 * time.Hour)
	}
	second := func(s string) billing.Second { return billing.At(at(s)) }
	catalog := analytics.Catalog{
		Prices: map[string]billing.Price{
			"pro": {ID: "pro", Plan: "pro", UsageType: "licensed", Amounts: map[money.Currency]billing.PriceAmount{"usd": {UnitMicro: 9900 * money.Micro}}},
			"use": {ID: "use", UsageType: "metered"},
		},
		Coupons: map[string]billing.Coupon{
			"half": {ID: "half", Duration: "repeating", PercentOff: "50"}, "ten": {ID: "ten", Duration: "forever", AmountsOff: map[money.Currency]int64{"usd": 1000}},
			"once": {ID: "once", Duration: "once", PercentOff: "90"},
		},
	}
	monthly := func(change func(*analytics.Standing)) analytics.Standing {
		s := analytics.Standing{
			SubscriptionID: "sub", Plan: "pro", PeriodStart: at("2026-03-10"), PeriodEnd: at("2026-04-10"), Interval: billing.Month, IntervalCount: 1,
			MRRMicro: 9900 * money.Micro,
			Facts:    billing.Facts{Status: billing.StatusActive, Currency: "usd", Items: []billing.Item{{PriceID: "pro", Quantity: 1}, {PriceID: "use", Quantity: 1}}},
		}
		if change != nil {
			change(&s)
		}
		return s
	}
	for sentence, c := range map[string]struct {
		change func(*analytics.Standing)
		zone   string
		want   []string
	}{
		"a month renews until ninety days after the next time": {nil, "UTC", []string{
			"renewal 2026-04-10 9900", "renewal 2026-05-10 9900", "renewal 2026-06-10 9900", "renewal 2026-07-10 9900",
		}},
		"a year renews once":                      {func(s *analytics.Standing) { s.Interval, s.PeriodEnd = billing.Year, at("2026-11-10") }, "UTC", []string{"renewal 2026-11-10 9900"}},
		"a quarter renews twice":                  {func(s *analytics.Standing) { s.IntervalCount = 3 }, "UTC", []string{"renewal 2026-04-10 9900", "renewal 2026-07-10 9900"}},
		"the day is that of the zone":             {func(s *analytics.Standing) { s.Interval = billing.Year }, "Pacific/Auckland", []string{"renewal 2026-04-10 9900"}},
		"the day of the zone may be the next one": {func(s *analytics.Standing) { s.Interval, s.PeriodEnd = billing.Year, s.PeriodEnd.Add(4*time.Hour) }, "Pacific/Auckland", []string{"renewal 2026-04-11 9900"}},
		"after the end of February comes the 31st": {func(s *analytics.Standing) { s.PeriodStart, s.PeriodEnd = at("2026-01-31"), at("2026-02-28") }, "UTC", []string{
			"renewal 2026-02-28 9900", "renewal 2026-03-31 9900", "renewal 2026-04-30 9900",
		}},
		"a coupon is taken off while it lasts": {func(s *analytics.Standing) {
			s.Facts.Discounts = []billing.Discount{{CouponID: "half", End: second("2026-05-01")}, {CouponID: "ten"}, {CouponID: "once"}}
		}, "UTC", []string{"renewal 2026-04-10 3950", "renewal 2026-05-10 8900", "renewal 2026-06-10 8900", "renewal 2026-07-10 8900"}},
		"what ends with its period does not renew": {func(s *analytics.Standing) { s.Facts.EndsAt = second("2026-04-10") }, "UTC", []string{"ending 2026-04-10 9900"}},
		"what ends later renews until then": {func(s *analytics.Standing) { s.Facts.EndsAt = second("2026-05-20") }, "UTC", []string{
			"renewal 2026-04-10 9900", "renewal 2026-05-10 9900", "ending 2026-05-20 9900",
		}},
		"who is past due is expected to pay nothing new": {func(s *analytics.Standing) {
			s.Facts.Status, s.Facts.EndsAt = billing.StatusPastDue, second("2026-05-20")
		}, "UTC", []string{"ending 2026-05-20 9900"}},
		"a pause is no renewal until it is over": {func(s *analytics.Standing) {
			s.Facts.Pause = &billing.Pause{Behavior: "void", ResumesAt: second("2026-06-01")}
		}, "UTC", []string{"renewal 2026-06-10 9900", "renewal 2026-07-10 9900"}},
		"a pause without an end is none at all": {func(s *analytics.Standing) { s.Facts.Pause = &billing.Pause{Behavior: "keep_as_draft"} }, "UTC", nil},
		"a trial ends with its first payment": {func(s *analytics.Standing) {
			s.Facts.Status, s.Facts.TrialEnd = billing.StatusTrialing, second("2026-04-10")
		}, "UTC", []string{"trial_end 2026-04-10 9900"}},
		"a trial that is given up ends without": {func(s *analytics.Standing) {
			s.Facts.Status, s.Facts.TrialEnd, s.Facts.EndsAt = billing.StatusTrialing, second("2026-04-10"), second("2026-04-10")
		}, "UTC", []string{"trial_end 2026-04-10 0"}},
		"a price that is not known is not guessed": {func(s *analytics.Standing) { s.Facts.Items[0].PriceID = "other" }, "UTC", nil},
		"what is over has no future":               {func(s *analytics.Standing) { s.Facts.Status = billing.StatusCanceled }, "UTC", nil},
	} {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range analytics.Outlook(monthly(c.change), catalog, zone) {
			got = append(got, fmt.Sprintf("%s %s %d", e.Kind, e.Day.Format(time.DateOnly), e.AmountMicro/money.Micro))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", sentence, got, c.want)
		}
	}
}

// TestADayIsThereOnce: a table has one row a day of a subscription.
func TestADayIsThereOnce(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	s := analytics.Standing{
		SubscriptionID: "sub", PeriodEnd: time.Date(2026, 10, 20, 4, 30, 0, 0, time.UTC), Interval: billing.Day, IntervalCount: 1,
		Facts: billing.Facts{Status: billing.StatusActive, Currency: "usd", Items: []billing.Item{{PriceID: "a", Quantity: 1}}},
	}
	s.PeriodStart = s.PeriodEnd.AddDate(0, 0, -1)
	catalog := analytics.Catalog{Prices: map[string]billing.Price{"a": {Amounts: map[money.Currency]billing.PriceAmount{"usd": {UnitMicro: money.Micro}}}}}
	days := map[time.Time]bool{}
	var sum int64
	for _, e := range analytics.Outlook(s, catalog, zone) {
		if days[e.Day] {
			t.Errorf("%s is there twice", e.Day.Format(time.DateOnly))
		}
		days[e.Day] = true
		sum += e.AmountMicro
	}
	if sum != 92*money.Micro {
		t.Errorf("%d are due in all, want 92", sum/money.Micro)
	}
}

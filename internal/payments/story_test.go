package payments

import (
	"slices"
	"testing"
	"time"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

// TestStories: each row is a life, state by state, and what it tells.
func TestStories(t *testing.T) {
	t.Parallel()
	prices := map[string]billing.Price{
		"pro":    {ID: "pro", Plan: "pro", Interval: billing.Month, IntervalCount: 1, Amounts: map[money.Currency]billing.PriceAmount{"usd": {UnitMicro: 9900e6}}},
		"pilot":  {ID: "pilot", Plan: "pilot", Interval: billing.Month, IntervalCount: 1, Amounts: map[money.Currency]billing.PriceAmount{"usd": {UnitMicro: 2900e6}}},
		"yearly": {ID: "yearly", Plan: "pro", Interval: billing.Year, IntervalCount: 1, Amounts: map[money.Currency]billing.PriceAmount{"usd": {UnitMicro: 99000e6}}},
	}
	state := func(status billing.Status, price string, change ...func(*billing.Facts)) billing.Facts {
		f := billing.Facts{Status: status, Currency: "usd", Items: []billing.Item{{PriceID: price, Quantity: 1}}}
		for _, c := range change {
			c(&f)
		}
		return f
	}
	seats := func(n int64) func(*billing.Facts) { return func(f *billing.Facts) { f.Items[0].Quantity = n } }
	ending := func(f *billing.Facts) { f.EndsAt = 1_800_000_000 }
	paused := func(f *billing.Facts) { f.Pause = &billing.Pause{Behavior: "void", PeriodEnd: 1_800_000_000} }
	for _, test := range []struct {
		life string
		of   []billing.Facts
		want []string
	}{
		{
			"a purchase",
			[]billing.Facts{state("active", "pro")},
			[]string{"0 subscription_created pro", "0 subscription_activated pro"},
		},
		{
			"a trial that converts, fails later and is paid again",
			[]billing.Facts{state("trialing", "pilot"), state("active", "pilot"), state("past_due", "pilot"), state("active", "pilot")},
			[]string{
				"0 subscription_created pilot", "0 trial_started pilot", "1 trial_ended pilot", "1 subscription_activated pilot", "2 subscription_past_due pilot",
				"3 subscription_recovered pilot",
			},
		},
		{
			"an upgrade, the same plan by the year, and an unknown price, which keeps the plan",
			[]billing.Facts{state("active", "pilot"), state("active", "pro"), state("active", "yearly"), state("active", "unheard")},
			[]string{
				"0 subscription_created pilot", "0 subscription_activated pilot", "1 plan_changed pro upgrade", "2 plan_changed pro downgrade",
				"3 plan_changed pro",
			},
		},
		{
			"seats that come and go, and as many on another plan",
			[]billing.Facts{state("active", "pilot"), state("active", "pilot", seats(3)), state("active", "pilot", seats(2)), state("active", "pro", seats(2)), state("active", "pilot", seats(9))},
			[]string{
				"0 subscription_created pilot", "0 subscription_activated pilot", "1 quantity_changed pilot upgrade", "2 quantity_changed pilot downgrade",
				"3 plan_changed pro upgrade", "4 plan_changed pilot upgrade",
			},
		},
		{
			"an end scheduled, withdrawn, scheduled again and come",
			[]billing.Facts{
				state("active", "pro"), state("active", "pro", ending), state("active", "pro"), state("active", "pro", ending),
				state("canceled", "pro", ending),
			},
			[]string{
				"0 subscription_created pro", "0 subscription_activated pro", "1 cancellation_scheduled pro", "2 cancellation_withdrawn pro",
				"3 cancellation_scheduled pro", "4 subscription_canceled pro",
			},
		},
		{
			"a pause of collection and its end",
			[]billing.Facts{state("active", "pro"), state("active", "pro", paused), state("active", "pro")},
			[]string{"0 subscription_created pro", "0 subscription_activated pro", "1 collection_paused pro", "2 collection_resumed pro"},
		},
		{
			"a first payment that never came",
			[]billing.Facts{state("incomplete", "pro"), state("incomplete_expired", "pro")},
			[]string{"0 subscription_created pro", "1 subscription_incomplete_expired pro"},
		},
		{
			"unpaid in the end",
			[]billing.Facts{state("active", "pro"), state("past_due", "pro"), state("unpaid", "pro"), state("paused", "pro"), state("active", "pro")},
			[]string{
				"0 subscription_created pro", "0 subscription_activated pro", "1 subscription_past_due pro", "2 subscription_unpaid pro",
				"3 subscription_paused pro", "4 subscription_resumed pro",
			},
		},
	} {
		t.Run(test.life, func(t *testing.T) {
			t.Parallel()
			begin := time.Unix(1_700_000_000, 0).UTC()
			var history []analytics.Version
			for i, f := range test.of {
				history = append(history, analytics.Version{SubscriptionID: "sub", At: begin.AddDate(0, 0, i), Facts: f, Source: analytics.SourceEvent, SourceID: "evt"})
			}
			var got []string
			keys := map[string]bool{}
			for _, h := range story(chapters(history, prices)) {
				day := int(h.at.Sub(begin) / (24 * time.Hour))
				line := string(rune('0'+day)) + " " + h.kind + " " + h.plan
				if direction, ok := h.details["direction"].(string); ok {
					line += " " + direction
				}
				got = append(got, line)
				if keys[h.kind+h.key] {
					t.Errorf("%s is told twice under the key %s", h.kind, h.key)
				}
				keys[h.kind+h.key] = true
				if !slices.Contains(storyKinds, h.kind) {
					t.Errorf("%s is not among the kinds that a rewrite looks at", h.kind)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("told %q, want %q", got, test.want)
			}
		})
	}
}

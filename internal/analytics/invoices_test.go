package analytics_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

// invoiceDay is noon of a day of 2026, which may be beyond its month.
func invoiceDay(m time.Month, day int) time.Time {
	return time.Date(2026, m, day, 12, 0, 0, 0, time.UTC)
}

// asOf is the evening of New Year's Eve.
var asOf = time.Date(2026, 12, 31, 20, 0, 0, 0, time.UTC)

// twoPlans is a catalogue with the plans pilot and pro.
func twoPlans() analytics.Catalog {
	c := emptyCatalog()
	for plan, minor := range map[string]int64{"pilot": 2900, "pro": 9900} {
		c.Prices["price_"+plan] = billing.Price{
			ID: "price_" + plan, Plan: plan, Interval: billing.Month, IntervalCount: 1, UsageType: "licensed",
			Amounts: map[money.Currency]billing.PriceAmount{"usd": {UnitMicro: minor * money.Micro}},
		}
	}
	return c
}

func stateOf(plan string, status billing.Status) billing.Facts {
	return billing.Facts{Status: status, Currency: "usd", Items: []billing.Item{{PriceID: "price_" + plan, Quantity: 1}}}
}

// proSince is a version of a subscription to pro.
func proSince(id string, at time.Time, status billing.Status) analytics.Version {
	return analytics.Version{SubscriptionID: id, At: at, Facts: stateOf("pro", status)}
}

func told(kind analytics.InvoiceEventKind, invoice, subscription string, minor int64, at ...time.Time) []analytics.InvoiceEvent {
	var out []analytics.InvoiceEvent
	for _, t := range at {
		out = append(out, analytics.InvoiceEvent{
			Kind: kind, At: t, InvoiceID: invoice, SubscriptionID: subscription, BillingReason: "subscription_cycle", Currency: "usd", AmountMinor: minor,
		})
	}
	return out
}

func TestARenewalCountsOnceByItsFirstAttempt(t *testing.T) {
	t.Parallel()
	const minor = 9900
	first := invoiceDay(time.November, 28)
	outcome := func(fate analytics.InvoiceFate, settled time.Time, attempts int, last time.Time) []analytics.InvoiceOutcome {
		return []analytics.InvoiceOutcome{{
			InvoiceID: "in", SubscriptionID: "sub", Currency: "usd", Plan: "pro", AmountMinor: minor, FirstAt: first, LastAt: last,
			Attempts: attempts, Fate: fate, SettledAt: settled,
		}}
	}
	asked := func(outcomes []analytics.InvoiceOutcome) []analytics.InvoiceOutcome {
		outcomes[0].Asked = true
		return outcomes
	}
	declined := func(at ...time.Time) []analytics.InvoiceEvent {
		return told(analytics.InvoiceDeclined, "in", "sub", minor, at...)
	}
	confirm := func(at time.Time) []analytics.InvoiceEvent {
		return told(analytics.InvoiceAsked, "in", "sub", minor, at)
	}
	paid := func(at time.Time) []analytics.InvoiceEvent {
		return told(analytics.InvoicePaid, "in", "sub", minor, at)
	}
	writtenOff := func(at time.Time) []analytics.InvoiceEvent {
		return told(analytics.InvoiceWrittenOff, "in", "sub", minor, at)
	}
	voided := func(at time.Time) []analytics.InvoiceEvent {
		return told(analytics.InvoiceVoided, "in", "sub", minor, at)
	}
	later := first.AddDate(0, 0, 3)
	for name, tt := range map[string]struct {
		events [][]analytics.InvoiceEvent
		ends   []analytics.Version
		want   []analytics.InvoiceOutcome
		next   time.Time
	}{
		"paid at once": {events: [][]analytics.InvoiceEvent{paid(first)}, want: outcome(analytics.FatePaid, first, 0, first)},
		"declined and tried again": {
			events: [][]analytics.InvoiceEvent{declined(first, later)}, want: outcome(analytics.FateInRetry, time.Time{}, 2, later), next: later.AddDate(0, 0, 60),
		},
		"paid at the third attempt": {
			events: [][]analytics.InvoiceEvent{declined(first, later), paid(later.AddDate(0, 0, 5))},
			want:   outcome(analytics.FateRecovered, later.AddDate(0, 0, 5), 2, later),
		},
		"paid in the second of its first decline": {
			events: [][]analytics.InvoiceEvent{declined(first), paid(first)}, want: outcome(analytics.FateRecovered, first, 1, first),
		},
		"declined after it was paid, which is another story": {
			events: [][]analytics.InvoiceEvent{paid(first), declined(later)}, want: outcome(analytics.FatePaid, first, 0, first),
		},
		"lost when its subscription ends": {
			events: [][]analytics.InvoiceEvent{declined(first, later)}, ends: []analytics.Version{proSince("sub", later, billing.StatusCanceled)},
			want: outcome(analytics.FateLost, later, 2, later),
		},
		"lost when its subscription turns unpaid": {
			events: [][]analytics.InvoiceEvent{declined(first)}, ends: []analytics.Version{proSince("sub", later, billing.StatusUnpaid)},
			want: outcome(analytics.FateLost, later, 1, first),
		},
		"the end of another subscription says nothing of it": {
			events: [][]analytics.InvoiceEvent{declined(first)}, ends: []analytics.Version{proSince("sub_2", later, billing.StatusCanceled)},
			want: outcome(analytics.FateInRetry, time.Time{}, 1, first), next: first.AddDate(0, 0, 60),
		},
		"what had turned unpaid before does not lose it": {
			events: [][]analytics.InvoiceEvent{declined(first)},
			ends:   []analytics.Version{proSince("sub", first.AddDate(0, 0, -5), billing.StatusUnpaid), proSince("sub", later, billing.StatusUnpaid)},
			want:   outcome(analytics.FateInRetry, time.Time{}, 1, first), next: first.AddDate(0, 0, 60),
		},
		"the end comes first, the money after all": {
			events: [][]analytics.InvoiceEvent{declined(first), paid(later.AddDate(0, 0, 9))}, ends: []analytics.Version{proSince("sub", later, billing.StatusCanceled)},
			want: outcome(analytics.FateRecovered, later.AddDate(0, 0, 9), 1, first),
		},
		"lost by whoever gives it up": {
			events: [][]analytics.InvoiceEvent{declined(first), writtenOff(later)}, want: outcome(analytics.FateLost, later, 1, first),
		},
		"given up, and paid after all": {
			events: [][]analytics.InvoiceEvent{declined(first), writtenOff(later), paid(later.AddDate(0, 0, 1))},
			want:   outcome(analytics.FateRecovered, later.AddDate(0, 0, 1), 1, first),
		},
		"voided is not owed, and never was a failure": {events: [][]analytics.InvoiceEvent{declined(first), voided(later)}},
		"a request for confirmation is no decline, told as both": {
			events: [][]analytics.InvoiceEvent{declined(first), confirm(first.Add(time.Second)), declined(later)},
			want:   asked(outcome(analytics.FateInRetry, time.Time{}, 2, later)), next: later.AddDate(0, 0, 60),
		},
		"a request for confirmation alone, and the customer confirms": {
			events: [][]analytics.InvoiceEvent{confirm(first), paid(later)}, want: asked(outcome(analytics.FateRecovered, later, 1, first)),
		},
		"a decline that must be confirmed later was a decline": {
			events: [][]analytics.InvoiceEvent{declined(first), confirm(later)},
			want:   outcome(analytics.FateInRetry, time.Time{}, 1, later), next: later.AddDate(0, 0, 60),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			history := append([]analytics.Version{proSince("sub", first.AddDate(-1, 0, 0), billing.StatusActive)}, tt.ends...)
			got, next := analytics.InvoiceOutcomes(slices.Concat(tt.events...), nil, history, twoPlans(), asOf)
			if diff := gocmp.Diff(tt.want, got); diff != "" {
				t.Errorf("outcomes differ (-want +got):\n%s", diff)
			}
			if !next.Equal(tt.next) {
				t.Errorf("it changes by itself at %s, want %s", next, tt.next)
			}
		})
	}
}

func TestNobodyRetriesForLongerThanSixtyDays(t *testing.T) {
	t.Parallel()
	last := invoiceDay(time.October, 25)
	events := told(analytics.InvoiceDeclined, "in", "sub", 100, last)
	history := []analytics.Version{proSince("sub", last.AddDate(-1, 0, 0), billing.StatusPastDue)}
	lostAt := last.AddDate(0, 0, 60)
	got, next := analytics.InvoiceOutcomes(events, nil, history, twoPlans(), lostAt.Add(-time.Second))
	if got[0].Fate != analytics.FateInRetry || !next.Equal(lostAt) {
		t.Errorf("a second before it is %s until %s", got[0].Fate, next)
	}
	got, next = analytics.InvoiceOutcomes(events, nil, history, twoPlans(), lostAt)
	if got[0].Fate != analytics.FateLost || !got[0].SettledAt.Equal(lostAt) || !next.IsZero() {
		t.Errorf("then it is %s at %s until %s", got[0].Fate, got[0].SettledAt, next)
	}
}

func TestOnlyRenewalsCount(t *testing.T) {
	t.Parallel()
	trialEnd := time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		at       time.Time
		reason   string
		hasTrial bool
		known    time.Time // since when the history knows the subscription
		want     int
	}{
		"a renewal":                                     {trialEnd, "subscription_cycle", false, trialEnd.AddDate(0, -1, 0), 1},
		"a sign-up":                                     {trialEnd, "subscription_create", false, trialEnd, 0},
		"a change that is paid for at once":             {trialEnd, "subscription_update", false, trialEnd.AddDate(0, -1, 0), 0},
		"an invoice made by hand":                       {trialEnd, "manual", false, trialEnd.AddDate(0, -1, 0), 0},
		"the first after a trial":                       {trialEnd.Add(time.Hour), "subscription_cycle", true, trialEnd.AddDate(0, 0, -14), 0},
		"the first after a trial, its draft was kept":   {trialEnd.Add(71 * time.Hour), "subscription_cycle", true, trialEnd.AddDate(0, 0, -14), 0},
		"the second after a trial":                      {trialEnd.AddDate(0, 0, 7), "subscription_cycle", true, trialEnd.AddDate(0, 0, -14), 1},
		"a trial that is yet to come":                   {trialEnd.AddDate(0, 0, -2), "subscription_cycle", true, trialEnd.AddDate(0, 0, -14), 1},
		"a trial that was read about after the failure": {trialEnd.Add(time.Hour), "subscription_cycle", true, trialEnd.Add(2 * time.Hour), 0},
	} {
		for _, kind := range []analytics.InvoiceEventKind{analytics.InvoiceDeclined, analytics.InvoicePaid} {
			events := told(kind, "in", "sub", 9900, tt.at)
			events[0].BillingReason = tt.reason
			version := proSince("sub", tt.known, billing.StatusActive)
			if tt.hasTrial {
				version.Facts.TrialEnd = billing.Second(trialEnd.Unix())
			}
			// What was changed later says nothing of that day.
			changed := proSince("sub", trialEnd.AddDate(0, 1, 0), billing.StatusActive)
			changed.Facts.TrialEnd = billing.Second(tt.at.Unix())
			got, _ := analytics.InvoiceOutcomes(events, nil, []analytics.Version{changed, version}, twoPlans(), asOf)
			if len(got) != tt.want {
				t.Errorf("%s, %s: %d invoices count, want %d", name, kind, len(got), tt.want)
			}
		}
	}
}

func TestOfNothingNothingIsAttempted(t *testing.T) {
	t.Parallel()
	events := told(analytics.InvoicePaid, "in_free", "sub", 0, invoiceDay(time.May, 1))
	nowhere := told(analytics.InvoiceDeclined, "in_nowhere", "sub", 100, invoiceDay(time.May, 1))
	nowhere[0].Currency = ""
	if got, _ := analytics.InvoiceOutcomes(append(events, nowhere...), nil, nil, twoPlans(), asOf); len(got) != 0 {
		t.Errorf("outcomes are %+v", got)
	}
}

func TestAnOutcomeHasThePlanOfItsDayAndTheFirstReason(t *testing.T) {
	t.Parallel()
	first := invoiceDay(time.May, 1)
	history := []analytics.Version{
		{SubscriptionID: "sub", At: first.AddDate(0, -1, 0), Facts: stateOf("pilot", billing.StatusActive)},
		{SubscriptionID: "sub", At: first.AddDate(0, 0, 1), Facts: stateOf("pro", billing.StatusPastDue)},
		{SubscriptionID: "sub_odd", At: first.AddDate(0, -1, 0), Facts: stateOf("odd", billing.StatusActive)},
		{SubscriptionID: "sub_both", At: first.AddDate(0, -1, 0), Facts: stateOf("pilot", billing.StatusActive)},
	}
	// Of several plans it is the dearest's, whatever an unknown price costs.
	history[3].Facts.Items = append(history[3].Facts.Items, billing.Item{PriceID: "price_pro", Quantity: 1}, billing.Item{PriceID: "price_odd", Quantity: 100}, billing.Item{PriceID: "price_pilot", Quantity: 2})
	events := slices.Concat(
		told(analytics.InvoiceDeclined, "in", "sub", 2900, first, first.AddDate(0, 0, 3)),
		told(analytics.InvoiceDeclined, "in_odd", "sub_odd", 700, first.AddDate(0, 0, 1)),
		told(analytics.InvoicePaid, "in_back", "sub", 9900, first.AddDate(0, 1, 0)),
		told(analytics.InvoicePaid, "in_both", "sub_both", 18600, first.AddDate(0, 2, 0)),
	)
	declines := []analytics.DeclinedCharge{
		{InvoiceID: "in", At: first.AddDate(0, 0, 3), Reason: "expired_card"},
		{InvoiceID: "in", At: first, Reason: "insufficient_funds"},
		{InvoiceID: "in", At: first.Add(-time.Hour)},
		{InvoiceID: "in_back", At: first, Reason: "another story"},
	}
	got, _ := analytics.InvoiceOutcomes(events, declines, history, twoPlans(), asOf)
	var said []string
	for _, o := range got {
		said = append(said, fmt.Sprint(o.InvoiceID, " ", o.Plan, " ", o.Reason))
	}
	if diff := gocmp.Diff([]string{"in pilot insufficient_funds", "in_odd unknown ", "in_back pro ", "in_both pro "}, said); diff != "" {
		t.Errorf("outcomes differ (-want +got):\n%s", diff)
	}
}

// anything is a customer's invoices, charges and subscriptions.
type anything struct {
	events   []analytics.InvoiceEvent
	declines []analytics.DeclinedCharge
	history  []analytics.Version
}

func anythingWithInvoices() *rapid.Generator[anything] {
	return rapid.Custom(func(t *rapid.T) anything {
		var a anything
		at := func() time.Time {
			return invoiceDay(time.October, 1).Add(time.Duration(rapid.SampledFrom([]int{0, 1, 30, 3600, 86_400, 400_000, 3_000_000, 6_000_000}).Draw(t, "second")) * time.Second)
		}
		subscription := rapid.SampledFrom([]string{"sub_1", "sub_2"})
		for range rapid.IntRange(0, 12).Draw(t, "events") {
			kind := rapid.SampledFrom([]analytics.InvoiceEventKind{
				analytics.InvoicePaid, analytics.InvoiceDeclined, analytics.InvoiceDeclined, analytics.InvoiceAsked, analytics.InvoiceVoided, analytics.InvoiceWrittenOff,
			}).Draw(t, "kind")
			of := subscription.Draw(t, "subscription")
			e := told(kind, "in_"+of+rapid.SampledFrom([]string{"_a", "_b"}).Draw(t, "invoice"), of, rapid.SampledFrom([]int64{100, 200}).Draw(t, "minor"), at())
			e[0].BillingReason = rapid.SampledFrom([]string{"subscription_cycle", "subscription_cycle", "manual"}).Draw(t, "reason")
			a.events = append(a.events, e...)
			if kind == analytics.InvoiceDeclined {
				a.declines = append(a.declines, analytics.DeclinedCharge{InvoiceID: e[0].InvoiceID, At: e[0].At, Reason: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "why")})
			}
		}
		seen := map[string]bool{}
		for range rapid.IntRange(0, 6).Draw(t, "versions") {
			v := proSince(subscription.Draw(t, "of"), at(), rapid.SampledFrom([]billing.Status{
				billing.StatusTrialing, billing.StatusActive, billing.StatusPastDue, billing.StatusUnpaid, billing.StatusPaused, billing.StatusCanceled,
			}).Draw(t, "status"))
			v.Facts.TrialEnd = billing.Second(at().Unix())
			if key := v.SubscriptionID + v.At.String(); !seen[key] { // a history has one version a second
				seen[key] = true
				a.history = append(a.history, v)
			}
		}
		return a
	})
}

func TestTheOrderOfWhatIsToldDoesNotMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := anythingWithInvoices().Draw(t, "customer")
		now := invoiceDay(time.October, 1).AddDate(0, 0, rapid.IntRange(0, 200).Draw(t, "day"))
		invoices, nextInvoice := analytics.InvoiceOutcomes(a.events, a.declines, a.history, twoPlans(), now)
		trials, nextTrial := analytics.TrialOutcomes(a.events, a.history, twoPlans(), now)

		events := rapid.Permutation(a.events).Draw(t, "events")
		again, next := analytics.InvoiceOutcomes(events, rapid.Permutation(a.declines).Draw(t, "charges"), rapid.Permutation(a.history).Draw(t, "versions"), twoPlans(), now)
		if diff := gocmp.Diff(invoices, again); diff != "" || !next.Equal(nextInvoice) {
			t.Fatalf("invoices differ, %s and %s (-first +again):\n%s", nextInvoice, next, diff)
		}
		trialsAgain, next := analytics.TrialOutcomes(events, rapid.Permutation(a.history).Draw(t, "versions of trials"), twoPlans(), now)
		if diff := gocmp.Diff(trials, trialsAgain); diff != "" || !next.Equal(nextTrial) {
			t.Fatalf("trials differ, %s and %s (-first +again):\n%s", nextTrial, next, diff)
		}
	})
}

func TestNothingChangesBeforeItIsSaidTo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := anythingWithInvoices().Draw(t, "customer")
		// From here on nothing is told any more.
		now := invoiceDay(time.October, 1).AddDate(0, 0, rapid.IntRange(70, 200).Draw(t, "day"))
		invoices, next := analytics.InvoiceOutcomes(a.events, a.declines, a.history, twoPlans(), now)
		trials, nextTrial := analytics.TrialOutcomes(a.events, a.history, twoPlans(), now)
		for _, n := range []*time.Time{&next, &nextTrial} {
			if n.IsZero() {
				*n = now.AddDate(10, 0, 0)
			}
			if !n.After(now) {
				t.Fatalf("at %s it is said to change at %s", now, *n)
			}
		}
		later, _ := analytics.InvoiceOutcomes(a.events, a.declines, a.history, twoPlans(), next.Add(-time.Second))
		if diff := gocmp.Diff(invoices, later); diff != "" {
			t.Fatalf("invoices differ a second before %s (-now +then):\n%s", next, diff)
		}
		trialsLater, _ := analytics.TrialOutcomes(a.events, a.history, twoPlans(), nextTrial.Add(-time.Second))
		if diff := gocmp.Diff(trials, trialsLater); diff != "" {
			t.Fatalf("trials differ a second before %s (-now +then):\n%s", nextTrial, diff)
		}
	})
}

func TestWorkedExamplesOfWilson(t *testing.T) {
	t.Parallel()
	type example struct {
		ID        string
		K, N      int64
		Low, High float64
	}
	for _, tt := range golden[example](t, "wilson.json") {
		low, high := analytics.Wilson(tt.K, tt.N, analytics.Z95)
		if math.Abs(low-tt.Low) > 0.00005 || math.Abs(high-tt.High) > 0.00005 {
			t.Errorf("%s: of %d in %d it is %.4f to %.4f, want %.4f to %.4f", tt.ID, tt.K, tt.N, low, high, tt.Low, tt.High)
		}
	}
}

func TestAnIntervalHoldsItsShareAndNeverLeavesTheScale(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, 1_000_000).Draw(t, "n")
		k := rapid.Int64Range(0, n).Draw(t, "k")
		low, high := analytics.Wilson(k, n, analytics.Z95)
		share := 0.5
		if n > 0 {
			share = float64(k) / float64(n)
		}
		const least = 1e-12
		if !(0 <= low && low <= share+least && share <= high+least && high <= 1 && low < high) {
			t.Fatalf("of %d in %d it is %v to %v", k, n, low, high)
		}
	})
}

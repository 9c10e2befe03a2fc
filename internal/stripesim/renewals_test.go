package stripesim_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/promptforge/payments/internal/stripesim"
	"github.com/promptforge/payments/internal/stripesim/simtest"
)

var spring = time.Date(2026, 3, 10, 9, 0, 0, 0, time.UTC)

// TestMonthsAreCountedFromTheAnchor: a subscription of the 31st is on the 31st
// again after a shorter month.
func TestMonthsAreCountedFromTheAnchor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		sentence string
		start    time.Time
		interval string
		count    int64
		want     []string
	}{
		{"the 31st of January", at(2026, 1, 31), "month", 1, []string{"2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"}},
		{"the 31st of January before a leap day", at(2024, 1, 31), "month", 1, []string{"2024-02-29", "2024-03-31", "2024-04-30"}},
		{"the 30th", at(2025, 12, 30), "month", 1, []string{"2026-01-30", "2026-02-28", "2026-03-30"}},
		{"the 29th of February by the year", at(2024, 2, 29), "year", 1, []string{"2025-02-28", "2026-02-28"}},
		{"quarters from the end of November", at(2025, 11, 30), "month", 3, []string{"2026-02-28", "2026-05-30", "2026-08-30"}},
		{"weeks", at(2026, 12, 28), "week", 2, []string{"2027-01-11", "2027-01-25"}},
		{"days", at(2026, 2, 27), "day", 10, []string{"2026-03-09", "2026-03-19"}},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			t.Parallel()
			e := openEra(t, c.start)
			price, err := e.api.Prices.New(&stripe.PriceParams{
				Product: stripe.String(e.product.ID), Currency: stripe.String("usd"), UnitAmount: stripe.Int64(9900),
				Recurring: &stripe.PriceRecurringParams{Interval: stripe.String(c.interval), IntervalCount: stripe.Int64(c.count)},
			})
			must(t, err)
			e.card(t, "pm_card_visa")
			subscription := e.subscribe(t, func(p *stripe.SubscriptionParams) { p.Items[0].Price = stripe.String(price.ID) })
			for _, want := range c.want {
				equal(t, "period end", time.Unix(subscription.CurrentPeriodEnd, 0).UTC().Format(time.DateOnly), want)
				e.to(t, time.Unix(subscription.CurrentPeriodEnd, 0))
				next := e.subscription(t, subscription.ID)
				equal(t, "next period start", next.CurrentPeriodStart, subscription.CurrentPeriodEnd)
				equal(t, "time of day", time.Unix(next.CurrentPeriodEnd, 0).UTC().Format(time.TimeOnly), "12:34:56")
				subscription = next
			}
		})
	}
}

func at(year int, month time.Month, d int) time.Time {
	return time.Date(year, month, d, 12, 34, 56, 0, time.UTC)
}

func TestATrialBecomesASubscription(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas())
	e.card(t, "pm_card_visa")
	trial := e.subscribe(t, func(p *stripe.SubscriptionParams) { p.TrialPeriodDays = stripe.Int64(14) })
	e.after(t, 15*day)
	compareLines(t, e.story(t, 0),
		"7d0s invoice.upcoming",
		"11d0s customer.subscription.trial_will_end",
		"14d0s customer.subscription.updated current_period_end,current_period_start,latest_invoice,status",
		"14d0s invoice.created",
		"14d1h0m0s payment_intent.created",
		"14d1h0m0s invoice.finalized",
		"14d1h0m0s invoice.updated",
		"14d1h0m0s charge.succeeded",
		"14d1h0m0s payment_intent.succeeded",
		"14d1h0m0s invoice.updated",
		"14d1h0m0s invoice.paid",
		"14d1h0m0s invoice.payment_succeeded",
	)
	subscription := e.subscription(t, trial.ID)
	equal(t, "status", subscription.Status, stripe.SubscriptionStatusActive)
	equal(t, "period start", subscription.CurrentPeriodStart, trial.TrialEnd)
	equal(t, "period end", subscription.CurrentPeriodEnd, spring.AddDate(0, 1, 14).Unix())
	equal(t, "the trial is remembered", subscription.TrialEnd, trial.TrialEnd)
}

func TestATrialWithoutACardEndsAsItsSettingsSay(t *testing.T) {
	t.Parallel()
	for behaviour, want := range map[string]struct {
		status stripe.SubscriptionStatus
		story  []string
	}{
		"cancel": {stripe.SubscriptionStatusCanceled, []string{"14d0s customer.subscription.deleted"}},
		"pause": {stripe.SubscriptionStatusPaused, []string{
			"14d0s customer.subscription.updated status", "14d0s customer.subscription.paused",
		}},
		"create_invoice": {stripe.SubscriptionStatusPastDue, []string{
			"14d0s customer.subscription.updated current_period_end,current_period_start,latest_invoice,status",
			"14d0s invoice.created",
			"14d1h0m0s payment_intent.created", "14d1h0m0s invoice.finalized", "14d1h0m0s invoice.updated",
			"14d1h0m0s invoice.updated", "14d1h0m0s invoice.payment_failed",
			"14d1h0m0s customer.updated delinquent", "14d1h0m0s customer.subscription.updated status",
		}},
	} {
		t.Run(behaviour, func(t *testing.T) {
			t.Parallel()
			e := openEra(t, spring, simtest.WithSchemas())
			trial := e.subscribe(t, func(p *stripe.SubscriptionParams) {
				p.TrialPeriodDays = stripe.Int64(14)
				p.TrialSettings = &stripe.SubscriptionTrialSettingsParams{
					EndBehavior: &stripe.SubscriptionTrialSettingsEndBehaviorParams{MissingPaymentMethod: stripe.String(behaviour)},
				}
			})
			e.after(t, 15*day)
			compareLines(t, e.story(t, 11*day), want.story...)
			subscription := e.subscription(t, trial.ID)
			equal(t, "status", subscription.Status, want.status)
			if behaviour == "cancel" {
				equal(t, "ended at", subscription.EndedAt, trial.TrialEnd)
			}
		})
	}
}

func TestAScheduledEndComesAtItsMoment(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		ask  *stripe.SubscriptionParams
		ends time.Time
	}{
		"at the period's end": {&stripe.SubscriptionParams{CancelAtPeriodEnd: stripe.Bool(true)}, spring.AddDate(0, 1, 0)},
		"on a day": {&stripe.SubscriptionParams{
			CancelAt: stripe.Int64(spring.Add(20 * day).Unix()), ProrationBehavior: stripe.String("none"),
		}, spring.Add(20 * day)},
		"on the day that the period ends": {
			&stripe.SubscriptionParams{CancelAt: stripe.Int64(spring.AddDate(0, 1, 0).Unix())}, spring.AddDate(0, 1, 0),
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			e := openEra(t, spring, simtest.WithSchemas())
			id := e.buy(t).Subscription.ID
			e.after(t, 10*day)
			_, err := e.api.Subscriptions.Update(id, c.ask)
			must(t, err)
			e.after(t, 100*day)
			subscription := e.subscription(t, id)
			equal(t, "status", subscription.Status, stripe.SubscriptionStatusCanceled)
			equal(t, "ended at", subscription.EndedAt, c.ends.Unix())
			equal(t, "canceled at, when it was asked for", subscription.CanceledAt, spring.Add(10*day).Unix())
			equal(t, "reason", subscription.CancellationDetails.Reason, stripe.SubscriptionCancellationDetailsReasonCancellationRequested)
			equal(t, "invoices", len(e.State(t)["invoice"]), 1)
			equal(t, "what time has to say of it", len(e.story(t, 10*day)), 0) // 30 days later events are gone
		})
	}
}

// TestAnEndInsideAPeriodIsPaidForToTheSecond adds up what was invoiced by the end,
// whatever was asked for on the way.
func TestAnEndInsideAPeriodIsPaidForToTheSecond(t *testing.T) {
	t.Parallel()
	end := func(at time.Time, proration string) *stripe.SubscriptionParams {
		params := &stripe.SubscriptionParams{CancelAt: stripe.Int64(at.Unix())}
		if proration != "" {
			params.ProrationBehavior = stripe.String(proration)
		}
		return params
	}
	month := spring.AddDate(0, 1, 0)
	// part is the price of a stretch of a period.
	part := func(whole time.Time, d time.Duration) int64 {
		period := whole.AddDate(0, 1, 0).Sub(whole)
		return 9900 - int64(float64(9900)*float64(period-d)/float64(period)+0.5)
	}
	for sentence, c := range map[string]struct {
		trialDays int64
		asks      []*stripe.SubscriptionParams // one a day
		ends      time.Time
		invoiced  int64
	}{
		"in this period":              {0, []*stripe.SubscriptionParams{end(spring.Add(20*day), "")}, spring.Add(20 * day), part(spring, 20*day)},
		"in this period, unprorated":  {0, []*stripe.SubscriptionParams{end(spring.Add(20*day), "none")}, spring.Add(20 * day), 9900},
		"in this period, after all":   {0, []*stripe.SubscriptionParams{end(spring.Add(20*day), ""), end(spring.Add(9*day), "")}, spring.Add(9 * day), part(spring, 9*day)},
		"in a later period":           {0, []*stripe.SubscriptionParams{end(month.Add(10*day), "")}, month.Add(10 * day), 9900 + part(month, 10*day)},
		"in a later period, unasked":  {0, []*stripe.SubscriptionParams{end(month.Add(10*day), "none")}, month.Add(10 * day), 9900 + part(month, 10*day)},
		"where a later period ends":   {0, []*stripe.SubscriptionParams{end(month, ""), end(month.AddDate(0, 1, 0), "")}, month.AddDate(0, 1, 0), 19800},
		"in the trial":                {14, []*stripe.SubscriptionParams{end(spring.Add(5*day), "")}, spring.Add(5 * day), 0},
		"in the first paid period":    {14, []*stripe.SubscriptionParams{end(spring.Add(20*day), "")}, spring.Add(20 * day), part(spring.Add(14*day), 6*day)},
		"not at all, then at the end": {0, []*stripe.SubscriptionParams{end(spring.Add(20*day), ""), {CancelAtPeriodEnd: stripe.Bool(true)}}, month, 9900},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			e := openEra(t, spring, simtest.WithSchemas())
			e.card(t, "pm_card_visa")
			id := e.subscribe(t, func(p *stripe.SubscriptionParams) {
				if c.trialDays > 0 {
					p.TrialPeriodDays = stripe.Int64(c.trialDays)
				}
			}).ID
			for i, ask := range c.asks {
				e.after(t, time.Duration(i+1)*day)
				_, err := e.api.Subscriptions.Update(id, ask)
				must(t, err)
			}
			checkState(t, e.Sim, map[string]int{})
			e.after(t, 80*day)
			equal(t, "ended at", e.subscription(t, id).EndedAt, c.ends.Unix())
			equal(t, "invoiced", e.invoiced(t), c.invoiced)
			checkState(t, e.Sim, map[string]int{})
		})
	}
}

// TestAnEndInAPeriodThatIsCutShortCanBeTakenBack: the rest of the period is billed
// after all.
func TestAnEndInAPeriodThatIsCutShortCanBeTakenBack(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas())
	e.card(t, "pm_card_visa")
	id := e.subscribe(t, nil).ID
	month := spring.AddDate(0, 1, 0)
	_, err := e.api.Subscriptions.Update(id, &stripe.SubscriptionParams{CancelAt: stripe.Int64(month.Add(10 * day).Unix())})
	must(t, err)
	e.to(t, month.Add(2*day))
	equal(t, "the period's end", e.subscription(t, id).CurrentPeriodEnd, month.Add(10*day).Unix())
	back := &stripe.SubscriptionParams{}
	back.AddExtra("cancel_at", "")
	after, err := e.api.Subscriptions.Update(id, back)
	must(t, err)
	equal(t, "the period's end", after.CurrentPeriodEnd, month.AddDate(0, 1, 0).Unix())
	e.to(t, month.AddDate(0, 1, 0).Add(2*time.Hour))
	equal(t, "invoiced", e.invoiced(t), 3*9900)
}

// invoiced adds up what all invoices come to.
func (e *era) invoiced(t *testing.T) (sum int64) {
	t.Helper()
	for _, invoice := range e.State(t)["invoice"] {
		sum += int64(invoice["total"].(float64))
	}
	return sum
}

// TestAnEndStaysWhereItIsWhenTheCycleBeginsAnew: it falls inside a period then,
// which is billed until there.
func TestAnEndStaysWhereItIsWhenTheCycleBeginsAnew(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas())
	e.card(t, "pm_card_visa")
	id := e.subscribe(t, nil).ID
	_, err := e.api.Subscriptions.Update(id, &stripe.SubscriptionParams{CancelAt: stripe.Int64(spring.AddDate(0, 2, 0).Unix())})
	must(t, err)
	e.after(t, 10*day)
	_, err = e.api.Subscriptions.Update(id, &stripe.SubscriptionParams{BillingCycleAnchorNow: stripe.Bool(true)})
	must(t, err)
	e.to(t, spring.AddDate(0, 3, 0))
	equal(t, "ended at", e.subscription(t, id).EndedAt, spring.AddDate(0, 2, 0).Unix())
	equal(t, "invoices", len(e.State(t)["invoice"]), 3)
}

// TestWhatEndsIsNotCollectedInTheSameSecond schedules the end for the second at
// which the subscription's invoice is finalized, or is tried again.
func TestWhatEndsIsNotCollectedInTheSameSecond(t *testing.T) {
	t.Parallel()
	renewal := spring.AddDate(0, 1, 0)
	for sentence, c := range map[string]struct {
		ends   time.Time
		status stripe.InvoiceStatus
		tried  int64
	}{
		"when the draft is finalized":    {renewal.Add(time.Hour), stripe.InvoiceStatusDraft, 0},
		"when the invoice is tried anew": {renewal.Add(3*day + time.Hour), stripe.InvoiceStatusOpen, 1},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			e := openEra(t, spring, simtest.WithSchemas())
			e.card(t, "pm_card_visa")
			id := e.subscribe(t, nil).ID
			e.card(t, "pm_card_chargeCustomerFail")
			e.to(t, renewal.Add(time.Minute))
			_, err := e.api.Subscriptions.Update(id, &stripe.SubscriptionParams{
				CancelAt: stripe.Int64(c.ends.Unix()), ProrationBehavior: stripe.String("none"),
			})
			must(t, err)
			e.to(t, renewal.Add(20*day))
			subscription := e.subscription(t, id)
			equal(t, "ended at", subscription.EndedAt, c.ends.Unix())
			invoice, err := e.api.Invoices.Get(subscription.LatestInvoice.ID, nil)
			must(t, err)
			equal(t, "invoice", invoice.Status, c.status)
			equal(t, "attempts", invoice.AttemptCount, c.tried)
			equal(t, "advances by itself", invoice.AutoAdvance, false)
		})
	}
}

func TestAFailedRenewalIsTriedAgainUntilTheSubscriptionEnds(t *testing.T) {
	t.Parallel()
	for after, want := range map[stripesim.AfterRetries]struct {
		status  stripe.SubscriptionStatus
		endings []string
	}{
		"":                            {stripe.SubscriptionStatusCanceled, []string{"15d1h0m0s customer.subscription.deleted", "15d1h0m0s invoice.updated"}},
		stripesim.UnpaidAfterRetries:  {stripe.SubscriptionStatusUnpaid, []string{"15d1h0m0s customer.subscription.updated status"}},
		stripesim.PastDueAfterRetries: {stripe.SubscriptionStatusPastDue, nil},
	} {
		t.Run(string(want.status), func(t *testing.T) {
			t.Parallel()
			e := openEra(t, spring, simtest.WithSchemas(), simtest.WithConfig(func(c *stripesim.Config) { c.AfterRetries = after }))
			e.card(t, "pm_card_visa")
			id := e.subscribe(t, nil).ID
			e.after(t, day)
			e.card(t, "pm_card_chargeCustomerFail")
			renewal := spring.AddDate(0, 1, 0)
			e.to(t, renewal.Add(time.Hour))
			e.start = renewal
			compareLines(t, e.story(t, 0),
				"0d1h0m0s payment_intent.created",
				"0d1h0m0s invoice.finalized",
				"0d1h0m0s invoice.updated",
				"0d1h0m0s charge.failed",
				"0d1h0m0s payment_intent.payment_failed",
				"0d1h0m0s invoice.updated",
				"0d1h0m0s invoice.payment_failed",
				"0d1h0m0s customer.updated delinquent",
				"0d1h0m0s customer.subscription.updated status",
			)
			subscription := e.subscription(t, id)
			equal(t, "status", subscription.Status, stripe.SubscriptionStatusPastDue)
			for i, attempted := range []time.Duration{time.Hour, 3*day + time.Hour, 8*day + time.Hour} {
				e.after(t, attempted)
				invoice, err := e.api.Invoices.Get(subscription.LatestInvoice.ID, nil)
				must(t, err)
				equal(t, "attempts", invoice.AttemptCount, int64(i+1))
				equal(t, "status", invoice.Status, stripe.InvoiceStatusOpen)
				next := renewal.Add(attempted + []time.Duration{3 * day, 5 * day, 7 * day}[i]).Unix()
				equal(t, "next attempt", invoice.NextPaymentAttempt, next)
				if _, err = e.api.Invoices.Pay(invoice.ID, nil); err == nil {
					t.Error("the same card pays by hand")
				}
				invoice, err = e.api.Invoices.Get(invoice.ID, nil)
				must(t, err)
				equal(t, "attempts, after one by hand", invoice.AttemptCount, int64(i+1))
				equal(t, "next attempt, after one by hand", invoice.NextPaymentAttempt, next)
			}
			e.after(t, 16*day)
			compareLines(t, e.story(t, 10*day), append([]string{
				"15d1h0m0s charge.failed",
				"15d1h0m0s payment_intent.payment_failed",
				"15d1h0m0s invoice.updated",
				"15d1h0m0s invoice.payment_failed",
			}, want.endings...)...)
			subscription = e.subscription(t, id)
			equal(t, "status", subscription.Status, want.status)
			invoice, err := e.api.Invoices.Get(subscription.LatestInvoice.ID, nil)
			must(t, err)
			equal(t, "attempts", invoice.AttemptCount, 4)
			equal(t, "invoice", invoice.Status, stripe.InvoiceStatusOpen)
			equal(t, "next attempt", invoice.NextPaymentAttempt, 0)
			customer, err := e.api.Customers.Get(e.customer.ID, nil)
			must(t, err)
			equal(t, "delinquent", customer.Delinquent, true)
			if want.status == stripe.SubscriptionStatusCanceled {
				equal(t, "reason", subscription.CancellationDetails.Reason, stripe.SubscriptionCancellationDetailsReasonPaymentFailed)
				equal(t, "ended at", subscription.EndedAt, renewal.Add(15*day+time.Hour).Unix())
				return
			}
			e.to(t, spring.AddDate(0, 2, 1))
			latest, err := e.api.Invoices.Get(e.subscription(t, id).LatestInvoice.ID, nil)
			must(t, err)
			wantNext := stripe.InvoiceStatusOpen
			if want.status == stripe.SubscriptionStatusUnpaid {
				wantNext = stripe.InvoiceStatusDraft
			}
			equal(t, "the next period's invoice", latest.Status, wantNext)
		})
	}
}

func TestANewCardRecoversAtTheNextRetry(t *testing.T) {
	t.Parallel()
	for sentence, mend := range map[string]func(*testing.T, *era, string){
		"the customer's default": func(t *testing.T, e *era, _ string) { t.Helper(); e.card(t, "pm_card_visa") },
		"the subscription's own": func(t *testing.T, e *era, id string) {
			t.Helper()
			method, err := e.api.PaymentMethods.Attach("pm_card_visa", &stripe.PaymentMethodAttachParams{Customer: stripe.String(e.customer.ID)})
			must(t, err)
			_, err = e.api.Subscriptions.Update(id, &stripe.SubscriptionParams{DefaultPaymentMethod: stripe.String(method.ID)})
			must(t, err)
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			e := openEra(t, spring, simtest.WithSchemas())
			e.card(t, "pm_card_visa")
			id := e.subscribe(t, nil).ID
			e.card(t, "pm_card_chargeCustomerFail")
			renewal := spring.AddDate(0, 1, 0)
			e.to(t, renewal.Add(4*day))
			e.start = renewal
			mend(t, e, id)
			e.after(t, 20*day)
			compareLines(t, e.story(t, 4*day),
				"8d1h0m0s charge.succeeded",
				"8d1h0m0s payment_intent.succeeded",
				"8d1h0m0s invoice.updated",
				"8d1h0m0s invoice.paid",
				"8d1h0m0s invoice.payment_succeeded",
				"8d1h0m0s customer.updated delinquent",
				"8d1h0m0s customer.subscription.updated status",
			)
			subscription := e.subscription(t, id)
			equal(t, "status", subscription.Status, stripe.SubscriptionStatusActive)
			equal(t, "the period did not move", subscription.CurrentPeriodStart, renewal.Unix())
			invoice, err := e.api.Invoices.Get(subscription.LatestInvoice.ID, nil)
			must(t, err)
			equal(t, "attempts", invoice.AttemptCount, 3)
			equal(t, "next attempt", invoice.NextPaymentAttempt, 0)
		})
	}
}

// TestTheCardForLaterFailureBuysOnce also holds the page's promise of that card.
func TestTheCardForLaterFailureBuysOnce(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring)
	session := e.newSession(t)
	status, _ := e.Complete(t, session.ID, "4000000000000341")
	equal(t, "purchase", status, http.StatusOK)
	e.to(t, spring.AddDate(0, 1, 1))
	equal(t, "after a month", e.State(t)["subscription"][0]["status"], any("past_due"))
}

func TestAPausedCollectionBillsNothing(t *testing.T) {
	t.Parallel()
	for behaviour, want := range map[string]string{"void": "void", "mark_uncollectible": "uncollectible", "keep_as_draft": "draft"} {
		t.Run(behaviour, func(t *testing.T) {
			t.Parallel()
			e := openEra(t, spring, simtest.WithSchemas())
			id := e.buy(t).Subscription.ID
			resumes := spring.Add(40 * day)
			_, err := e.api.Subscriptions.Update(id, &stripe.SubscriptionParams{PauseCollection: &stripe.SubscriptionPauseCollectionParams{
				Behavior: stripe.String(behaviour), ResumesAt: stripe.Int64(resumes.Unix()),
			}})
			must(t, err)
			e.to(t, spring.AddDate(0, 2, 1))
			invoices := e.State(t)["invoice"]
			equal(t, "invoices", len(invoices), 3)
			equal(t, "of the pause", invoices[1]["status"], any(want))
			equal(t, "after it", invoices[2]["status"], any("paid"))
			subscription := e.subscription(t, id)
			equal(t, "status", subscription.Status, stripe.SubscriptionStatusActive)
			equal(t, "paused", subscription.PauseCollection == nil, true)
			compareLines(t, e.story(t, 39*day)[:1], "40d0s customer.subscription.updated pause_collection")
		})
	}
}

func TestAFirstPaymentThatFailsExpires(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas())
	e.card(t, "pm_card_chargeCustomerFail")
	subscription := e.subscribe(t, nil)
	equal(t, "status", subscription.Status, stripe.SubscriptionStatusIncomplete)
	e.after(t, 2*day)
	compareLines(t, e.story(t, 0),
		"0d23h0m0s customer.subscription.updated ended_at,status",
		"0d23h0m0s payment_intent.canceled",
		"0d23h0m0s invoice.updated",
		"0d23h0m0s invoice.voided",
	)
	equal(t, "status", e.subscription(t, subscription.ID).Status, stripe.SubscriptionStatusIncompleteExpired)
}

func TestAFirstPaymentMayComeLater(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas())
	e.card(t, "pm_card_chargeCustomerFail")
	subscription := e.subscribe(t, nil)
	e.after(t, time.Hour)
	e.card(t, "pm_card_visa")
	_, err := e.api.Invoices.Pay(subscription.LatestInvoice.ID, nil)
	must(t, err)
	equal(t, "status", e.subscription(t, subscription.ID).Status, stripe.SubscriptionStatusActive)
	e.after(t, 2*day)
	equal(t, "a day later", e.subscription(t, subscription.ID).Status, stripe.SubscriptionStatusActive)
}

func TestACardThatWantsToBeConfirmedAsksEachTime(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas())
	e.card(t, "pm_card_visa")
	id := e.subscribe(t, nil).ID
	e.card(t, "pm_card_authenticationRequired")
	renewal := spring.AddDate(0, 1, 0)
	e.to(t, renewal.Add(day))
	e.start = renewal
	compareLines(t, e.story(t, time.Minute),
		"0d1h0m0s payment_intent.created",
		"0d1h0m0s invoice.finalized",
		"0d1h0m0s invoice.updated",
		"0d1h0m0s payment_intent.requires_action",
		"0d1h0m0s invoice.updated",
		"0d1h0m0s invoice.payment_failed",
		"0d1h0m0s customer.updated delinquent",
		"0d1h0m0s customer.subscription.updated status",
		"0d1h0m0s invoice.payment_action_required",
	)
	subscription := e.subscription(t, id)
	equal(t, "status", subscription.Status, stripe.SubscriptionStatusPastDue)
	params := &stripe.InvoiceParams{}
	params.AddExpand("payment_intent")
	invoice, err := e.api.Invoices.Get(subscription.LatestInvoice.ID, params)
	must(t, err)
	equal(t, "intent", invoice.PaymentIntent.Status, stripe.PaymentIntentStatusRequiresAction)
}

func TestNothingDueIsPaidWithoutACharge(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas())
	price, err := e.api.Prices.New(&stripe.PriceParams{
		Product: stripe.String(e.product.ID), Currency: stripe.String("usd"), UnitAmount: stripe.Int64(0),
		Recurring: &stripe.PriceRecurringParams{Interval: stripe.String("month")},
	})
	must(t, err)
	e.card(t, "pm_card_visa")
	e.subscribe(t, func(p *stripe.SubscriptionParams) { p.Items[0].Price = stripe.String(price.ID) })
	e.after(t, 31*day+time.Hour)
	compareLines(t, e.story(t, 31*day),
		"31d1h0m0s invoice.finalized", "31d1h0m0s invoice.updated", "31d1h0m0s invoice.updated", "31d1h0m0s invoice.paid", "31d1h0m0s invoice.payment_succeeded")
	equal(t, "charges", len(e.State(t)["charge"]), 0)
}

// TestABalancePaysFirst: what is given back by a change stands on the customer's
// balance and pays the next invoices.
func TestABalancePaysFirst(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas())
	yearly, err := e.api.Prices.New(&stripe.PriceParams{
		Product: stripe.String(e.product.ID), Currency: stripe.String("usd"), UnitAmount: stripe.Int64(99000),
		Recurring: &stripe.PriceRecurringParams{Interval: stripe.String("year")},
	})
	must(t, err)
	e.card(t, "pm_card_visa")
	subscription := e.subscribe(t, func(p *stripe.SubscriptionParams) { p.Items[0].Price = stripe.String(yearly.ID) })
	e.after(t, 73*day) // a fifth of the year
	_, err = e.api.Subscriptions.Update(subscription.ID, &stripe.SubscriptionParams{Items: []*stripe.SubscriptionItemsParams{
		{ID: stripe.String(subscription.Items.Data[0].ID), Price: stripe.String(e.price.ID)},
	}})
	must(t, err)
	balance := func() int64 {
		customer, err := e.api.Customers.Get(e.customer.ID, nil)
		must(t, err)
		return customer.Balance
	}
	equal(t, "balance", balance(), -79200+9900)
	e.to(t, e.start.Add(73*day).AddDate(0, 1, 1))
	equal(t, "balance after a month", balance(), -79200+2*9900)
	equal(t, "charges", len(e.State(t)["charge"]), 1)
	e.to(t, e.start.Add(73*day).AddDate(0, 8, 1))
	equal(t, "balance when it is used up", balance(), 0)
	equal(t, "charges", fmt.Sprint(len(e.State(t)["charge"])), "2")
}

// TestABalanceComesBackFromWhatIsVoid gives a credit that pays a part of the next
// invoice. Where collection is paused it is not even touched.
func TestABalanceComesBackFromWhatIsVoid(t *testing.T) {
	t.Parallel()
	begin := func(t *testing.T) (e *era, id string, renewal time.Time, balance func() int64) {
		t.Helper()
		e = openEra(t, spring, simtest.WithSchemas())
		e.card(t, "pm_card_visa")
		subscription := e.subscribe(t, func(p *stripe.SubscriptionParams) { p.Items[0].Quantity = stripe.Int64(2) })
		e.after(t, 10*day)
		_, err := e.api.Subscriptions.Update(subscription.ID, &stripe.SubscriptionParams{
			Items:             []*stripe.SubscriptionItemsParams{{ID: stripe.String(subscription.Items.Data[0].ID), Quantity: stripe.Int64(1)}},
			ProrationBehavior: stripe.String("always_invoice"),
		})
		must(t, err)
		balance = func() int64 {
			customer, err := e.api.Customers.Get(e.customer.ID, nil)
			must(t, err)
			return customer.Balance
		}
		if credit := balance(); credit >= 0 || credit <= -9900 {
			t.Fatalf("a credit of %d", credit)
		}
		return e, subscription.ID, spring.AddDate(0, 1, 0), balance
	}
	balanceEvents := func(t *testing.T, e *era, since time.Duration) (n int) {
		t.Helper()
		for _, line := range e.story(t, since) {
			if strings.HasSuffix(line, "customer.updated balance") {
				n++
			}
		}
		return n
	}
	t.Run("voided by hand", func(t *testing.T) {
		t.Parallel()
		e, id, renewal, balance := begin(t)
		credit := balance()
		e.card(t, "pm_card_chargeCustomerFail")
		e.to(t, renewal.Add(day))
		equal(t, "while it is owed", balance(), 0)
		invoice, err := e.api.Invoices.VoidInvoice(e.subscription(t, id).LatestInvoice.ID, nil)
		must(t, err)
		equal(t, "due", invoice.AmountDue, 9900+credit)
		equal(t, "once it is void", balance(), credit)
		equal(t, "told", balanceEvents(t, e, 10*day), 2)
	})
	t.Run("voided as lost before", func(t *testing.T) {
		t.Parallel()
		e, id, renewal, balance := begin(t)
		credit := balance()
		e.card(t, "pm_card_chargeCustomerFail")
		e.to(t, renewal.Add(day))
		invoice := e.subscription(t, id).LatestInvoice.ID
		_, err := e.api.Invoices.MarkUncollectible(invoice, nil)
		must(t, err)
		equal(t, "once it is lost", balance(), 0)
		_, err = e.api.Invoices.VoidInvoice(invoice, nil)
		must(t, err)
		equal(t, "once it is void", balance(), credit)
	})
	t.Run("voided by a pause", func(t *testing.T) {
		t.Parallel()
		e, id, renewal, balance := begin(t)
		credit := balance()
		_, err := e.api.Subscriptions.Update(id, &stripe.SubscriptionParams{
			PauseCollection: &stripe.SubscriptionPauseCollectionParams{Behavior: stripe.String("void")},
		})
		must(t, err)
		e.to(t, renewal.Add(day))
		invoice, err := e.api.Invoices.Get(e.subscription(t, id).LatestInvoice.ID, nil)
		must(t, err)
		equal(t, "invoice", invoice.Status, stripe.InvoiceStatusVoid)
		equal(t, "due", invoice.AmountDue, 9900)
		equal(t, "balance", balance(), credit)
		equal(t, "told", balanceEvents(t, e, 10*day), 0)
	})
	t.Run("a credit that is all of it, by a pause", func(t *testing.T) {
		t.Parallel()
		e, id, renewal, balance := begin(t)
		_, err := e.api.Subscriptions.Update(id, &stripe.SubscriptionParams{
			Items: []*stripe.SubscriptionItemsParams{
				{ID: stripe.String(e.subscription(t, id).Items.Data[0].ID), Quantity: stripe.Int64(0)},
			},
			ProrationBehavior: stripe.String("always_invoice"),
		})
		must(t, err)
		_, err = e.api.Subscriptions.Update(id, &stripe.SubscriptionParams{
			Items: []*stripe.SubscriptionItemsParams{
				{ID: stripe.String(e.subscription(t, id).Items.Data[0].ID), Quantity: stripe.Int64(1)},
			},
			BillingCycleAnchorUnchanged: stripe.Bool(true), ProrationBehavior: stripe.String("none"),
			PauseCollection: &stripe.SubscriptionPauseCollectionParams{Behavior: stripe.String("void")},
		})
		must(t, err)
		credit := balance()
		if credit > -9900 {
			t.Fatalf("a credit of %d", credit)
		}
		e.to(t, renewal.Add(day))
		invoice, err := e.api.Invoices.Get(e.subscription(t, id).LatestInvoice.ID, nil)
		must(t, err)
		equal(t, "invoice", invoice.Status, stripe.InvoiceStatusVoid)
		equal(t, "balance", balance(), credit)
	})
}

func TestATrialIsAnnouncedOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		sentence string
		days     int64
		moved    time.Duration // the end that is asked for a day later, from the beginning
		want     []time.Duration
	}{
		{"two weeks", 14, 0, []time.Duration{11 * day}},
		{"two days", 2, 0, []time.Duration{0}},
		{"three days", 3, 0, []time.Duration{0}},
		{"made shorter", 14, 3 * day, []time.Duration{day}},
		{"made longer after it was announced", 3, 20 * day, []time.Duration{0, 17 * day}},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			t.Parallel()
			e := openEra(t, spring)
			trial := e.subscribe(t, func(p *stripe.SubscriptionParams) { p.TrialPeriodDays = stripe.Int64(c.days) })
			if c.moved > 0 {
				e.after(t, day)
				_, err := e.api.Subscriptions.Update(trial.ID, &stripe.SubscriptionParams{TrialEnd: stripe.Int64(spring.Add(c.moved).Unix())})
				must(t, err)
			}
			e.after(t, 25*day)
			var got []time.Duration
			for _, event := range e.State(t)["event"] {
				if event["type"] == "customer.subscription.trial_will_end" {
					got = append(got, time.Unix(int64(event["created"].(float64)), 0).Sub(spring))
				}
			}
			equal(t, "announced", fmt.Sprint(got), fmt.Sprint(c.want))
			equal(t, "ended", e.subscription(t, trial.ID).CurrentPeriodStart, e.subscription(t, trial.ID).TrialEnd)
		})
	}
}

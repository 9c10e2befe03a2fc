package payments_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/db/dbtest"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/payments"
)

const day = 24 * time.Hour

// resident is a customer who lives through states before one shop.
type resident struct {
	*world
	buyer
	shop *shop
}

// wait lets time pass, in steps of a day at most, while the shop hears and works.
func (r *resident) wait(d time.Duration) {
	r.Helper()
	for ; d > 0; d -= day {
		r.pass(min(d, day))
		r.hear()
	}
}

func (r *resident) hear() {
	r.Helper()
	r.shop.deliver(r.news()...)
	r.shop.settle()
	if _, err := r.shop.Work(r.ctx); err != nil {
		r.Fatalf("work: %v", err)
	}
	r.shop.derive()
}

// stands is what rows, access and figures say now: the subscriptions, what the
// organization may do and why, and what it pays a month.
func (r *resident) stands() string {
	r.Helper()
	rows := r.shop.rows(`SELECT concat_ws(' ', status, coalesce(plan, '-')) FROM subscriptions ORDER BY created_at, stripe_subscription_id`)
	entitlement, err := db.New(r.shop.pool).Entitlement(r.ctx, r.org)
	if err != nil && !db.IsNotFound(err) {
		r.Fatalf("read entitlement: %v", err)
	}
	access := payments.AccessNow(entitlement, r.sim.Now())
	var micro int64
	if _, err := fmt.Sscan(r.shop.rows(`SELECT coalesce(sum(amount_micro), 0)::text FROM flow_daily`)[0], &micro); err != nil {
		r.Fatalf("read MRR: %v", err)
	}
	return fmt.Sprintf("%s | %s %s | %s", strings.Join(rows, ", "), access.Level, access.Reason, money.Format(money.RoundMicro(micro), "usd"))
}

// alerts are those that are open.
func (r *resident) alerts() string {
	r.Helper()
	return strings.Join(r.shop.rows(`SELECT rule FROM payment_alerts WHERE state <> 'resolved' ORDER BY rule`), " ")
}

// told are the kinds of happenings, once each.
func (r *resident) told(kinds ...string) string {
	r.Helper()
	return strings.Join(r.shop.rows(`SELECT kind FROM payment_events WHERE kind = ANY ($1) ORDER BY at, kind`, kinds), " ")
}

// fails gives the customer a card that fails and lets the next period begin.
func (r *resident) fails() {
	r.pays(r.customer, "pm_card_chargeCustomerFail")
	r.wait(32 * day)
}

// subscribe makes a subscription in Stripe's dashboard.
func (r *resident) subscribe(pairs ...string) {
	r.Helper()
	f := form(pairs...)
	f.Set("customer", r.customer)
	if !f.Has("items[0][price]") {
		f.Set("items[0][price]", r.price("pro"))
	}
	r.must(http.MethodPost, "/v1/subscriptions", f.Encode())
	r.hear()
}

func (r *resident) price(plan string) string {
	return r.set.Sold[payments.Offer{Plan: plan, Interval: billing.Month}]
}

// strangePrice is of a product that no plan is known for.
func (r *resident) strangePrice() string {
	r.Helper()
	_, product := r.do(http.MethodPost, "/v1/products", "name=Consulting")
	_, price := r.do(http.MethodPost, "/v1/prices", form(
		"product", field(product, "id"), "currency", "usd", "unit_amount", "5000", "recurring[interval]", "month").Encode())
	return field(price, "id")
}

// TestEveryStateIsWhatTheTableSays lives each state at Stripe and looks at rows,
// access and MRR through the doors, as the table of the design has them.
func TestEveryStateIsWhatTheTableSays(t *testing.T) {
	t.Parallel()
	// check compares in the middle of a life.
	check := func(r *resident, when, got, want string) {
		r.Helper()
		if got != want {
			r.Errorf("%s: %q, want %q", when, got, want)
		}
	}
	for _, c := range []struct {
		name string
		// plan is bought with the card first; without one the customer has only
		// looked at a checkout.
		plan, card string
		live       func(r *resident)
		want       string
		alerts     string
	}{
		{name: "active", plan: "pro", want: "active pro | full active | $99.00"},
		{name: "several seats", plan: "pro", live: func(r *resident) {
			r.update(r.customer, "items[0][id]", r.only(r.customer).Items.Data[0].ID, "items[0][quantity]", "3")
		}, want: "active pro | full active | $297.00"},
		{
			name: "end scheduled", plan: "pro", live: func(r *resident) { r.update(r.customer, "cancel_at_period_end", "true") },
			want: "active pro | full active | $99.00",
		},
		{name: "end reached", plan: "pro", live: func(r *resident) {
			r.update(r.customer, "cancel_at_period_end", "true")
			r.wait(31 * day)
		}, want: "canceled pro | none canceled | $0.00"},
		{name: "end at a date", plan: "pro", live: func(r *resident) {
			r.update(r.customer, "cancel_at", fmt.Sprint(aNoon.Add(3*day).Unix()), "proration_behavior", "none")
			r.hear()
			check(r, "before", r.stands(), "active pro | full active | $99.00")
			r.wait(3 * day)
		}, want: "canceled pro | none canceled | $0.00"},
		{name: "canceled now", plan: "pro", live: func(r *resident) {
			r.must(http.MethodDelete, "/v1/subscriptions/"+r.only(r.customer).ID, "")
		}, want: "canceled pro | none canceled | $0.00"},
		{name: "trialing", plan: "pilot", want: "trialing pilot | full trialing | $0.00"},
		{
			name: "trial cut short", plan: "pilot", live: func(r *resident) { r.update(r.customer, "trial_end", "now") },
			want: "active pilot | full active | $29.00",
		},
		{
			name: "trial that became a subscription", plan: "pilot", live: func(r *resident) { r.wait(15 * day) },
			want: "active pilot | full active | $29.00",
		},
		{name: "past due, never paid", plan: "pilot", card: "4000000000000341", live: func(r *resident) {
			r.wait(15 * day)
			check(r, "at first", r.stands(), "past_due pilot | grace payment_failed | $29.00")
			r.wait(3 * day)
		}, want: "past_due pilot | read_only grace_over | $29.00"},
		{name: "past due, has paid", plan: "pro", live: func(r *resident) {
			r.must(http.MethodPost, "/sim/settings", `{"after_retries":"past_due"}`)
			r.fails()
			check(r, "at first", r.stands(), "past_due pro | grace payment_failed | $99.00")
			r.wait(12 * day)
			check(r, "while it is tried again", r.stands(), "past_due pro | grace payment_failed | $99.00")
			r.wait(8 * day)
		}, want: "past_due pro | read_only grace_over | $99.00"},
		{name: "recovered", plan: "pro", live: func(r *resident) {
			r.fails()
			r.pays(r.customer, "pm_card_visa")
			r.wait(4 * day)
		}, want: "active pro | full active | $99.00"},
		{name: "canceled for want of payment", plan: "pro", live: func(r *resident) {
			r.fails()
			r.wait(20 * day)
		}, want: "canceled pro | none canceled | $0.00"},
		{name: "unpaid", plan: "pro", live: func(r *resident) {
			r.must(http.MethodPost, "/sim/settings", `{"after_retries":"unpaid"}`)
			r.fails()
			r.wait(20 * day)
		}, want: "unpaid pro | read_only unpaid | $0.00"},
		{name: "paused for want of a card", live: func(r *resident) {
			r.subscribe("trial_period_days", "7", "trial_settings[end_behavior][missing_payment_method]", "pause")
			check(r, "at first", r.stands(), "trialing pro | full trialing | $0.00")
			r.wait(8 * day)
		}, want: "paused pro | read_only paused | $0.00"},
		{
			name: "incomplete", live: func(r *resident) { r.subscribe("payment_behavior", "default_incomplete") },
			want: "incomplete pro | none payment_incomplete | $0.00",
		},
		{name: "incomplete for too long", live: func(r *resident) {
			r.subscribe("payment_behavior", "default_incomplete")
			r.wait(2 * day)
		}, want: "incomplete_expired pro | none payment_incomplete | $0.00"},
		{name: "paused, invoices void", plan: "pro", live: func(r *resident) {
			r.update(r.customer, "pause_collection[behavior]", "void")
			r.hear()
			check(r, "until the period ends", r.stands(), "active pro | full active | $99.00")
			r.wait(32 * day)
		}, want: "active pro | read_only collection_paused | $0.00"},
		{name: "paused, invoices written off", plan: "pro", live: func(r *resident) {
			r.update(r.customer, "pause_collection[behavior]", "mark_uncollectible")
			r.hear()
			check(r, "until the period ends", r.stands(), "active pro | full active | $99.00")
			r.wait(32 * day)
		}, want: "active pro | full active | $0.00"},
		{name: "paused, invoices kept", plan: "pro", live: func(r *resident) {
			r.update(r.customer, "pause_collection[behavior]", "keep_as_draft")
			r.wait(32 * day)
		}, want: "active pro | full active | $99.00"},
		{name: "paused and resumed by itself", plan: "pro", live: func(r *resident) {
			r.update(r.customer, "pause_collection[behavior]", "void", "pause_collection[resumes_at]", fmt.Sprint(aNoon.Add(40*day).Unix()))
			r.wait(35 * day)
			check(r, "meanwhile", r.stands(), "active pro | read_only collection_paused | $0.00")
			r.wait(6 * day)
		}, want: "active pro | full active | $99.00"},
		{name: "several items", plan: "pro", live: func(r *resident) {
			r.update(r.customer, "items[0][price]", r.price("pilot"), "items[0][quantity]", "2")
		}, want: "active pro | full active | $157.00"},
		{name: "an unknown price alone", live: func(r *resident) {
			r.ownCard("pm_card_visa")
			r.subscribe("items[0][price]", r.strangePrice())
		}, want: "active - | none unknown_price | $50.00", alerts: "unknown_price"},
		{name: "an unknown price beside a known one", plan: "pro", live: func(r *resident) {
			r.update(r.customer, "items[0][price]", r.strangePrice())
		}, want: "active pro | full active | $149.00"},
		{name: "an unknown price in the place of a known one", plan: "pro", live: func(r *resident) {
			r.update(r.customer, "items[0][id]", r.only(r.customer).Items.Data[0].ID, "items[0][price]", r.strangePrice())
		}, want: "active pro | full active | $50.00", alerts: "unknown_price"},
		{name: "a second subscription", plan: "pro", live: func(r *resident) {
			r.wait(time.Minute)
			r.ownCard("pm_card_visa")
			r.subscribe("items[0][price]", r.price("enterprise"))
			check(r, "proposal", r.shop.rows(`SELECT concat(severity, ' ', proposal LIKE '%cancel the newest%') FROM payment_alerts`)[0], "critical t")
		}, want: "active pro, active enterprise | full active | $498.00", alerts: "second_subscription"},
		{name: "a second subscription that was ended", plan: "pro", live: func(r *resident) {
			r.wait(time.Minute)
			r.ownCard("pm_card_visa")
			r.subscribe("items[0][price]", r.price("enterprise"))
			r.must(http.MethodDelete, "/v1/subscriptions/"+r.all("/v1/subscriptions?customer=" + r.customer)[0].ID, "")
		}, want: "active pro, canceled enterprise | full active | $99.00"},
		{name: "a deleted customer", plan: "pro", live: func(r *resident) {
			r.must(http.MethodDelete, "/v1/customers/"+r.customer, "")
			r.hear()
			check(r, "told", r.told("customer_deleted", "subscription_canceled"), "customer_deleted subscription_canceled")
		}, want: "canceled pro | none canceled | $0.00"},
		{name: "a change that waits for its payment", plan: "pro", live: func(r *resident) {
			r.pays(r.customer, "pm_card_chargeCustomerFail")
			r.update(r.customer, "items[0][id]", r.only(r.customer).Items.Data[0].ID, "items[0][price]", r.price("enterprise"),
				"payment_behavior", "pending_if_incomplete", "proration_behavior", "always_invoice")
			r.hear()
			check(r, "meanwhile", r.stands(), "active pro | full active | $99.00")
			r.wait(day)
			check(r, "told", r.told("pending_update_expired", "plan_changed"), "pending_update_expired")
		}, want: "active pro | full active | $99.00"},
		{name: "a change by schedule", plan: "pro", live: func(r *resident) {
			s := r.only(r.customer)
			_, schedule := r.do(http.MethodPost, "/v1/subscription_schedules", "from_subscription="+s.ID)
			r.must(http.MethodPost, "/v1/subscription_schedules/"+field(schedule, "id"), form(
				"phases[0][start_date]", fmt.Sprint(aNoon.Unix()), "phases[0][end_date]", fmt.Sprint(aNoon.Add(10*day).Unix()),
				"phases[0][items][0][price]", r.price("pro"), "phases[0][items][0][quantity]", "1",
				"phases[1][items][0][price]", r.price("enterprise"), "phases[1][items][0][quantity]", "1", "phases[1][iterations]", "3",
			).Encode())
			r.hear()
			check(r, "before", r.stands(), "active pro | full active | $99.00")
			r.wait(11 * day)
			check(r, "told", r.told("plan_changed"), "plan_changed")
		}, want: "active enterprise | full active | $399.00"},
		{name: "a refund and a dispute", plan: "pro", live: func(r *resident) {
			charge := r.all("/v1/charges?customer=" + r.customer)[0].ID
			r.must(http.MethodPost, "/v1/refunds", form("charge", charge, "amount", "1000").Encode())
			r.pays(r.customer, "pm_card_createDispute")
			r.wait(33 * day)
			check(r, "told", r.told("refund", "dispute_opened"), "refund dispute_opened")
			check(r, "of whom", strings.Join(r.shop.rows(`SELECT DISTINCT concat_ws(' ', stripe_customer_id = $1, org_id = $2, plan, invoice_id IS NOT NULL)
				FROM payment_events WHERE kind IN ('refund', 'dispute_opened')`, r.customer, r.org), ", "), "t t pro t")
		}, want: "active pro | full active | $99.00", alerts: "dispute_opened"},
		{name: "a trial that is paid for, and renewed", plan: "pilot", live: func(r *resident) {
			r.wait(15 * day)
			check(r, "told", r.told("trial_started", "trial_ended", "trial_converted"), "trial_started trial_ended trial_converted")
			r.wait(31 * day)
			check(r, "still told once", r.told("trial_converted"), "trial_converted")
			check(r, "of whom", strings.Join(r.shop.rows(`SELECT concat_ws(' ', stripe_customer_id = $1, org_id = $2, plan, amount_minor, at = (SELECT min(at) FROM payment_events WHERE kind = 'payment_succeeded'))
				FROM payment_events WHERE kind = 'trial_converted'`, r.customer, r.org), ", "), "t t pilot 2900 t")
		}, want: "active pilot | full active | $29.00"},
		{name: "a trial that is cancelled", plan: "pilot", live: func(r *resident) {
			r.update(r.customer, "cancel_at_period_end", "true")
			r.wait(15 * day)
			check(r, "told", r.told("trial_ended", "trial_converted", "subscription_canceled"), "subscription_canceled trial_ended")
		}, want: "canceled pilot | none canceled | $0.00"},
		{name: "more seats", plan: "pro", live: func(r *resident) {
			r.wait(day)
			r.update(r.customer, "items[0][id]", r.only(r.customer).Items.Data[0].ID, "items[0][quantity]", "3")
			r.wait(day)
			check(r, "told", strings.Join(r.shop.rows(`SELECT concat_ws(' ', kind, details ->> 'direction', details ->> 'from_quantity', details ->> 'quantity', plan) FROM payment_events WHERE kind LIKE '%changed'`), ", "),
				"quantity_changed upgrade 1 3 pro")
		}, want: "active pro | full active | $297.00"},
		{name: "a checkout that was left", live: func(r *resident) {
			r.wait(2 * day)
			check(r, "told", r.told("checkout_abandoned"), "checkout_abandoned")
			check(r, "attempt", r.shop.rows(`SELECT state FROM checkout_attempts`)[0], "expired")
		}, want: " | none no_subscription | $0.00"},
		{name: "a bank debit that arrives", plan: "pro", card: "000123456789", live: func(r *resident) {
			check(r, "attempt", r.shop.rows(`SELECT payment_status FROM checkout_attempts`)[0], "unpaid")
			check(r, "while the money is on its way", r.stands(), "active pro | full active | $99.00")
			r.wait(5 * day)
			check(r, "attempt", r.shop.rows(`SELECT payment_status FROM checkout_attempts`)[0], "paid")
			check(r, "told", r.told("checkout_completed", "checkout_async_succeeded"), "checkout_completed checkout_async_succeeded")
		}, want: "active pro | full active | $99.00"},
		{name: "a bank debit that bounces", plan: "pro", card: "000222222227", live: func(r *resident) {
			r.wait(5 * day)
			check(r, "attempt", r.shop.rows(`SELECT payment_status FROM checkout_attempts`)[0], "failed")
			check(r, "told", r.told("checkout_completed", "checkout_async_failed"), "checkout_completed checkout_async_failed")
		}, want: "past_due pro | grace payment_failed | $99.00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w, done := newWorld(t, t.Context(), aNoon)
			defer done()
			r := &resident{world: w, shop: w.shop("shop", dbtest.New(t))}
			r.buyer = w.come(c.plan, c.card, r.shop)
			r.hear()
			if c.live != nil {
				c.live(r)
				r.hear()
			}
			check(r, "in the end", r.stands(), c.want)
			check(r, "alerts", r.alerts(), c.alerts)
			if left := r.shop.rows(`SELECT concat_ws(' ', type, subject, state, reason) FROM webhook_events
				WHERE state NOT IN ('processed', 'ignored')`); len(left) > 0 {
				t.Errorf("not processed: %q", left)
			}
		})
	}
}

// come lets an organization buy a plan, or only look at a checkout.
func (w *world) come(plan, card string, s *shop) buyer {
	w.Helper()
	if plan == "" {
		b := buyer{}
		b.org, b.user = organization(s)
		if _, err := s.StartCheckout(w.ctx, payments.CheckoutRequest{UserID: b.user, OrgID: b.org, Plan: "pro", Interval: billing.Month}); err != nil {
			w.Fatalf("start checkout: %v", err)
		}
		b.customer = s.rows(`SELECT stripe_customer_id FROM customers`)[0]
		return b
	}
	if card == "" {
		card = "4242424242424242"
	}
	return w.sell(plan, card, s)
}

// ownCard gives the customer a card for subscriptions to come.
func (r *resident) ownCard(card string) {
	r.Helper()
	_, body := r.do(http.MethodPost, "/v1/payment_methods/"+card+"/attach", "customer="+r.customer)
	r.must(http.MethodPost, "/v1/customers/"+r.customer, "invoice_settings[default_payment_method]="+field(body, "id"))
}

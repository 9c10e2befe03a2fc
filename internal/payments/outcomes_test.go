package payments_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/promptforge/payments/db/dbtest"
)

// TestWhatBecomesOfARenewalIsHeard lives what can become of renewals and trials at
// Stripe, and looks at what the ledger makes of it.
func TestWhatBecomesOfARenewalIsHeard(t *testing.T) {
	t.Parallel()
	const outcomes = `SELECT concat_ws(' ', plan, amount_minor, CASE WHEN asked THEN 'asked' END, fate, nullif(reason, ''), attempts)
		FROM invoice_outcome ORDER BY first_at`
	for _, c := range []struct {
		name, plan, card string
		live             func(r *resident)
		want             string
	}{
		{name: "paid at once", plan: "pro", live: func(r *resident) { r.wait(32 * day) }, want: "pro 9900 paid 0"},
		{name: "declined, with the bank's reason", plan: "pro", live: func(r *resident) {
			r.pays(r.customer, "pm_card_chargeCustomerFail_insufficientFunds")
			r.wait(32 * day)
		}, want: "pro 9900 in_retry insufficient_funds 1"},
		{name: "declined, and paid with another card", plan: "pro", live: func(r *resident) {
			r.fails()
			r.pays(r.customer, "pm_card_visa")
			r.wait(4 * day)
		}, want: "pro 9900 recovered generic_decline 1"},
		{name: "declined at every retry", plan: "pro", live: func(r *resident) {
			r.pays(r.customer, "pm_card_chargeCustomerFail_doNotHonor")
			r.wait(52 * day)
		}, want: "pro 9900 lost do_not_honor 4"},
		{name: "declined, and voided by somebody", plan: "pro", live: func(r *resident) {
			r.fails()
			invoice := r.shop.rows(`SELECT latest_invoice_id FROM subscriptions`)[0]
			r.must(http.MethodPost, "/v1/invoices/"+invoice+"/void", "")
		}},
		{name: "the bank asks", plan: "pro", live: func(r *resident) {
			r.pays(r.customer, "pm_card_authenticationRequired")
			r.wait(32 * day)
		}, want: "pro 9900 asked in_retry 1"},
		{name: "the first after a trial is a sign-up", plan: "pilot", card: "4000000000000341", live: func(r *resident) { r.wait(16 * day) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w, done := newWorld(t, t.Context(), aNoon)
			defer done()
			r := &resident{world: w, shop: w.shop("shop", dbtest.New(t))}
			r.buyer = w.come(c.plan, c.card, r.shop)
			r.hear()
			c.live(r)
			r.hear()
			if got := strings.Join(r.shop.rows(outcomes), ", "); got != c.want {
				t.Errorf("the ledger has %q, want %q", got, c.want)
			}
			if err := r.shop.ledger.Verify(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWhatBecomesOfATrialIsHeard does the same with trials.
func TestWhatBecomesOfATrialIsHeard(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, card string
		live       func(r *resident)
		want       string
	}{
		{name: "under way", live: func(*resident) {}, want: "pilot running"},
		{name: "paid for at its end", live: func(r *resident) { r.wait(15 * day) }, want: "pilot converted"},
		{name: "cut short, and paid for", live: func(r *resident) {
			r.wait(day)
			r.update(r.customer, "trial_end", "now")
			r.wait(day)
		}, want: "pilot converted"},
		{name: "cancelled", live: func(r *resident) {
			r.wait(day)
			r.must(http.MethodDelete, "/v1/subscriptions/"+r.only(r.customer).ID, "")
		}, want: "pilot lapsed"},
		{name: "the card fails", card: "4000000000000341", live: func(r *resident) { r.wait(16 * day) }, want: "pilot provisional"},
		{name: "the card fails to the end", card: "4000000000000341", live: func(r *resident) { r.wait(40 * day) }, want: "pilot lapsed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w, done := newWorld(t, t.Context(), aNoon)
			defer done()
			r := &resident{world: w, shop: w.shop("shop", dbtest.New(t))}
			r.buyer = w.come("pilot", c.card, r.shop)
			r.hear()
			c.live(r)
			r.hear()
			if got := strings.Join(r.shop.rows(`SELECT plan || ' ' || fate FROM trial_outcome`), ", "); got != c.want {
				t.Errorf("the ledger has %q, want %q", got, c.want)
			}
		})
	}
}

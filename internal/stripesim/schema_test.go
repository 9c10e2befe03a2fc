package stripesim_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/promptforge/payments/internal/stripesim/simtest"
)

// absentFields are those that Stripe shows only when they are asked for, or
// only where they apply.
var absentFields = map[string][]string{
	"account":          {"company", "external_accounts", "future_requirements", "individual", "requirements", "tos_acceptance"},
	"charge":           {"radar_options", "refunds", "transfer"},
	"refund":           {"description", "failure_balance_transaction", "failure_reason", "instructions_email", "next_action"},
	"checkout.session": {"line_items", "redirect_on_completion", "return_url", "tax_id_collection"},
	"customer":         {"cash_balance", "invoice_credit_balance", "sources", "subscriptions", "tax", "tax_ids"},
	"event":            {"account"},
	"invoice":          {"subscription_proration_date", "threshold_reason"},
	"line_item":        {"invoice_item"},
	"item":             {"discounts", "taxes"},
	"price":            {"currency_options", "tiers"},
	"setup_intent":     {"attach_to_self"},
	"webhook_endpoint": {"secret"},
	"plan":             {"tiers"},
	"payment_method": {
		"acss_debit", "affirm", "afterpay_clearpay", "alipay", "allow_redisplay", "au_becs_debit", "bacs_debit", "bancontact", "blik", "boleto",
		"card_present", "cashapp", "customer_balance", "eps", "fpx", "giropay", "grabpay", "ideal", "interac_present", "klarna",
		"konbini", "link", "oxxo", "p24", "paynow", "paypal", "pix", "promptpay", "radar_options", "revolut_pay", "sepa_debit",
		"sofort", "swish", "us_bank_account", "wechat_pay", "zip",
	},
}

// TestEveryObjectIsWhatStripesOwnDocumentDescribes walks over everything that a
// varied life leaves behind, and over what every event said.
func TestEveryObjectIsWhatStripesOwnDocumentDescribes(t *testing.T) {
	t.Parallel()
	shop := openShop(t, simtest.WithSchemas())
	shop.addEndpoint(t, "http://127.0.0.1:1/none", "invoice.paid")
	bought := shop.buy(t)

	declined := shop.newSession(t)
	shop.Complete(t, declined.ID, declinedCard)
	_, err := shop.api.CheckoutSessions.Expire(declined.ID, nil)
	must(t, err)

	trial := shop.sessionParams()
	trial.Customer, trial.CustomerEmail = nil, stripe.String("new@example.com")
	trial.SubscriptionData.TrialPeriodDays = stripe.Int64(2)
	session, err := shop.api.CheckoutSessions.New(trial)
	must(t, err)
	shop.Complete(t, session.ID, declinedCard)
	if status, _ := shop.Complete(t, session.ID, paysCard); status != http.StatusOK {
		t.Fatalf("trial: %d", status)
	}
	_, err = shop.api.Subscriptions.Update(bought.Subscription.ID, &stripe.SubscriptionParams{CancelAtPeriodEnd: stripe.Bool(true)})
	must(t, err)
	_, err = shop.api.Customers.Del(shop.customer.ID, nil)
	must(t, err)
	_, err = shop.api.Balance.Get(nil)
	must(t, err)
	_, err = shop.api.Accounts.Get()
	must(t, err)

	seen := map[string]int{}
	checkState(t, shop.Sim, seen)
	for _, kind := range []string{
		"account", "charge", "checkout.session", "customer", "event", "invoice", "line_item", "payment_intent",
		"payment_method", "plan", "price", "product", "setup_intent", "subscription", "subscription_item", "webhook_endpoint",
	} {
		if seen[kind] == 0 {
			t.Errorf("nothing of kind %s was checked", kind)
		}
	}
}

// TestWhatTimeMakesIsWhatStripesOwnDocumentDescribes does the same at each week
// of a life in which much goes wrong.
func TestWhatTimeMakesIsWhatStripesOwnDocumentDescribes(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring)
	begin := func(testMethod string, change func(*stripe.SubscriptionParams)) *stripe.Subscription {
		e.card(t, "pm_card_visa")
		subscription := e.subscribe(t, change)
		if testMethod != "" {
			e.card(t, testMethod)
			own, err := e.api.Customers.Get(e.customer.ID, nil)
			must(t, err)
			_, err = e.api.Subscriptions.Update(subscription.ID, &stripe.SubscriptionParams{
				DefaultPaymentMethod: stripe.String(own.InvoiceSettings.DefaultPaymentMethod.ID),
			})
			must(t, err)
		}
		return subscription
	}
	begin("", nil)
	begin("pm_card_chargeCustomerFail", nil)
	begin("pm_card_authenticationRequired", nil)
	begin("", func(p *stripe.SubscriptionParams) { p.TrialPeriodDays = stripe.Int64(10) })
	paused := begin("", nil)
	_, err := e.api.Subscriptions.Update(paused.ID, &stripe.SubscriptionParams{PauseCollection: &stripe.SubscriptionPauseCollectionParams{
		Behavior: stripe.String("mark_uncollectible"),
	}})
	must(t, err)
	e.card(t, "pm_card_chargeCustomerFail")
	e.subscribe(t, nil) // incomplete
	confirmed := e.newSession(t)
	submit(t, confirmed.URL, url.Values{"test_card": {"4000002500003155"}})
	seen := map[string]int{}
	for week := range 9 {
		e.after(t, time.Duration(week)*7*day)
		checkState(t, e.Sim, seen)
	}
	for _, event := range []string{
		"customer.subscription.updated", "customer.subscription.deleted", "customer.subscription.trial_will_end", "customer.updated",
		"invoice.upcoming", "invoice.created", "invoice.finalized", "invoice.paid", "invoice.payment_failed",
		"invoice.payment_action_required", "invoice.voided", "invoice.marked_uncollectible", "charge.failed", "charge.succeeded",
		"payment_intent.requires_action", "payment_intent.payment_failed", "payment_intent.canceled", "checkout.session.expired",
	} {
		if seen[event] == 0 {
			t.Errorf("no %s was checked", event)
		}
	}
}

// checkState holds everything that there is to Stripe's document, counting it by
// kind and events by type.
func checkState(t *testing.T, sim *simtest.Sim, seen map[string]int) {
	t.Helper()
	check := func(where string, object map[string]any) {
		t.Helper()
		kind, _ := object["object"].(string)
		seen[kind]++
		absent := absentFields[kind]
		if object["type"] == "us_bank_account" {
			absent = append([]string{"card"}, slices.DeleteFunc(slices.Clone(absent), func(field string) bool { return field == "us_bank_account" })...)
		}
		if where == "invoice.upcoming" {
			absent = append([]string{"id"}, absent...)
		}
		if err := simtest.CheckObject(t, object, absent...); err != nil {
			t.Errorf("%s %v (%s): %v", kind, object["id"], where, err)
		}
	}
	for kind, objects := range sim.State(t) {
		if strings.HasPrefix(kind, "sim.") {
			continue
		}
		for _, object := range objects {
			check("state", object)
			switch kind {
			case "event":
				seen[object["type"].(string)]++
				check(object["type"].(string), object["data"].(map[string]any)["object"].(map[string]any))
			case "subscription_schedule":
				for _, phase := range object["phases"].([]any) {
					must(t, simtest.CheckPart(t, "subscription_schedule_phase_configuration", phase.(map[string]any)))
					item := phase.(map[string]any)["items"].([]any)[0].(map[string]any)
					must(t, simtest.CheckPart(t, "subscription_schedule_configuration_item", item))
				}
			case "invoice":
				check("line", object["lines"].(map[string]any)["data"].([]any)[0].(map[string]any))
			case "subscription":
				item := object["items"].(map[string]any)["data"].([]any)[0].(map[string]any)
				check("item", item)
				check("item's price", item["price"].(map[string]any))
				check("item's plan", item["plan"].(map[string]any))
			}
		}
	}
}

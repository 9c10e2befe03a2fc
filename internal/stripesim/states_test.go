package stripesim_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/promptforge/payments/internal/stripesim"
	"github.com/promptforge/payments/internal/stripesim/simtest"
)

func (e *era) latest(t *testing.T, subscription string) *stripe.Invoice {
	t.Helper()
	params := &stripe.SubscriptionParams{}
	params.AddExpand("latest_invoice.payment_intent")
	found, err := e.api.Subscriptions.Get(subscription, params)
	must(t, err)
	return found.LatestInvoice
}

func incomplete(p *stripe.SubscriptionParams) {
	p.PaymentBehavior = stripe.String("default_incomplete")
}

func TestASubscriptionWaitsForItsFirstPaymentToBeConfirmed(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas())
	waiting := e.subscribe(t, incomplete)
	equal(t, "status", waiting.Status, "incomplete")
	invoice := e.latest(t, waiting.ID)
	equal(t, "invoice", invoice.Status, "open")
	equal(t, "attempts", invoice.AttemptCount, 0)
	equal(t, "intent", invoice.PaymentIntent.Status, "requires_payment_method")

	_, err := e.api.PaymentIntents.Confirm(invoice.PaymentIntent.ID, nil)
	wantError(t, err, 400, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodePaymentIntentUnexpectedState, "")
	method, err := e.api.PaymentMethods.Attach("pm_card_authenticationRequired", &stripe.PaymentMethodAttachParams{Customer: stripe.String(e.customer.ID)})
	must(t, err)
	confirm := &stripe.PaymentIntentConfirmParams{PaymentMethod: stripe.String(method.ID)}
	intent, err := e.api.PaymentIntents.Confirm(invoice.PaymentIntent.ID, confirm)
	must(t, err)
	equal(t, "intent, asked once", intent.Status, "requires_action")
	equal(t, "status meanwhile", e.subscription(t, waiting.ID).Status, "incomplete")
	intent, err = e.api.PaymentIntents.Confirm(invoice.PaymentIntent.ID, confirm)
	must(t, err)
	equal(t, "intent, confirmed", intent.Status, "succeeded")
	equal(t, "status", e.subscription(t, waiting.ID).Status, "active")

	expired := e.subscribe(t, incomplete)
	e.after(t, 22*time.Hour)
	equal(t, "status before the last hour", e.subscription(t, expired.ID).Status, "incomplete")
	e.after(t, 24*time.Hour)
	equal(t, "status after a day", e.subscription(t, expired.ID).Status, "incomplete_expired")
	equal(t, "invoice", e.latest(t, expired.ID).Status, "void")
	checkState(t, e.Sim, map[string]int{})
}

func TestASubscriptionThatMustBePaidIsNotMadeOtherwise(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas())
	e.card(t, "pm_card_chargeCustomerFail")
	_, err := e.api.Subscriptions.New(&stripe.SubscriptionParams{
		Customer: stripe.String(e.customer.ID), Items: []*stripe.SubscriptionItemsParams{{Price: stripe.String(e.price.ID)}},
		PaymentBehavior: stripe.String("error_if_incomplete"),
	})
	wantError(t, err, 402, stripe.ErrorTypeCard, stripe.ErrorCodeCardDeclined, "")
	equal(t, "subscriptions", len(e.State(t)["subscription"]), 0)
}

// dearer is a price of the same product at twice the amount.
func (e *era) dearer(t *testing.T) *stripe.Price {
	t.Helper()
	price, err := e.api.Prices.New(&stripe.PriceParams{
		Product: stripe.String(e.product.ID), Currency: stripe.String("usd"), UnitAmount: stripe.Int64(19800),
		Recurring: &stripe.PriceRecurringParams{Interval: stripe.String("month")},
	})
	must(t, err)
	return price
}

func (e *era) upgradeIfPaid(t *testing.T, subscription *stripe.Subscription, price *stripe.Price) *stripe.Subscription {
	t.Helper()
	changed, err := e.api.Subscriptions.Update(subscription.ID, &stripe.SubscriptionParams{
		Items:             []*stripe.SubscriptionItemsParams{{ID: stripe.String(subscription.Items.Data[0].ID), Price: stripe.String(price.ID)}},
		PaymentBehavior:   stripe.String("pending_if_incomplete"),
		ProrationBehavior: stripe.String("always_invoice"),
	})
	must(t, err)
	return changed
}

func TestAnUpdateWaitsForItsPayment(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		pays   bool
		events []string
	}{
		"and is made when it comes": {true, []string{
			"customer.subscription.updated latest_invoice,pending_update",
			"customer.subscription.updated items,pending_update,plan",
			"customer.subscription.pending_update_applied",
		}},
		"and is given up when it does not come": {false, []string{
			"customer.subscription.updated latest_invoice,pending_update",
			"customer.subscription.updated pending_update",
			"customer.subscription.pending_update_expired",
		}},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			e := openEra(t, spring, simtest.WithSchemas())
			e.card(t, "pm_card_visa")
			subscription := e.subscribe(t, nil)
			e.card(t, "pm_card_chargeCustomerFail")
			told := len(e.told(t, "customer.subscription."))
			e.after(t, 10*day)
			price := e.dearer(t)
			waiting := e.upgradeIfPaid(t, subscription, price)
			equal(t, "status", waiting.Status, "active")
			equal(t, "price meanwhile", waiting.Items.Data[0].Price.ID, e.price.ID)
			equal(t, "waits until", waiting.PendingUpdate.ExpiresAt, e.start.Add(10*day+23*time.Hour).Unix())
			equal(t, "waits for", waiting.PendingUpdate.SubscriptionItems[0].Price.ID, price.ID)
			equal(t, "invoice", e.latest(t, subscription.ID).Status, "open")
			checkState(t, e.Sim, map[string]int{})
			want := e.price.ID
			if c.pays {
				want = price.ID
				e.card(t, "pm_card_visa")
				_, err := e.api.Invoices.Pay(e.latest(t, subscription.ID).ID, nil)
				must(t, err)
			}
			e.after(t, 12*day)
			got := e.subscription(t, subscription.ID)
			equal(t, "price in the end", got.Items.Data[0].Price.ID, want)
			equal(t, "status", got.Status, "active")
			if got.PendingUpdate != nil {
				t.Errorf("still pending: %+v", got.PendingUpdate)
			}
			compareLines(t, e.told(t, "customer.subscription.")[told:], c.events...)
			checkState(t, e.Sim, map[string]int{})
		})
	}
}

func TestAnUpdateThatIsPaidAtOnceDoesNotWait(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas())
	e.card(t, "pm_card_visa")
	subscription := e.subscribe(t, nil)
	told := len(e.told(t, "customer.subscription."))
	e.after(t, 10*day)
	price := e.dearer(t)
	changed := e.upgradeIfPaid(t, subscription, price)
	equal(t, "price", changed.Items.Data[0].Price.ID, price.ID)
	compareLines(t, e.told(t, "customer.subscription.")[told:], "customer.subscription.updated items,latest_invoice,plan")
	_, err := e.api.Subscriptions.Update(subscription.ID, &stripe.SubscriptionParams{
		PaymentBehavior: stripe.String("pending_if_incomplete"), Description: stripe.String("x"),
	})
	wantError(t, err, 400, stripe.ErrorTypeInvalidRequest, "", "description")
}

func TestATrialWithoutACardPausesAndIsResumed(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		card     string
		anchor   string
		status   stripe.SubscriptionStatus
		invoiced int64
	}{
		"from now on":            {"pm_card_visa", "now", "active", 9900},
		"in its old rhythm":      {"pm_card_visa", "unchanged", "active", 6706}, // 21 of 31 days
		"with a card that fails": {"pm_card_chargeCustomerFail", "now", "past_due", 9900},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			e := openEra(t, spring, simtest.WithSchemas())
			trial := e.subscribe(t, func(p *stripe.SubscriptionParams) {
				p.TrialPeriodDays = stripe.Int64(14)
				p.TrialSettings = &stripe.SubscriptionTrialSettingsParams{EndBehavior: &stripe.SubscriptionTrialSettingsEndBehaviorParams{
					MissingPaymentMethod: stripe.String("pause"),
				}}
			})
			_, err := e.api.Subscriptions.Resume(trial.ID, nil)
			wantError(t, err, 400, stripe.ErrorTypeInvalidRequest, "", "")
			e.after(t, 24*day)
			equal(t, "status", e.subscription(t, trial.ID).Status, "paused")
			e.card(t, c.card)
			told := len(e.told(t, "customer.subscription."))
			resumed, err := e.api.Subscriptions.Resume(trial.ID, &stripe.SubscriptionResumeParams{BillingCycleAnchor: stripe.String(c.anchor)})
			must(t, err)
			equal(t, "status", resumed.Status, c.status)
			equal(t, "invoiced", e.invoiced(t), c.invoiced)
			events := []string{"customer.subscription.updated billing_cycle_anchor,current_period_end,current_period_start,latest_invoice,status", "customer.subscription.resumed"}
			if c.anchor == "unchanged" {
				events[0] = "customer.subscription.updated current_period_end,current_period_start,latest_invoice,status"
			}
			if c.status == "past_due" {
				events = append(events, "customer.subscription.updated status")
			}
			compareLines(t, e.told(t, "customer.subscription.")[told:], events...)
			e.after(t, 60*day)
			checkState(t, e.Sim, map[string]int{})
		})
	}
}

func TestWhatIsUnpaidBecomesActiveWhenItIsPaid(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas(), simtest.WithConfig(func(c *stripesim.Config) { c.AfterRetries = stripesim.UnpaidAfterRetries }))
	e.card(t, "pm_card_visa")
	subscription := e.subscribe(t, nil)
	e.card(t, "pm_card_chargeCustomerFail")
	e.after(t, 50*day)
	equal(t, "status", e.subscription(t, subscription.ID).Status, "unpaid")
	owed := e.latest(t, subscription.ID)
	e.card(t, "pm_card_visa")
	_, err := e.api.Invoices.Pay(owed.ID, nil)
	must(t, err)
	equal(t, "status", e.subscription(t, subscription.ID).Status, "active")
}

// TestWhatBecomesOfWhoDoesNotPayIsSetLikeInTheDashboard changes it while a
// subscription is being retried.
func TestWhatBecomesOfWhoDoesNotPayIsSetLikeInTheDashboard(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas())
	e.card(t, "pm_card_visa")
	kept := e.subscribe(t, nil)
	e.after(t, 2*day)
	lost := e.subscribe(t, nil)
	e.card(t, "pm_card_chargeCustomerFail")
	e.after(t, 45*day)
	for _, choice := range []string{"unpaid", "cancel"} {
		status, _ := e.Do(t, http.MethodPost, "/sim/settings", `{"after_retries":"`+choice+`"}`)
		equal(t, "setting", status, http.StatusOK)
		e.after(t, map[string]time.Duration{"unpaid": 47 * day, "cancel": 50 * day}[choice])
	}
	equal(t, "while it was set", e.subscription(t, kept.ID).Status, "unpaid")
	equal(t, "afterwards", e.subscription(t, lost.ID).Status, "canceled")
	status, _ := e.Do(t, http.MethodPost, "/sim/settings", `{"after_retries":"forgive"}`)
	equal(t, "a setting that is none", status, http.StatusBadRequest)
}

func TestABankTellsOfANewCard(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas())
	id := e.card(t, "pm_card_visa")
	status, _ := e.Do(t, http.MethodPost, "/sim/payment_methods/"+id+"/replacement", "")
	equal(t, "status", status, http.StatusOK)
	compareLines(t, e.told(t, "payment_method."), "payment_method.attached", "payment_method.automatically_updated card")
}

func TestAnInvoiceThatCannotBeTaxedStaysADraft(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas())
	e.card(t, "pm_card_visa")
	taxed := func(p *stripe.SubscriptionParams) {
		p.AutomaticTax = &stripe.SubscriptionAutomaticTaxParams{Enabled: stripe.Bool(true)}
	}
	params := &stripe.SubscriptionParams{Customer: stripe.String(e.customer.ID), Items: []*stripe.SubscriptionItemsParams{{Price: stripe.String(e.price.ID)}}}
	taxed(params)
	_, err := e.api.Subscriptions.New(params)
	wantError(t, err, 400, stripe.ErrorTypeInvalidRequest, stripe.ErrorCode("customer_tax_location_invalid"), "automatic_tax")
	live := func(country string) {
		_, err := e.api.Customers.Update(e.customer.ID, &stripe.CustomerParams{Address: &stripe.AddressParams{Country: stripe.String(country)}})
		must(t, err)
	}
	live("US")
	subscription := e.subscribe(t, taxed)
	equal(t, "tax", e.latest(t, subscription.ID).AutomaticTax.Status, "complete")
	live("")
	e.after(t, 40*day)
	draft := e.latest(t, subscription.ID)
	equal(t, "invoice", draft.Status, "draft")
	equal(t, "why", draft.LastFinalizationError.Code, "customer_tax_location_invalid")
	equal(t, "tax", draft.AutomaticTax.Status, "requires_location_inputs")
	equal(t, "status", e.subscription(t, subscription.ID).Status, "active")
	equal(t, "told", len(e.told(t, "invoice.finalization_failed")), 1)
	_, err = e.api.Invoices.FinalizeInvoice(draft.ID, nil)
	wantError(t, err, 400, stripe.ErrorTypeInvalidRequest, stripe.ErrorCode("customer_tax_location_invalid"), "")
	checkState(t, e.Sim, map[string]int{})
	live("US")
	paid, err := e.api.Invoices.Pay(draft.ID, nil)
	must(t, err)
	equal(t, "invoice", paid.Status, "paid")
	if paid.LastFinalizationError != nil {
		t.Errorf("still says %v", paid.LastFinalizationError)
	}
	checkState(t, e.Sim, map[string]int{})
}

func TestADeletedCustomerIsShownAsDeletedAndHasWhatItHad(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas())
	e.card(t, "pm_card_visa")
	subscription := e.subscribe(t, nil)
	_, err := e.api.Customers.Del(e.customer.ID, nil)
	must(t, err)
	gone, err := e.api.Customers.Get(e.customer.ID, nil)
	must(t, err)
	equal(t, "deleted", gone.Deleted, true)
	list := e.api.Subscriptions.List(&stripe.SubscriptionListParams{Customer: stripe.String(e.customer.ID), Status: stripe.String("all")})
	if !list.Next() || list.Subscription().ID != subscription.ID || list.Subscription().Status != "canceled" {
		t.Errorf("listed %+v, %v", list.Subscription(), list.Err())
	}
	status, _ := e.Do(t, http.MethodPost, "/v1/customers/"+e.customer.ID, "name=x")
	equal(t, "a change of who is deleted", status, http.StatusNotFound)
}

package stripesim_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/promptforge/payments/internal/stripesim"
	"github.com/promptforge/payments/internal/stripesim/simtest"
)

func TestALifeThroughStripeGo(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	shop := openShop(t, simtest.WithSchemas(), simtest.WithConfig(func(c *stripesim.Config) {
		c.Now = func() time.Time { return now }
	}))
	session := shop.newSession(t)
	equal(t, "status", session.Status, stripe.CheckoutSessionStatusOpen)
	equal(t, "payment status", session.PaymentStatus, stripe.CheckoutSessionPaymentStatusUnpaid)
	equal(t, "total", session.AmountTotal, 9900)
	equal(t, "expires at", session.ExpiresAt, now.Add(24*time.Hour).Unix())
	equal(t, "url", session.URL, shop.URL+"/c/pay/"+session.ID)
	if !strings.HasPrefix(session.ID, "cs_test_") {
		t.Errorf("session id %s", session.ID)
	}

	status, redirect := shop.Complete(t, session.ID, paysCard)
	equal(t, "completion", status, http.StatusOK)
	equal(t, "redirect", redirect, "http://127.0.0.1:8080/checkout/success?session_id="+session.ID)

	params := &stripe.CheckoutSessionParams{}
	for _, path := range []string{"customer", "subscription", "subscription.latest_invoice", "line_items"} {
		params.AddExpand(path)
	}
	session, err := shop.api.CheckoutSessions.Get(session.ID, params)
	must(t, err)
	equal(t, "status", session.Status, stripe.CheckoutSessionStatusComplete)
	equal(t, "payment status", session.PaymentStatus, stripe.CheckoutSessionPaymentStatusPaid)
	equal(t, "e-mail", session.CustomerDetails.Email, "ada@example.com")
	equal(t, "url", session.URL, "")
	equal(t, "expanded customer", session.Customer.Metadata["org_id"], "42")
	equal(t, "expanded line item", session.LineItems.Data[0].Price.ID, shop.price.ID)

	subscription := session.Subscription
	equal(t, "status", subscription.Status, stripe.SubscriptionStatusActive)
	equal(t, "metadata", subscription.Metadata["org_id"], "42")
	equal(t, "period start", subscription.CurrentPeriodStart, now.Unix())
	equal(t, "period end at the short month's end", subscription.CurrentPeriodEnd, time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC).Unix())
	equal(t, "invoice", subscription.LatestInvoice.Status, stripe.InvoiceStatusPaid)
	equal(t, "amount paid", subscription.LatestInvoice.AmountPaid, 9900)
	equal(t, "reason", subscription.LatestInvoice.BillingReason, stripe.InvoiceBillingReasonSubscriptionCreate)

	subParams := &stripe.SubscriptionParams{}
	subParams.AddExpand("items.data.price.product")
	subParams.AddExpand("latest_invoice.payment_intent")
	subParams.AddExpand("default_payment_method")
	subscription, err = shop.api.Subscriptions.Get(subscription.ID, subParams)
	must(t, err)
	equal(t, "product name", subscription.Items.Data[0].Price.Product.Name, "Pro")
	equal(t, "intent", subscription.LatestInvoice.PaymentIntent.Status, stripe.PaymentIntentStatusSucceeded)
	equal(t, "card", subscription.DefaultPaymentMethod.Card.Last4, "4242")

	customer, err := shop.api.Customers.Get(shop.customer.ID, nil)
	must(t, err)
	equal(t, "the customer's currency", customer.Currency, stripe.CurrencyUSD)

	updated, err := shop.api.Subscriptions.Update(subscription.ID, &stripe.SubscriptionParams{CancelAtPeriodEnd: stripe.Bool(true)})
	must(t, err)
	equal(t, "scheduled end", updated.CancelAt, updated.CurrentPeriodEnd)
	canceled, err := shop.api.Subscriptions.Cancel(subscription.ID, nil)
	must(t, err)
	equal(t, "status", canceled.Status, stripe.SubscriptionStatusCanceled)
	equal(t, "ended at", canceled.EndedAt, now.Unix())
	_, err = shop.api.Subscriptions.Cancel(subscription.ID, nil)
	wantError(t, err, 404, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeResourceMissing, "id")
}

func TestSubscriptionsAreListedByStatus(t *testing.T) {
	t.Parallel()
	shop := openShop(t)
	first, second := shop.buy(t), shop.buy(t)
	_, err := shop.api.Subscriptions.Cancel(first.Subscription.ID, nil)
	must(t, err)
	for status, want := range map[string][]string{
		"":         {second.Subscription.ID},
		"all":      {second.Subscription.ID, first.Subscription.ID},
		"canceled": {first.Subscription.ID},
		"ended":    {first.Subscription.ID},
		"active":   {second.Subscription.ID},
		"past_due": nil,
	} {
		params := &stripe.SubscriptionListParams{Customer: stripe.String(shop.customer.ID)}
		if status != "" {
			params.Status = stripe.String(status)
		}
		var got []string
		for it := shop.api.Subscriptions.List(params); it.Next(); {
			got = append(got, it.Subscription().ID)
		}
		equal(t, "status "+status, fmt.Sprint(got), fmt.Sprint(want))
	}
}

func TestATrialBeginsAtOnce(t *testing.T) {
	t.Parallel()
	shop := openShop(t, simtest.WithSchemas())
	params := shop.sessionParams()
	params.SubscriptionData.TrialPeriodDays = stripe.Int64(14)
	params.SubscriptionData.TrialSettings = &stripe.CheckoutSessionSubscriptionDataTrialSettingsParams{
		EndBehavior: &stripe.CheckoutSessionSubscriptionDataTrialSettingsEndBehaviorParams{MissingPaymentMethod: stripe.String("cancel")},
	}
	session, err := shop.api.CheckoutSessions.New(params)
	must(t, err)
	equal(t, "due today", session.AmountTotal, 0)
	if status, _ := shop.Complete(t, session.ID, declinedCard); status != http.StatusPaymentRequired {
		t.Errorf("declined card: %d", status)
	}
	if status, _ := shop.Complete(t, session.ID, paysCard); status != http.StatusOK {
		t.Errorf("good card: %d", status)
	}
	getParams := &stripe.CheckoutSessionParams{}
	getParams.AddExpand("subscription.latest_invoice")
	session, err = shop.api.CheckoutSessions.Get(session.ID, getParams)
	must(t, err)
	equal(t, "status", session.Subscription.Status, stripe.SubscriptionStatusTrialing)
	equal(t, "trial", session.Subscription.TrialEnd-session.Subscription.TrialStart, 14*86400)
	equal(t, "period end", session.Subscription.CurrentPeriodEnd, session.Subscription.TrialEnd)
	equal(t, "end behaviour", session.Subscription.TrialSettings.EndBehavior.MissingPaymentMethod, "cancel")
	equal(t, "invoice", session.Subscription.LatestInvoice.Status, stripe.InvoiceStatusPaid)
	equal(t, "amount", session.Subscription.LatestInvoice.Total, 0)
	types := eventTypesOf(t, shop)
	equal(t, "events", strings.Join(types[len(types)-9:], " "),
		"payment_method.attached setup_intent.succeeded customer.subscription.created invoice.created invoice.finalized invoice.updated invoice.paid invoice.payment_succeeded checkout.session.completed")
}

func TestEventsOfAPurchaseShareASecond(t *testing.T) {
	t.Parallel()
	shop := openShop(t)
	before := len(eventTypesOf(t, shop))
	shop.buy(t)
	equal(t, "events", strings.Join(eventTypesOf(t, shop)[before:], " "),
		"payment_intent.created customer.updated payment_method.attached customer.subscription.created "+
			"invoice.created invoice.finalized charge.succeeded payment_intent.succeeded "+
			"invoice.updated invoice.paid invoice.payment_succeeded customer.subscription.updated checkout.session.completed")
	events := shop.State(t)["event"][before:]
	for _, event := range events {
		equal(t, "second", event["created"], events[0]["created"])
	}
	updated := events[11]["data"].(map[string]any)
	previous := updated["previous_attributes"].(map[string]any)
	equal(t, "previous attributes", fmt.Sprint(previous), "map[default_payment_method:<nil> status:incomplete]")
	created := events[3]["data"].(map[string]any)["object"].(map[string]any)
	equal(t, "status when created", created["status"], "incomplete")
}

func TestADeclinedCardLeavesNoSubscription(t *testing.T) {
	t.Parallel()
	shop := openShop(t)
	session := shop.newSession(t)
	for range 2 {
		status, body := shop.Do(t, http.MethodPost, "/sim/checkout/"+session.ID+"/complete", `{"card":"4000000000000002"}`)
		equal(t, "status", status, http.StatusPaymentRequired)
		for _, part := range []string{`"type": "card_error"`, `"code": "card_declined"`, `"decline_code": "generic_decline"`, `"charge": "ch_`} {
			if !strings.Contains(string(body), part) {
				t.Errorf("error lacks %s: %s", part, body)
			}
		}
	}
	state := shop.State(t)
	equal(t, "subscriptions", len(state["subscription"]), 0)
	equal(t, "charges", len(state["charge"]), 2)
	equal(t, "intents, one for both attempts", len(state["payment_intent"]), 1)
	equal(t, "intent", state["payment_intent"][0]["status"], "requires_payment_method")

	status, _ := shop.Complete(t, session.ID, paysCard)
	equal(t, "then a good card", status, http.StatusOK)
	equal(t, "intents", len(shop.State(t)["payment_intent"]), 1)
	status, _ = shop.Complete(t, session.ID, paysCard)
	equal(t, "and never twice", status, http.StatusBadRequest)
}

func TestAPriceKeepsItsCurrencyOptionsOutOfSight(t *testing.T) {
	t.Parallel()
	shop := openShop(t, simtest.WithSchemas())
	price, err := shop.api.Prices.New(&stripe.PriceParams{
		ProductData: &stripe.PriceProductDataParams{Name: stripe.String("Seats")}, Currency: stripe.String("usd"), UnitAmount: stripe.Int64(500),
		CurrencyOptions: map[string]*stripe.PriceCurrencyOptionsParams{"eur": {UnitAmount: stripe.Int64(450)}},
		Recurring:       &stripe.PriceRecurringParams{Interval: stripe.String("month"), IntervalCount: stripe.Int64(3)},
	})
	must(t, err)
	equal(t, "options in the answer", len(price.CurrencyOptions), 0)
	params := &stripe.PriceListParams{Product: stripe.String(price.Product.ID)}
	params.AddExpand("data.currency_options")
	params.AddExpand("data.tiers")
	params.AddExpand("data.product")
	it := shop.api.Prices.List(params)
	if !it.Next() {
		t.Fatal("price not listed", it.Err())
	}
	equal(t, "euro", it.Price().CurrencyOptions["eur"].UnitAmount, 450)
	equal(t, "its own currency", it.Price().CurrencyOptions["usd"].UnitAmount, 500)
	equal(t, "product", it.Price().Product.Name, "Seats")
}

func TestALookupKeyHasOnePrice(t *testing.T) {
	t.Parallel()
	shop := openShop(t)
	params := &stripe.PriceParams{
		Product: stripe.String(shop.product.ID), Currency: stripe.String("usd"), UnitAmount: stripe.Int64(10900),
		LookupKey: stripe.String("pro_month"), Recurring: &stripe.PriceRecurringParams{Interval: stripe.String("month")},
	}
	_, err := shop.api.Prices.New(params)
	wantError(t, err, 400, stripe.ErrorTypeInvalidRequest, "resource_already_exists", "lookup_key")
	params.TransferLookupKey = stripe.Bool(true)
	second, err := shop.api.Prices.New(params)
	must(t, err)
	var found []string
	for it := shop.api.Prices.List(&stripe.PriceListParams{LookupKeys: stripe.StringSlice([]string{"pro_month"})}); it.Next(); {
		found = append(found, it.Price().ID)
	}
	equal(t, "holder", fmt.Sprint(found), fmt.Sprint([]string{second.ID}))
}

func TestListsArePaged(t *testing.T) {
	t.Parallel()
	shop := openShop(t, simtest.WithSchemas())
	for i := range 24 {
		_, err := shop.api.Customers.New(&stripe.CustomerParams{Email: stripe.String(fmt.Sprintf("c%d@example.com", i))})
		must(t, err)
	}
	for _, limit := range []int64{1, 7, 100} {
		var all []string
		params := &stripe.CustomerListParams{}
		params.Limit = stripe.Int64(limit)
		it := shop.api.Customers.List(params)
		for it.Next() {
			all = append(all, it.Customer().Email)
		}
		must(t, it.Err())
		equal(t, "customers", len(all), 25)
		equal(t, "newest first", all[0], "c23@example.com")
		equal(t, "oldest last", all[24], "ada@example.com")
	}
	backwards := &stripe.CustomerListParams{}
	backwards.EndingBefore = stripe.String(shop.customer.ID)
	backwards.Limit = stripe.Int64(3)
	backwards.Single = true
	it := shop.api.Customers.List(backwards)
	var page []string
	for it.Next() {
		page = append(page, it.Customer().Email)
	}
	// stripe-go turns a page that was asked for backwards round.
	equal(t, "the three before the oldest", fmt.Sprint(page), "[c0@example.com c1@example.com c2@example.com]")
	equal(t, "more", it.Meta().HasMore, true)

	byEmail := &stripe.CustomerListParams{Email: stripe.String("c7@example.com")}
	it = shop.api.Customers.List(byEmail)
	equal(t, "by e-mail", it.Next() && !it.Next(), true)

	missing := &stripe.CustomerListParams{}
	missing.StartingAfter = stripe.String("cus_none")
	it = shop.api.Customers.List(missing)
	it.Next()
	wantError(t, it.Err(), 400, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeResourceMissing, "starting_after")
}

func TestEventsAreListedByTypeAndTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	shop := openShop(t, simtest.WithConfig(func(c *stripesim.Config) { c.Now = func() time.Time { return now } }))
	count := func(params *stripe.EventListParams) (n int) {
		t.Helper()
		it := shop.api.Events.List(params)
		for it.Next() {
			n++
		}
		must(t, it.Err())
		return n
	}
	equal(t, "all", count(&stripe.EventListParams{}), 3)
	equal(t, "by types", count(&stripe.EventListParams{Types: stripe.StringSlice([]string{"customer.created", "price.created"})}), 2)
	equal(t, "by type", count(&stripe.EventListParams{Type: stripe.String("customer.*")}), 1)
	equal(t, "since", count(&stripe.EventListParams{CreatedRange: &stripe.RangeQueryParams{GreaterThanOrEqual: now.Unix()}}), 3)
	equal(t, "after", count(&stripe.EventListParams{CreatedRange: &stripe.RangeQueryParams{GreaterThan: now.Unix()}}), 0)
	equal(t, "undelivered", count(&stripe.EventListParams{DeliverySuccess: stripe.Bool(false)}), 0)
}

func TestADeletedCustomerIsShownAsDeleted(t *testing.T) {
	t.Parallel()
	shop := openShop(t, simtest.WithSchemas())
	session := shop.buy(t)
	deleted, err := shop.api.Customers.Del(shop.customer.ID, nil)
	must(t, err)
	equal(t, "deleted", deleted.Deleted, true)
	again, err := shop.api.Customers.Get(shop.customer.ID, nil)
	must(t, err)
	equal(t, "deleted", again.Deleted, true)
	subscription, err := shop.api.Subscriptions.Get(session.Subscription.ID, nil)
	must(t, err)
	equal(t, "its subscription", subscription.Status, stripe.SubscriptionStatusCanceled)
	_, err = shop.api.Customers.Update(shop.customer.ID, &stripe.CustomerParams{Name: stripe.String("x")})
	wantError(t, err, 404, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeResourceMissing, "customer")
	_, err = shop.api.CheckoutSessions.New(shop.sessionParams())
	wantError(t, err, 400, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeResourceMissing, "customer")
}

func TestASubscriptionCanBeMadeWithoutCheckout(t *testing.T) {
	t.Parallel()
	shop := openShop(t, simtest.WithSchemas())
	params := &stripe.SubscriptionParams{
		Customer: stripe.String(shop.customer.ID),
		Items:    []*stripe.SubscriptionItemsParams{{Price: stripe.String(shop.price.ID), Quantity: stripe.Int64(2)}},
	}
	_, err := shop.api.Subscriptions.New(params)
	wantError(t, err, 400, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeResourceMissing, "")
	shop.buy(t)
	it := shop.api.PaymentMethods.List(&stripe.PaymentMethodListParams{Customer: stripe.String(shop.customer.ID), Type: stripe.String("card")})
	if !it.Next() {
		t.Fatal("no card", it.Err())
	}
	params.DefaultPaymentMethod = stripe.String(it.PaymentMethod().ID)
	params.AddExpand("latest_invoice")
	subscription, err := shop.api.Subscriptions.New(params)
	must(t, err)
	equal(t, "status", subscription.Status, stripe.SubscriptionStatusActive)
	equal(t, "paid", subscription.LatestInvoice.AmountPaid, 19800)
	if !strings.HasSuffix(subscription.LatestInvoice.Number, "-0002") {
		t.Errorf("invoice number %s", subscription.LatestInvoice.Number)
	}
}

func TestASessionExpires(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 9, 0, 0, 0, time.UTC)
	clock := newClock(now)
	shop := openShop(t, simtest.WithConfig(func(c *stripesim.Config) { c.Now = clock.now }))
	asked, aged := shop.newSession(t), shop.newSession(t)
	_, err := shop.api.CheckoutSessions.Expire(asked.ID, nil)
	must(t, err)
	_, err = shop.api.CheckoutSessions.Expire(asked.ID, nil)
	wantError(t, err, 400, stripe.ErrorTypeInvalidRequest, "", "")
	clock.set(now.Add(24*time.Hour - time.Second))
	session, err := shop.api.CheckoutSessions.Get(aged.ID, nil)
	must(t, err)
	equal(t, "status in its last second", session.Status, stripe.CheckoutSessionStatusOpen)
	clock.set(now.Add(24 * time.Hour))
	session, err = shop.api.CheckoutSessions.Get(aged.ID, nil)
	must(t, err)
	equal(t, "status", session.Status, stripe.CheckoutSessionStatusExpired)
	status, _ := shop.Complete(t, aged.ID, paysCard)
	equal(t, "paying too late", status, http.StatusBadRequest)
	complete := shop.buy(t)
	_, err = shop.api.CheckoutSessions.Expire(complete.ID, nil)
	wantError(t, err, 400, stripe.ErrorTypeInvalidRequest, "", "")
	var expired int
	for _, eventType := range eventTypesOf(t, shop) {
		if eventType == "checkout.session.expired" {
			expired++
		}
	}
	equal(t, "events, one a session", expired, 2)
}

func eventTypesOf(t *testing.T, shop *shop) []string {
	t.Helper()
	var types []string
	for _, event := range shop.State(t)["event"] {
		types = append(types, event["type"].(string))
	}
	return types
}

func wantError(t *testing.T, err error, status int, kind stripe.ErrorType, code stripe.ErrorCode, param string) {
	t.Helper()
	var got *stripe.Error
	if !errors.As(err, &got) {
		t.Fatalf("want an error of Stripe's, got %v", err)
	}
	equal(t, "status", got.HTTPStatusCode, status)
	equal(t, "type", got.Type, kind)
	equal(t, "code", got.Code, code)
	equal(t, "param", got.Param, param)
	if got.RequestID == "" || got.Msg == "" {
		t.Errorf("an error without request id or message: %+v", got)
	}
}

package stripesim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/promptforge/payments/internal/stripesim/simtest"
)

func replace(s string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(s) }

// linesOf answers description and amount of an invoice's lines.
func linesOf(invoice *stripe.Invoice) (texts []string) {
	for _, line := range invoice.Lines.Data {
		texts = append(texts, fmt.Sprint(line.Description, " ", line.Amount))
	}
	return texts
}

func (s *planShop) invoice(t *testing.T, id string) *stripe.Invoice {
	t.Helper()
	params := &stripe.InvoiceParams{}
	params.AddExpand("payment_intent")
	invoice, err := s.api.Invoices.Get(id, params)
	must(t, err)
	return invoice
}

func (s *planShop) current(t *testing.T) *stripe.Subscription {
	t.Helper()
	subscription, err := s.api.Subscriptions.Get(s.subscription.ID, nil)
	must(t, err)
	return subscription
}

// failing gives the subscription a card that is declined from now on.
func (s *planShop) failing(t *testing.T) {
	t.Helper()
	method := s.attach(t, "pm_card_chargeCustomerFail")
	s.update(t, &stripe.SubscriptionParams{DefaultPaymentMethod: stripe.String(method.ID)})
}

// pastDue lets an upgrade at once fail, and answers its open invoice.
func (s *planShop) pastDue(t *testing.T) *stripe.Invoice {
	t.Helper()
	s.failing(t)
	s.clock.set(time.Date(2026, 6, 11, 0, 0, 0, 0, time.UTC))
	params := s.change(s.enterprise, 0)
	params.ProrationBehavior = stripe.String("always_invoice")
	subscription := s.update(t, params)
	equal(t, "status", subscription.Status, stripe.SubscriptionStatusPastDue)
	invoice := s.invoice(t, subscription.LatestInvoice.ID)
	equal(t, "invoice", invoice.Status, stripe.InvoiceStatusOpen)
	return invoice
}

func TestAnotherIntervalBeginsANewCycleAndIsPaidAtOnce(t *testing.T) {
	t.Parallel()
	shop := openPlanShop(t)
	before := len(eventTypesOf(t, shop.shop))
	at := time.Date(2026, 6, 11, 0, 0, 0, 0, time.UTC)
	shop.clock.set(at)
	subscription := shop.update(t, shop.change(shop.yearly, 0))
	equal(t, "anchor", subscription.BillingCycleAnchor, at.Unix())
	equal(t, "period start", subscription.CurrentPeriodStart, at.Unix())
	equal(t, "period end", subscription.CurrentPeriodEnd, at.AddDate(1, 0, 0).Unix())
	invoice := shop.invoice(t, subscription.LatestInvoice.ID)
	equal(t, "lines", fmt.Sprint(linesOf(invoice)), "[Unused time on Pro after 11 Jun 2026 -6600 1 × Pro by the year (at $990.00 / year) 99000]")
	equal(t, "reason", invoice.BillingReason, stripe.InvoiceBillingReasonSubscriptionUpdate)
	equal(t, "paid", invoice.AmountPaid, 92400)
	equal(t, "status", invoice.Status, stripe.InvoiceStatusPaid)
	equal(t, "of an item", invoice.Lines.Data[0].Type, stripe.InvoiceLineItemTypeInvoiceItem)
	equal(t, "credited", invoice.Lines.Data[0].ProrationDetails.CreditedItems.Invoice, shop.subscription.LatestInvoice.ID)
	equal(t, "pending", fmt.Sprint(shop.pending(t)), "[]")
	item, err := shop.api.InvoiceItems.Get(invoice.Lines.Data[0].InvoiceItem.ID, nil)
	must(t, err)
	equal(t, "the item's invoice", item.Invoice.ID, invoice.ID)

	events := shop.eventsSince(t, before)
	equal(t, "events", typesOf(events), "invoiceitem.created customer.subscription.updated invoice.created "+
		"payment_intent.created invoice.finalized invoice.updated charge.succeeded payment_intent.succeeded "+
		"invoice.updated invoice.paid invoice.payment_succeeded")
	previous := previousOf(events[1])
	want := map[string]any{
		"billing_cycle_anchor": float64(firstOfJune.Unix()), "current_period_start": float64(firstOfJune.Unix()),
		"current_period_end": float64(shop.subscription.CurrentPeriodEnd), "latest_invoice": shop.subscription.LatestInvoice.ID,
	}
	for field, value := range want {
		equal(t, "previous "+field, previous[field], value)
	}
	equal(t, "what was different", len(previous), len(want)+2) // and items, plan
	equal(t, "the plan's interval", previous["plan"].(map[string]any)["interval"], any("month"))
}

func TestAnUpgradeIsPaidAtOnceWhenAsked(t *testing.T) {
	t.Parallel()
	shop := openPlanShop(t)
	shop.clock.set(time.Date(2026, 6, 11, 0, 0, 0, 0, time.UTC))
	shop.update(t, shop.change(nil, 2)) // waits
	params := shop.change(shop.enterprise, 1)
	params.ProrationBehavior = stripe.String("always_invoice")
	subscription := shop.update(t, params)
	equal(t, "period end", subscription.CurrentPeriodEnd, shop.subscription.CurrentPeriodEnd)
	invoice := shop.invoice(t, subscription.LatestInvoice.ID)
	equal(t, "lines, the newest first", fmt.Sprint(linesOf(invoice)), "[Remaining time on Enterprise after 11 Jun 2026 26600 "+
		"Unused time on 2 × Pro after 11 Jun 2026 -13200 Remaining time on 2 × Pro after 11 Jun 2026 13200 Unused time on Pro after 11 Jun 2026 -6600]")
	equal(t, "paid", invoice.AmountPaid, 20000)
}

func TestADowngradeAtOnceIsCreditedAndUsedByTheNextInvoice(t *testing.T) {
	t.Parallel()
	shop := openPlanShop(t)
	params := shop.change(shop.enterprise, 0)
	params.ProrationBehavior = stripe.String("none")
	shop.update(t, params)
	shop.clock.set(time.Date(2026, 6, 11, 0, 0, 0, 0, time.UTC))
	params = shop.change(shop.price, 0)
	params.ProrationBehavior = stripe.String("always_invoice")
	invoice := shop.invoice(t, shop.update(t, params).LatestInvoice.ID)
	equal(t, "total", invoice.Total, -20000)
	equal(t, "due", invoice.AmountDue, 0)
	equal(t, "status", invoice.Status, stripe.InvoiceStatusPaid)
	equal(t, "balance afterwards", invoice.EndingBalance, -20000)
	customer, err := shop.api.Customers.Get(shop.customer.ID, nil)
	must(t, err)
	equal(t, "the customer's balance", customer.Balance, -20000)

	invoice = shop.invoice(t, shop.update(t, shop.change(shop.yearly, 0)).LatestInvoice.ID)
	equal(t, "total", invoice.Total, 92400)
	equal(t, "due", invoice.AmountDue, 72400)
	equal(t, "balance before and after", fmt.Sprint(invoice.StartingBalance, invoice.EndingBalance), "-20000 0")
}

func TestTheCycleBeginsAnewWhenAsked(t *testing.T) {
	t.Parallel()
	shop := openPlanShop(t)
	at := time.Date(2026, 6, 16, 0, 0, 0, 0, time.UTC)
	shop.clock.set(at)
	subscription := shop.update(t, &stripe.SubscriptionParams{BillingCycleAnchorNow: stripe.Bool(true), ProrationBehavior: stripe.String("none")})
	equal(t, "period end", subscription.CurrentPeriodEnd, at.AddDate(0, 1, 0).Unix())
	equal(t, "paid again, whole", fmt.Sprint(linesOf(shop.invoice(t, subscription.LatestInvoice.ID))), "[1 × Pro (at $99.00 / month) 9900]")
}

func TestWhatWasFreeBeginsACycleWhenItCostsSomething(t *testing.T) {
	t.Parallel()
	shop := openPlanShop(t)
	free := shop.newPrice(t, "Free", 0, "month")
	params := shop.change(free, 0)
	params.ProrationBehavior = stripe.String("none")
	shop.update(t, params)
	shop.clock.set(firstOfJune.AddDate(0, 0, 10))
	subscription := shop.update(t, shop.change(shop.price, 0))
	equal(t, "period start", subscription.CurrentPeriodStart, shop.clock.now().Unix())
	equal(t, "paid whole", shop.invoice(t, subscription.LatestInvoice.ID).AmountPaid, 9900)
}

func TestATrialEndsNow(t *testing.T) {
	t.Parallel()
	shop := openPlanShop(t)
	shop.subscription = shop.subscribe(t, &stripe.SubscriptionParams{TrialPeriodDays: stripe.Int64(14)})
	before := len(eventTypesOf(t, shop.shop))
	shop.clock.set(firstOfJune.AddDate(0, 0, 3))
	subscription := shop.update(t, shop.change(shop.enterprise, 0))
	equal(t, "on trial still", subscription.Status, stripe.SubscriptionStatusTrialing)
	equal(t, "events", typesOf(shop.eventsSince(t, before)), "customer.subscription.updated")

	now := shop.clock.now()
	subscription = shop.update(t, &stripe.SubscriptionParams{TrialEndNow: stripe.Bool(true)})
	equal(t, "status", subscription.Status, stripe.SubscriptionStatusActive)
	equal(t, "trial end", subscription.TrialEnd, now.Unix())
	equal(t, "period end", subscription.CurrentPeriodEnd, now.AddDate(0, 1, 0).Unix())
	equal(t, "paid", shop.invoice(t, subscription.LatestInvoice.ID).AmountPaid, 39900)
}

func TestATrialsEndIsMoved(t *testing.T) {
	t.Parallel()
	shop := openPlanShop(t)
	shop.subscription = shop.subscribe(t, &stripe.SubscriptionParams{TrialPeriodDays: stripe.Int64(14)})
	end := firstOfJune.AddDate(0, 0, 30).Unix()
	shop.update(t, &stripe.SubscriptionParams{CancelAtPeriodEnd: stripe.Bool(true)})
	subscription := shop.update(t, &stripe.SubscriptionParams{TrialEnd: stripe.Int64(end)})
	equal(t, "end, anchor and scheduled end", fmt.Sprint(subscription.CurrentPeriodEnd, subscription.BillingCycleAnchor, subscription.CancelAt), fmt.Sprint(end, end, end))
}

func TestAFailedUpgradeIsPastDueUntilItIsPaid(t *testing.T) {
	t.Parallel()
	shop := openPlanShop(t)
	invoice := shop.pastDue(t)
	equal(t, "due", invoice.AmountRemaining, 20000)
	equal(t, "attempts", invoice.AttemptCount, 1)
	equal(t, "intent", invoice.PaymentIntent.Status, stripe.PaymentIntentStatusRequiresPaymentMethod)
	equal(t, "the new plan all the same", shop.current(t).Items.Data[0].Price.ID, shop.enterprise.ID)

	charges := len(shop.State(t)["charge"])
	_, err := shop.api.Invoices.Pay(invoice.ID, nil)
	wantError(t, err, http.StatusPaymentRequired, stripe.ErrorTypeCard, stripe.ErrorCodeCardDeclined, "")
	equal(t, "the charge that was declined is kept", len(shop.State(t)["charge"]), charges+1)
	equal(t, "still", shop.current(t).Status, stripe.SubscriptionStatusPastDue)

	before := len(eventTypesOf(t, shop.shop))
	paid, err := shop.api.Invoices.Pay(invoice.ID, &stripe.InvoicePayParams{PaymentMethod: stripe.String(shop.visa.ID)})
	must(t, err)
	equal(t, "status", paid.Status, stripe.InvoiceStatusPaid)
	equal(t, "paid", paid.AmountPaid, 20000)
	equal(t, "status", shop.current(t).Status, stripe.SubscriptionStatusActive)
	events := shop.eventsSince(t, before)
	equal(t, "last event", events[len(events)-1]["type"], any("customer.subscription.updated"))
	equal(t, "what it was before", jsonOf(t, previousOf(events[len(events)-1])), `{"status":"past_due"}`)
	_, err = shop.api.Invoices.Pay(invoice.ID, nil)
	wantError(t, err, http.StatusBadRequest, stripe.ErrorTypeInvalidRequest, "", "")
}

func TestADeclinedPaymentIsAnsweredTheSameAgain(t *testing.T) {
	t.Parallel()
	shop := openPlanShop(t)
	invoice := shop.pastDue(t)
	params := &stripe.InvoicePayParams{}
	params.SetIdempotencyKey("pay-once")
	for range 2 {
		_, err := shop.api.Invoices.Pay(invoice.ID, params)
		wantError(t, err, http.StatusPaymentRequired, stripe.ErrorTypeCard, stripe.ErrorCodeCardDeclined, "")
	}
	failed := 0
	for _, charge := range shop.State(t)["charge"] {
		if charge["status"] == "failed" {
			failed++
		}
	}
	equal(t, "declined charges: the upgrade's and one", failed, 2)
}

func TestAFailedUpgradeCanBeRefusedWhole(t *testing.T) {
	t.Parallel()
	shop := openPlanShop(t)
	shop.failing(t)
	was, before := jsonOf(t, shop.current(t)), len(eventTypesOf(t, shop.shop))
	params := shop.change(shop.yearly, 0)
	params.PaymentBehavior = stripe.String("error_if_incomplete")
	_, err := shop.api.Subscriptions.Update(shop.subscription.ID, params)
	wantError(t, err, http.StatusPaymentRequired, stripe.ErrorTypeCard, stripe.ErrorCodeCardDeclined, "")
	equal(t, "the subscription", jsonOf(t, shop.current(t)), was)
	equal(t, "events", typesOf(shop.eventsSince(t, before)), "")
}

func TestAnInvoiceIsGivenUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		sentence, act string
		status        stripe.InvoiceStatus
		event, intent string
	}{
		{"as a mistake", "void", stripe.InvoiceStatusVoid, "invoice.voided", "canceled"},
		{"as lost", "mark_uncollectible", stripe.InvoiceStatusUncollectible, "invoice.marked_uncollectible", "requires_payment_method"},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			t.Parallel()
			shop := openPlanShop(t)
			open := shop.pastDue(t)
			before := len(eventTypesOf(t, shop.shop))
			status, answer := shop.Do(t, http.MethodPost, "/v1/invoices/"+open.ID+"/"+c.act, "")
			equal(t, "answer: "+string(answer), status, http.StatusOK)
			invoice := shop.invoice(t, open.ID)
			equal(t, "status", invoice.Status, c.status)
			equal(t, "intent", string(invoice.PaymentIntent.Status), c.intent)
			if invoice.StatusTransitions.VoidedAt+invoice.StatusTransitions.MarkedUncollectibleAt != shop.clock.now().Unix() {
				t.Errorf("transitions %+v", invoice.StatusTransitions)
			}
			equal(t, "subscription", shop.current(t).Status, stripe.SubscriptionStatusActive)
			found := false
			for _, event := range shop.eventsSince(t, before) {
				found = found || event["type"] == c.event
			}
			equal(t, c.event, found, true)
			status, _ = shop.Do(t, http.MethodPost, "/v1/invoices/"+open.ID+"/mark_uncollectible", "")
			equal(t, "again", status, http.StatusBadRequest)
			status, _ = shop.Do(t, http.MethodPost, "/v1/invoices/"+open.ID+"/finalize", "")
			equal(t, "finalizing it", status, http.StatusBadRequest)
		})
	}
}

func TestAnInvoiceIsPaidInAnotherWay(t *testing.T) {
	t.Parallel()
	shop := openPlanShop(t)
	open := shop.pastDue(t)
	paid, err := shop.api.Invoices.Pay(open.ID, &stripe.InvoicePayParams{PaidOutOfBand: stripe.Bool(true)})
	must(t, err)
	equal(t, "status", paid.Status, stripe.InvoiceStatusPaid)
	equal(t, "out of band", paid.PaidOutOfBand, true)
	equal(t, "intent", shop.invoice(t, open.ID).PaymentIntent.Status, stripe.PaymentIntentStatusCanceled)
	equal(t, "subscription", shop.current(t).Status, stripe.SubscriptionStatusActive)
	var told []string
	for _, event := range shop.State(t)["event"] {
		object := event["data"].(map[string]any)["object"].(map[string]any)
		if object["id"] == open.ID && object["paid"] == true {
			told = append(told, event["type"].(string))
		}
	}
	// No attempt to pay has succeeded.
	equal(t, "events", strings.Join(told, " "), "invoice.updated invoice.paid")
}

// TestADraftIsFinalizedBeforeItsTime does by hand what happens an hour after a
// renewal by itself.
func TestADraftIsFinalizedBeforeItsTime(t *testing.T) {
	t.Parallel()
	for _, advance := range []bool{true, false} {
		t.Run(fmt.Sprint("advances ", advance), func(t *testing.T) {
			t.Parallel()
			shop := openPlanShop(t)
			renewal := time.Unix(shop.subscription.CurrentPeriodEnd, 0)
			shop.clock.set(renewal.Add(10 * time.Minute))
			draft := shop.invoice(t, shop.current(t).LatestInvoice.ID)
			equal(t, "after ten minutes", draft.Status, stripe.InvoiceStatusDraft)
			open, err := shop.api.Invoices.FinalizeInvoice(draft.ID, &stripe.InvoiceFinalizeInvoiceParams{AutoAdvance: stripe.Bool(advance)})
			must(t, err)
			equal(t, "finalized", open.Status, stripe.InvoiceStatusOpen)
			shop.clock.set(renewal.Add(2 * time.Hour))
			want := stripe.InvoiceStatusPaid
			if !advance {
				want = stripe.InvoiceStatusOpen
			}
			equal(t, "after two hours", shop.invoice(t, draft.ID).Status, want)
		})
	}
}

// bill is what a preview must tell the truth about.
type bill struct {
	Subtotal        int64 `json:"subtotal"`
	Total           int64 `json:"total"`
	AmountDue       int64 `json:"amount_due"`
	StartingBalance int64 `json:"starting_balance"`
	PeriodStart     int64 `json:"period_start"`
	PeriodEnd       int64 `json:"period_end"`
	Lines           struct {
		Data []struct {
			Description string           `json:"description"`
			Amount      int64            `json:"amount"`
			Proration   bool             `json:"proration"`
			Quantity    int64            `json:"quantity"`
			Period      map[string]int64 `json:"period"`
		} `json:"data"`
	} `json:"lines"`
}

func billOf(t *testing.T, answer []byte) string {
	t.Helper()
	var b bill
	must(t, json.Unmarshal(answer, &b))
	if len(b.Lines.Data) == 0 {
		t.Fatalf("no lines in %s", answer)
	}
	return jsonOf(t, b)
}

// TestAPreviewIsWhatTheInvoiceIs asks what a change would cost, makes it a day
// later with the same proration date, and compares with the invoice that comes:
// at once, or with the renewal.
func TestAPreviewIsWhatTheInvoiceIs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		sentence string
		// The same change in the words of an update, with $ for what the preview
		// puts before each name.
		params string
		atOnce bool
	}{
		{"nothing changes", "", false},
		{"an upgrade waits for the renewal", "$items[0][id]=ITEM&$items[0][price]=ENTERPRISE", false},
		{"a quantity waits for the renewal", "$items[0][id]=ITEM&$items[0][quantity]=7", false},
		{"a change without prorations", "$items[0][id]=ITEM&$items[0][quantity]=7&$proration_behavior=none", false},
		{"another item", "$items[0][price]=ENTERPRISE", false},
		{"an upgrade at once", "$items[0][id]=ITEM&$items[0][price]=ENTERPRISE&$proration_behavior=always_invoice", true},
		{"fewer at once", "$items[0][id]=ITEM&$items[0][quantity]=0&$proration_behavior=always_invoice", true},
		{"another interval", "$items[0][id]=ITEM&$items[0][price]=YEARLY", true},
		{"a new cycle", "$billing_cycle_anchor=now", true},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			t.Parallel()
			shop := openPlanShop(t)
			now := firstOfJune.AddDate(0, 0, 9).Add(12345 * time.Second)
			shop.clock.set(now)
			params := replace(c.params, "ITEM", shop.subscription.Items.Data[0].ID, "ENTERPRISE", shop.enterprise.ID, "YEARLY", shop.yearly.ID)
			if params != "" {
				params += fmt.Sprintf("&$proration_date=%d", now.Unix())
			}
			before := len(shop.State(t)["event"])
			status, preview := shop.Do(t, http.MethodGet, "/v1/invoices/upcoming?subscription="+shop.subscription.ID+"&"+replace(params, "$", "subscription_"), "")
			equal(t, "preview: "+string(preview), status, http.StatusOK)
			if strings.Contains(string(preview), `"id": "in_`) {
				t.Errorf("a preview has an invoice's id: %s", preview)
			}
			equal(t, "a preview makes nothing", len(shop.State(t)["event"]), before)
			equal(t, "pending", fmt.Sprint(shop.pending(t)), "[]")

			if !c.atOnce {
				shop.clock.set(now.Add(24 * time.Hour))
			}
			if params != "" {
				status, answer := shop.Do(t, http.MethodPost, "/v1/subscriptions/"+shop.subscription.ID, replace(params, "$", ""))
				equal(t, "change: "+string(answer), status, http.StatusOK)
			}
			if !c.atOnce {
				_, again := shop.Do(t, http.MethodGet, "/v1/invoices/upcoming?subscription="+shop.subscription.ID, "")
				equal(t, "the preview after the change", billOf(t, again), billOf(t, preview))
				shop.clock.set(time.Unix(shop.subscription.CurrentPeriodEnd, 0).Add(90 * time.Minute))
			}
			_, invoice := shop.Do(t, http.MethodGet, "/v1/invoices/"+shop.current(t).LatestInvoice.ID, "")
			equal(t, "the invoice", billOf(t, invoice), billOf(t, preview))
		})
	}
}

func TestThereIsNoNextInvoiceOfWhatEnds(t *testing.T) {
	t.Parallel()
	shop := openPlanShop(t, simtest.WithoutMirror())
	none := func(query string, status int) {
		t.Helper()
		got, answer := shop.Do(t, http.MethodGet, "/v1/invoices/upcoming?"+query, "")
		equal(t, query+": "+string(answer), got, status)
	}
	none("", http.StatusBadRequest)
	none("customer="+shop.customer.ID, http.StatusOK)
	shop.update(t, &stripe.SubscriptionParams{CancelAtPeriodEnd: stripe.Bool(true)})
	none("customer="+shop.customer.ID, http.StatusNotFound)
	shop.update(t, shop.change(shop.enterprise, 0))
	none("subscription="+shop.subscription.ID, http.StatusOK) // what is pending is billed all the same
	_, err := shop.api.Subscriptions.Cancel(shop.subscription.ID, nil)
	must(t, err)
	none("subscription="+shop.subscription.ID, http.StatusNotFound)
	none("customer="+shop.customer.ID, http.StatusNotFound)
}

func TestAPreviewDuringATrialIsWhatFollowsIt(t *testing.T) {
	t.Parallel()
	shop := openPlanShop(t)
	shop.subscription = shop.subscribe(t, &stripe.SubscriptionParams{TrialPeriodDays: stripe.Int64(14)})
	upcoming := "/v1/invoices/upcoming?subscription=" + shop.subscription.ID
	item := "&subscription_items[0][id]=" + shop.subscription.Items.Data[0].ID + "&subscription_items[0][price]=" + shop.yearly.ID
	_, asked := shop.Do(t, http.MethodGet, upcoming+item, "")
	_, atOnce := shop.Do(t, http.MethodGet, upcoming+item+"&subscription_trial_end=now", "")
	shop.update(t, shop.change(shop.yearly, 0))
	_, preview := shop.Do(t, http.MethodGet, upcoming, "")
	equal(t, "the change that was asked about", billOf(t, asked), billOf(t, preview))
	var now bill
	must(t, json.Unmarshal(atOnce, &now))
	equal(t, "a trial that ends now is paid now", fmt.Sprint(now.AmountDue, " ", now.Lines.Data[0].Period), fmt.Sprint(99000, " ",
		map[string]int64{"start": firstOfJune.Unix(), "end": firstOfJune.AddDate(1, 0, 0).Unix()}))

	shop.clock.set(firstOfJune.AddDate(0, 0, 14).Add(2 * time.Hour))
	_, invoice := shop.Do(t, http.MethodGet, "/v1/invoices/"+shop.current(t).LatestInvoice.ID, "")
	equal(t, "the invoice", billOf(t, invoice), billOf(t, preview))
	equal(t, "paid", shop.invoice(t, shop.current(t).LatestInvoice.ID).AmountPaid, 99000)
}

// TestANewCardPaysWhatTheOldOneCouldNot follows the way of a customer who is
// asked for another card.
func TestANewCardPaysWhatTheOldOneCouldNot(t *testing.T) {
	t.Parallel()
	shop := openPlanShop(t)
	shop.failing(t)
	renewal := time.Unix(shop.subscription.CurrentPeriodEnd, 0)
	shop.clock.set(renewal.Add(2 * time.Hour))
	subscription := shop.current(t)
	equal(t, "after the renewal", subscription.Status, stripe.SubscriptionStatusPastDue)
	shop.update(t, &stripe.SubscriptionParams{DefaultPaymentMethod: stripe.String(shop.attach(t, "pm_card_visa").ID)})
	equal(t, "a card alone pays nothing", shop.current(t).Status, stripe.SubscriptionStatusPastDue)
	paid, err := shop.api.Invoices.Pay(subscription.LatestInvoice.ID, nil)
	must(t, err)
	equal(t, "paid", paid.AmountPaid, 9900)
	if paid.NextPaymentAttempt != 0 {
		t.Errorf("it is tried again at %d", paid.NextPaymentAttempt)
	}
	equal(t, "after the payment", shop.current(t).Status, stripe.SubscriptionStatusActive)
	equal(t, "the period goes on", shop.current(t).CurrentPeriodStart, renewal.Unix())
}

// TestTheFirstInvoiceDecidesWhatBecomesOfItsSubscription begins with a payment
// that fails.
func TestTheFirstInvoiceDecidesWhatBecomesOfItsSubscription(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		act, params string
		status      stripe.SubscriptionStatus
	}{
		{"pay", "payment_method=VISA", stripe.SubscriptionStatusActive},
		{"pay", "paid_out_of_band=true", stripe.SubscriptionStatusActive},
		{"void", "", stripe.SubscriptionStatusIncompleteExpired},
	} {
		t.Run(c.act+" "+c.params, func(t *testing.T) {
			t.Parallel()
			shop := openPlanShop(t)
			method := shop.attach(t, "pm_card_chargeCustomerFail")
			shop.subscription = shop.subscribe(t, &stripe.SubscriptionParams{DefaultPaymentMethod: stripe.String(method.ID)})
			equal(t, "status", shop.subscription.Status, stripe.SubscriptionStatusIncomplete)
			for _, params := range []*stripe.SubscriptionParams{shop.change(shop.enterprise, 0), {BillingCycleAnchorNow: stripe.Bool(true)}} {
				_, err := shop.api.Subscriptions.Update(shop.subscription.ID, params)
				if err == nil {
					t.Error("what has not begun cannot be changed")
				}
			}
			status, answer := shop.Do(t, http.MethodPost, "/v1/invoices/"+shop.subscription.LatestInvoice.ID+"/"+c.act, replace(c.params, "VISA", shop.visa.ID))
			equal(t, "answer: "+string(answer), status, http.StatusOK)
			equal(t, "status", shop.current(t).Status, c.status)
		})
	}
}

func TestWhatCannotBeDoneWithAnInvoice(t *testing.T) {
	t.Parallel()
	shop := openPlanShop(t)
	other, err := shop.api.Customers.New(nil)
	must(t, err)
	theirs, err := shop.api.PaymentMethods.Attach("pm_card_visa", &stripe.PaymentMethodAttachParams{Customer: stripe.String(other.ID)})
	must(t, err)
	paid := shop.subscription.LatestInvoice.ID
	open := shop.pastDue(t).ID
	for _, c := range []struct {
		sentence, path, params string
		status                 int
	}{
		{"pay with somebody else's card", open + "/pay", "payment_method=" + theirs.ID, http.StatusBadRequest},
		{"pay with no card that is known", open + "/pay", "payment_method=pm_none", http.StatusBadRequest},
		{"pay again", paid + "/pay", "", http.StatusBadRequest},
		{"void what is paid", paid + "/void", "", http.StatusBadRequest},
		{"give up what is paid", paid + "/mark_uncollectible", "", http.StatusBadRequest},
		{"finalize what is open", open + "/finalize", "", http.StatusBadRequest},
		{"pay none", "in_none/pay", "", http.StatusNotFound},
		{"void none", "in_none/void", "", http.StatusNotFound},
		{"finalize none", "in_none/finalize", "", http.StatusNotFound},
		{"give up", open + "/mark_uncollectible", "", http.StatusOK},
		{"void what was given up", open + "/void", "", http.StatusOK},
		{"pay what is void", open + "/pay", "", http.StatusBadRequest},
	} {
		status, answer := shop.Do(t, http.MethodPost, "/v1/invoices/"+c.path, c.params)
		equal(t, c.sentence+": "+string(answer), status, c.status)
	}
}

func TestADraftIsPaid(t *testing.T) {
	t.Parallel()
	shop := openPlanShop(t)
	shop.clock.set(time.Unix(shop.subscription.CurrentPeriodEnd, 0).Add(time.Minute))
	draft := shop.current(t).LatestInvoice.ID
	equal(t, "status", shop.invoice(t, draft).Status, stripe.InvoiceStatusDraft)
	paid, err := shop.api.Invoices.Pay(draft, nil)
	must(t, err)
	equal(t, "status", paid.Status, stripe.InvoiceStatusPaid)
	if paid.Number == "" {
		t.Error("a paid invoice has no number")
	}
}

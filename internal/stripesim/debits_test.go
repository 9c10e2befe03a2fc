package stripesim_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/promptforge/payments/internal/stripesim/simtest"
)

func TestABankDebitIsKnownToHaveArrivedDaysLater(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas())
	session := e.newSession(t)
	status, redirect := e.Complete(t, session.ID, "bank_debit_succeeds")
	equal(t, "completion", status, http.StatusOK)
	equal(t, "redirect", redirect, "http://127.0.0.1:8080/checkout/success?session_id="+session.ID)
	params := &stripe.CheckoutSessionParams{}
	params.AddExpand("subscription.latest_invoice.payment_intent")
	session, err := e.api.CheckoutSessions.Get(session.ID, params)
	must(t, err)
	equal(t, "session", session.Status, "complete")
	equal(t, "paid", session.PaymentStatus, "unpaid")
	equal(t, "subscription", session.Subscription.Status, "active")
	invoice := session.Subscription.LatestInvoice
	equal(t, "invoice", invoice.Status, "open")
	equal(t, "attempts", invoice.AttemptCount, 1)
	equal(t, "intent", invoice.PaymentIntent.Status, "processing")
	_, err = e.api.Invoices.Pay(invoice.ID, nil)
	wantError(t, err, 400, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodePaymentIntentUnexpectedState, "")
	checkState(t, e.Sim, map[string]int{})

	e.after(t, 4*day)
	session, err = e.api.CheckoutSessions.Get(session.ID, params)
	must(t, err)
	equal(t, "paid", session.PaymentStatus, "paid")
	equal(t, "invoice", session.Subscription.LatestInvoice.Status, "paid")
	compareLines(t, e.story(t, time.Second),
		"4d0s charge.succeeded",
		"4d0s payment_intent.succeeded",
		"4d0s invoice.updated",
		"4d0s invoice.paid",
		"4d0s invoice.payment_succeeded",
		"4d0s checkout.session.async_payment_succeeded",
	)
	e.after(t, 40*day) // the renewal is a debit too
	equal(t, "period end", e.subscription(t, session.Subscription.ID).CurrentPeriodEnd > e.start.Add(50*day).Unix(), true)
	equal(t, "status", e.subscription(t, session.Subscription.ID).Status, "active")
	checkState(t, e.Sim, map[string]int{})
}

func TestABankDebitThatFailsLeavesTheSubscriptionPastDue(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring, simtest.WithSchemas())
	session := e.newSession(t)
	status, _ := e.Complete(t, session.ID, "bank_debit_fails")
	equal(t, "completion", status, http.StatusOK)
	e.after(t, 4*day)
	compareLines(t, e.story(t, time.Second),
		"4d0s charge.failed",
		"4d0s payment_intent.payment_failed",
		"4d0s invoice.updated",
		"4d0s invoice.payment_failed",
		"4d0s customer.updated delinquent",
		"4d0s customer.subscription.updated status",
		"4d0s checkout.session.async_payment_failed",
	)
	session, err := e.api.CheckoutSessions.Get(session.ID, nil)
	must(t, err)
	equal(t, "paid", session.PaymentStatus, "unpaid")
	subscription := e.subscription(t, session.Subscription.ID)
	equal(t, "status", subscription.Status, "past_due")
	invoice, err := e.api.Invoices.Get(subscription.LatestInvoice.ID, nil)
	must(t, err)
	equal(t, "attempts", invoice.AttemptCount, 1)
	equal(t, "tried again", invoice.NextPaymentAttempt, e.start.Add(7*day).Unix())
	checkState(t, e.Sim, map[string]int{})

	// Another card pays what the bank did not.
	e.card(t, "pm_card_visa")
	own, err := e.api.Customers.Get(e.customer.ID, nil)
	must(t, err)
	_, err = e.api.Invoices.Pay(invoice.ID, &stripe.InvoicePayParams{PaymentMethod: stripe.String(own.InvoiceSettings.DefaultPaymentMethod.ID)})
	must(t, err)
	equal(t, "status", e.subscription(t, subscription.ID).Status, "active")
	e.after(t, 30*day)
	checkState(t, e.Sim, map[string]int{})
}

func TestABankAccountPaysOnlyWhereBankDebitsAreTaken(t *testing.T) {
	t.Parallel()
	shop := openShop(t)
	params := shop.sessionParams()
	params.PaymentMethodTypes = stripe.StringSlice([]string{"card"})
	session, err := shop.api.CheckoutSessions.New(params)
	must(t, err)
	status, _ := shop.Complete(t, session.ID, "bank_debit_succeeds")
	equal(t, "completion", status, http.StatusPaymentRequired)
	method, err := shop.api.PaymentMethods.Attach("pm_usBankAccount_success", &stripe.PaymentMethodAttachParams{Customer: stripe.String(shop.customer.ID)})
	must(t, err)
	equal(t, "type", method.Type, "us_bank_account")
	code, _ := shop.Do(t, http.MethodPost, "/v1/payment_methods/"+method.ID, "card[exp_year]=2040")
	equal(t, "a card's date on a bank account", code, http.StatusBadRequest)
}

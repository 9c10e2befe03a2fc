package stripeshape

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

// DecodeInvoice reads an invoice object of any version: since 2025-03-31 the
// subscription stands in parent.subscription_details.
func DecodeInvoice(raw json.RawMessage) (billing.Invoice, error) {
	var i struct {
		ID                 string    `json:"id"`
		Customer           reference `json:"customer"`
		Subscription       reference `json:"subscription"`
		Status             string    `json:"status"`
		Currency           string    `json:"currency"`
		BillingReason      string    `json:"billing_reason"`
		AmountDue          number    `json:"amount_due"`
		AmountPaid         number    `json:"amount_paid"`
		AttemptCount       number    `json:"attempt_count"`
		NextPaymentAttempt number    `json:"next_payment_attempt"`
		PaymentIntent      reference `json:"payment_intent"`
		HostedInvoiceURL   *string   `json:"hosted_invoice_url"`
		StatusTransitions  struct {
			PaidAt number `json:"paid_at"`
		} `json:"status_transitions"`
		Parent *struct {
			SubscriptionDetails *struct {
				Subscription reference `json:"subscription"`
			} `json:"subscription_details"`
		} `json:"parent"`
	}
	if err := json.Unmarshal(raw, &i); err != nil {
		return billing.Invoice{}, fmt.Errorf("read invoice: %w", err)
	}
	if i.ID == "" {
		return billing.Invoice{}, errors.New("read invoice: it has no id")
	}
	if p := i.Parent; p != nil && p.SubscriptionDetails != nil && i.Subscription == "" {
		i.Subscription = p.SubscriptionDetails.Subscription
	}
	out := billing.Invoice{
		ID: i.ID, CustomerID: string(i.Customer), SubscriptionID: string(i.Subscription), Status: i.Status,
		Currency: money.Currency(i.Currency), BillingReason: i.BillingReason,
		AmountDueMinor: int64(i.AmountDue), AmountPaidMinor: int64(i.AmountPaid), AttemptCount: int64(i.AttemptCount),
		NextAttemptAt: billing.Second(i.NextPaymentAttempt).Time(), PaymentIntentID: string(i.PaymentIntent),
		PaidAt: billing.Second(i.StatusTransitions.PaidAt).Time(),
	}
	if i.HostedInvoiceURL != nil {
		out.HostedURL = *i.HostedInvoiceURL
	}
	return out, nil
}

// CheckoutSession is what an event about a checkout session tells.
type CheckoutSession struct {
	ID             string
	CustomerID     string
	SubscriptionID string
	PaymentStatus  string
	Currency       money.Currency
	AmountMinor    int64
}

// DecodeCheckoutSession reads a checkout session object.
func DecodeCheckoutSession(raw json.RawMessage) (CheckoutSession, error) {
	var s struct {
		ID            string    `json:"id"`
		Customer      reference `json:"customer"`
		Subscription  reference `json:"subscription"`
		PaymentStatus string    `json:"payment_status"`
		Currency      *string   `json:"currency"`
		AmountTotal   number    `json:"amount_total"`
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return CheckoutSession{}, fmt.Errorf("read checkout session: %w", err)
	}
	if s.ID == "" {
		return CheckoutSession{}, errors.New("read checkout session: it has no id")
	}
	if s.PaymentStatus != "paid" && s.PaymentStatus != "unpaid" && s.PaymentStatus != "no_payment_required" {
		return CheckoutSession{}, fmt.Errorf("read checkout session %s: payment status %q is not known", s.ID, s.PaymentStatus)
	}
	out := CheckoutSession{
		ID: s.ID, CustomerID: string(s.Customer), SubscriptionID: string(s.Subscription),
		PaymentStatus: s.PaymentStatus, AmountMinor: int64(s.AmountTotal),
	}
	if s.Currency != nil {
		out.Currency = money.Currency(*s.Currency)
	}
	return out, nil
}

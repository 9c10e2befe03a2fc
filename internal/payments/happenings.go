package payments

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

// happening is a business event before it is written: what happened to a
// customer, in the words of the trade. Kind and key make it one and the same
// however often and by whatever way we hear of it.
type happening struct {
	kind, key      string
	at             time.Time // zero: when the event was created
	subscriptionID string
	plan           string
	interval       billing.Interval
	currency       money.Currency
	amountMinor    *int64
	invoiceID      string
	eventID        string // the event that tells it; empty: the occasion's
	details        map[string]any
}

func trialWillEnd(s billing.Subscription) *happening {
	return &happening{
		kind: "trial_will_end", key: s.ID + ":" + strconv.FormatInt(int64(s.Facts.TrialEnd), 10),
		subscriptionID: s.ID, currency: s.Facts.Currency, details: map[string]any{"trial_end": s.Facts.TrialEnd.Time()},
	}
}

// foundPaid is the payment of an invoice that was read as paid: of one paid out
// of band no event of ours tells. Nil for an invoice that is not, or whose day
// of payment is not known.
func foundPaid(i *billing.Invoice) *happening {
	if i == nil || i.Status != "paid" || i.PaidAt.IsZero() {
		return nil
	}
	h := paymentHappening("invoice.payment_succeeded", *i)
	if h != nil {
		h.at = i.PaidAt
	}
	return h
}

// paymentHappening is nil for an invoice that asked for no money, such as the
// one that opens a trial: nobody has paid.
func paymentHappening(eventType string, i billing.Invoice) *happening {
	h := &happening{
		subscriptionID: i.SubscriptionID, currency: i.Currency, invoiceID: i.ID,
		details: map[string]any{"billing_reason": i.BillingReason, "attempt": i.AttemptCount},
	}
	switch eventType {
	case "invoice.payment_succeeded":
		if i.AmountPaidMinor == 0 {
			return nil
		}
		h.kind, h.key, h.amountMinor = "payment_succeeded", i.ID, &i.AmountPaidMinor
	case "invoice.payment_failed":
		h.kind, h.key, h.amountMinor = "payment_failed", fmt.Sprintf("%s:%d", i.ID, i.AttemptCount), &i.AmountDueMinor
	case "invoice.payment_action_required":
		h.kind, h.key, h.amountMinor = "payment_action_required", i.PaymentIntentID, &i.AmountDueMinor
		if h.key == "" { // newer shapes name no payment intent
			h.key = i.ID
		}
	case "invoice.voided":
		h.kind, h.key, h.amountMinor = "invoice_voided", i.ID, &i.AmountDueMinor
	case "invoice.marked_uncollectible":
		h.kind, h.key, h.amountMinor = "invoice_marked_uncollectible", i.ID, &i.AmountDueMinor
	default:
		return nil
	}
	return h
}

// occasion is what happenings of one write have in common.
type occasion struct {
	orgID      *uuid.UUID
	customerID string
	livemode   bool
	at         time.Time
	eventID    string // empty where no event told it
}

// recording is the row that a happening becomes.
func recording(o occasion, h happening) db.RecordPaymentEventParams {
	if !h.at.IsZero() {
		o.at = h.at
	}
	if h.eventID != "" {
		o.eventID = h.eventID
	}
	if h.details == nil {
		h.details = map[string]any{}
	}
	return db.RecordPaymentEventParams{
		Kind: h.kind, NaturalKey: h.key,
		At:    o.at.Truncate(time.Second), // as Stripe dates, so that ours sort among its own
		OrgID: o.orgID, StripeCustomerID: optional(o.customerID),
		SubscriptionID: optional(h.subscriptionID), Plan: optional(h.plan), Interval: optional(string(h.interval)),
		Currency: optional(string(h.currency)), AmountMinor: h.amountMinor, InvoiceID: optional(h.invoiceID), SourceEventID: optional(o.eventID),
		Details: mustJSON(h.details), Livemode: o.livemode,
	}
}

// record writes a happening that no sync told.
func record(ctx context.Context, q *db.Queries, o occasion, h happening) error {
	if err := each(q.RecordPaymentEvent(ctx, []db.RecordPaymentEventParams{recording(o, h)})); err != nil {
		return fmt.Errorf("record %s %s: %w", h.kind, h.key, err)
	}
	return nil
}

// optional is nil for the zero value; deref is its inverse.
func optional[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func deref[T any](p *T) T {
	var v T
	if p != nil {
		v = *p
	}
	return v
}

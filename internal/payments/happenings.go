package payments

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/stripeshape"
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
	paidBy         string // the charge or payment intent of a refund or a dispute, whose invoice it finds
	eventID        string // the event that tells it; empty: the occasion's
	// isHearsay: an event about something later tells it too, and is not the one
	// to be shown for it.
	isHearsay bool
	// visitor is who began a checkout, where they are counted.
	visitor *uuid.UUID
	details map[string]any
}

func trialWillEnd(s billing.Subscription) happening {
	return happening{
		kind: "trial_will_end", key: s.ID + ":" + strconv.FormatInt(int64(s.Facts.TrialEnd), 10),
		subscriptionID: s.ID, currency: s.Facts.Currency, details: map[string]any{"trial_end": s.Facts.TrialEnd.Time()},
	}
}

// pendingUpdate is a change that waited for its payment, and what became of it.
func pendingUpdate(kind string, s billing.Subscription, at time.Time) happening {
	return happening{
		kind: kind, key: s.ID + ":" + strconv.FormatInt(at.Unix(), 10), subscriptionID: s.ID, currency: s.Facts.Currency,
	}
}

// checkoutHappening is what became of a hosted checkout: completed, expired, or
// the result of a payment whose money was on its way.
func checkoutHappening(act string, s stripeshape.CheckoutSession) (happening, bool) {
	h := happening{key: s.ID, subscriptionID: s.SubscriptionID, currency: s.Currency, amountMinor: &s.AmountMinor}
	switch act {
	case "completed":
		h.kind = "checkout_completed"
	case "async_payment_succeeded":
		h.kind = "checkout_async_succeeded"
	case "async_payment_failed":
		h.kind = "checkout_async_failed"
	case "expired":
		h = happening{kind: "checkout_abandoned", key: s.ID} // nothing was bought
	default:
		return h, false
	}
	return h, true
}

func refunded(r stripeshape.Refund, c stripeshape.Charge) happening {
	return happening{
		kind: "refund", key: r.ID, at: r.CreatedAt, currency: r.Currency, amountMinor: &r.AmountMinor,
		invoiceID: c.InvoiceID, paidBy: cmp.Or(r.ChargeID, r.PaymentIntentID),
		details: said(map[string]any{"charge": r.ChargeID, "payment_intent": r.PaymentIntentID, "reason": r.Reason}),
	}
}

// refundByAmount is a refund that no id is known of: the charge alone says that
// more has been given back than before.
func refundByAmount(c stripeshape.Charge, e stripeshape.Event) happening {
	amount := c.RefundedMinor
	if before, err := stripeshape.Before(e.Object, e.Previous); err == nil && e.Previous != nil {
		if was, err := stripeshape.DecodeCharge(before); err == nil && was.RefundedMinor < amount {
			amount -= was.RefundedMinor
		}
	}
	return happening{
		kind: "refund", key: c.ID + ":" + strconv.FormatInt(c.RefundedMinor, 10), currency: c.Currency, amountMinor: &amount,
		invoiceID: c.InvoiceID, paidBy: c.ID, details: said(map[string]any{"charge": c.ID, "payment_intent": c.PaymentIntentID}),
	}
}

// refundFailed is a refund whose money came back to us: the customer has not
// got it. Stripe dates the event alone.
func refundFailed(r stripeshape.Refund) happening {
	return happening{
		kind: "refund_failed", key: r.ID, currency: r.Currency, amountMinor: &r.AmountMinor, paidBy: cmp.Or(r.ChargeID, r.PaymentIntentID),
		details: said(map[string]any{"charge": r.ChargeID, "status": r.Status, "failure_reason": r.FailureReason}),
	}
}

// disputeOpened is told by every event of a dispute. What may change in its
// course is told by the first alone, so that it does not matter who is heard.
func disputeOpened(d stripeshape.Dispute, isHearsay bool) happening {
	h := happening{
		kind: "dispute_opened", key: d.ID, at: d.CreatedAt, currency: d.Currency, amountMinor: &d.AmountMinor, paidBy: cmp.Or(d.ChargeID, d.PaymentIntentID),
		details:   said(map[string]any{"charge": d.ChargeID, "payment_intent": d.PaymentIntentID, "reason": d.Reason}),
		isHearsay: isHearsay,
	}
	if !isHearsay && !d.EvidenceDueAt.IsZero() {
		h.details["evidence_due_at"] = d.EvidenceDueAt
	}
	return h
}

func disputeClosed(d stripeshape.Dispute) happening {
	return happening{
		kind: "dispute_closed", key: d.ID, currency: d.Currency, amountMinor: &d.AmountMinor, paidBy: cmp.Or(d.ChargeID, d.PaymentIntentID),
		details: said(map[string]any{"charge": d.ChargeID, "reason": d.Reason, "status": d.Status}),
	}
}

// methodHappening shows of a payment method what its owner sees on the card. A
// method is attached and detached once, and may be updated many times.
func methodHappening(act string, m stripeshape.PaymentMethod, at time.Time) (happening, bool) {
	h := happening{kind: "payment_method_" + act, key: m.ID, details: said(map[string]any{"type": m.Type, "brand": m.Brand, "last4": m.Last4})}
	if m.ExpYear != 0 {
		h.details["exp_month"], h.details["exp_year"] = m.ExpMonth, m.ExpYear
	}
	switch act {
	case "attached", "detached":
	case "updated", "automatically_updated":
		h.kind, h.key = "payment_method_updated", m.ID+":"+strconv.FormatInt(at.Unix(), 10)
	default:
		return h, false
	}
	return h, true
}

// scheduleHappening is the end of a schedule; its phases show as the changes of
// the subscription that they make.
func scheduleHappening(act string, s stripeshape.Schedule) (happening, bool) {
	h := happening{kind: "schedule_" + act, key: s.ID, subscriptionID: s.SubscriptionID}
	return h, slices.Contains([]string{"released", "canceled", "aborted", "completed"}, act)
}

// said are the details that have something to say.
func said(details map[string]any) map[string]any {
	maps.DeleteFunc(details, func(_ string, v any) bool { return v == "" })
	return details
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
	if i.HostedURL != "" {
		h.details["invoice_url"] = i.HostedURL
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
	case "invoice.finalization_failed":
		h.kind, h.key, h.amountMinor = "invoice_finalization_failed", i.ID, &i.AmountDueMinor
		if i.FinalizationError != "" {
			h.details["error"] = i.FinalizationError
		}
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
func recording(o occasion, h happening) db.PaymentEvent {
	if !h.at.IsZero() {
		o.at = h.at
	}
	if h.eventID != "" {
		o.eventID = h.eventID
	}
	if h.details == nil {
		h.details = map[string]any{}
	}
	return db.PaymentEvent{
		Kind: h.kind, NaturalKey: h.key,
		At:    o.at.Truncate(time.Second), // as Stripe dates, so that ours sort among its own
		OrgID: o.orgID, StripeCustomerID: optional(o.customerID),
		SubscriptionID: optional(h.subscriptionID), Plan: optional(h.plan), Interval: optional(string(h.interval)),
		Currency: optional(string(h.currency)), AmountMinor: h.amountMinor, InvoiceID: optional(h.invoiceID), SourceEventID: optional(o.eventID),
		Details: mustJSON(h.details), Livemode: o.livemode, VisitorID: h.visitor,
	}
}

// record writes a happening that no sync told.
func record(ctx context.Context, q *db.Queries, o occasion, h happening) error {
	if err := asJSON(ctx, q.RecordPaymentEvents, []db.PaymentEvent{recording(o, h)}); err != nil {
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

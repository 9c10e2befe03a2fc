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
	details        map[string]any
}

func trialWillEnd(s billing.Subscription) *happening {
	return &happening{
		kind: "trial_will_end", key: s.ID + ":" + strconv.FormatInt(int64(s.Facts.TrialEnd), 10),
		subscriptionID: s.ID, currency: s.Facts.Currency, details: map[string]any{"trial_end": s.Facts.TrialEnd.Time()},
	}
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
	default:
		return nil
	}
	return h
}

// transitions are what the step from the old row to the new one means; old is
// nil when there was none. The row changes once, so each is told once.
func transitions(old *db.Subscription, now db.WriteSubscriptionParams, at time.Time) []happening {
	var out []happening
	tell := func(kind, key string, details map[string]any) {
		out = append(out, happening{
			kind: kind, key: key, at: at, subscriptionID: now.StripeSubscriptionID,
			plan: deref(now.Plan), interval: billing.Interval(deref(now.Interval)), currency: money.Currency(now.Currency),
			amountMinor: now.AmountMinor, details: details,
		})
	}
	id := now.StripeSubscriptionID
	dated := id + ":" + strconv.FormatInt(at.Unix(), 10)
	if old == nil {
		tell("subscription_created", id, nil)
		out[0].at = now.CreatedAt
		old = &db.Subscription{Plan: now.Plan, StripePriceID: now.StripePriceID}
	}
	if was, is := billing.Status(old.Status), billing.Status(now.Status); was != is {
		tellStatus(tell, was, is, id, dated)
	}
	if deref(old.Plan) != deref(now.Plan) || deref(old.StripePriceID) != deref(now.StripePriceID) {
		tell("plan_changed", dated, map[string]any{
			"from_plan": deref(old.Plan), "from_price": deref(old.StripePriceID), "to_price": deref(now.StripePriceID),
		})
	}
	wasEnding, isEnding := old.CancelAtPeriodEnd || old.CancelAt != nil, now.CancelAtPeriodEnd || now.CancelAt != nil
	switch ended := billing.Status(now.Status).IsTerminal(); {
	case ended || wasEnding == isEnding:
	case isEnding:
		tell("cancellation_scheduled", dated, nil)
	default:
		tell("cancellation_withdrawn", dated, nil)
	}
	if deref(old.PauseBehavior) != deref(now.PauseBehavior) {
		if now.PauseBehavior != nil {
			tell("collection_paused", dated, map[string]any{"behavior": *now.PauseBehavior})
		} else {
			tell("collection_resumed", dated, nil)
		}
	}
	return out
}

func tellStatus(tell func(kind, key string, details map[string]any), was, is billing.Status, id, dated string) {
	switch is {
	case billing.StatusTrialing:
		tell("trial_started", id, nil)
	case billing.StatusActive:
		switch was {
		case billing.StatusPastDue, billing.StatusUnpaid:
			tell("subscription_recovered", dated, nil)
		case billing.StatusPaused:
			tell("subscription_resumed", dated, nil)
		default:
			tell("subscription_activated", id, nil)
		}
	case billing.StatusPastDue:
		tell("subscription_past_due", dated, nil)
	case billing.StatusUnpaid:
		tell("subscription_unpaid", dated, nil)
	case billing.StatusPaused:
		tell("subscription_paused", dated, nil)
	case billing.StatusCanceled:
		tell("subscription_canceled", id, map[string]any{"from_status": was})
	case billing.StatusIncompleteExpired:
		tell("subscription_incomplete_expired", id, nil)
	case billing.StatusIncomplete:
		// It has not begun; subscription_created has told it.
	}
}

// occasion is what happenings of one write have in common.
type occasion struct {
	orgID      *uuid.UUID
	customerID string
	livemode   bool
	at         time.Time
	eventID    string // empty where no event told it
}

func record(ctx context.Context, q *db.Queries, o occasion, h happening) error {
	if !h.at.IsZero() {
		o.at = h.at
	}
	if h.details == nil {
		h.details = map[string]any{}
	}
	_, err := q.RecordPaymentEvent(ctx, db.RecordPaymentEventParams{
		Kind: h.kind, NaturalKey: h.key,
		At:    o.at.Truncate(time.Second), // as Stripe dates, so that ours sort among its own
		OrgID: o.orgID, StripeCustomerID: optional(o.customerID),
		SubscriptionID: optional(h.subscriptionID), Plan: optional(h.plan), Interval: optional(string(h.interval)),
		Currency: optional(string(h.currency)), AmountMinor: h.amountMinor, InvoiceID: optional(h.invoiceID), SourceEventID: optional(o.eventID),
		Details: mustJSON(h.details), Livemode: o.livemode,
	})
	if err != nil {
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

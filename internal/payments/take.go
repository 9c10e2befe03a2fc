package payments

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/stripeshape"
)

// taken is a pending event that this sync takes up.
type taken struct {
	row   db.PendingEventsRow
	event stripeshape.Event
	// subscription and observation are those of customer.subscription.*.
	subscription *billing.Subscription
	observation  *analytics.Observation
	// happening is what the event tells beyond a state, nil for most.
	happening *happening
	session   *stripeshape.CheckoutSession
	// parked is why the event cannot be used; it never stops the others.
	parked string
}

// take reads an event; what cannot be read is parked with the reason.
func take(row db.PendingEventsRow) taken {
	t := taken{row: row}
	if bytes.Contains(row.Body, []byte(`\u0000`)) {
		t.parked = "it holds a NUL character, which no column but its body takes"
		return t
	}
	event, err := stripeshape.DecodeEvent(row.Body)
	if err != nil {
		t.parked = clean(err.Error())
		return t
	}
	t.event = event
	switch {
	case strings.HasPrefix(event.Type, "customer.subscription."):
		err = t.takeSubscription()
	case strings.HasPrefix(event.Type, "invoice."):
		err = t.takeInvoice()
	case strings.HasPrefix(event.Type, "checkout.session."):
		err = t.takeSession()
	}
	if err != nil {
		t.parked = clean(err.Error())
	}
	return t
}

func (t *taken) takeSubscription() error {
	after, err := stripeshape.DecodeSubscription(t.event.Object)
	if err != nil && !errors.Is(err, stripeshape.ErrIncomplete) {
		return err
	}
	if err == nil && !after.Facts.Status.IsKnown() {
		return fmt.Errorf("subscription %s is %q, a status that we do not know", after.ID, after.Facts.Status)
	}
	o := analytics.Observation{
		SubscriptionID: after.ID, Source: analytics.SourceEvent, SourceID: t.event.ID, Kind: analytics.Updated,
		At: t.event.Created, ObjectCreated: after.CreatedAt, After: after.Facts, Complete: err == nil,
	}
	switch t.event.Type {
	case "customer.subscription.created":
		o.Kind = analytics.Created
	case "customer.subscription.deleted":
		o.Kind = analytics.Deleted
	case "customer.subscription.trial_will_end":
		t.happening = trialWillEnd(after)
	}
	if t.event.Previous != nil && o.Kind != analytics.Created {
		before, err := stripeshape.Before(t.event.Object, t.event.Previous)
		if err != nil {
			return fmt.Errorf("state before: %w", err)
		}
		old, err := stripeshape.DecodeSubscription(before)
		switch {
		case errors.Is(err, stripeshape.ErrIncomplete):
			// What was before stays unknown; what is after does not suffer.
		case err != nil:
			return fmt.Errorf("state before: %w", err)
		default:
			o.Before = &old.Facts
		}
	}
	t.observation = &o
	if o.Complete { // a copy of half a state would be a wrong one
		t.subscription = &after
	}
	return nil
}

func (t *taken) takeInvoice() error {
	invoice, err := stripeshape.DecodeInvoice(t.event.Object)
	if err != nil {
		return err
	}
	t.happening = paymentHappening(t.event.Type, invoice)
	return nil
}

func (t *taken) takeSession() error {
	session, err := stripeshape.DecodeCheckoutSession(t.event.Object)
	if err != nil {
		return err
	}
	t.session = &session
	t.happening = &happening{
		kind: "checkout_completed", key: session.ID, subscriptionID: session.SubscriptionID,
		currency: session.Currency, amountMinor: &session.AmountMinor,
	}
	return nil
}

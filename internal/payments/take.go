package payments

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/stripeshape"
)

// taken is a pending event that this sync takes up.
type taken struct {
	row   db.PendingEventsRow
	event stripeshape.Event
	// subscription and observation are those of customer.subscription.*.
	subscription *billing.Subscription
	observation  *analytics.Observation
	// happenings are what the event tells beyond a state: nothing, for most.
	happenings []happening
	session    *stripeshape.CheckoutSession
	// charge is that of charge.succeeded, charge.failed and charge.refunded.
	charge *stripeshape.Charge
	// customer is that of customer.updated.
	customer *stripeshape.Customer
	// parked is why the event cannot be used; it never stops the others.
	parked string
}

// take reads an event; what cannot be read is parked with the reason.
func take(row db.PendingEventsRow) taken {
	t := taken{row: row}
	event, err := stripeshape.DecodeEvent(row.Body)
	if err == nil {
		t.event = event
		err = t.read()
	}
	if err != nil {
		t.parked = clean(err.Error())
	}
	return t
}

func (t *taken) read() error {
	kind, act := splitType(t.event.Type)
	switch kind {
	case "customer.subscription":
		return t.takeSubscription()
	case "customer":
		return t.takeCustomer(act)
	case "invoice":
		return t.takeInvoice()
	case "checkout.session":
		return t.takeSession(act)
	case "charge":
		return t.takeCharge(act)
	case "charge.refund":
		return t.takeRefund()
	case "charge.dispute":
		return t.takeDispute(act)
	case "payment_method":
		return t.takePaymentMethod(act)
	case "subscription_schedule":
		return t.takeSchedule(act)
	default:
		return nil
	}
}

// splitType divides "charge.dispute.closed" into what it is about and what
// became of that.
func splitType(eventType string) (kind, act string) {
	i := strings.LastIndexByte(eventType, '.')
	if i < 0 {
		return eventType, ""
	}
	return eventType[:i], eventType[i+1:]
}

func (t *taken) tell(h happening) { t.happenings = append(t.happenings, h) }

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
		t.tell(trialWillEnd(after))
	case "customer.subscription.pending_update_applied":
		t.tell(pendingUpdate("pending_update_applied", after, t.event.Created))
	case "customer.subscription.pending_update_expired":
		t.tell(pendingUpdate("pending_update_expired", after, t.event.Created))
	}
	if t.event.Previous != nil && o.Kind != analytics.Created {
		// Where it cannot be told, what was before stays unknown; what is after
		// does not suffer.
		if before, err := stripeshape.Before(t.event.Object, t.event.Previous); err == nil {
			if old, err := stripeshape.DecodeSubscription(before); err == nil {
				o.Before = &old.Facts
			}
		}
	}
	t.observation = &o
	if o.Complete { // a copy of half a state would be a wrong one
		t.subscription = &after
	}
	return nil
}

func (t *taken) takeCustomer(act string) error {
	customer, err := stripeshape.DecodeCustomer(t.event.Object)
	if err != nil {
		return err
	}
	switch act {
	case "deleted":
		t.tell(happening{kind: "customer_deleted", key: customer.ID})
	case "updated":
		t.customer = &customer
	}
	return nil
}

// toldCurrency is the currency that the customer pays in as the newest event
// says, for one that has no subscription to say it: whoever was ever invoiced
// has one, and may not buy in another.
func (m *material) toldCurrency() money.Currency {
	for _, t := range slices.Backward(m.events) {
		if t.customer != nil && t.parked == "" && t.customer.Currency != "" {
			return t.customer.Currency
		}
	}
	return ""
}

func (t *taken) takeInvoice() error {
	invoice, err := stripeshape.DecodeInvoice(t.event.Object)
	if err != nil {
		return err
	}
	if h := paymentHappening(t.event.Type, invoice); h != nil {
		t.tell(*h)
	}
	return nil
}

func (t *taken) takeSession(act string) error {
	session, err := stripeshape.DecodeCheckoutSession(t.event.Object)
	if err != nil {
		return err
	}
	t.session = &session
	if h, ok := checkoutHappening(act, session); ok {
		t.tell(h)
	}
	return nil
}

func (t *taken) takeCharge(act string) error {
	charge, err := stripeshape.DecodeCharge(t.event.Object)
	if err != nil {
		return err
	}
	t.charge = &charge
	if act == "refunded" {
		t.tellRefunds(charge.Refunds)
	}
	return nil
}

// tellRefunds tells the refunds that the event can know of, each by its own id.
// Without any, the event speaks only of how much more has been given back.
func (t *taken) tellRefunds(refunds []stripeshape.Refund) {
	if len(refunds) == 0 {
		t.happenings = []happening{refundByAmount(*t.charge, t.event)}
		return
	}
	t.happenings = nil
	var newest time.Time
	for _, r := range refunds {
		if r.CreatedAt.After(t.event.Created) {
			continue // another event's
		}
		t.tell(refunded(r, *t.charge))
		if r.CreatedAt.After(newest) {
			newest = r.CreatedAt
		}
	}
	for i := range t.happenings {
		h := &t.happenings[i]
		h.isHearsay = h.at.Before(newest) // the event is about the newest
	}
}

func (t *taken) takeRefund() error {
	refund, err := stripeshape.DecodeRefund(t.event.Object)
	if err != nil {
		return err
	}
	made := refunded(refund, stripeshape.Charge{ID: refund.ChargeID})
	made.isHearsay = true
	t.tell(made)
	if refund.Status == "failed" || refund.Status == "canceled" {
		t.tell(refundFailed(refund))
	}
	return nil
}

func (t *taken) takeDispute(act string) error {
	dispute, err := stripeshape.DecodeDispute(t.event.Object)
	if err != nil {
		return err
	}
	// Every event of a dispute tells that it was opened, so that none is needed.
	t.tell(disputeOpened(dispute, act != "created"))
	if dispute.Status == "won" || dispute.Status == "lost" || dispute.Status == "warning_closed" {
		t.tell(disputeClosed(dispute))
	}
	return nil
}

func (t *taken) takePaymentMethod(act string) error {
	method, err := stripeshape.DecodePaymentMethod(t.event.Object)
	if err != nil {
		return err
	}
	if h, ok := methodHappening(act, method, t.event.Created); ok {
		t.tell(h)
	}
	return nil
}

func (t *taken) takeSchedule(act string) error {
	schedule, err := stripeshape.DecodeSchedule(t.event.Object)
	if err != nil {
		return err
	}
	if h, ok := scheduleHappening(act, schedule); ok {
		t.tell(h)
	}
	return nil
}

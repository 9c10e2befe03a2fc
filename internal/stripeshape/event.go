// Package stripeshape reads Stripe's JSON into billing's words. One decoder
// serves events and answers, so that the same state always gives equal facts,
// and it is tolerant: an event keeps the shape of the API version it was made
// with, which need not be ours.
package stripeshape

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Event is the envelope of a Stripe event.
// https://docs.stripe.com/api/events/object
type Event struct {
	ID      string
	Type    string
	Created time.Time
	// Livemode is false too where the event does not say, and SaysMode is then
	// false.
	Livemode   bool
	SaysMode   bool
	Account    string // a Connect account; empty for our own
	APIVersion string
	// Object is data.object, Previous data.previous_attributes; Previous is
	// nil where the event carries none.
	Object   json.RawMessage
	Previous json.RawMessage
}

// ErrNotAnEvent says that a body is no event: nothing can come of it.
var ErrNotAnEvent = errors.New("not an event")

// DecodeEvent reads an envelope: whatever has an id, a type and a time of
// creation is an event, and what else is odd in it is left out. The error wraps
// ErrNotAnEvent.
func DecodeEvent(body []byte) (Event, error) {
	o, ok := readObject(body)
	if !ok {
		return Event{}, fmt.Errorf("%w: it is no JSON object", ErrNotAnEvent)
	}
	e := Event{
		ID: o.str("id"), Type: o.str("type"), Created: o.second("created").Time(), Account: o.ref("account"), APIVersion: o.str("api_version"),
	}
	oddities := len(*o.odd)
	e.Livemode = o.flag("livemode")
	e.SaysMode = o.has("livemode") && len(*o.odd) == oddities
	switch kind := o.str("object"); {
	case strings.HasPrefix(kind, "v2."): // https://docs.stripe.com/event-destinations#thin-events
		return Event{}, fmt.Errorf("%w: it is a thin event, which only says that there is something to ask for", ErrNotAnEvent)
	case kind != "" && kind != "event":
		return Event{}, fmt.Errorf("%w: it is an object of another kind", ErrNotAnEvent)
	case e.ID == "" || len(e.ID) > longestID || strings.TrimSpace(e.ID) != e.ID:
		return Event{}, fmt.Errorf("%w: it has no usable id", ErrNotAnEvent)
	case e.Type == "" || len(e.Type) > longestID:
		return Event{}, fmt.Errorf("%w: it has no usable type", ErrNotAnEvent)
	case e.Created.IsZero():
		return Event{}, fmt.Errorf("%w: it has no usable time of creation", ErrNotAnEvent)
	}
	data := o.obj("data")
	if data.has("object") {
		e.Object = data.fields["object"]
	}
	if data.has("previous_attributes") {
		e.Previous = data.fields["previous_attributes"]
	}
	return e, nil
}

// Subject is what the event is queued under: the customer of its object, or,
// where the object names none, the charge or payment intent that has one, as
// "charge:ch_…" and "payment_intent:pi_…". The colon keeps a custom customer id
// from being mistaken for one. It is empty where the event names nobody.
func (e Event) Subject() string {
	o, ok := readObject(e.Object)
	if !ok {
		return ""
	}
	kind := o.str("object")
	if kind == "customer" {
		return o.ref("id")
	}
	if customer := o.ref("customer"); customer != "" {
		return customer
	}
	switch kind {
	case "payment_method": // once detached it names the customer no more
		previous, _ := readObject(e.Previous)
		return previous.ref("customer")
	case "charge", "payment_intent":
		return "" // it would name a customer if it had one: a guest paid
	}
	for _, owner := range []string{"charge", "payment_intent"} {
		id := o.ref(owner)
		if id == "" {
			continue
		}
		if isObject(o.fields[owner]) { // expanded, it may name the customer itself
			if customer := o.obj(owner).ref("customer"); customer != "" {
				return customer
			}
		}
		return owner + ":" + id
	}
	return ""
}

// NeedsCustomer reports whether an event of the type is of no use without a
// customer. Guests pay, and have payment methods, without being one.
func NeedsCustomer(eventType string) bool {
	for _, prefix := range []string{"charge.succeeded", "charge.failed", "charge.refunded", "checkout.session.", "payment_method."} {
		if strings.HasPrefix(eventType, prefix) {
			return false
		}
	}
	return true
}

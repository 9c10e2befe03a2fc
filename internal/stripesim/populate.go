package stripesim

import (
	"errors"
	"fmt"
	"strings"
)

// populateAtOnce is how many customers are one change of the state.
const populateAtOnce = 1000

// Population is a crowd of customers for a test of load. Each of them has paid
// with a card for one subscription, just now.
type Population struct {
	// Customers is how many there are.
	Customers int
	// Price is the id of the recurring price that all of them pay.
	Price string
	// Metadata answers what the customer of that number, from 0, and their
	// subscription carry, as an organization's id. Nil: nothing.
	Metadata func(i int) map[string]string
}

// Populated names what one customer of a Population has.
type Populated struct {
	Customer, PaymentMethod, Subscription, Invoice, PaymentIntent, Charge string
}

// Populate makes a whole population in seconds, for tests of load. The objects
// are those that a purchase makes; only events are not made and nothing is
// delivered. See Story for the events of one customer.
func (s *Server) Populate(p Population) ([]Populated, error) {
	crowd := make([]Populated, 0, p.Customers)
	for len(crowd) < p.Customers {
		err := s.update(cause{}, func(t *tx) error {
			purchase, err := t.samplePurchase(p.Price)
			if err != nil {
				return err
			}
			for range min(populateAtOnce, p.Customers-len(crowd)) {
				crowd = append(crowd, purchase.stamp(t, len(crowd), p.Metadata))
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("populate: %w", err)
		}
	}
	return crowd, nil
}

// sample is a purchase of which copies are made. What is the same in every copy
// is shared by them all: of a hundred thousand customers memory holds what
// tells them apart.
type sample struct {
	ids    []string // of the sample, each to be replaced in a copy
	moulds []mould
}

// samplePurchase lets somebody buy in a change that is given up, and takes the
// mould of what that made.
func (t *tx) samplePurchase(priceID string) (sample, error) {
	price, err := t.sellablePrice("price", priceID)
	if err != nil {
		return sample{}, err
	}
	played := t.server.begin(t.now, cause{})
	seq := t.server.store.seq
	defer func() { t.server.store.seq = seq }()
	customer := newCustomer(played).set(object{"currency": price["currency"]})
	played.put(customer)
	card, _ := findTestCard("4242424242424242")
	expires := t.now.AddDate(4, 0, 0)
	played.subscribe(purchase{
		customer: customer, lines: []purchaseLine{{price: price, quantity: 1}},
		method: newPaymentMethod(played, checkedCard{testCard: card, expMonth: int64(expires.Month()), expYear: int64(expires.Year())}, payer{}),
		intent: newPaymentIntent(played, amountTimes(price, 1), price.str("currency"), customer.id()),
	})
	var s sample
	var made []object
	for _, r := range played.writes {
		if r.Kind != kindEvent && r.Kind != kindDelivery {
			made = append(made, r.Object)
			s.ids = gatherIDs(s.ids, r.Object)
		}
	}
	for _, o := range made {
		s.moulds = append(s.moulds, mouldOf(o, s.ids))
	}
	return s, nil
}

// gatherIDs adds the ids of an object and of what is made for it alone. The
// price and its product belong to everybody.
func gatherIDs(ids []string, v any) []string {
	switch v := v.(type) {
	case list:
		for _, e := range v {
			ids = gatherIDs(ids, e)
		}
	case object:
		if kind := v.kind(); kind == kindPrice || kind == "plan" {
			return ids
		}
		for _, field := range []string{"id", "balance_transaction", "invoice_prefix"} {
			if id := v.str(field); id != "" {
				ids = append(ids, id)
			}
		}
		for _, e := range v {
			ids = gatherIDs(ids, e)
		}
	}
	return ids
}

// mould makes the copies of a value; nil where each of them is the value itself.
type mould func(ids []string) any

func mouldOf(v any, ids []string) mould {
	switch v := v.(type) {
	case string:
		for i, id := range ids {
			if before, after, found := strings.Cut(v, id); found {
				return func(ids []string) any { return before + ids[i] + after }
			}
		}
	case list:
		return mouldOfList(v, ids)
	case object:
		return mouldOfObject(v, ids)
	}
	return nil
}

func mouldOfList(v list, ids []string) mould {
	parts := map[int]mould{}
	for i, e := range v {
		if part := mouldOf(e, ids); part != nil {
			parts[i] = part
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return func(ids []string) any {
		c := append(list(nil), v...)
		for i, part := range parts {
			c[i] = part(ids)
		}
		return c
	}
}

func mouldOfObject(v object, ids []string) mould {
	parts := map[string]mould{}
	for field, e := range v {
		if part := mouldOf(e, ids); part != nil {
			parts[field] = part
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return func(ids []string) any {
		c := make(object, len(v)).set(v)
		for field, part := range parts {
			c[field] = part(ids)
		}
		return c
	}
}

// stamp makes one copy and writes it.
func (s sample) stamp(t *tx, number int, metadata func(int) map[string]string) Populated {
	ids := make([]string, len(s.ids))
	for i, id := range s.ids {
		prefix, random, cut := strings.Cut(id, "_")
		if !cut { // an invoice prefix
			ids[i] = strings.ToUpper(newID("", len(id)))
			continue
		}
		ids[i] = newID(prefix+"_", len(random))
	}
	told := object{}
	if metadata != nil {
		for key, value := range metadata(number) {
			told[key] = value
		}
	}
	name, email := fmt.Sprintf("Customer %d", number+1), fmt.Sprintf("customer-%d@example.com", number+1)
	var made Populated
	for _, cast := range s.moulds {
		o := cast(ids).(object)
		switch o.kind() {
		case kindCustomer:
			made.Customer = o.id()
			o.set(object{"name": name, "email": email, "metadata": told})
		case kindSubscription:
			made.Subscription = o.id()
			o["metadata"] = told
		case kindInvoice:
			made.Invoice = o.id()
			o.set(object{"customer_name": name, "customer_email": email, "subscription_details": object{"metadata": told}})
		case kindPaymentMethod:
			made.PaymentMethod = o.id()
		case kindPaymentIntent:
			made.PaymentIntent = o.id()
		case kindCharge:
			made.Charge = o.id()
		}
		t.put(o)
	}
	return made
}

// Story answers, as an endpoint would be sent them, the bodies of five events of
// a customer of Populate: the subscription is created and becomes active, the
// card is charged, and the invoice is paid. They have ids of their own each time,
// are dated by the purchase, and are not kept: no list shows them.
func (s *Server) Story(who Populated) ([][]byte, error) {
	var told []object
	err := s.update(cause{}, func(t *tx) error {
		subscription, invoice := t.get(kindSubscription, who.Subscription), t.get(kindInvoice, who.Invoice)
		charge := t.get(kindCharge, who.Charge)
		if subscription == nil || invoice == nil || charge == nil {
			return errors.New("no such customer of a population: " + who.Customer)
		}
		begun := subscription.clone().set(object{"status": "incomplete", "default_payment_method": nil})
		tell := func(eventType string, data object) {
			told = append(told, t.newEvent(eventType, data, 1).set(object{"created": subscription["created"]}))
		}
		tell("customer.subscription.created", object{"object": begun})
		tell("charge.succeeded", object{"object": charge})
		tell("customer.subscription.updated", object{"object": subscription, "previous_attributes": previousAttributes(begun, subscription)})
		tell("invoice.paid", object{"object": invoice})
		tell("invoice.payment_succeeded", object{"object": invoice})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("story: %w", err)
	}
	bodies := make([][]byte, len(told))
	for i, event := range told {
		if bodies[i], err = encodeBody(event); err != nil {
			return nil, err
		}
	}
	return bodies, nil
}

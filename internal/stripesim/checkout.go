package stripesim

// completion is how an attempt to complete a session ended.
type completion struct {
	session     object
	redirectURL string
	// waits is set when the buyer has to confirm.
	waits bool
	// refused is set when the card was declined. What was tried is kept.
	refused *apiError
	// deliveries are those of checkout.session.completed, whose answers Stripe
	// waits for before it sends the buyer back.
	deliveries []string
}

// complete lets the payer pay for the session. There is no card when none is
// needed. The subscription is made only when the payment succeeds, and all
// events of it have the same second, as at Stripe.
func (t *tx) complete(session object, p payer, card *checkedCard) (completion, error) {
	order, err := t.orderOf(session)
	if err != nil {
		return completion{}, err
	}
	if card == nil {
		return t.fulfil(session, order, p), nil
	}
	order.method = newPaymentMethod(t, *card, p)
	order.intent = t.sessionIntent(session, order.customer)
	switch {
	case card.decline != "":
		return completion{session: session, refused: t.declineSession(session, order, *card)}, nil
	case card.confirm != confirmNever && !p.confirms:
		t.put(order.method)
		t.keepIntent(session, order.intent, object{"method": order.method.id(), "email": p.email, "name": p.name})
		t.awaitConfirmation(order.intent, order.method)
		return completion{session: session, waits: true}, nil
	}
	t.rememberConfirmation(order.method)
	return t.fulfil(session, order, p), nil
}

// confirm is the answer of a buyer whose card wanted to be confirmed.
func (t *tx) confirm(session object, confirmed bool) (completion, error) {
	order, err := t.orderOf(session)
	if err != nil {
		return completion{}, err
	}
	hidden := t.hidden(kindCheckoutSession, session.id())
	waiting := hidden.obj("waiting")
	if waiting == nil {
		return completion{}, invalidRequest("", "", "Nothing of this Checkout Session waits to be confirmed.")
	}
	order.method = t.get(kindPaymentMethod, waiting.str("method"))
	order.intent = t.sessionIntent(session, order.customer)
	t.keepIntent(session, order.intent, nil)
	if !confirmed {
		return completion{session: session, refused: t.failConfirmation(order.intent, order.method)}, nil
	}
	t.rememberConfirmation(order.method)
	return t.fulfil(session, order, payer{email: waiting.str("email"), name: waiting.str("name")}), nil
}

// rememberConfirmation lets a card that wants to be confirmed once pay by itself
// from now on.
func (t *tx) rememberConfirmation(method object) {
	if findCardOf(method).confirm == confirmOnce {
		t.putHidden(method, object{"confirmed": true})
	}
}

// orderOf is what an open session is the order of.
func (t *tx) orderOf(session object) (purchase, error) {
	if status := session.str("status"); status != "open" {
		return purchase{}, invalidRequest("", "", "You cannot pay for this Checkout Session: it has a status of %s.", status)
	}
	customer, err := t.sessionBuyer(session)
	if err != nil {
		return purchase{}, err
	}
	hidden := t.hidden(kindCheckoutSession, session.id())
	order := purchase{customer: customer, data: hidden.obj("subscription_data")}
	for _, i := range hidden.list("line_items") {
		item := asObject(i)
		order.lines = append(order.lines, purchaseLine{price: item.obj("price"), quantity: item.int("quantity")})
	}
	return order, nil
}

// sessionBuyer answers the session's customer, or nil when it makes one.
func (t *tx) sessionBuyer(session object) (object, error) {
	id := session.str("customer")
	if id == "" {
		return nil, nil //nolint:nilnil // the session makes a customer when it completes
	}
	customer := t.live(kindCustomer, id)
	if customer == nil {
		return nil, missingInParams("customer", kindCustomer, id)
	}
	return customer, nil
}

// sessionIntent answers the intent of the session's earlier attempts, or makes
// one: to pay, or to set the card up when nothing is due today. In subscription
// mode the session itself does not show it.
func (t *tx) sessionIntent(session, customer object) object {
	kind, created := kindPaymentIntent, "payment_intent.created"
	if session.int("amount_total") == 0 {
		kind, created = kindSetupIntent, "setup_intent.created"
	}
	if id := t.hidden(kindCheckoutSession, session.id()).str("intent"); id != "" {
		return t.get(kind, id)
	}
	intent := newSetupIntent(t, orNil(customer.id()))
	if kind == kindPaymentIntent {
		intent = newPaymentIntent(t, session.int("amount_total"), session.str("currency"), orNil(customer.id()))
	}
	t.put(intent)
	t.emit(created, intent)
	return intent
}

// keepIntent remembers the intent for the session's next attempt, and what waits
// to be confirmed, if anything.
func (t *tx) keepIntent(session, intent, waiting object) {
	t.putHidden(session, t.hidden(kindCheckoutSession, session.id()).clone().set(object{"intent": intent.id(), "waiting": waiting}))
}

func (t *tx) declineSession(session object, order purchase, card checkedCard) *apiError {
	t.keepIntent(session, order.intent, nil)
	if order.intent.kind() == kindSetupIntent {
		return t.declineSetup(order.intent, order.method, card)
	}
	return t.declineIntent(order.intent, order.method, card)
}

func (t *tx) fulfil(session object, order purchase, p payer) completion {
	if order.customer == nil {
		order.customer = newCustomer(t).set(object{"email": orNil(p.email), "name": orNil(p.name)})
		if session.obj("automatic_tax").bool("enabled") {
			order.customer["address"] = billingDetails(p)["address"]
		}
		t.put(order.customer)
		t.emit("customer.created", order.customer)
	}
	order.customer = t.updateFromCheckout(session, order.customer, p)
	bought := t.subscribe(order)
	paymentStatus := "paid"
	switch {
	case order.method == nil:
		paymentStatus = "no_payment_required"
	case bought.invoice.str("status") == "open": // a bank has been told to pay
		paymentStatus = "unpaid"
		intent := t.get(kindPaymentIntent, bought.invoice.str("payment_intent"))
		t.putHidden(intent, object{}.set(t.hidden(kindPaymentIntent, intent.id())).set(object{hiddenSession: session.id()}))
	}
	email := order.customer["email"]
	if email == nil {
		email = orNil(p.email)
	}
	tax := session.obj("automatic_tax").clone()
	if tax.bool("enabled") {
		tax["status"] = "complete"
	}
	done := session.clone().set(object{
		"automatic_tax":    tax,
		"customer":         order.customer.id(),
		"customer_details": customerDetails(email, orNil(p.name)).set(object{"address": billingDetails(p)["address"]}),
		"invoice":          bought.invoice.id(),
		"payment_status":   paymentStatus,
		"status":           "complete",
		"subscription":     bought.subscription.id(),
		"url":              nil,
	})
	t.put(done)
	before := len(t.deliveries)
	t.emit("checkout.session.completed", done)
	return completion{
		session:     done,
		redirectURL: successURL(done),
		deliveries:  t.deliveries[before:],
	}
}

// updateFromCheckout gives the customer what customer_update lets the page
// change, and the currency that it is bound to from now on.
func (t *tx) updateFromCheckout(session, before object, p payer) object {
	customer := before.clone().set(object{"currency": session["currency"]})
	allowed := t.hidden(kindCheckoutSession, session.id()).obj("customer_update")
	if allowed.str("name") == "auto" && p.name != "" {
		customer["name"] = p.name
	}
	if allowed.str("address") == "auto" {
		customer["address"] = billingDetails(p)["address"]
	}
	t.put(customer)
	t.emitUpdate("customer.updated", before, customer)
	return customer
}

package stripesim

import "time"

// refundTurns is how long a refund takes that does not come to its end at once.
const refundTurns = 3 * day

var (
	refundCreate = objectParams(fields{
		"amount": integer, "charge": nonEmpty, "metadata": metadata, "payment_intent": nonEmpty,
		"reason": enum("duplicate", "fraudulent", "requested_by_customer"),
	})
	refundUpdate = objectParams(fields{"metadata": metadata})
	refundList   = listParams(fields{"charge": nonEmpty, "created": createdRange, "payment_intent": nonEmpty})
)

func (c *call) retrieveRefund() (object, error) { return c.fromPath(kindRefund) }

func (c *call) listRefunds() (object, error) {
	return c.page(kindRefund, "/v1/refunds", func(o object) bool {
		return c.fits(o, "charge") && c.fits(o, "payment_intent")
	})
}

// createRefund gives money back, at the most what is left of the charge.
func (c *call) createRefund() (object, error) {
	charge, err := c.chargeToRefund()
	if err != nil {
		return nil, err
	}
	left := charge.int("amount") - charge.int("amount_refunded")
	amount, given := c.params["amount"].(int64)
	if !given {
		amount = left
	}
	inquiry := c.openInquiry(charge)
	switch {
	case charge.str("status") != "succeeded":
		return nil, invalidRequest("", "", "This charge has not succeeded, so that there is nothing to refund: its status is %s.", charge.str("status"))
	case charge.bool("disputed") && inquiry == nil && !c.hasWon(charge):
		return nil, invalidRequest("", "charge_disputed", "Charge %s has been charged back; cannot issue a refund.", charge.id())
	case left == 0:
		return nil, invalidRequest("", "charge_already_refunded", "Charge %s has already been refunded.", charge.id())
	case given && amount < 1:
		return nil, invalidRequest("amount", "parameter_invalid_integer", "Invalid positive integer")
	case amount > left:
		return nil, invalidRequest("amount", "", "Refund amount (%s) is greater than unrefunded amount on charge (%s)",
			amountText(amount, charge.str("currency")), amountText(left, charge.str("currency")))
	}
	refund := c.refund(charge, amount, c.params["reason"], mergedMetadata(nil, c.params))
	if inquiry != nil && amount == left {
		c.closeDispute(inquiry, "warning_closed")
	}
	return refund, nil
}

func (c *call) chargeToRefund() (object, error) {
	charge, err := c.fromParam("charge", kindCharge)
	if err != nil {
		return nil, err
	}
	intent, err := c.fromParam("payment_intent", kindPaymentIntent)
	switch {
	case err != nil:
		return nil, err
	case charge == nil && intent == nil:
		return nil, invalidRequest("", "parameter_missing", "One of the following params should be provided for this request: payment_intent or charge.")
	case charge != nil && intent != nil && charge["payment_intent"] != intent.id():
		return nil, invalidRequest("charge", "", "The charge %s does not belong to the payment intent %s.", charge.id(), intent.id())
	case charge != nil:
		return charge, nil
	}
	charge = c.get(kindCharge, intent.str("latest_charge"))
	if charge == nil {
		return nil, invalidRequest("payment_intent", "", "This PaymentIntent (%s) does not have a successful charge to refund.", intent.id())
	}
	return charge, nil
}

// refund gives back what is known to be left. With Stripe's cards for it the
// refund waits, or fails after it seemed to have succeeded.
func (t *tx) refund(charge object, amount int64, reason any, metadata object) object {
	status, hidden := "succeeded", object(nil)
	switch turns := findCardOf(t.get(kindPaymentMethod, charge.str("payment_method"))).refund; turns {
	case "failed":
		hidden = object{hiddenDue: t.now.Add(refundTurns).Unix(), "turns": turns}
	case "succeeded":
		status, hidden = "pending", object{hiddenDue: t.now.Add(refundTurns).Unix(), "turns": turns}
	}
	refund := object{
		"id":                       newID("re_3", longID-1),
		"object":                   kindRefund,
		"amount":                   amount,
		"balance_transaction":      nil,
		"charge":                   charge.id(),
		"created":                  t.unix(),
		"currency":                 charge["currency"],
		"destination_details":      refundDestination(charge),
		"metadata":                 metadata,
		"payment_intent":           charge["payment_intent"],
		"reason":                   reason,
		"receipt_number":           nil,
		"source_transfer_reversal": nil,
		"status":                   status,
		"transfer_reversal":        nil,
	}
	refund["balance_transaction"] = t.post(givenBack(refund, charge)).id()
	t.putHidden(refund, hidden)
	t.emitUpdate("charge.refunded", charge, t.moveRefunded(charge, amount))
	return refund
}

func refundDestination(charge object) object {
	if charge.obj("payment_method_details").str("type") == bankDebit {
		return object{"type": "us_bank_transfer", "us_bank_transfer": object{}}
	}
	return object{"type": "card", "card": object{
		"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund",
	}}
}

// refundsOf is what a charge shows of its refunds.
func (t *tx) refundsOf(charge object) object {
	refunds := list{}
	for _, refund := range t.where(kindRefund, func(o object) bool { return o["charge"] == charge.id() }) {
		refunds = append(refunds, refund)
	}
	shown := listOf("/v1/charges/"+charge.id()+"/refunds", refunds[:min(10, len(refunds))])
	shown["has_more"] = len(refunds) > 10
	return shown
}

// moveRefunded changes how much of a charge has been given back.
func (t *tx) moveRefunded(charge object, by int64) object {
	refunded := charge.int("amount_refunded") + by
	after := charge.clone().set(object{"amount_refunded": refunded, "refunded": refunded == charge.int("amount")})
	t.put(after)
	return after
}

// liveRefund brings a refund to the end that its card decides.
func (t *tx) liveRefund(refund object) {
	if t.hidden(kindRefund, refund.id()).str("turns") == "failed" {
		t.failRefund(refund, "failed", "expired_or_canceled_card")
		return
	}
	done := refund.clone().set(object{"status": "succeeded"})
	t.putHidden(done, nil)
	t.emitUpdate("charge.refund.updated", refund, done)
}

// failRefund takes a refund back: the money is with the account again.
func (t *tx) failRefund(refund object, status string, reason any) object {
	posted := t.post(cameBack(refund, t.unix()))
	failed := refund.clone().set(object{"failure_balance_transaction": posted.id(), "status": status})
	if reason != nil {
		failed["failure_reason"] = reason
	}
	t.putHidden(failed, nil)
	t.moveRefunded(t.get(kindCharge, refund.str("charge")), -refund.int("amount"))
	t.emitUpdate("charge.refund.updated", refund, failed)
	return failed
}

func (c *call) updateRefund() (object, error) {
	before, err := c.fromPath(kindRefund)
	if err != nil {
		return nil, err
	}
	refund := before.clone().set(object{"metadata": mergedMetadata(before.obj("metadata"), c.params)})
	c.put(refund)
	c.emitUpdate("charge.refund.updated", before, refund)
	return refund, nil
}

// cancelRefund stops a refund that has not been sent yet.
func (c *call) cancelRefund() (object, error) {
	refund, err := c.fromPath(kindRefund)
	if err != nil {
		return nil, err
	}
	if status := refund.str("status"); status != "pending" && status != "requires_action" {
		return nil, invalidRequest("", "", "You cannot cancel this refund because it has a status of %s. Only refunds that are pending can be canceled.", status)
	}
	return c.failRefund(refund, "canceled", nil), nil
}

// hiddenDue is when something happens by itself to a record whose kind has no
// field that says so.
const hiddenDue = "due_at"

// in answers what is hidden beside a record to which something happens so much
// later.
func (t *tx) in(d time.Duration, hidden object) object {
	return object{}.set(hidden).set(object{hiddenDue: t.now.Add(d).Unix()})
}

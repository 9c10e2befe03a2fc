package stripesim

import (
	"slices"
	"time"
)

const (
	// evidenceTime is how long evidence may be handed in, and reviewTime how long
	// a bank thinks about one that is none of Stripe's words for tests.
	// https://stripe.com/docs/disputes/how-disputes-work
	evidenceTime = 9 * day
	reviewTime   = 60 * day
	// inquiryTime is how long an inquiry stays open that nobody escalates.
	inquiryTime = 120 * day
)

// What Stripe takes as evidence for tests, and how the dispute ends with it.
// https://stripe.com/docs/testing#evidence
const (
	winningEvidence = "winning_evidence"
	losingEvidence  = "losing_evidence"
)

var evidenceFields = fields{
	"access_activity_log": text, "billing_address": text, "cancellation_policy": text, "cancellation_policy_disclosure": text,
	"cancellation_rebuttal": text, "customer_communication": text, "customer_email_address": text, "customer_name": text,
	"customer_purchase_ip": text, "customer_signature": text, "duplicate_charge_documentation": text,
	"duplicate_charge_explanation": text, "duplicate_charge_id": text, "product_description": text, "receipt": text,
	"refund_policy": text, "refund_policy_disclosure": text, "refund_refusal_explanation": text, "service_date": text,
	"service_documentation": text, "shipping_address": text, "shipping_carrier": text, "shipping_date": text,
	"shipping_documentation": text, "shipping_tracking_number": text, "uncategorized_file": text, "uncategorized_text": text,
}

var (
	disputeUpdate = objectParams(fields{"evidence": hash(evidenceFields), "metadata": metadata, "submit": boolean})
	disputeList   = listParams(fields{"charge": nonEmpty, "created": createdRange, "payment_intent": nonEmpty})
)

func (c *call) retrieveDispute() (object, error) { return c.fromPath(kindDispute) }

func (c *call) listDisputes() (object, error) {
	return c.page(kindDispute, "/v1/disputes", func(o object) bool {
		return c.fits(o, "charge") && c.fits(o, "payment_intent")
	})
}

// dispute lets the owner of a card go to the bank about a charge: as a dispute,
// which takes the money at once, or as an inquiry, which only asks.
func (t *tx) dispute(charge object) {
	card := findCardOf(t.get(kindPaymentMethod, charge.str("payment_method")))
	isInquiry := card.inquires
	status, lifetime := "needs_response", evidenceTime
	if isInquiry {
		status, lifetime = "warning_needs_response", inquiryTime
	}
	evidence := object{}
	for field := range evidenceFields {
		evidence[field] = nil
	}
	dispute := object{
		"id":                   newID("dp_1", longID-1),
		"object":               kindDispute,
		"amount":               charge.int("amount") - charge.int("amount_refunded"),
		"balance_transactions": list{},
		"charge":               charge.id(),
		"created":              t.unix(),
		"currency":             charge["currency"],
		"evidence":             evidence,
		"evidence_details": object{
			"due_by": t.now.Add(evidenceTime).Unix(), "has_evidence": false, "past_due": false, "submission_count": int64(0),
		},
		"is_charge_refundable":   isInquiry,
		"livemode":               false,
		"metadata":               object{},
		"payment_intent":         charge["payment_intent"],
		"payment_method_details": object{"type": "card", "card": object{"brand": card.brand, "network_reason_code": networkReason(card.disputes)}},
		"reason":                 card.disputes,
		"status":                 status,
	}
	if !isInquiry {
		dispute["balance_transactions"] = list{t.post(withdrawn(dispute))}
	}
	disputed := charge.clone().set(object{"disputed": true})
	t.putHidden(disputed, nil)
	t.putHidden(dispute, t.in(lifetime, nil))
	t.emit("charge.dispute.created", dispute)
	if !isInquiry {
		t.emit("charge.dispute.funds_withdrawn", dispute)
	}
}

// networkReason is Visa's code for Stripe's word.
func networkReason(reason string) string {
	if reason == "product_not_received" {
		return "13.1"
	}
	return "10.4"
}

// respond hands evidence in. Of what is only saved nothing follows.
func (c *call) respond() (object, error) {
	before, err := c.fromPath(kindDispute)
	if err != nil {
		return nil, err
	}
	given := c.params.obj("evidence")
	open := isOpenDispute(before)
	if !open && len(given) > 0 {
		return nil, invalidRequest("", "", "This dispute is already closed, or its evidence was submitted: its status is %s.", before.str("status"))
	}
	after := before.clone()
	after["metadata"] = mergedMetadata(before.obj("metadata"), c.params)
	after.obj("evidence").set(given)
	details := after.obj("evidence_details")
	if len(given) > 0 {
		details["has_evidence"] = true
	}
	submits, said := c.params["submit"].(bool)
	hidden := c.hidden(kindDispute, after.id())
	if open && details.bool("has_evidence") && (submits || !said) {
		details["submission_count"] = details.int("submission_count") + 1
		after["status"], hidden = reviewOf(after), c.in(verdictTime(after), nil)
	}
	c.putHidden(after, hidden)
	c.emitUpdate("charge.dispute.updated", before, after)
	return after, nil
}

func isOpenDispute(dispute object) bool {
	status := dispute.str("status")
	return status == "needs_response" || status == "warning_needs_response"
}

func isInquiry(dispute object) bool { return dispute.bool("is_charge_refundable") }

func reviewOf(dispute object) string {
	if isInquiry(dispute) {
		return "warning_under_review"
	}
	return "under_review"
}

// verdictTime is none for Stripe's words for tests: their bank has decided by
// the next moment.
func verdictTime(dispute object) time.Duration {
	switch dispute.obj("evidence").str("uncategorized_text") {
	case winningEvidence, losingEvidence:
		return 0
	}
	return reviewTime
}

// liveDispute decides: for whoever handed in what wins, and against who handed
// in nothing in time. An inquiry that came to nothing is closed.
func (t *tx) liveDispute(dispute object) {
	switch {
	case isInquiry(dispute):
		t.closeDispute(dispute, "warning_closed")
	case dispute.obj("evidence").str("uncategorized_text") == winningEvidence && dispute.str("status") == "under_review":
		t.closeDispute(dispute, "won")
	default:
		t.closeDispute(dispute, "lost")
	}
}

// closeDispute ends a dispute. One that is won brings the money back.
func (t *tx) closeDispute(dispute object, status string) object {
	closed := dispute.clone().set(object{"status": status})
	if details := closed.obj("evidence_details"); !details.bool("has_evidence") && details.int("due_by") <= t.unix() {
		details["past_due"] = true
	}
	t.putHidden(closed, nil)
	t.emitUpdate("charge.dispute.closed", dispute, closed)
	if status == "won" {
		moved := append(slices.Clone(closed.list("balance_transactions")), t.post(reinstated(closed, t.unix())))
		closed = closed.copy().set(object{"balance_transactions": moved})
		t.put(closed)
		t.emit("charge.dispute.funds_reinstated", closed)
	}
	return closed
}

// acceptDispute gives a dispute up.
func (c *call) acceptDispute() (object, error) {
	dispute, err := c.fromPath(kindDispute)
	switch {
	case err != nil:
		return nil, err
	case isInquiry(dispute):
		return nil, invalidRequest("", "", "This is an inquiry, which is not closed but answered, or settled with a refund.")
	case !isOpenDispute(dispute):
		return nil, invalidRequest("", "", "This dispute is already closed, or its evidence was submitted: its status is %s.", dispute.str("status"))
	}
	return c.closeDispute(dispute, "lost"), nil
}

// openInquiry answers the inquiry about a charge that waits for an answer, or nil.
func (t *tx) openInquiry(charge object) object {
	for _, dispute := range t.disputesOf(charge) {
		if isInquiry(dispute) && dispute.str("status") != "warning_closed" {
			return dispute
		}
	}
	return nil
}

// hasWon says that nothing of a charge is disputed any more.
func (t *tx) hasWon(charge object) bool {
	for _, dispute := range t.disputesOf(charge) {
		if status := dispute.str("status"); status != "won" && status != "warning_closed" {
			return false
		}
	}
	return true
}

func (t *tx) disputesOf(charge object) []object {
	return t.where(kindDispute, func(o object) bool { return o["charge"] == charge.id() })
}

package stripesim

import (
	"fmt"
	"slices"
	"time"
)

// draftLifetime is how long a renewal's invoice stays a draft, for whoever wants
// to add to it. https://stripe.com/docs/billing/subscriptions/webhooks
const draftLifetime = time.Hour

var invoiceList = listParams(fields{
	"created":      createdRange,
	"customer":     nonEmpty,
	"status":       enum("draft", "open", "paid", "uncollectible", "void"),
	"subscription": nonEmpty,
})

func (c *call) retrieveInvoice() (object, error) {
	return c.fromPath(kindInvoice)
}

func (c *call) listInvoices() (object, error) {
	if err := c.customerKnown(); err != nil {
		return nil, err
	}
	return c.page(kindInvoice, "/v1/invoices", func(o object) bool {
		return c.fits(o, "customer") && c.fits(o, "status") && c.fits(o, "subscription")
	})
}

func (c *call) listInvoiceLines() (object, error) {
	invoice, err := c.fromPath(kindInvoice)
	if err != nil {
		return nil, err
	}
	lines := invoice.obj("lines")
	return c.pageOf(lines.list("data"), "line_item", lines.str("url"))
}

// newFirstInvoice makes the draft of a subscription's first invoice. It is for
// the period that begins now; its own period is the moment, as at Stripe.
func (t *tx) newFirstInvoice(subscription object) object {
	id := newID("in_1", longID-1)
	return t.newInvoice(id, subscription, invoiceTerms{
		reason: "subscription_create", lines: t.subscriptionLines(id, subscription), period: span{t.unix(), t.unix()}, atOnce: true,
	})
}

// newCycleInvoice makes the draft for the period that begins now, and for
// whatever waited for it. Its own period is the one that has ended.
func (t *tx) newCycleInvoice(subscription object, ended span) object {
	id := newID("in_1", longID-1)
	lines := append(t.takePendingItems(subscription, id), t.subscriptionLines(id, subscription)...)
	return t.newInvoice(id, subscription, invoiceTerms{reason: "subscription_cycle", lines: lines, period: ended})
}

// invoiceTerms are what makes one invoice of a subscription different from another.
type invoiceTerms struct {
	reason string // Stripe's billing_reason
	lines  list
	period span
	// atOnce is set where the caller finalizes the draft in the same change.
	atOnce bool
}

// newInvoice makes a draft, which is not put yet. What the customer has on their
// balance is taken into account, and taken when the draft is finalized.
func (t *tx) newInvoice(id string, subscription object, terms invoiceTerms) object {
	customer := t.get(kindCustomer, subscription.str("customer"))
	var total int64
	for _, line := range terms.lines {
		total += asObject(line).int("amount")
	}
	invoice := object{
		"id":                               id,
		"object":                           kindInvoice,
		"account_country":                  t.account()["country"],
		"account_name":                     t.account().obj("business_profile")["name"],
		"account_tax_ids":                  nil,
		"amount_paid":                      int64(0),
		"amount_shipping":                  int64(0),
		"application":                      nil,
		"application_fee_amount":           nil,
		"attempt_count":                    int64(0),
		"attempted":                        false,
		"auto_advance":                     true,
		"automatic_tax":                    invoiceTax(subscription, customer),
		"billing_reason":                   terms.reason,
		"charge":                           nil,
		"collection_method":                "charge_automatically",
		"created":                          t.unix(),
		"currency":                         subscription["currency"],
		"custom_fields":                    nil,
		"customer":                         customer.id(),
		"customer_address":                 customer["address"],
		"customer_email":                   customer["email"],
		"customer_name":                    customer["name"],
		"customer_phone":                   customer["phone"],
		"customer_shipping":                nil,
		"customer_tax_exempt":              customer["tax_exempt"],
		"customer_tax_ids":                 list{},
		"default_payment_method":           nil,
		"default_source":                   nil,
		"default_tax_rates":                list{},
		"description":                      nil,
		"discount":                         nil,
		"discounts":                        list{},
		"due_date":                         nil,
		"effective_at":                     nil,
		"ending_balance":                   nil,
		"footer":                           nil,
		"from_invoice":                     nil,
		"hosted_invoice_url":               nil, // the stand-in has no page for an invoice
		"invoice_pdf":                      nil,
		"issuer":                           object{"type": "self"},
		"last_finalization_error":          nil,
		"latest_revision":                  nil,
		"lines":                            listOf("/v1/invoices/"+id+"/lines", terms.lines),
		"livemode":                         false,
		"metadata":                         object{},
		"next_payment_attempt":             t.unix() + int64(draftLifetime/time.Second),
		"number":                           nil,
		"on_behalf_of":                     nil,
		"paid":                             false,
		"paid_out_of_band":                 false,
		"payment_intent":                   nil,
		"payment_settings":                 object{"default_mandate": nil, "payment_method_options": nil, "payment_method_types": nil},
		"period_end":                       terms.period.end,
		"period_start":                     terms.period.start,
		"post_payment_credit_notes_amount": int64(0),
		"pre_payment_credit_notes_amount":  int64(0),
		"quote":                            nil,
		"receipt_number":                   nil,
		"rendering":                        nil,
		"shipping_cost":                    nil,
		"shipping_details":                 nil,
		"statement_descriptor":             nil,
		"status":                           "draft",
		"status_transitions":               object{"finalized_at": nil, "marked_uncollectible_at": nil, "paid_at": nil, "voided_at": nil},
		"subscription":                     subscription.id(),
		"subscription_details":             object{"metadata": subscription.obj("metadata")},
		"subtotal":                         total,
		"subtotal_excluding_tax":           total,
		"tax":                              nil,
		"test_clock":                       nil,
		"total":                            total,
		"total_discount_amounts":           list{},
		"total_excluding_tax":              total,
		"total_tax_amounts":                list{},
		"transfer_data":                    nil,
		"webhooks_delivered_at":            nil,
	}
	if terms.atOnce {
		invoice["next_payment_attempt"] = nil
	}
	applyBalance(invoice, customer.int("balance"))
	return invoice
}

// applyBalance lets what the customer has (below zero) or owes (above) on their
// balance change what is due, and answers the balance that is left. What is too
// little to be charged is owed from then on.
// https://stripe.com/docs/billing/customer/balance
func applyBalance(invoice object, balance int64) (left int64) {
	due := invoice.int("total") + balance
	if due < minimumCharge(invoice.str("currency")) {
		due, left = 0, due
	}
	invoice.set(object{"amount_due": due, "amount_remaining": due, "starting_balance": balance})
	return left
}

// minimumCharge is the least that a card is charged.
// https://stripe.com/docs/currencies#minimum-and-maximum-charge-amounts
func minimumCharge(currency string) int64 {
	if currency == "gbp" {
		return 30
	}
	return 50
}

// subscriptionLines are the lines for a period of the subscription's items, from
// the newest item to the oldest.
func (t *tx) subscriptionLines(invoice string, subscription object) list {
	var lines list
	for _, item := range itemsOf(subscription) {
		amount := periodAmount(subscription, item)
		if subscription.str("status") == "trialing" {
			amount = 0
		}
		lines = append(lines, t.newInvoiceLine(invoice, subscription, item, amount))
	}
	slices.Reverse(lines)
	return lines
}

func (t *tx) newInvoiceLine(invoice string, subscription, item object, amount int64) object {
	price := item.obj("price")
	product := t.get(kindProduct, price.str("product")).str("name")
	description := fmt.Sprintf("%d × %s (at %s / %s)", item.int("quantity"), product, priceText(price), intervalText(price))
	unit := price["unit_amount_decimal"]
	if subscription.str("status") == "trialing" {
		description, unit = "Trial period for "+product, "0"
	}
	return object{
		"id":                        newID("il_1", longID-1),
		"object":                    "line_item",
		"amount":                    amount,
		"amount_excluding_tax":      amount,
		"currency":                  price["currency"],
		"description":               description,
		"discount_amounts":          list{},
		"discountable":              true,
		"discounts":                 list{},
		"invoice":                   invoice,
		"livemode":                  false,
		"metadata":                  subscription.obj("metadata"),
		"period":                    object{"end": subscription["current_period_end"], "start": subscription["current_period_start"]},
		"plan":                      planOf(price),
		"price":                     price,
		"proration":                 false,
		"proration_details":         object{"credited_items": nil},
		"quantity":                  item["quantity"],
		"subscription":              subscription.id(),
		"subscription_item":         item.id(),
		"tax_amounts":               list{},
		"tax_rates":                 list{},
		"type":                      "subscription",
		"unit_amount_excluding_tax": unit,
	}
}

// invoiceDue is when a draft is finalized or an open invoice is tried again.
func invoiceDue(invoice object) int64 {
	if !invoice.bool("auto_advance") {
		return 0
	}
	switch invoice.str("status") {
	case "draft":
		if invoice["last_finalization_error"] != nil {
			return 0
		}
		return invoice.int("created") + int64(draftLifetime/time.Second)
	case "open":
		return invoice.int("next_payment_attempt")
	}
	return 0
}

// liveInvoice does what is due of an invoice.
func (t *tx) liveInvoice(invoice object) {
	if invoice.str("status") == "draft" {
		_ = t.advanceDraft(invoice) // the invoice says how it went
		return
	}
	_ = t.collect(invoice, attempt{scheduled: true}) // the invoice says how it went
}

// advanceDraft finalizes a draft whose time has come, and collects it unless
// collection is paused. It answers Stripe's error when the payment fails.
func (t *tx) advanceDraft(draft object) *apiError {
	pause := t.get(kindSubscription, draft.str("subscription")).obj("pause_collection").str("behavior")
	if pause == "void" && draft.int("total") > 0 {
		t.closeInvoice(t.publish(draft, t.issueWhole(draft)), "void")
		return nil
	}
	open := t.finalize(draft)
	if open.str("status") != "open" {
		return nil
	}
	if pause == "mark_uncollectible" {
		t.closeInvoice(open, "uncollectible")
		return nil
	}
	return t.collect(open, attempt{scheduled: true})
}

// closeInvoice ends an open invoice without payment, as void or uncollectible.
// What was on the customer's balance comes back from one that is void.
func (t *tx) closeInvoice(open object, status string) object {
	moment, event := "voided_at", "invoice.voided"
	if status == "uncollectible" {
		moment, event = "marked_uncollectible_at", "invoice.marked_uncollectible"
	}
	closed := open.clone().set(object{"auto_advance": false, "next_payment_attempt": nil, "status": status})
	closed.obj("status_transitions")[moment] = t.unix()
	t.put(closed)
	if intent := t.get(kindPaymentIntent, open.str("payment_intent")); intent != nil && status == "void" {
		t.cancelIntent(intent, "void_invoice")
	}
	t.emitUpdate("invoice.updated", open, closed)
	t.emit(event, closed)
	if status == "void" {
		t.moveBalance(closed["customer"], closed.int("starting_balance")-closed.int("ending_balance"))
	}
	return closed
}

// moveBalance adds to what the customer owes (above zero) or has (below it).
func (t *tx) moveBalance(customer any, by int64) {
	id, _ := customer.(string)
	before := t.live(kindCustomer, id)
	if before == nil || by == 0 {
		return
	}
	after := before.clone().set(object{"balance": before.int("balance") + by})
	t.put(after)
	t.emitUpdate("customer.updated", before, after)
}

// cancelIntent gives up a payment that is not needed any more.
func (t *tx) cancelIntent(intent object, reason any) {
	canceled := intent.clone().set(object{
		"canceled_at": t.unix(), "cancellation_reason": reason, "next_action": nil, "status": "canceled",
	})
	t.put(canceled)
	t.emit("payment_intent.canceled", canceled)
}

// finalize makes a draft the invoice that the customer owes, with an intent to
// pay it, or a paid one where nothing is due.
//
// A draft that cannot be taxed stays one and says why; it is not tried again by
// itself.
func (t *tx) finalize(draft object) object {
	if refused := t.checkInvoiceTax(draft); refused != nil {
		return t.failFinalization(draft, refused)
	}
	draft = t.taxed(draft)
	return t.publish(draft, t.issue(draft))
}

// publish is what finalize does once the draft is issued.
func (t *tx) publish(draft, issued object) object {
	var intent object
	if issued.int("amount_due") > 0 {
		intent = newPaymentIntent(t, issued.int("amount_due"), issued.str("currency"), issued["customer"]).set(object{
			"description": intentDescription(issued), "invoice": issued.id(),
		})
		t.put(intent)
		t.emit("payment_intent.created", intent)
		issued["payment_intent"] = intent.id()
	}
	t.put(issued)
	t.emit("invoice.finalized", issued)
	t.emitUpdate("invoice.updated", draft, issued)
	if intent == nil {
		return t.settle(issued, nil)
	}
	return issued
}

func intentDescription(invoice object) string {
	switch invoice.str("billing_reason") {
	case "subscription_create":
		return "Subscription creation"
	case "subscription_update":
		return "Subscription update"
	}
	return "Subscription renewal"
}

// finalizeWith is finalize where there is an intent already, as of a checkout.
func (t *tx) finalizeWith(draft object, intent any) object {
	issued := t.issue(draft)
	issued["payment_intent"] = intent
	t.put(issued)
	t.emit("invoice.finalized", issued)
	return issued
}

// issue answers the draft with the next number of the customer's sequence, open,
// after what was on the customer's balance has been taken.
func (t *tx) issue(draft object) object {
	open := t.number(draft)
	balance := t.get(kindCustomer, draft.str("customer")).int("balance")
	left := applyBalance(open, balance)
	t.moveBalance(draft["customer"], left-balance)
	return open.set(object{"ending_balance": left})
}

// issueWhole is issue where the customer's balance is not touched, because
// nothing is going to be collected. https://stripe.com/docs/billing/subscriptions/pause-payment
func (t *tx) issueWhole(draft object) object {
	balance := t.get(kindCustomer, draft.str("customer"))["balance"]
	return t.number(draft).set(object{
		"amount_due": draft["total"], "amount_remaining": draft["total"], "starting_balance": balance, "ending_balance": balance,
	})
}

// number answers the draft as an open invoice with the customer's next number,
// which Stripe sends no event about.
func (t *tx) number(draft object) object {
	customer := t.get(kindCustomer, draft.str("customer"))
	number := customer.int("next_invoice_sequence")
	t.put(customer.clone().set(object{"next_invoice_sequence": number + 1}))
	open := draft.clone()
	open.obj("status_transitions")["finalized_at"] = t.unix()
	return open.set(object{
		"effective_at":         t.unix(),
		"next_payment_attempt": nil,
		"number":               fmt.Sprintf("%s-%04d", customer.str("invoice_prefix"), number),
		"status":               "open",
	})
}

// settle marks an open invoice paid. Only where a payment was tried, or none was
// needed, has one succeeded: what was paid in another way is just paid.
func (t *tx) settle(open, payment object) object {
	paid := open.clone().set(object{
		"attempted":             true,
		"auto_advance":          false,
		"next_payment_attempt":  nil,
		"paid":                  true,
		"status":                "paid",
		"webhooks_delivered_at": t.unix(),
	}).set(payment)
	paid.obj("status_transitions")["paid_at"] = t.unix()
	t.put(paid)
	t.emitUpdate("invoice.updated", open, paid)
	t.emit("invoice.paid", paid)
	if !paid.bool("paid_out_of_band") {
		t.emit("invoice.payment_succeeded", paid)
	}
	return paid
}

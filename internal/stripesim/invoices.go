package stripesim

import (
	"fmt"
)

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
func (t *tx) newFirstInvoice(subscription object, order purchase) object {
	id := newID("in_1", longID-1)
	var total int64
	lines := make(list, len(order.lines))
	for i, line := range order.lines {
		amount := amountTimes(line.price, line.quantity)
		if subscription.str("status") == "trialing" {
			amount = 0
		}
		total += amount
		item := asObject(subscription.obj("items").list("data")[i])
		lines[i] = t.newInvoiceLine(id, subscription, item, amount)
	}
	customer := order.customer
	return object{
		"id":                               id,
		"object":                           kindInvoice,
		"account_country":                  t.account()["country"],
		"account_name":                     t.account().obj("business_profile")["name"],
		"account_tax_ids":                  nil,
		"amount_due":                       total,
		"amount_paid":                      int64(0),
		"amount_remaining":                 total,
		"amount_shipping":                  int64(0),
		"application":                      nil,
		"application_fee_amount":           nil,
		"attempt_count":                    int64(0),
		"attempted":                        false,
		"auto_advance":                     true,
		"automatic_tax":                    object{"enabled": false, "liability": nil, "status": nil},
		"billing_reason":                   "subscription_create",
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
		"lines":                            listOf("/v1/invoices/"+id+"/lines", lines),
		"livemode":                         false,
		"metadata":                         object{},
		"next_payment_attempt":             nil,
		"number":                           nil,
		"on_behalf_of":                     nil,
		"paid":                             false,
		"paid_out_of_band":                 false,
		"payment_intent":                   nil,
		"payment_settings":                 object{"default_mandate": nil, "payment_method_options": nil, "payment_method_types": nil},
		"period_end":                       t.unix(),
		"period_start":                     t.unix(),
		"post_payment_credit_notes_amount": int64(0),
		"pre_payment_credit_notes_amount":  int64(0),
		"quote":                            nil,
		"receipt_number":                   nil,
		"rendering":                        nil,
		"shipping_cost":                    nil,
		"shipping_details":                 nil,
		"starting_balance":                 int64(0),
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

// finalize makes a draft the invoice that the customer owes, with the next
// number of the customer's sequence.
func (t *tx) finalize(draft object, intent any) object {
	customer := t.get(kindCustomer, draft.str("customer"))
	number := customer.int("next_invoice_sequence")
	t.put(customer.clone().set(object{"next_invoice_sequence": number + 1}))
	open := draft.clone().set(object{
		"effective_at":       t.unix(),
		"number":             fmt.Sprintf("%s-%04d", customer.str("invoice_prefix"), number),
		"payment_intent":     intent,
		"status":             "open",
		"status_transitions": draft.obj("status_transitions").clone().set(object{"finalized_at": t.unix()}),
	})
	t.put(open)
	t.emit("invoice.finalized", open)
	return open
}

// settle marks an open invoice paid.
func (t *tx) settle(open, payment object) object {
	paid := open.clone().set(object{
		"attempted":             true,
		"auto_advance":          false,
		"ending_balance":        int64(0),
		"paid":                  true,
		"status":                "paid",
		"status_transitions":    open.obj("status_transitions").clone().set(object{"paid_at": t.unix()}),
		"webhooks_delivered_at": t.unix(),
	}).set(payment)
	t.put(paid)
	t.emitUpdate("invoice.updated", open, paid)
	t.emit("invoice.paid", paid)
	t.emit("invoice.payment_succeeded", paid)
	return paid
}

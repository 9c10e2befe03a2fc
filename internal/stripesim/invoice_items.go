package stripesim

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

var invoiceItemList = listParams(fields{
	"created": createdRange, "customer": nonEmpty, "invoice": nonEmpty, "pending": boolean,
})

func (c *call) retrieveInvoiceItem() (object, error) { return c.fromPath(kindInvoiceItem) }

func (c *call) listInvoiceItems() (object, error) {
	if err := c.customerKnown(); err != nil {
		return nil, err
	}
	within := c.params.obj("created")
	delete(c.params, "created") // an invoice item is dated by its date
	return c.page(kindInvoiceItem, "/v1/invoiceitems", func(o object) bool {
		if pending, came := c.params["pending"].(bool); came && pending != (o["invoice"] == nil) {
			return false
		}
		return c.fits(o, "invoice") && inRange(within, o.int("date"))
	})
}

// prorate records what the change of one item of a subscription costs or gives
// back for the period from the moment at, as an invoice item that the next
// invoice of the subscription takes up. A credit is told by its sign.
func (t *tx) prorate(subscription, item object, sign, at int64) {
	price, quantity := item.obj("price"), item.int("quantity")
	period := billedPeriod(subscription)
	amount := sign * prorated(price, quantity, period, at)
	hidden := object(nil)
	if sign < 0 {
		hidden = object{"credited_items": t.creditedItems(subscription, item, at)}
	}
	prorated := object{
		"id":                  newID("ii_1", longID-1),
		"object":              kindInvoiceItem,
		"amount":              amount,
		"currency":            subscription["currency"],
		"customer":            subscription["customer"],
		"date":                t.unix(),
		"description":         prorationText(sign, quantity, t.get(kindProduct, price.str("product")).str("name"), at),
		"discountable":        false,
		"discounts":           list{},
		"invoice":             nil,
		"livemode":            false,
		"metadata":            object{}.set(subscription.obj("metadata")),
		"period":              object{"end": period.end, "start": at},
		"plan":                planOf(price),
		"price":               price,
		"proration":           true,
		"quantity":            quantity,
		"subscription":        subscription.id(),
		"subscription_item":   item.id(),
		"tax_rates":           list{},
		"test_clock":          nil,
		"unit_amount":         nil,
		"unit_amount_decimal": nil,
	}
	if quantity > 0 {
		prorated["unit_amount_decimal"] = decimalText(big.NewRat(amount, quantity))
		if amount%quantity == 0 {
			prorated["unit_amount"] = amount / quantity
		}
	}
	t.putHidden(prorated, hidden)
	t.emit("invoiceitem.created", prorated)
}

func periodOf(subscription object) span {
	return span{subscription.int("current_period_start"), subscription.int("current_period_end")}
}

// prorationText is Stripe's description of a proration.
func prorationText(sign, quantity int64, product string, at int64) string {
	verb := "Remaining"
	if sign < 0 {
		verb = "Unused"
	}
	if quantity != 1 {
		product = fmt.Sprintf("%d × %s", quantity, product)
	}
	return fmt.Sprintf("%s time on %s after %s", verb, product, time.Unix(at, 0).UTC().Format("02 Jan 2006"))
}

// decimalText writes a fraction as Stripe writes decimals, with at most twelve
// places.
func decimalText(r *big.Rat) string {
	text := r.FloatString(12)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// creditedItems names the invoice lines that a credit gives back, or nothing
// where the time has not been invoiced yet.
func (t *tx) creditedItems(subscription, item object, at int64) any {
	for _, invoice := range t.ofCustomer(kindInvoice, subscription.str("customer")) {
		if invoice["subscription"] != subscription.id() {
			continue
		}
		for _, l := range invoice.obj("lines").list("data") {
			line := asObject(l)
			period := line.obj("period")
			if line["subscription_item"] == item.id() && line.int("amount") >= 0 && line.obj("price").id() == item.obj("price").id() &&
				period.int("start") <= at && at < period.int("end") {
				return object{"invoice": invoice.id(), "invoice_line_items": list{line.id()}}
			}
		}
	}
	return nil
}

// pendingItems are what the subscription's next invoice takes up, newest first,
// as they stand in an invoice.
func (t *tx) pendingItems(subscription object) []object {
	return slices.DeleteFunc(t.ofCustomer(kindInvoiceItem, subscription.str("customer")), func(item object) bool {
		return item["invoice"] != nil || item["subscription"] != subscription.id()
	})
}

// takePendingItems makes the lines of an invoice of the subscription's pending
// items, which belong to that invoice from then on.
func (t *tx) takePendingItems(subscription object, invoice string) list {
	var lines list
	for _, item := range t.pendingItems(subscription) {
		t.put(item.clone().set(object{"invoice": invoice}))
		lines = append(lines, invoiceItemLine(item, invoice, t.hidden(kindInvoiceItem, item.id())["credited_items"]))
	}
	return lines
}

// invoiceItemLine is an invoice item as it stands in an invoice, nil in one that
// is only announced.
func invoiceItemLine(item object, invoice, credited any) object {
	return object{
		"id":                        newID("il_1", longID-1),
		"object":                    "line_item",
		"amount":                    item["amount"],
		"amount_excluding_tax":      item["amount"],
		"currency":                  item["currency"],
		"description":               item["description"],
		"discount_amounts":          list{},
		"discountable":              item["discountable"],
		"discounts":                 list{},
		"invoice":                   invoice,
		"invoice_item":              item.id(),
		"livemode":                  false,
		"metadata":                  item["metadata"],
		"period":                    item["period"],
		"plan":                      item["plan"],
		"price":                     item["price"],
		"proration":                 item["proration"],
		"proration_details":         object{"credited_items": credited},
		"quantity":                  item["quantity"],
		"subscription":              item["subscription"],
		"subscription_item":         item["subscription_item"],
		"tax_amounts":               list{},
		"tax_rates":                 list{},
		"type":                      "invoiceitem",
		"unit_amount_excluding_tax": item["unit_amount_decimal"],
	}
}

package stripesim

import (
	"fmt"
	"math/big"
)

// maxSessionItems is Stripe's limit for recurring prices in one session.
const maxSessionItems = 20

// sessionItems makes the line items of a new session of its parameters.
func (c *call) sessionItems(customer object) (list, error) {
	given := c.params.list("line_items")
	if len(given) == 0 {
		return nil, invalidRequest("line_items", "parameter_missing", "The `line_items` parameter is required in subscription mode.")
	}
	if len(given) > maxSessionItems {
		return nil, invalidRequest("line_items", "", "You may only specify up to %d line items.", maxSessionItems)
	}
	var first object
	items := make(list, len(given))
	for i, g := range given {
		path := fmt.Sprintf("line_items[%d]", i)
		quantity, came := asObject(g)["quantity"].(int64)
		switch {
		case !came:
			return nil, invalidRequest(path+"[quantity]", "parameter_missing", "Quantity is required. Add `quantity` to `%s`", path)
		case quantity < 1:
			return nil, invalidRequest(path+"[quantity]", "parameter_invalid_integer", "This value must be greater than or equal to 1.")
		}
		price, err := c.sellablePrice(path+"[price]", asObject(g).str("price"))
		if err != nil {
			return nil, err
		}
		price, err = c.inCurrency(price, c.sessionCurrency(customer))
		if err != nil {
			return nil, err
		}
		if first == nil {
			first = price
		}
		if err := sameRhythm(path+"[price]", first, price); err != nil {
			return nil, err
		}
		items[i] = c.sessionItem(price, quantity)
	}
	return items, nil
}

// sellablePrice answers a price that a subscription may begin with.
func (t *tx) sellablePrice(param, id string) (object, error) {
	price := t.live(kindPrice, id)
	switch {
	case price == nil:
		return nil, missingInParams(param, kindPrice, id)
	case !price.bool("active"):
		return nil, invalidRequest(param, "", "The price specified is inactive. This field only accepts active prices.")
	case !t.get(kindProduct, price.str("product")).bool("active"):
		return nil, invalidRequest(param, "", "The price specified belongs to an inactive product. This field only accepts prices of active products.")
	case price.str("type") != "recurring":
		return nil, invalidRequest(param, "", "You specified `subscription` mode but passed a one-time price, which this stand-in does not sell.")
	}
	return price, nil
}

// sessionCurrency is what the session must be paid in, where that is settled:
// a customer who has paid before stays with that currency.
func (c *call) sessionCurrency(customer object) string {
	if asked := c.params.str("currency"); asked != "" {
		return asked
	}
	return customer.str("currency")
}

// inCurrency answers the price as it is in the currency, or as it is by itself
// where none is asked for.
func (t *tx) inCurrency(price object, currency string) (object, error) {
	if currency == "" || currency == price.str("currency") {
		return price, nil
	}
	option := t.hidden(kindPrice, price.id()).obj("currency_options").obj(currency)
	if option == nil {
		return nil, invalidRequest("currency", "", "The price specified only supports `%s`. This doesn't match the expected currency: `%s`.", price.str("currency"), currency)
	}
	return price.clone().set(object{
		"currency": currency, "unit_amount": option["unit_amount"], "unit_amount_decimal": option["unit_amount_decimal"],
	}), nil
}

func sameRhythm(param string, a, b object) error {
	if a.str("currency") != b.str("currency") {
		return invalidRequest(param, "", "All prices on a subscription must have the same currency.")
	}
	for _, field := range []string{"interval", "interval_count"} {
		if a.obj("recurring")[field] != b.obj("recurring")[field] {
			return invalidRequest(param, "", "All prices on a subscription must have the same `recurring.interval` and `recurring.interval_count`. If you meant to update an existing subscription item instead of creating a new one, make sure to include the subscription item ID in your request.")
		}
	}
	return nil
}

func (t *tx) sessionItem(price object, quantity int64) object {
	amount := amountTimes(price, quantity)
	return object{
		"id":              newID("li_1", longID-1),
		"object":          "item",
		"amount_discount": int64(0),
		"amount_subtotal": amount,
		"amount_tax":      int64(0),
		"amount_total":    amount,
		"currency":        price.str("currency"),
		"description":     t.get(kindProduct, price.str("product")).str("name"),
		"price":           price,
		"quantity":        quantity,
	}
}

// amountTimes is the price of a quantity, rounded half up to the minor unit
// where the price has fractions of it.
func amountTimes(price object, quantity int64) int64 {
	if whole, ok := price["unit_amount"].(int64); ok {
		return whole * quantity
	}
	exact, ok := new(big.Rat).SetString(price.str("unit_amount_decimal"))
	if !ok {
		return 0
	}
	exact.Mul(exact, big.NewRat(quantity, 1)).Add(exact, big.NewRat(1, 2))
	return new(big.Int).Div(exact.Num(), exact.Denom()).Int64()
}

// setSessionAmounts sets what is due today: nothing, when a trial comes first.
func setSessionAmounts(session object, items list, trial bool) {
	var total int64
	for _, item := range items {
		if trial {
			asObject(item).set(object{"amount_subtotal": int64(0), "amount_total": int64(0)})
		}
		total += asObject(item).int("amount_total")
	}
	session.set(object{
		"amount_subtotal": total,
		"amount_total":    total,
		"currency":        asObject(items[0]).str("currency"),
		"total_details":   object{"amount_discount": int64(0), "amount_shipping": int64(0), "amount_tax": int64(0)},
	})
}

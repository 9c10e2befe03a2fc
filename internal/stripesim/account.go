package stripesim

import "strings"

// ensureAccount makes the one account that everything here belongs to.
func (t *tx) ensureAccount() {
	if len(t.server.store.table(kindAccount).order) > 0 {
		return
	}
	t.put(object{
		"id":                newID("acct_1", longID-9),
		"object":            kindAccount,
		"business_profile":  object{"mcc": nil, "name": "Stand-in for Stripe", "product_description": nil, "support_address": nil, "support_email": nil, "support_phone": nil, "support_url": nil, "url": nil},
		"business_type":     nil,
		"capabilities":      object{"card_payments": "active", "transfers": "active"},
		"charges_enabled":   true,
		"controller":        object{"type": "account"},
		"country":           "US",
		"created":           t.unix(),
		"default_currency":  "usd",
		"details_submitted": true,
		"email":             nil,
		"metadata":          object{},
		"payouts_enabled":   true,
		"settings":          object{"branding": object{"icon": nil, "logo": nil, "primary_color": nil, "secondary_color": nil}, "card_payments": object{"statement_descriptor_prefix": nil, "statement_descriptor_prefix_kana": nil, "statement_descriptor_prefix_kanji": nil}, "dashboard": object{"display_name": "Stand-in for Stripe", "timezone": "Etc/UTC"}, "payments": object{"statement_descriptor": nil, "statement_descriptor_kana": nil, "statement_descriptor_kanji": nil}},
		"type":              "standard",
	})
}

func (t *tx) account() object {
	return t.server.store.table(kindAccount).order[0].Object
}

func (c *call) retrieveAccount() (object, error) {
	return c.account(), nil
}

// retrieveBalance adds up what moved the balance: nothing is ever paid out.
func (c *call) retrieveBalance() (object, error) {
	available, pending := map[string]int64{c.account().str("default_currency"): 0}, map[string]int64{}
	for _, r := range c.server.store.table(kindBalanceTransaction).order {
		currency, net := r.Object.str("currency"), r.Object.int("net")
		if r.Object.int("available_on") > c.unix() {
			pending[currency] += net
			net = 0
		}
		available[currency] += net
	}
	var now, soon list
	for _, currency := range sortedKeys(available) {
		now, soon = append(now, fundsOf(currency, available[currency])), append(soon, fundsOf(currency, pending[currency]))
	}
	return object{"object": "balance", "available": now, "livemode": false, "pending": soon}, nil
}

func fundsOf(currency string, amount int64) object {
	return object{"amount": amount, "currency": strings.ToLower(currency), "source_types": object{"card": amount}}
}

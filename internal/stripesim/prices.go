package stripesim

import (
	"slices"
	"strconv"
	"strings"
)

var currencyOption = hash(fields{
	"tax_behavior":        enum("exclusive", "inclusive", "unspecified"),
	"unit_amount":         integer,
	"unit_amount_decimal": nonEmpty,
})

var priceCreate = objectParams(fields{
	"active":           boolean,
	"billing_scheme":   enum("per_unit"),
	"currency":         nonEmpty.must(),
	"currency_options": mapOf(currencyOption),
	"lookup_key":       nonEmpty,
	"metadata":         metadata,
	"nickname":         nonEmpty,
	"product":          nonEmpty,
	"product_data": hash(fields{
		"active": boolean, "id": nonEmpty, "metadata": metadata, "name": nonEmpty.must(),
		"statement_descriptor": nonEmpty, "tax_code": nonEmpty, "unit_label": nonEmpty,
	}),
	"recurring": hash(fields{
		"interval":       enum("day", "month", "week", "year").must(),
		"interval_count": integer,
		"usage_type":     enum("licensed"),
	}),
	"tax_behavior":        enum("exclusive", "inclusive", "unspecified"),
	"transfer_lookup_key": boolean,
	"unit_amount":         integer,
	"unit_amount_decimal": nonEmpty,
})

var priceUpdate = objectParams(fields{
	"active":              boolean,
	"currency_options":    mapOf(currencyOption).orEmpty(),
	"lookup_key":          text,
	"metadata":            metadata,
	"nickname":            text,
	"tax_behavior":        enum("exclusive", "inclusive", "unspecified"),
	"transfer_lookup_key": boolean,
})

var priceList = listParams(fields{
	"active":      boolean,
	"created":     createdRange,
	"currency":    nonEmpty,
	"lookup_keys": array(text),
	"product":     nonEmpty,
	"recurring":   hash(fields{"interval": enum("day", "month", "week", "year"), "usage_type": enum("licensed", "metered")}),
	"type":        enum("one_time", "recurring"),
})

func (c *call) createPrice() (object, error) {
	currency, err := currencyCode("currency", c.params.str("currency"))
	if err != nil {
		return nil, err
	}
	amount, decimal, err := amountOf(c.params, "unit_amount")
	if err != nil {
		return nil, err
	}
	product, err := c.productOfPrice()
	if err != nil {
		return nil, err
	}
	recurring, priceType, err := c.recurrence()
	if err != nil {
		return nil, err
	}
	options, err := currencyOptions(c.params.obj("currency_options"))
	if err != nil {
		return nil, err
	}
	price := newPrice(c.tx).set(changes(c.params, "active", "nickname", "tax_behavior")).set(object{
		"currency":            currency,
		"metadata":            mergedMetadata(nil, c.params),
		"product":             product.id(),
		"recurring":           recurring,
		"type":                priceType,
		"unit_amount":         amount,
		"unit_amount_decimal": decimal,
	})
	if err := c.takeLookupKey(price); err != nil {
		return nil, err
	}
	options[currency] = currencyOptionOf(price.str("tax_behavior"), amount, decimal)
	c.putHidden(price, object{"currency_options": options})
	c.emit("price.created", price)
	return price, nil
}

func newPrice(t *tx) object {
	return object{
		"id":                 newID("price_1", longID-1),
		"object":             kindPrice,
		"active":             true,
		"billing_scheme":     "per_unit",
		"created":            t.unix(),
		"custom_unit_amount": nil,
		"livemode":           false,
		"lookup_key":         nil,
		"nickname":           nil,
		"tax_behavior":       "unspecified",
		"tiers_mode":         nil,
		"transform_quantity": nil,
	}
}

// amountOf reads unit_amount or unit_amount_decimal; of the two exactly one
// must be there. A fraction of a cent has no unit_amount, as at Stripe.
func amountOf(params object, path string) (amount any, decimal string, err error) {
	whole, hasWhole := params["unit_amount"].(int64)
	decimal, hasDecimal := params["unit_amount_decimal"].(string)
	switch {
	case hasWhole && hasDecimal:
		return nil, "", invalidRequest(path, "parameter_invalid_exclusive", "You may only specify one of these parameters: unit_amount, unit_amount_decimal.")
	case hasWhole && whole < 0:
		return nil, "", invalidRequest(path, "parameter_invalid_integer", "Invalid non-negative integer")
	case hasWhole:
		return whole, strconv.FormatInt(whole, 10), nil
	case hasDecimal:
		if f, err := strconv.ParseFloat(decimal, 64); err != nil || f < 0 {
			return nil, "", invalidRequest(path+"_decimal", "", "Invalid decimal: %s", decimal)
		}
		if n, err := strconv.ParseInt(decimal, 10, 64); err == nil {
			return n, decimal, nil
		}
		return nil, decimal, nil
	}
	return nil, "", invalidRequest(path, "parameter_missing", "You must specify either `unit_amount`, `unit_amount_decimal` or `custom_unit_amount`.")
}

func (c *call) productOfPrice() (object, error) {
	data := c.params.obj("product_data")
	product, err := c.fromParam("product", kindProduct)
	switch {
	case err != nil:
		return nil, err
	case product != nil && data != nil:
		return nil, invalidRequest("product", "parameter_invalid_exclusive", "You may only specify one of these parameters: product, product_data.")
	case product != nil:
		return product, nil
	case data == nil:
		return nil, invalidRequest("product", "parameter_missing", "You must specify either `product` or `product_data` when creating a price.")
	}
	id := data.str("id")
	if id == "" {
		id = newID("prod_", shortID)
	}
	if c.live(kindProduct, id) != nil {
		return nil, invalidRequest("product_data[id]", "resource_already_exists", "Product already exists.")
	}
	product = newProduct(c.tx, id).
		set(changes(data, "active", "name", "statement_descriptor", "tax_code", "unit_label")).
		set(object{"metadata": mergedMetadata(nil, data)})
	c.put(product)
	c.emit("product.created", product)
	return product, nil
}

func (c *call) recurrence() (recurring any, priceType string, err error) {
	given := c.params.obj("recurring")
	if given == nil {
		return nil, "one_time", nil
	}
	count := int64(1)
	if n, came := given["interval_count"].(int64); came {
		count = n
	}
	longest := map[string]int64{"day": 1095, "week": 156, "month": 36, "year": 3}[given.str("interval")]
	if count < 1 || count > longest {
		return nil, "", invalidRequest("recurring[interval_count]", "", "Invalid interval_count: a price may recur at most every three years")
	}
	return object{
		"aggregate_usage": nil, "interval": given.str("interval"), "interval_count": count,
		"trial_period_days": nil, "usage_type": "licensed",
	}, "recurring", nil
}

func currencyOptions(given object) (object, error) {
	options := object{}
	for _, code := range sortedKeys(given) {
		path := "currency_options[" + code + "]"
		currency, err := currencyCode(path, code)
		if err != nil {
			return nil, err
		}
		option := asObject(given[code])
		amount, decimal, err := amountOf(option, path+"[unit_amount]")
		if err != nil {
			return nil, err
		}
		behavior := option.str("tax_behavior")
		if behavior == "" {
			behavior = "unspecified"
		}
		options[currency] = currencyOptionOf(behavior, amount, decimal)
	}
	return options, nil
}

func currencyOptionOf(taxBehavior string, amount any, decimal string) object {
	return object{"custom_unit_amount": nil, "tax_behavior": taxBehavior, "unit_amount": amount, "unit_amount_decimal": decimal}
}

// takeLookupKey gives the price the key that the parameters ask for. A key has
// one price: it is taken from another one only with transfer_lookup_key.
func (c *call) takeLookupKey(price object) error {
	key, came := c.params["lookup_key"]
	if !came {
		return nil
	}
	price["lookup_key"] = key
	if key == nil {
		return nil
	}
	for _, holder := range c.where(kindPrice, func(o object) bool { return o["lookup_key"] == key && o.id() != price.id() }) {
		if !c.params.bool("transfer_lookup_key") {
			return invalidRequest("lookup_key", "resource_already_exists", "A price (`%s`) already uses that lookup key.", holder.id())
		}
		without := holder.clone().set(object{"lookup_key": nil})
		c.put(without)
		c.emitUpdate("price.updated", holder, without)
	}
	return nil
}

func (c *call) retrievePrice() (object, error) {
	return c.fromPath(kindPrice)
}

func (c *call) updatePrice() (object, error) {
	before, err := c.fromPath(kindPrice)
	if err != nil {
		return nil, err
	}
	added, err := currencyOptions(c.params.obj("currency_options"))
	if err != nil {
		return nil, err
	}
	price := before.clone().set(changes(c.params, "active", "nickname", "tax_behavior"))
	price["metadata"] = mergedMetadata(before.obj("metadata"), c.params)
	if err := c.takeLookupKey(price); err != nil {
		return nil, err
	}
	hidden := c.hidden(kindPrice, price.id()).clone()
	hidden.obj("currency_options").set(added)
	c.putHidden(price, hidden)
	c.emitUpdate("price.updated", before, price)
	return price, nil
}

// listPrices leaves out archived prices unless they are asked for: the list is
// of "your active prices". https://stripe.com/docs/api/prices/list
func (c *call) listPrices() (object, error) {
	keys := c.params.list("lookup_keys")
	active := true
	if asked, came := c.params["active"].(bool); came {
		active = asked
	}
	recurring := c.params.obj("recurring")
	return c.page(kindPrice, "/v1/prices", func(o object) bool {
		if len(keys) > 0 && !slices.Contains(keys, o["lookup_key"]) {
			return false
		}
		for field, want := range recurring {
			if o.obj("recurring")[field] != want {
				return false
			}
		}
		return o.bool("active") == active && c.fits(o, "currency") && c.fits(o, "product") && c.fits(o, "type")
	})
}

// currencies are those that Stripe takes cards in.
// https://stripe.com/docs/currencies
var currencies = strings.Fields(`usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd
	bwp byn bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd
	hnl htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt
	mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr
	sek sgd shp sle sos srd std szl thb tjs tnd top try ttd twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xof xpf yer zar
	zmw`)

func currencyCode(param, given string) (string, error) {
	code := strings.ToLower(given)
	if !slices.Contains(currencies, code) {
		return "", invalidRequest(param, "", "Invalid currency: %s. Stripe currently supports these currencies: %s", code, strings.Join(currencies, ", "))
	}
	return code, nil
}

package stripeshape

import (
	"encoding/json"
	"errors"
	"math/big"
	"strings"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

// DecodePrice reads a recurring price, with every currency and tier that came
// expanded. The plan is what the product's metadata says, where the product
// came expanded; the caller knows better sources.
func DecodePrice(raw json.RawMessage) (billing.Price, error) {
	p, ok := readObject(raw)
	recurring := p.obj("recurring")
	if !ok || p.ref("id") == "" || !isObject(p.fields["recurring"]) {
		return billing.Price{}, errors.New("read price: it has no id or does not recur")
	}
	out := billing.Price{
		ID: p.ref("id"), Livemode: p.flag("livemode"), LookupKey: p.str("lookup_key"), ProductID: p.ref("product"),
		Plan:     p.obj("product").obj("metadata").str("plan"),
		Interval: billing.Interval(recurring.str("interval")), IntervalCount: max(recurring.num("interval_count"), 1),
		UsageType: recurring.str("usage_type"), Amounts: map[money.Currency]billing.PriceAmount{},
	}
	if out.UsageType == "" {
		out.UsageType = "licensed"
	}
	tiersMode := p.str("tiers_mode")
	options := p.obj("currency_options")
	for currency := range options.fields {
		addAmount(out.Amounts, currency, options.obj(currency), tiersMode)
	}
	addAmount(out.Amounts, p.str("currency"), p, tiersMode)
	return out, nil
}

// addAmount notes what the price costs in a currency, unless that is not said:
// an amount of zero and an amount unknown are different things.
func addAmount(amounts map[money.Currency]billing.PriceAmount, currency string, a object, tiersMode string) {
	if tiers, _ := a.list("tiers"); len(tiers) > 0 {
		out := billing.PriceAmount{TiersMode: tiersMode}
		for _, raw := range tiers {
			t, _ := readObject(raw)
			unit, _ := micro(t.fields["unit_amount_decimal"])
			flat, _ := micro(t.fields["flat_amount_decimal"])
			out.Tiers = append(out.Tiers, billing.Tier{UpTo: t.num("up_to"), UnitMicro: unit, FlatMicro: flat})
		}
		amounts[money.Currency(currency)] = out
		return
	}
	if unit, ok := micro(a.fields["unit_amount_decimal"]); ok {
		amounts[money.Currency(currency)] = billing.PriceAmount{UnitMicro: unit}
	} else if unit, ok := micro(a.fields["unit_amount"]); ok {
		amounts[money.Currency(currency)] = billing.PriceAmount{UnitMicro: unit}
	}
}

// micro reads an amount in minor units with up to twelve decimals, as Stripe
// writes it, as micro-units, halves rounded away from zero.
func micro(raw json.RawMessage) (int64, bool) {
	if !present(raw) {
		return 0, false
	}
	r, ok := rational(strings.Trim(string(raw), `"`))
	if !ok {
		return 0, false
	}
	return rounded(r.Mul(r, big.NewRat(money.Micro, 1)))
}

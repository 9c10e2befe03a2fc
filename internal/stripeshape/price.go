package stripeshape

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

type price struct {
	ID        string `json:"id"`
	Object    string `json:"object"`
	Currency  string `json:"currency"`
	Livemode  bool   `json:"livemode"`
	LookupKey string `json:"lookup_key"`
	TiersMode string `json:"tiers_mode"`
	Recurring *struct {
		Interval      billing.Interval `json:"interval"`
		IntervalCount int64            `json:"interval_count"`
		UsageType     string           `json:"usage_type"`
	} `json:"recurring"`
	Product         json.RawMessage   `json:"product"`
	CurrencyOptions map[string]amount `json:"currency_options"`
	amount
}

type amount struct {
	UnitAmount        *int64  `json:"unit_amount"`
	UnitAmountDecimal decimal `json:"unit_amount_decimal"`
	Tiers             []struct {
		UpTo              *int64  `json:"up_to"`
		UnitAmountDecimal decimal `json:"unit_amount_decimal"`
		FlatAmountDecimal decimal `json:"flat_amount_decimal"`
	} `json:"tiers"`
}

// DecodePrice reads a recurring price, with every currency and tier that came
// expanded. The plan is what the product's metadata says, where the product
// came expanded; the caller knows better sources.
func DecodePrice(raw json.RawMessage) (billing.Price, error) {
	var p price
	if err := json.Unmarshal(raw, &p); err != nil {
		return billing.Price{}, fmt.Errorf("read price: %w", err)
	}
	if p.ID == "" || p.Recurring == nil {
		return billing.Price{}, errors.New("read price: it has no id or does not recur")
	}
	out := billing.Price{
		ID: p.ID, Livemode: p.Livemode, LookupKey: p.LookupKey,
		Interval: p.Recurring.Interval, IntervalCount: max(p.Recurring.IntervalCount, 1), UsageType: p.Recurring.UsageType,
		Amounts: map[money.Currency]billing.PriceAmount{},
	}
	if out.UsageType == "" {
		out.UsageType = "licensed"
	}
	var product struct {
		ID       string            `json:"id"`
		Metadata map[string]string `json:"metadata"`
	}
	if present(p.Product) && p.Product[0] == '{' {
		if err := json.Unmarshal(p.Product, &product); err != nil {
			return billing.Price{}, fmt.Errorf("price %s: read product: %w", p.ID, err)
		}
		out.Plan = product.Metadata["plan"]
	} else if present(p.Product) {
		if err := json.Unmarshal(p.Product, &product.ID); err != nil {
			return billing.Price{}, fmt.Errorf("price %s: read product: %w", p.ID, err)
		}
	}
	out.ProductID = product.ID
	for currency, option := range p.CurrencyOptions {
		addAmount(out.Amounts, currency, option, p.TiersMode)
	}
	addAmount(out.Amounts, p.Currency, p.amount, p.TiersMode)
	return out, nil
}

// addAmount notes what the price costs in a currency, unless that is not said:
// an amount of zero and an amount unknown are different things.
func addAmount(amounts map[money.Currency]billing.PriceAmount, currency string, a amount, tiersMode string) {
	switch {
	case len(a.Tiers) > 0:
		out := billing.PriceAmount{TiersMode: tiersMode}
		for _, t := range a.Tiers {
			tier := billing.Tier{UnitMicro: t.UnitAmountDecimal.micro, FlatMicro: t.FlatAmountDecimal.micro}
			if t.UpTo != nil {
				tier.UpTo = *t.UpTo
			}
			out.Tiers = append(out.Tiers, tier)
		}
		amounts[money.Currency(currency)] = out
	case a.UnitAmountDecimal.set:
		amounts[money.Currency(currency)] = billing.PriceAmount{UnitMicro: a.UnitAmountDecimal.micro}
	case a.UnitAmount != nil:
		amounts[money.Currency(currency)] = billing.PriceAmount{UnitMicro: *a.UnitAmount * money.Micro}
	}
}

// decodePrice reads a price that came with a subscription item, if it is whole.
func decodePrice(raw json.RawMessage) (billing.Price, bool) {
	if !present(raw) || raw[0] != '{' {
		return billing.Price{}, false
	}
	p, err := DecodePrice(raw)
	return p, err == nil
}

// decimal is an amount in minor units with up to twelve decimals, as Stripe
// writes it; kept as micro-units, halves rounded away from zero.
type decimal struct {
	micro int64
	set   bool
}

func (d *decimal) UnmarshalJSON(b []byte) error {
	s := strings.Trim(string(b), `"`)
	if s == "null" || s == "" {
		return nil
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return fmt.Errorf("%q is not a decimal", s)
	}
	r.Mul(r, big.NewRat(money.Micro, 1))
	// FloatString rounds halves away from zero.
	n, ok := new(big.Int).SetString(r.FloatString(0), 10)
	if !ok || !n.IsInt64() {
		return fmt.Errorf("%q is too large an amount", s)
	}
	d.micro, d.set = n.Int64(), true
	return nil
}

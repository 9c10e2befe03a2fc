package billing

import (
	"github.com/promptforge/payments/internal/money"
)

// Interval is the unit of a recurring price's period.
type Interval string

// Stripe's intervals; we sell by month and by year, and understand the others.
const (
	Day   Interval = "day"
	Week  Interval = "week"
	Month Interval = "month"
	Year  Interval = "year"
)

// Price is a Stripe price as we remember it: which plan it means and what it
// costs in each of its currencies.
type Price struct {
	ID string
	// Plan is the code of the plan; empty while nothing says which.
	Plan          string
	Interval      Interval
	IntervalCount int64
	// UsageType is licensed or metered; metered usage is not MRR.
	UsageType string
	Amounts   map[money.Currency]PriceAmount
	ProductID string
	LookupKey string
	Livemode  bool
}

// PriceAmount is what a price costs in one currency: a unit amount, or tiers.
type PriceAmount struct {
	// UnitMicro is the amount of one unit a period, in micro-units.
	UnitMicro int64 `json:"unit_micro"`
	// TiersMode is graduated, volume or empty for a plain unit amount.
	TiersMode string `json:"tiers_mode,omitempty"`
	Tiers     []Tier `json:"tiers,omitempty"`
}

// Tier is one step of a tiered price; UpTo 0 is the last, without bound.
type Tier struct {
	UpTo      int64 `json:"up_to,omitempty"`
	UnitMicro int64 `json:"unit_micro,omitempty"`
	FlatMicro int64 `json:"flat_micro,omitempty"`
}

// Micro is the cost of a quantity for one period, in micro-units.
// https://docs.stripe.com/products-prices/pricing-models#tiered-pricing
func (a PriceAmount) Micro(quantity int64) int64 {
	switch a.TiersMode {
	case "volume":
		for _, t := range a.Tiers {
			if t.UpTo == 0 || quantity <= t.UpTo {
				return quantity*t.UnitMicro + t.FlatMicro
			}
		}
		return 0
	case "graduated":
		var total, from int64
		for _, t := range a.Tiers {
			in := quantity - from
			if t.UpTo != 0 {
				in = min(in, t.UpTo-from)
			}
			total += in*t.UnitMicro + t.FlatMicro
			from = t.UpTo
			if t.UpTo == 0 || quantity <= t.UpTo {
				break
			}
		}
		return total
	default:
		return quantity * a.UnitMicro
	}
}

// Coupon is a Stripe coupon as we remember it.
type Coupon struct {
	ID string
	// Duration is forever, repeating or once.
	Duration string
	// PercentOff is a decimal as Stripe prints it, e.g. "12.5"; empty for a
	// coupon that takes an amount off.
	PercentOff string
	// AmountsOff are in minor units, by currency.
	AmountsOff map[money.Currency]int64
}

package stripesim

import (
	"math/big"
)

// span is a stretch of time in seconds, half open.
type span struct{ start, end int64 }

// prorated is what a quantity of a price costs for the part of a period from
// the moment at to the period's end, to the second. It is rounded once, to the
// nearest minor unit and halves upwards, so that what is given back for a stretch
// is exactly what the same stretch of the same price would cost.
// https://stripe.com/docs/billing/subscriptions/prorations
func prorated(price object, quantity int64, period span, at int64) int64 {
	at = min(max(at, period.start), period.end)
	if period.end <= period.start {
		return 0
	}
	amount := exactAmount(price, quantity)
	return roundHalfUp(amount.Mul(amount, big.NewRat(period.end-at, period.end-period.start)))
}

// exactAmount is the price of a quantity in minor units and their fractions.
func exactAmount(price object, quantity int64) *big.Rat {
	unit, ok := new(big.Rat).SetString(price.str("unit_amount_decimal"))
	if whole, isWhole := price["unit_amount"].(int64); isWhole {
		unit, ok = big.NewRat(whole, 1), true
	}
	if !ok {
		return new(big.Rat)
	}
	return unit.Mul(unit, big.NewRat(quantity, 1))
}

func roundHalfUp(exact *big.Rat) int64 {
	exact.Add(exact, big.NewRat(1, 2))
	return new(big.Int).Div(exact.Num(), exact.Denom()).Int64()
}

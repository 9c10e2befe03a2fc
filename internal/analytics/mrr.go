package analytics

import (
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

// DiscountPolicy says which coupons lower MRR (metrics.md 1.2.4).
type DiscountPolicy string

// The policies. DiscountsRecurring is the default: a coupon that lasts says
// what the customer pays now, one that is used once says nothing about the
// next month.
const (
	DiscountsForeverOnly DiscountPolicy = "forever_only"
	DiscountsRecurring   DiscountPolicy = "recurring"
	DiscountsAll         DiscountPolicy = "all"
	DiscountsNone        DiscountPolicy = "none"
)

// ParseDiscountPolicy returns the policy of that name.
func ParseDiscountPolicy(s string) (DiscountPolicy, error) {
	p := DiscountPolicy(s)
	switch p {
	case DiscountsForeverOnly, DiscountsRecurring, DiscountsAll, DiscountsNone:
		return p, nil
	}
	return "", fmt.Errorf("discount policy %q is unknown", s)
}

// subtracts reports whether a coupon of this duration lowers MRR.
func (p DiscountPolicy) subtracts(duration string) bool {
	switch p {
	case DiscountsForeverOnly:
		return duration == "forever"
	case DiscountsRecurring:
		return duration == "forever" || duration == "repeating"
	case DiscountsAll:
		return true
	case DiscountsNone:
		return false
	}
	return false
}

// UnknownPlan stands for the plan of a price that no plan claims. Its amount
// may well be known.
const UnknownPlan = "unknown"

// Catalog is every price and coupon that a history refers to, by id.
type Catalog struct {
	Prices  map[string]billing.Price
	Coupons map[string]billing.Coupon
}

// Amount is an MRR split by plan.
type Amount struct {
	// ByPlan holds micro-units of the currency's minor unit a month, by plan
	// code or UnknownPlan; a plan without MRR is absent.
	ByPlan map[string]int64
	// Missing are the ids of prices and coupons of which too little is known.
	// They add and take off nothing: the customer is flagged, not guessed.
	Missing []string
}

// TotalMicro is the MRR of all plans together.
func (a Amount) TotalMicro() int64 {
	var sum int64
	for _, micro := range a.ByPlan {
		sum += micro
	}
	return sum
}

// MRR is what a subscription with these facts is worth a month at an instant
// (metrics.md 1.2): its licensed items at their price, normalised to a month,
// less the discounts that the policy subtracts. The instant matters because a
// coupon ends and a pause bites without any change of the facts; pausedFrom is
// when the pause bites (see PauseBites), zero when there is none.
//
// Metered prices are excluded, and so are tax and proration, which are no part
// of a price. Arithmetic is exact until the end, where the amount of each plan
// is rounded once to the micro-unit, halves away from zero.
func MRR(f billing.Facts, catalog Catalog, policy DiscountPolicy, pausedFrom, at time.Time) Amount {
	if !f.Status.CountsInMRR() || isPaused(f, pausedFrom, at) {
		return Amount{}
	}
	var missing []string
	byPlan := map[string]*big.Rat{}
	// Stripe takes an amount off each invoice; the first item that counts says
	// how often there is one.
	var invoices *big.Rat
	for _, item := range f.Items {
		price, ok := catalog.Prices[item.PriceID]
		if !ok {
			missing = append(missing, item.PriceID)
			continue
		}
		if price.UsageType == "metered" {
			continue
		}
		amount, ok := price.Amounts[f.Currency]
		factor := monthly(price.Interval, price.IntervalCount)
		if !ok || factor == nil {
			missing = append(missing, item.PriceID)
			continue
		}
		if invoices == nil {
			invoices = factor
		}
		plan := price.Plan
		if plan == "" {
			plan = UnknownPlan
		}
		if byPlan[plan] == nil {
			byPlan[plan] = new(big.Rat)
		}
		worth := new(big.Rat).SetInt64(amount.Micro(item.Quantity))
		byPlan[plan].Add(byPlan[plan], worth.Mul(worth, factor))
	}

	rest := big.NewRat(1, 1)
	if len(byPlan) > 0 {
		var unknown []string
		rest, unknown = remaining(f, catalog, policy, total(byPlan), invoices, at)
		missing = append(missing, unknown...)
	}
	result := Amount{ByPlan: make(map[string]int64, len(byPlan)), Missing: missing}
	for plan, worth := range byPlan {
		micro, ok := round(worth.Mul(worth, rest))
		if !ok {
			result.Missing = append(result.Missing, "amount of plan "+plan)
		}
		if micro != 0 {
			result.ByPlan[plan] = micro
		}
	}
	slices.Sort(result.Missing)
	return result
}

// monthly is the factor that makes an amount a period one a month (metrics.md
// 1.2.1); nil for an interval that is not known.
func monthly(interval billing.Interval, count int64) *big.Rat {
	if count <= 0 {
		return nil
	}
	switch interval {
	case billing.Year:
		return big.NewRat(1, 12*count)
	case billing.Month:
		return big.NewRat(1, count)
	case billing.Week:
		return big.NewRat(52, 12*count)
	case billing.Day:
		return big.NewRat(365, 12*count)
	}
	return nil
}

// remaining is the share of the sum that is left after the discounts, taken in
// Stripe's order: each applies to what the ones before it left over. The share
// is the same for every plan, so that plans still add up to the subscription.
func remaining(f billing.Facts, catalog Catalog, policy DiscountPolicy, sum, invoices *big.Rat, at time.Time) (*big.Rat, []string) {
	left := new(big.Rat).Set(sum)
	var missing []string
	for _, d := range f.Discounts {
		if policy == DiscountsNone || hasEnded(d, at) {
			continue
		}
		coupon, ok := catalog.Coupons[d.CouponID]
		if !ok {
			missing = append(missing, d.CouponID)
			continue
		}
		if !policy.subtracts(coupon.Duration) {
			continue
		}
		if coupon.PercentOff != "" {
			percent, ok := new(big.Rat).SetString(coupon.PercentOff)
			if !ok {
				missing = append(missing, d.CouponID)
				continue
			}
			keep := new(big.Rat).Sub(big.NewRat(1, 1), percent.Quo(percent, big.NewRat(100, 1)))
			left.Mul(left, keep)
		} else {
			minor, ok := coupon.AmountsOff[f.Currency]
			if !ok {
				missing = append(missing, d.CouponID)
				continue
			}
			off := new(big.Rat).Mul(big.NewRat(minor, 1), big.NewRat(money.Micro, 1))
			left.Sub(left, off.Mul(off, invoices))
		}
		if left.Sign() < 0 {
			left.SetInt64(0)
		}
	}
	if sum.Sign() == 0 {
		return left, missing
	}
	return left.Quo(left, sum), missing
}

// hasEnded reports whether a coupon no longer applies. Its start is not looked
// at: a coupon that is on the subscription has begun.
func hasEnded(d billing.Discount, at time.Time) bool {
	return d.End != 0 && !at.Before(d.End.Time())
}

func total(byPlan map[string]*big.Rat) *big.Rat {
	sum := new(big.Rat)
	for _, worth := range byPlan {
		sum.Add(sum, worth)
	}
	return sum
}

// round is the nearest integer, halves away from zero; false where it does not
// fit or is negative, which no MRR is.
func round(r *big.Rat) (int64, bool) {
	// (2n + d) / 2d, truncated, is n/d rounded half up for n >= 0.
	n := new(big.Int).Lsh(r.Num(), 1)
	n.Add(n, r.Denom())
	n.Quo(n, new(big.Int).Lsh(r.Denom(), 1))
	if r.Sign() < 0 || !n.IsInt64() {
		return 0, false
	}
	return n.Int64(), true
}

// PauseBites returns, for each version of one subscription's history in
// ascending order, the instant from which its pause takes the MRR away; the
// zero time where the version is not paused. It is the end of the period that
// was current when the pause began, which is paid: later versions of the same
// unbroken pause show later periods, in which nothing is paid.
func PauseBites(versions []Version) []time.Time {
	bites := make([]time.Time, len(versions))
	for i, v := range versions {
		switch {
		case v.Facts.Pause == nil:
		case i > 0 && !bites[i-1].IsZero():
			bites[i] = bites[i-1]
		default:
			bites[i] = v.Facts.Pause.PeriodEnd.Time()
			if bites[i].IsZero() {
				// Nothing says what is paid, so the pause bites as it begins.
				bites[i] = v.At
			}
		}
	}
	return bites
}

// stopsMRR reports whether the pause is of a kind that will take the MRR away:
// invoices kept as drafts are still to be paid.
func stopsMRR(p *billing.Pause) bool {
	return p != nil && (p.Behavior == "void" || p.Behavior == "mark_uncollectible")
}

func isPaused(f billing.Facts, pausedFrom, at time.Time) bool {
	return stopsMRR(f.Pause) && !pausedFrom.IsZero() && !at.Before(pausedFrom)
}

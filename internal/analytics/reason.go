package analytics

import (
	"maps"
	"slices"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

// Reason says why a customer's MRR moved, as far as the facts tell.
type Reason string

// The reasons of metrics.md 1.3, and those of a beginning.
const (
	// ReasonPurchase is a first subscription, ReasonReturn one of a customer
	// who paid before.
	ReasonPurchase       Reason = "purchase"
	ReasonReturn         Reason = "return"
	ReasonTrialConverted Reason = "trial_converted"
	// ReasonAddon is a further subscription or item.
	ReasonAddon             Reason = "addon"
	ReasonPlanChange        Reason = "plan_change"
	ReasonQuantity          Reason = "quantity"
	ReasonPriceMigration    Reason = "price_migration"
	ReasonDiscountAdded     Reason = "discount_added"
	ReasonDiscountExpired   Reason = "discount_expired"
	ReasonCancelVoluntary   Reason = "cancel_voluntary"
	ReasonCancelInvoluntary Reason = "cancel_involuntary"
	ReasonDispute           Reason = "dispute"
	ReasonPause             Reason = "pause"
	ReasonResume            Reason = "resume"
	// ReasonPaymentRecovered is a subscription paid after it was given up.
	ReasonPaymentRecovered Reason = "payment_recovered"
	ReasonFreeDowngrade    Reason = "free_downgrade"
	// ReasonOther is a change that the facts do not explain.
	ReasonOther Reason = "other"
)

// reasonOf explains a day's movement by the subscription that moved most in
// its direction. A day with a transfer is a change of plan.
func reasonOf(kind MovementKind, rows []Movement, currency money.Currency, before, after []standing) Reason {
	for _, r := range rows {
		if r.Kind == TransferIn {
			return ReasonPlanChange
		}
	}
	gains := kind == New || kind == Reactivation || kind == Expansion
	best, most := -1, int64(0)
	for i := range after {
		if after[i].facts.Currency != currency {
			continue
		}
		by := after[i].amount.TotalMicro() - before[i].amount.TotalMicro()
		if !gains {
			by = -by
		}
		if by > most {
			best, most = i, by
		}
	}
	if best < 0 {
		return ReasonOther
	}
	b, a := before[best], after[best]
	switch {
	case b.amount.TotalMicro() == 0:
		return reasonOfGain(kind, b, a)
	case a.amount.TotalMicro() == 0:
		return reasonOfLoss(b, a)
	default:
		return reasonOfChange(b, a)
	}
}

// reasonOfGain explains why a subscription carries MRR now.
func reasonOfGain(kind MovementKind, before, after standing) Reason {
	switch {
	case before.paused || before.facts.Status == billing.StatusPaused:
		return ReasonResume
	case before.facts.Status == billing.StatusUnpaid, before.capped:
		return ReasonPaymentRecovered
	case before.facts.Status.CountsInMRR():
		return reasonOfChange(before, after)
	case before.facts.Status == billing.StatusTrialing:
		return ReasonTrialConverted
	case kind == New:
		return ReasonPurchase
	case kind == Reactivation:
		return ReasonReturn
	default:
		return ReasonAddon
	}
}

// reasonOfLoss explains why a subscription carries no MRR any more.
func reasonOfLoss(before, after standing) Reason {
	unpaid := before.facts.Status == billing.StatusPastDue || after.facts.Status == billing.StatusUnpaid
	switch {
	case after.facts.Status.IsTerminal():
		// https://docs.stripe.com/api/subscriptions/object#subscription_object-cancellation_details-reason
		switch after.facts.Reason {
		case "payment_failed":
			return ReasonCancelInvoluntary
		case "payment_disputed":
			return ReasonDispute
		case "":
			if unpaid {
				return ReasonCancelInvoluntary
			}
		}
		return ReasonCancelVoluntary
	case unpaid && (!after.facts.Status.CountsInMRR() || after.capped):
		return ReasonCancelInvoluntary
	case after.paused || after.facts.Status == billing.StatusPaused:
		return ReasonPause
	case !after.facts.Status.CountsInMRR():
		return ReasonOther
	case samePrices(before.facts, after.facts) && !slices.Equal(before.facts.Discounts, after.facts.Discounts):
		return ReasonDiscountAdded
	default:
		return ReasonFreeDowngrade
	}
}

// reasonOfChange explains a different amount of a subscription that counted
// before and counts now.
func reasonOfChange(before, after standing) Reason {
	b, a := before.facts, after.facts
	fell := after.amount.TotalMicro() < before.amount.TotalMicro()
	switch {
	case !samePrices(b, a):
		switch {
		case len(a.Items) > len(b.Items) && containsPrices(a, b):
			return ReasonAddon
		case samePlans(before.amount, after.amount) && len(a.Items) == len(b.Items):
			return ReasonPriceMigration
		default:
			return ReasonPlanChange
		}
	case !slices.Equal(a.Items, b.Items):
		return ReasonQuantity
	case fell:
		return ReasonDiscountAdded
	default:
		return ReasonDiscountExpired
	}
}

func prices(f billing.Facts) []string {
	var ids []string
	for _, item := range f.Items {
		ids = append(ids, item.PriceID)
	}
	return ids
}

func samePrices(a, b billing.Facts) bool { return slices.Equal(prices(a), prices(b)) }

// containsPrices reports whether a has every price of b.
func containsPrices(a, b billing.Facts) bool {
	ids := prices(a)
	for _, id := range prices(b) {
		if !slices.Contains(ids, id) {
			return false
		}
	}
	return true
}

func samePlans(a, b Amount) bool {
	return slices.Equal(slices.Sorted(maps.Keys(a.ByPlan)), slices.Sorted(maps.Keys(b.ByPlan)))
}

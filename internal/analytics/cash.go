package analytics

import "slices"

// CashKind is which figure of Cash a balance transaction belongs to.
type CashKind string

// The kinds. What moves money between the account's own pockets has none.
const (
	CashGross   CashKind = "gross"
	CashRefund  CashKind = "refund"
	CashDispute CashKind = "dispute"
	CashOther   CashKind = "other"
)

// CashOutside are Stripe's types of balance transactions that no figure counts:
// payouts, transfers and top-ups, and their taking back (metrics.md 1.14).
var CashOutside = []string{
	"payout", "payout_cancel", "payout_failure",
	"topup", "topup_reversal",
	"transfer", "transfer_cancel", "transfer_failure", "transfer_refund",
}

// CashKindOf says which figure a balance transaction with Stripe's type and
// reporting_category belongs to; false: none. A charge is gross volume for ever:
// one that fails after all, like anything that is neither refund nor dispute, is
// among the others.
// https://docs.stripe.com/reports/balance-transaction-types
func CashKindOf(transactionType, category string) (CashKind, bool) {
	if slices.Contains(CashOutside, transactionType) {
		return "", false
	}
	switch transactionType {
	case "charge", "payment":
		return CashGross, true
	}
	switch category {
	case "refund", "refund_failure", "partial_capture_reversal":
		return CashRefund, true
	case "dispute", "dispute_reversal":
		return CashDispute, true
	}
	return CashOther, true
}

// Count adds the sums of some transactions of a kind, in minor units.
func (c *Cash) Count(kind CashKind, amountMinor, feeMinor, netMinor int64) {
	switch kind {
	case CashGross:
		c.GrossMinor += amountMinor
	case CashRefund:
		c.RefundsMinor += amountMinor
	case CashDispute:
		c.DisputesMinor += amountMinor
	case CashOther:
		c.OtherMinor += amountMinor
	}
	c.FeesMinor += feeMinor
	c.NetMinor += netMinor
}

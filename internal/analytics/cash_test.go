package analytics_test

import (
	"testing"

	"github.com/promptforge/payments/internal/analytics"
)

func TestEachBalanceTransactionBelongsToOneFigure(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		kind, category string
		want           analytics.CashKind
		counts         bool
	}{
		"a card payment":                       {"charge", "charge", analytics.CashGross, true},
		"a bank debit":                         {"payment", "charge", analytics.CashGross, true},
		"a refund":                             {"refund", "refund", analytics.CashRefund, true},
		"a refund of a bank debit":             {"payment_refund", "refund", analytics.CashRefund, true},
		"a refund that could not be made":      {"refund_failure", "refund_failure", analytics.CashRefund, true},
		"a dispute":                            {"adjustment", "dispute", analytics.CashDispute, true},
		"a dispute that was won":               {"adjustment", "dispute_reversal", analytics.CashDispute, true},
		"another adjustment":                   {"adjustment", "other_adjustment", analytics.CashOther, true},
		"a bank debit that failed after all":   {"payment_failure_refund", "charge_failure", analytics.CashOther, true},
		"a fee that Stripe takes by itself":    {"stripe_fee", "fee", analytics.CashOther, true},
		"a payout":                             {"payout", "payout", "", false},
		"a payout that came back":              {"payout_failure", "payout_reversal", "", false},
		"a top-up":                             {"topup", "topup", "", false},
		"a transfer":                           {"transfer", "transfer", "", false},
		"a type that Stripe has yet to invent": {"windfall", "windfall", analytics.CashOther, true},
	} {
		if got, counts := analytics.CashKindOf(c.kind, c.category); got != c.want || counts != c.counts {
			t.Errorf("%s is %q (%t), want %q", sentence, got, counts, c.want)
		}
	}
}

// TestCashAddsUp: whatever there is, net is gross and what was given back and all
// others, less the fees.
func TestCashAddsUp(t *testing.T) {
	t.Parallel()
	var c analytics.Cash
	c.Count(analytics.CashGross, 9900, 317, 9583)
	c.Count(analytics.CashRefund, -900, 0, -900)
	c.Count(analytics.CashDispute, -9900, 1500, -11400)
	c.Count(analytics.CashDispute, 9900, 0, 9900)
	c.Count(analytics.CashOther, -250, 0, -250)
	want := analytics.Cash{GrossMinor: 9900, RefundsMinor: -900, DisputesMinor: 0, FeesMinor: 1817, OtherMinor: -250, NetMinor: 6933}
	if c != want {
		t.Errorf("%+v, want %+v", c, want)
	}
	if c.NetMinor != c.GrossMinor+c.RefundsMinor+c.DisputesMinor+c.OtherMinor-c.FeesMinor {
		t.Errorf("%+v does not add up", c)
	}
}

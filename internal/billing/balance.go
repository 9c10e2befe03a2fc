package billing

import (
	"time"

	"github.com/promptforge/payments/internal/money"
)

// BalanceTransaction is one movement of the account's balance at Stripe, which
// never changes. Amounts are in minor units as they move the balance: what is
// taken is negative.
// https://docs.stripe.com/api/balance_transactions/object
type BalanceTransaction struct {
	ID string
	// Type is Stripe's type, such as charge or adjustment, and Category its
	// reporting_category, which tells a dispute from other adjustments.
	Type, Category string
	// Currency is that of the balance, which for a charge in another currency is
	// the one that Stripe exchanged it into.
	Currency money.Currency
	// AmountMinor is before the fee, NetMinor what is left of it.
	AmountMinor, FeeMinor, NetMinor int64
	// SourceID is the charge, refund, dispute or payout behind it; may be empty.
	SourceID string
	// CreatedAt is when the balance moved, AvailableAt when the money can be paid
	// out.
	CreatedAt, AvailableAt time.Time
}

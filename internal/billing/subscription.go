package billing

import (
	"slices"
	"time"

	"github.com/promptforge/payments/internal/money"
)

// Status is Stripe's status of a subscription.
type Status string

// The statuses of API 2023-10-16:
// https://docs.stripe.com/api/subscriptions/object#subscription_object-status
const (
	StatusIncomplete        Status = "incomplete"
	StatusIncompleteExpired Status = "incomplete_expired"
	StatusTrialing          Status = "trialing"
	StatusActive            Status = "active"
	StatusPastDue           Status = "past_due"
	StatusUnpaid            Status = "unpaid"
	StatusCanceled          Status = "canceled"
	StatusPaused            Status = "paused"
)

// IsKnown reports whether the status is one of those above.
func (s Status) IsKnown() bool {
	switch s {
	case StatusIncomplete, StatusIncompleteExpired, StatusTrialing, StatusActive, StatusPastDue, StatusUnpaid, StatusCanceled, StatusPaused:
		return true
	}
	return false
}

// IsTerminal reports whether a subscription in this status is over for ever:
// its id never comes back to life.
func (s Status) IsTerminal() bool {
	return s == StatusCanceled || s == StatusIncompleteExpired
}

// IsLive reports whether the status keeps an organization from buying a second
// subscription: everything that has begun and is not over, unpaid and paused
// included. An incomplete one has not begun.
func (s Status) IsLive() bool {
	return !s.IsTerminal() && s != StatusIncomplete
}

// CountsInMRR reports whether a subscription in this status carries MRR
// (metrics.md, decision 3).
func (s Status) CountsInMRR() bool {
	return s == StatusActive || s == StatusPastDue
}

// Second is a moment as Stripe gives it: Unix seconds, 0 for none. Facts use it
// so that equal facts are equal values and equal JSON.
type Second int64

// Time is the moment in UTC; the zero time for none.
func (s Second) Time() time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(int64(s), 0).UTC()
}

// At is the second that holds t; 0 for the zero time.
func At(t time.Time) Second {
	if t.IsZero() {
		return 0
	}
	return Second(t.Unix())
}

// Facts are what figures, access and committed revenue depend on, and nothing
// else: two states of a subscription with equal facts are the same to us.
// Amounts are not here: they come from the prices and coupons that are kept.
type Facts struct {
	Status   Status         `json:"status"`
	Currency money.Currency `json:"currency"`
	// Items in order of Stripe's item id.
	Items []Item `json:"items"`
	// Discounts of the subscription in Stripe's order.
	Discounts []Discount `json:"discounts,omitempty"`
	Pause     *Pause     `json:"pause,omitempty"`
	// EndsAt is the scheduled end, however it was scheduled: cancel_at, or
	// the current period's end when cancel_at_period_end is set.
	EndsAt   Second `json:"ends_at,omitempty"`
	TrialEnd Second `json:"trial_end,omitempty"`
	EndedAt  Second `json:"ended_at,omitempty"`
	// Reason is Stripe's cancellation_details.reason.
	Reason string `json:"reason,omitempty"`
}

// Item is one price of a subscription with its quantity.
type Item struct {
	PriceID  string `json:"price"`
	Quantity int64  `json:"quantity"`
}

// Discount is a coupon while it applies; End 0 means for ever.
type Discount struct {
	CouponID string `json:"coupon"`
	Start    Second `json:"start"`
	End      Second `json:"end,omitempty"`
}

// Pause is Stripe's pause_collection.
type Pause struct {
	// Behavior is keep_as_draft, mark_uncollectible or void.
	Behavior  string `json:"behavior"`
	ResumesAt Second `json:"resumes_at,omitempty"`
	// PeriodEnd is the end of the period current when this was observed; the
	// first of an unbroken pause is the end of the period in which it began.
	PeriodEnd Second `json:"period_end"`
}

// Equal reports whether two states are the same to us.
func (f Facts) Equal(g Facts) bool {
	return f.Status == g.Status && f.Currency == g.Currency &&
		f.EndsAt == g.EndsAt && f.TrialEnd == g.TrialEnd && f.EndedAt == g.EndedAt && f.Reason == g.Reason &&
		slices.Equal(f.Items, g.Items) && slices.Equal(f.Discounts, g.Discounts) && f.Pause.equal(g.Pause)
}

func (p *Pause) equal(q *Pause) bool {
	if p == nil || q == nil {
		return p == q
	}
	return *p == *q
}

// Subscription is Stripe's answer about a subscription: the facts, and what
// pages and access need beside them.
type Subscription struct {
	ID         string
	CustomerID string
	Livemode   bool
	Facts      Facts

	CreatedAt          time.Time
	CurrentPeriodStart time.Time
	CurrentPeriodEnd   time.Time
	CancelAtPeriodEnd  bool
	CancelAt           time.Time // zero: none
	CanceledAt         time.Time // zero: none

	// LatestInvoice is nil where Stripe gave none.
	LatestInvoice *Invoice
	// Prices and Coupons are those that came expanded with the answer.
	Prices  []Price
	Coupons []Coupon
}

// Invoice is what we use of a Stripe invoice. Amounts are in minor units.
type Invoice struct {
	ID             string
	SubscriptionID string
	CustomerID     string
	Status         string // draft, open, paid, uncollectible, void
	Currency       money.Currency
	// BillingReason is subscription_create, subscription_cycle, ….
	BillingReason   string
	AmountDueMinor  int64
	AmountPaidMinor int64
	AttemptCount    int64
	NextAttemptAt   time.Time // zero: none
	PaidAt          time.Time // zero: not paid, or not told
	PaymentIntentID string
	ChargeID        string // shapes since 2025-03-31 do not say
	HostedURL       string
	// FinalizationError is Stripe's code for why it could not be issued.
	FinalizationError string
}

// IsPaid reports whether money has come for the invoice; one of nothing is
// settled without any.
func (i Invoice) IsPaid() bool { return i.Status == "paid" && i.AmountPaidMinor > 0 }

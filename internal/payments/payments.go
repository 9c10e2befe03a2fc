// Package payments is the write door: it takes webhooks in, acts at Stripe for
// a button, and syncs, which is to ask Stripe how a thing stands and to make
// our rows equal. There is no second way to change a subscription row.
package payments

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/stripeshape"
)

// Payments is the door. All fields are set once, before first use, and every
// method may be called from many goroutines and processes at once.
type Payments struct {
	Pool   *pgxpool.Pool
	Stripe Stripe
	Plans  billing.Plans
	// Sold is the Stripe price that is sold for each plan and interval.
	Sold map[Offer]string
	// Secrets are those of the webhook endpoint, more than one while a secret
	// is rolled. An empty one verifies nothing.
	Secrets []string
	// Livemode is the mode of the configured key; events of the other mode
	// have no effect.
	Livemode bool
	// BaseURL is where Stripe sends the customer back to, without a slash at
	// its end.
	BaseURL string
	// Now is the business clock, Clock the machine's: signatures are dated by
	// the machine even where billing lives in a simulated year.
	Now   func() time.Time
	Clock func() time.Time
	Log   *slog.Logger
	// Enqueue makes the jobs that deliver mails, in the transaction that writes
	// them. Without it they wait.
	Enqueue func(ctx context.Context, tx pgx.Tx, outboxIDs []int64) error

	wake chan struct{}
	// writes gathers what concurrent syncs have to write.
	writes *group[*material]
	// arrivals gathers concurrent deliveries; refused and notices are what
	// intake tells of itself.
	arrivals *group[incoming]
	refused  *refusals
	notices  *notices
	// views are the looks at the prices that are not written yet.
	views *viewBuffer
	// moved says that the balance of the account has moved.
	moved chan struct{}
}

// New returns the door with its wake-up wired; the caller sets the fields of
// its argument first.
func New(p Payments) *Payments {
	p.wake, p.moved = make(chan struct{}, 1), make(chan struct{}, 1)
	p.refused, p.notices, p.views = newRefusals(), &notices{}, newViewBuffer()
	p.writes = &group[*material]{
		write: p.write, flushers: 2, maxItems: maxSubjects, patience: patient,
		// Whatever it was, it may be one subject's fault alone.
		isolates: func(error) bool { return true },
	}
	p.arrivals = p.newArrivals()
	return &p
}

// Offer is a plan for an interval, as it is sold.
type Offer struct {
	Plan     string
	Interval billing.Interval
}

// EventTypes are the events that the webhook endpoint is subscribed to, and all
// that have an effect. invoice.created is not among them and must not be: an
// endpoint that fails to acknowledge it delays invoices by up to 72 hours.
var EventTypes = []string{
	"charge.dispute.closed",
	"charge.dispute.created",
	"charge.dispute.funds_reinstated",
	"charge.dispute.funds_withdrawn",
	"charge.dispute.updated",
	"charge.failed",
	"charge.refund.updated",
	"charge.refunded",
	"charge.succeeded",
	"checkout.session.async_payment_failed",
	"checkout.session.async_payment_succeeded",
	"checkout.session.completed",
	"checkout.session.expired",
	"customer.deleted",
	"customer.subscription.created",
	"customer.subscription.deleted",
	"customer.subscription.paused",
	"customer.subscription.pending_update_applied",
	"customer.subscription.pending_update_expired",
	"customer.subscription.resumed",
	"customer.subscription.trial_will_end",
	"customer.subscription.updated",
	"customer.updated",
	"invoice.finalization_failed",
	"invoice.marked_uncollectible",
	"invoice.payment_action_required",
	"invoice.payment_failed",
	"invoice.payment_succeeded",
	"invoice.voided",
	"payment_method.attached",
	"payment_method.automatically_updated",
	"payment_method.detached",
	"payment_method.updated",
	"subscription_schedule.aborted",
	"subscription_schedule.canceled",
	"subscription_schedule.completed",
	"subscription_schedule.created",
	"subscription_schedule.expiring",
	"subscription_schedule.released",
	"subscription_schedule.updated",
}

// Stripe is what this package asks of Stripe. A key is Stripe's idempotency
// key. Errors wrap ErrNoSuchObject, ErrRefused or ErrUnavailable.
type Stripe interface {
	CreateCustomer(ctx context.Context, key string, metadata map[string]string) (id string, err error)
	UpdateCustomer(ctx context.Context, id, name, email string) error
	CreateCheckoutSession(ctx context.Context, key string, params CheckoutParams) (CheckoutSession, error)
	CheckoutSession(ctx context.Context, id string) (CheckoutSession, error)
	ExpireCheckoutSession(ctx context.Context, id string) (CheckoutSession, error)
	// Subscriptions are all that the customer ever had, ended ones included. An
	// ErrNoSuchObject comes with the date at which Stripe said so.
	Subscriptions(ctx context.Context, customerID string) (Answer, error)
	CancelSubscription(ctx context.Context, id string) error
	// Subscription is one by itself: Stripe still has those of a customer that
	// was deleted, and no list names them.
	Subscription(ctx context.Context, id string) (billing.Subscription, error)
	// Invoices are those of a subscription, newest first.
	Invoices(ctx context.Context, subscriptionID string) ([]billing.Invoice, error)
	// Price comes with its product's plan, and every currency and tier.
	Price(ctx context.Context, id string) (billing.Price, error)
	// Charge and PaymentIntent say whose they are.
	Charge(ctx context.Context, id string) (stripeshape.Charge, error)
	PaymentIntent(ctx context.Context, id string) (stripeshape.PaymentIntent, error)
	// Refunds are all of a charge.
	Refunds(ctx context.Context, chargeID string) ([]stripeshape.Refund, error)
	// BalanceTransactions are a page of what moved the account's balance, newest
	// first.
	BalanceTransactions(ctx context.Context, query BalanceQuery) (BalancePage, error)
}

// Answer is what Stripe said about a customer, and when by its own clock.
type Answer struct {
	Subscriptions []billing.Subscription
	// At is the Date header of the answer. Our clock dates nothing.
	At time.Time
}

// CheckoutParams is the request for a checkout session. It is stored with the
// attempt before it is sent, and every retry repeats it to the letter.
type CheckoutParams struct {
	CustomerID string `json:"customer"`
	OrgID      string `json:"org_id"`
	PriceID    string `json:"price"`
	TrialDays  int    `json:"trial_days,omitempty"`
	SuccessURL string `json:"success_url"`
	CancelURL  string `json:"cancel_url"`
}

// CheckoutSession is Stripe's answer about a session.
type CheckoutSession struct {
	ID         string
	URL        string // empty once it is no longer open
	CustomerID string
	// SubscriptionID is empty until the session is complete.
	SubscriptionID string
	// Status is open, complete or expired.
	Status string
	// PaymentStatus is paid, unpaid or no_payment_required.
	PaymentStatus string
	ExpiresAt     time.Time
}

// What a Stripe implementation's errors wrap.
var (
	// ErrNoSuchObject: Stripe does not know the object.
	ErrNoSuchObject = errors.New("no such object at Stripe")
	// ErrRefused: Stripe understood and said no; repeating will not help.
	ErrRefused = errors.New("refused by Stripe")
	// ErrUnavailable: Stripe could not be asked, or failed; the request may
	// have taken effect.
	ErrUnavailable = errors.New("Stripe is unavailable")
)

func mustJSON(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only our own plain structs come here
	}
	return b
}

// Package seed gives the demo a history: it plans the lives of a number of
// organizations and lives them through the product's own doors and, for what
// buyers and Stripe's dashboard do, through Stripe's API. No row is written by
// a way that a real customer could not have gone.
//
// A plan is a pure function of its inputs, so that the same seed tells the same
// year again.
package seed

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/promptforge/payments/internal/billing"
)

// The limits of what can be asked for.
const (
	// MaxCustomers organizations have names of their own.
	MaxCustomers = 2000
	// MaxMonths is a little more than the dashboard shows, and less than the 400
	// days that a clock may be moved at once.
	MaxMonths = 13
	// maxAhead is how far the present may lie in the machine's future: beyond
	// that, the test cards' expiry comes into sight.
	maxAhead = 366 * 24 * time.Hour
)

// earliest is the first present that makes sense: API 2023-10-16 had a
// predecessor of the same shape for some years, and no further.
var earliest = time.Date(2020, time.January, 1, 0, 0, 0, 0, time.UTC)

// Config is what a plan follows from.
type Config struct {
	// Customers is how many organizations sign up, 1 to MaxCustomers.
	Customers int
	// Months is how long ago the first could, 1 to MaxMonths.
	Months int
	// Seed is any number; another one tells another year.
	Seed int64
	// Present is where the history ends.
	Present time.Time
	// Plans is what is for sale, the cheapest first.
	Plans billing.Plans
}

// Check says what is wrong with the configuration, naming the limits. now is
// the machine's time.
func (c Config) Check(now time.Time) error {
	switch {
	case c.Customers < 1 || c.Customers > MaxCustomers:
		return fmt.Errorf("%d customers: 1 to %d are possible", c.Customers, MaxCustomers)
	case c.Months < 1 || c.Months > MaxMonths:
		return fmt.Errorf("%d months: 1 to %d are possible", c.Months, MaxMonths)
	case c.Present.Before(earliest), c.Present.After(now.Add(maxAhead)):
		return fmt.Errorf("a present of %s: %s to %s is possible",
			c.Present.UTC().Format(time.RFC3339), earliest.Format(time.RFC3339), now.Add(maxAhead).UTC().Format(time.RFC3339))
	}
	return nil
}

// Start is when the history begins.
func (c Config) Start() time.Time { return addMonths(c.Present.UTC().Truncate(time.Second), -c.Months) }

// Plan is a history that has not been lived yet.
type Plan struct {
	Start, Present time.Time
	// Organizations are in order of their sign-up.
	Organizations []Organization
	// Acts are in order of time.
	Acts []Act
	// Failing are the organizations whose last renewal has failed by the present
	// and whose card will not pay at a retry either, by their place.
	Failing []int
	// Views are looks at the prices, in order of time.
	Views []View
}

// Organization is who acts.
type Organization struct {
	Name string
	// Owner is the person who signs up, reached at Email.
	Owner, Email string
	// Visitor is the number by which they are counted when they look at the prices;
	// uuid.Nil for one who does not want to be.
	Visitor uuid.UUID
}

// Act is something that someone does at a moment.
type Act struct {
	At   time.Time
	Kind Kind
	// Org is the organization's place in the plan; nobody's act has -1.
	Org int
	// Plan and Interval are what is bought or changed to.
	Plan     string
	Interval billing.Interval
	// Card is what is paid with from now on.
	Card Card
	// Feedback and Comment are why a customer leaves, in Stripe's words and in
	// the customer's own.
	Feedback, Comment string
	// Percent is how much of an amount, and Evidence what is said in a dispute.
	Percent  int64
	Evidence string
}

// Kind says what is done.
type Kind string

// What is done. Renewals, failing payments, retries and ends are nobody's acts:
// they fall due by themselves.
const (
	SignUp        Kind = "sign_up"
	StartCheckout Kind = "start_checkout"
	// TryCard is a payment that the card's bank declines.
	TryCard       Kind = "try_card"
	Pay           Kind = "pay"
	ChangePlan    Kind = "change_plan"
	ReplaceCard   Kind = "replace_card"
	PayInvoice    Kind = "pay_invoice"
	CancelAtEnd   Kind = "cancel_at_end"
	WithdrawAtEnd Kind = "withdraw_cancellation"
	CancelNow     Kind = "cancel_now"
	// MonthEnds is the last second of a calendar month, UTC.
	MonthEnds Kind = "month_ends"
)

// Card is one of Stripe's test cards. https://stripe.com/docs/testing#cards
type Card struct {
	// Number is typed into the checkout page; Method is the name under which
	// the API attaches the same card.
	Number, Method string
}

// The cards of the history.
var (
	goodCard = Card{Number: "4242424242424242", Method: "pm_card_visa"}
	// failingCards are taken and then never pay, each for another reason.
	failingCards = []Card{
		{Number: "4000000000000341", Method: "pm_card_chargeCustomerFail"},
		{Number: "4000000000003410", Method: "pm_card_chargeCustomerFail_insufficientFunds"},
		{Number: "4000000000013419", Method: "pm_card_chargeCustomerFail_doNotHonor"},
	}
	// confirmedCard pays once its owner has confirmed it to the bank.
	confirmedCard = Card{Number: "4000002500003155"}
	declinedCard  = Card{Number: "4000000000000002"}
	emptyCard     = Card{Number: "4000000000009995"}
)

// addMonths goes to the same day of another month, or to its last where it has
// no such day, as Stripe's billing periods do.
func addMonths(t time.Time, months int) time.Time {
	out := t.AddDate(0, months, 0)
	if out.Day() != t.Day() {
		out = out.AddDate(0, 0, -out.Day()) // AddDate went on into the next month
	}
	return out
}

// Package billing holds the rules of the trade: plans and what they allow,
// prices, the states of a subscription, and which access each gives. It is
// pure: no clock, no context, no I/O.
package billing

// Refusal is a rule that says no, in words for the customer. It is the only
// domain text that a customer ever sees; every other error is a 500 with a
// fixed sentence.
type Refusal struct {
	// Code names the rule for programs, e.g. "subscription_exists".
	Code string
	// Message says what is refused and what to do instead.
	Message string
	// Fields holds messages by form field, where the refusal is about fields.
	Fields map[string]string
	// URL is the way forward, empty where there is none.
	URL string
	// Cause is what is behind it, for the log alone; nil for most rules.
	Cause error
}

func (r *Refusal) Error() string {
	if r.Cause != nil {
		return r.Code + ": " + r.Cause.Error()
	}
	return r.Code + ": " + r.Message
}

// Unwrap is the cause.
func (r *Refusal) Unwrap() error { return r.Cause }

// The codes of refusals.
const (
	CodeInvalid            = "invalid"             // Fields say what
	CodeSubscriptionExists = "subscription_exists" // an organization buys once
	CodeForbidden          = "forbidden"           // the role does not allow it
	CodeNotFound           = "not_found"           // unknown, or somebody else's
	CodeCurrencyMismatch   = "currency_mismatch"   // the customer pays in another currency
	CodePaymentUnderWay    = "payment_under_way"   // a completed checkout waits for its money
	CodeStripeUnavailable  = "stripe_unavailable"  // Stripe did not answer
)

// Role is what a person may do in an organization.
type Role string

// The roles, strongest first.
const (
	RoleOwner   Role = "owner"
	RoleAdmin   Role = "admin"
	RoleBilling Role = "billing"
	RoleMember  Role = "member"
)

// CanManageBilling reports whether the role may pay, change and cancel, and see
// invoices. Members see plan and limits only.
func (r Role) CanManageBilling() bool {
	return r == RoleOwner || r == RoleAdmin || r == RoleBilling
}

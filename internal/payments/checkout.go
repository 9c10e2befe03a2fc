package payments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/audit"
	"github.com/promptforge/payments/internal/billing"
)

// The states of a checkout attempt.
const (
	attemptCreating = "creating" // Stripe has not answered yet
	attemptOpen     = "open"
	attemptComplete = "complete"
	attemptExpired  = "expired"
)

// repeatable is how long a stored request may be repeated with its key: Stripe
// may forget keys after 24 hours.
const repeatable = 23 * time.Hour

// CheckoutRequest is a press of the pay button. What it costs is looked up
// here; no price comes from a browser.
type CheckoutRequest struct {
	UserID, OrgID uuid.UUID
	Plan          string
	Interval      billing.Interval
	// Visitor is who looked at the prices in the same browser, so that the checkout
	// follows the look in the funnel; uuid.Nil where nobody is counted.
	Visitor uuid.UUID
}

// Checkout is where to send the customer.
type Checkout struct {
	SessionID string
	URL       string
}

// StartCheckout returns the organization's one open checkout session, however
// often and on however many replicas the button is pressed. It refuses with a
// *billing.Refusal: unknown plan, foreign organization, a role that may not
// pay, a live subscription, Stripe not answering.
func (p *Payments) StartCheckout(ctx context.Context, r CheckoutRequest) (Checkout, error) {
	ctx = actingAs(ctx, r.UserID)
	plan, err := p.check(ctx, r)
	if err != nil {
		return Checkout{}, err
	}
	checkout, err := p.startCheckout(ctx, r, plan)
	return checkout, refuseUnavailable(err)
}

// refuseUnavailable puts into words that Stripe did not answer, or would not.
func refuseUnavailable(err error) error {
	if errors.Is(err, ErrUnavailable) || errors.Is(err, ErrRefused) || errors.Is(err, ErrNoSuchObject) {
		return &billing.Refusal{
			Code:    billing.CodeStripeUnavailable,
			Message: "Our payment provider did not answer. You have not been charged; please try again in a minute.",
			Cause:   err,
		}
	}
	return err
}

func (p *Payments) check(ctx context.Context, r CheckoutRequest) (billing.Plan, error) {
	role, err := db.New(p.Pool).RoleIn(ctx, db.RoleInParams{OrgID: r.OrgID, UserID: r.UserID})
	if db.IsNotFound(err) {
		return billing.Plan{}, &billing.Refusal{Code: billing.CodeNotFound, Message: "There is no such organization."}
	}
	if err != nil {
		return billing.Plan{}, fmt.Errorf("read role: %w", err)
	}
	if !billing.Role(role).CanManageBilling() {
		return billing.Plan{}, &billing.Refusal{
			Code:    billing.CodeForbidden,
			Message: "Only an owner, an admin or a billing member can buy a plan. Ask one of them.",
		}
	}
	plan, ok := p.Plans.ByCode(r.Plan)
	if _, sold := p.Sold[Offer{r.Plan, r.Interval}]; !ok || !sold {
		return billing.Plan{}, &billing.Refusal{
			Code: billing.CodeInvalid, Message: "This plan is not for sale.",
			Fields: map[string]string{"planId": "Choose one of the plans on the pricing page."}, URL: "/pricing",
		}
	}
	return plan, nil
}

func (p *Payments) startCheckout(ctx context.Context, r CheckoutRequest, plan billing.Plan) (Checkout, error) {
	customerID, err := p.customerOf(ctx, r)
	if err != nil {
		return Checkout{}, err
	}
	answer, err := p.refuseLive(ctx, customerID)
	if err != nil {
		return Checkout{}, err
	}
	if err := p.refuseUnsettled(ctx, db.New(p.Pool), r.OrgID); err != nil {
		return Checkout{}, err
	}
	if err := p.clearIncomplete(ctx, r.OrgID, answer); err != nil {
		return Checkout{}, err
	}
	// Each turn ends an attempt that is in the way; two can follow one another
	// when replicas race for different plans.
	for range 4 {
		attempt, err := p.beginAttempt(ctx, r, plan, customerID)
		if err != nil {
			return Checkout{}, err
		}
		if attempt.State == attemptCreating {
			if attempt, err = p.openAttempt(ctx, attempt); err != nil {
				return Checkout{}, err
			}
		}
		checkout, err := p.reuse(ctx, attempt, customerID, r)
		if !errors.Is(err, errAttemptOver) {
			return checkout, err
		}
	}
	return Checkout{}, fmt.Errorf("%w: other checkouts of the organization kept getting in the way", ErrUnavailable)
}

// errAttemptOver: the attempt has ended, so the next one may begin.
var errAttemptOver = errors.New("the attempt is over")

// customerOf is the organization's one Stripe customer, made on first use. The
// key makes two replicas get the same; name and e-mail follow in an update,
// because a key goes with one set of parameters for ever.
func (p *Payments) customerOf(ctx context.Context, r CheckoutRequest) (string, error) {
	q := db.New(p.Pool)
	customer, err := q.CurrentCustomer(ctx, r.OrgID)
	if err == nil {
		return customer.StripeCustomerID, nil
	}
	if !db.IsNotFound(err) {
		return "", fmt.Errorf("read customer of organization: %w", err)
	}
	id, err := p.Stripe.CreateCustomer(ctx, "customer:"+r.OrgID.String(), map[string]string{"org_id": r.OrgID.String()})
	if err != nil {
		return "", fmt.Errorf("create customer: %w", err)
	}
	err = db.InTx(ctx, p.Pool, func(_ pgx.Tx, q *db.Queries) error {
		if _, err := q.LockOrganization(ctx, r.OrgID); err != nil {
			return fmt.Errorf("lock organization: %w", err)
		}
		// Linked by another press: its row must not be touched, since a sync
		// may hold it and wait for the organization.
		linked, err := q.CurrentCustomer(ctx, r.OrgID)
		if err == nil {
			id = linked.StripeCustomerID
		}
		if !db.IsNotFound(err) {
			return err
		}
		if err := q.LinkCustomer(ctx, db.LinkCustomerParams{StripeCustomerID: id, OrgID: r.OrgID, Livemode: p.Livemode, CreatedAt: p.Now()}); err != nil {
			return err
		}
		if err := audit.Write(ctx, q, audit.Entry{
			At: p.Now(), Act: "customer_linked", ObjectKind: "customer", ObjectID: id, OrgID: &r.OrgID, CustomerID: id,
		}); err != nil {
			return err
		}
		// A webhook may have come first: what was counted for the Stripe
		// customer now counts for the organization.
		return q.MarkDirty(ctx, []string{id})
	})
	if err != nil {
		return "", fmt.Errorf("link customer %s: %w", id, err)
	}
	return id, p.nameCustomer(ctx, r, id)
}

// nameCustomer tells Stripe what to print on receipts. A name or an address
// that it does not take keeps nobody from paying.
func (p *Payments) nameCustomer(ctx context.Context, r CheckoutRequest, id string) error {
	contact, err := db.New(p.Pool).BillingContact(ctx, db.BillingContactParams{OrgID: r.OrgID, UserID: r.UserID})
	if err != nil {
		return fmt.Errorf("read billing contact: %w", err)
	}
	err = p.Stripe.UpdateCustomer(ctx, id, contact.OrgName, contact.Email)
	if errors.Is(err, ErrRefused) {
		p.Log.WarnContext(ctx, "customer stays without a name", "customer", id, "error", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("name customer: %w", err)
	}
	return nil
}

// clearIncomplete cancels what an earlier checkout left half begun, so that it
// cannot come to life beside the new one. While a checkout is open it stays: it
// may be that checkout's own, waiting for the customer's bank.
func (p *Payments) clearIncomplete(ctx context.Context, orgID uuid.UUID, answer Answer) error {
	if _, err := db.New(p.Pool).OpenAttempt(ctx, orgID); !db.IsNotFound(err) {
		return err
	}
	for _, s := range answer.Subscriptions {
		if s.Facts.Status != billing.StatusIncomplete {
			continue
		}
		if err := p.Stripe.CancelSubscription(ctx, s.ID); err != nil && !errors.Is(err, ErrNoSuchObject) {
			return fmt.Errorf("cancel incomplete subscription %s: %w", s.ID, err)
		}
		if err := audit.Write(ctx, db.New(p.Pool), audit.Entry{
			At: p.Now(), Act: "subscription_canceled", ObjectKind: "subscription", ObjectID: s.ID, OrgID: &orgID, CustomerID: s.CustomerID,
			Before: map[string]any{"status": s.Facts.Status}, After: map[string]any{"reason": "a new checkout takes its place"},
		}); err != nil {
			return err
		}
	}
	return nil
}

// refuseLive asks Stripe afresh and goes by the answer itself: of two presses
// at once the earlier is overtaken, and our rows do not have it yet.
func (p *Payments) refuseLive(ctx context.Context, customerID string) (Answer, error) {
	answer, err := p.syncNow(ctx, customerID)
	if errors.Is(err, errStale) {
		return answer, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if err != nil {
		return answer, err
	}
	for _, s := range answer.Subscriptions {
		if s.Facts.Status.IsLive() {
			return answer, errSubscriptionExists()
		}
	}
	return answer, nil
}

// beginAttempt finds the organization's open attempt or begins one, under the
// organization's lock, unless a rule forbids to buy.
func (p *Payments) beginAttempt(ctx context.Context, r CheckoutRequest, plan billing.Plan, customerID string) (db.CheckoutAttempt, error) {
	var attempt db.CheckoutAttempt
	err := db.InTx(ctx, p.Pool, func(_ pgx.Tx, q *db.Queries) error {
		if _, err := q.LockOrganization(ctx, r.OrgID); err != nil {
			return fmt.Errorf("lock organization: %w", err)
		}
		subscriptions, err := q.SubscriptionsOfOrganization(ctx, r.OrgID)
		if err != nil {
			return fmt.Errorf("read subscriptions: %w", err)
		}
		if err := p.mayBuy(ctx, q, r, subscriptions); err != nil {
			return err
		}
		attempt, err = q.OpenAttempt(ctx, r.OrgID)
		if !db.IsNotFound(err) {
			return err
		}
		params := CheckoutParams{
			CustomerID: customerID, OrgID: r.OrgID.String(), PriceID: p.Sold[Offer{r.Plan, r.Interval}],
			SuccessURL: p.BaseURL + "/checkout/success?session_id={CHECKOUT_SESSION_ID}", CancelURL: p.BaseURL + "/checkout/cancel",
		}
		if len(subscriptions) == 0 { // a trial is for who has never had anything
			params.TrialDays = plan.TrialDays
		}
		id := uuid.New()
		if err := q.BeginAttempt(ctx, db.BeginAttemptParams{
			ID: id, OrgID: r.OrgID, UserID: r.UserID, Plan: r.Plan, Interval: string(r.Interval), PriceID: params.PriceID,
			Params: mustJSON(params), CreatedAt: p.Now(), VisitorID: optional(r.Visitor),
		}); err != nil {
			return fmt.Errorf("begin attempt: %w", err)
		}
		attempt, err = q.AttemptByID(ctx, id)
		return err
	})
	if err != nil {
		return attempt, fmt.Errorf("find the attempt of organization %s: %w", r.OrgID, err)
	}
	return attempt, nil
}

// mayBuy refuses a second subscription, one whose money is still on its way,
// and a currency other than the one the customer pays in.
func (p *Payments) mayBuy(ctx context.Context, q *db.Queries, r CheckoutRequest, subscriptions []db.Subscription) error {
	for _, s := range subscriptions {
		if billing.Status(s.Status).IsLive() {
			return errSubscriptionExists()
		}
	}
	if err := p.refuseUnsettled(ctx, q, r.OrgID); err != nil {
		return err
	}
	customer, err := q.CurrentCustomer(ctx, r.OrgID)
	if err != nil {
		return fmt.Errorf("read customer: %w", err)
	}
	if c := deref(customer.Currency); c != "" && c != string(p.Plans.Currency) {
		return &billing.Refusal{
			Code:    billing.CodeCurrencyMismatch,
			Message: fmt.Sprintf("Your organization pays in %s, and this plan is sold in %s. Write to us and we will sort it out.", c, p.Plans.Currency),
		}
	}
	return nil
}

// refuseUnsettled refuses while a checkout is complete and what it bought, or
// the money for it, has not arrived.
func (p *Payments) refuseUnsettled(ctx context.Context, q *db.Queries, orgID uuid.UUID) error {
	unsettled, err := q.UnsettledAttempt(ctx, orgID)
	switch {
	case db.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("read unsettled checkouts: %w", err)
	case !unsettled.IsUnpaid:
		return errSubscriptionExists()
	}
	return &billing.Refusal{
		Code:    billing.CodePaymentUnderWay,
		Message: "A payment of your organization is still on its way to us. We start your plan as soon as it arrives.",
		URL:     "/billing",
	}
}

func errSubscriptionExists() error {
	return &billing.Refusal{
		Code:    billing.CodeSubscriptionExists,
		Message: "Your organization already has a subscription. The billing page shows what it has.",
		URL:     "/billing",
	}
}

// openAttempt posts the stored request, with the attempt's id as its key:
// whoever posts it, and however often, gets the same session.
func (p *Payments) openAttempt(ctx context.Context, attempt db.CheckoutAttempt) (db.CheckoutAttempt, error) {
	q := db.New(p.Pool)
	if p.Now().Sub(attempt.CreatedAt) > repeatable {
		attempt.State = attemptExpired
		return attempt, p.endAttempt(ctx, attempt, attemptExpired, CheckoutSession{})
	}
	var params CheckoutParams
	if err := json.Unmarshal(attempt.Params, &params); err != nil {
		return attempt, fmt.Errorf("read request of attempt %s: %w", attempt.ID, err)
	}
	session, err := p.Stripe.CreateCheckoutSession(ctx, attempt.ID.String(), params)
	if errors.Is(err, ErrRefused) || errors.Is(err, ErrNoSuchObject) {
		// Repeating it would be refused for ever, so the way is cleared.
		err = errors.Join(err, p.endAttempt(ctx, attempt, attemptExpired, CheckoutSession{}))
	}
	if err != nil {
		return attempt, fmt.Errorf("create session of attempt %s: %w", attempt.ID, err)
	}
	err = db.InTx(ctx, p.Pool, func(_ pgx.Tx, q *db.Queries) error {
		n, err := q.AttemptOpened(ctx, db.AttemptOpenedParams{ID: attempt.ID, SessionID: session.ID, URL: session.URL, ExpiresAt: session.ExpiresAt})
		if err != nil || n == 0 {
			return err // another replica got the same session and wrote it
		}
		attempt.SessionID = &session.ID
		act := checkoutAct("checkout_started", attempt, p.Now())
		act.CustomerID = params.CustomerID
		if err := audit.Write(ctx, q, act); err != nil {
			return err
		}
		if err := record(ctx, q, occasion{orgID: &attempt.OrgID, customerID: params.CustomerID, livemode: p.Livemode, at: p.Now()}, happening{
			kind: "checkout_started", key: session.ID, plan: attempt.Plan, interval: billing.Interval(attempt.Interval), visitor: attempt.VisitorID,
		}); err != nil {
			return err
		}
		return q.MarkVisits(ctx, db.MarkVisitsParams{SessionIds: []string{session.ID}})
	})
	if err != nil {
		return attempt, fmt.Errorf("open attempt %s: %w", attempt.ID, err)
	}
	return q.AttemptByID(ctx, attempt.ID)
}

// reuse returns an open attempt's session after asking whether it still is
// open, if it is for what is wanted now; else it ends the attempt.
func (p *Payments) reuse(ctx context.Context, attempt db.CheckoutAttempt, customerID string, r CheckoutRequest) (Checkout, error) {
	if attempt.State == attemptExpired {
		return Checkout{}, errAttemptOver
	}
	session, err := p.Stripe.CheckoutSession(ctx, *attempt.SessionID)
	if errors.Is(err, ErrNoSuchObject) {
		session, err = CheckoutSession{Status: attemptExpired}, nil
	}
	if err != nil {
		return Checkout{}, fmt.Errorf("ask for session %s: %w", *attempt.SessionID, err)
	}
	wanted := p.Sold[Offer{r.Plan, r.Interval}]
	if session.Status == attemptOpen && attempt.PriceID != wanted {
		session, err = p.Stripe.ExpireCheckoutSession(ctx, session.ID)
		if errors.Is(err, ErrRefused) { // it was completed meanwhile: Stripe decides the race
			session, err = p.Stripe.CheckoutSession(ctx, *attempt.SessionID)
		}
		if err != nil {
			return Checkout{}, fmt.Errorf("expire session %s: %w", *attempt.SessionID, err)
		}
	}
	switch session.Status {
	case attemptOpen:
		return Checkout{SessionID: session.ID, URL: session.URL}, nil
	case attemptComplete:
		if err := p.endAttempt(ctx, attempt, attemptComplete, session); err != nil {
			return Checkout{}, err
		}
		if err := p.SyncCustomer(ctx, customerID); err != nil {
			return Checkout{}, err
		}
		return Checkout{}, p.afterComplete(ctx, session)
	default:
		if err := p.endAttempt(ctx, attempt, attemptExpired, CheckoutSession{}); err != nil {
			return Checkout{}, err
		}
		return Checkout{}, errAttemptOver
	}
}

// afterComplete: what a completed checkout bought keeps the door shut, whether
// or not it has reached our rows, unless we know that it is over.
func (p *Payments) afterComplete(ctx context.Context, session CheckoutSession) error {
	if session.PaymentStatus == "unpaid" {
		return errAttemptOver // beginning another says why it may not
	}
	bought, err := db.New(p.Pool).SubscriptionByStripeID(ctx, session.SubscriptionID)
	if err != nil && !db.IsNotFound(err) {
		return fmt.Errorf("read subscription %s: %w", session.SubscriptionID, err)
	}
	if billing.Status(bought.Status).IsTerminal() {
		return errAttemptOver
	}
	return errSubscriptionExists()
}

package payments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/audit"
	"github.com/promptforge/payments/internal/billing"
)

// ProgressState is what a customer who comes back from checkout waits for.
type ProgressState string

// The states of a checkout as its customer sees it.
const (
	// ProgressWaiting: Stripe has not said yet that the checkout is complete,
	// or its subscription has not reached us.
	ProgressWaiting ProgressState = "waiting"
	// ProgressActive: the plan has begun.
	ProgressActive ProgressState = "active"
	// ProgressPending: complete, but the money is still on its way.
	ProgressPending ProgressState = "pending"
	// ProgressExpired: the session ended without a payment, or its payment has
	// failed since.
	ProgressExpired ProgressState = "expired"
)

// Progress is how far a checkout has come.
type Progress struct {
	State    ProgressState
	OrgID    uuid.UUID
	OrgName  string
	Plan     string
	Interval billing.Interval
}

// CheckoutProgress tells a member of the organization that owns the session,
// and nobody else, how far the checkout has come; which organization is the
// session's current one does not matter. With ask, Stripe is asked and our rows
// are made equal, as the webhook would: whichever comes first activates. A
// Stripe that does not answer leaves the customer waiting, not with an error.
func (p *Payments) CheckoutProgress(ctx context.Context, userID uuid.UUID, sessionID string, ask bool) (Progress, error) {
	ctx = actingAs(ctx, userID)
	q := db.New(p.Pool)
	attempt, err := q.AttemptBySession(ctx, sessionID)
	if err == nil {
		_, err = q.RoleIn(ctx, db.RoleInParams{OrgID: attempt.OrgID, UserID: userID})
	}
	if db.IsNotFound(err) {
		return Progress{}, &billing.Refusal{Code: billing.CodeNotFound, Message: "There is no such checkout."}
	}
	if err != nil {
		return Progress{}, fmt.Errorf("read checkout: %w", err)
	}
	if ask {
		err := p.askAboutAttempt(ctx, attempt.ID)
		if errors.Is(err, ErrUnavailable) || errors.Is(err, ErrRefused) {
			p.Log.WarnContext(ctx, "checkout not confirmed yet", "attempt", attempt.ID, "error", err)
		} else if err != nil {
			return Progress{}, err
		}
	}
	out := Progress{
		OrgID: attempt.OrgID, OrgName: attempt.OrgName, Plan: attempt.Plan, Interval: billing.Interval(attempt.Interval),
	}
	out.State, err = p.progressState(ctx, attempt.ID, attempt.OrgID)
	return out, err
}

func (p *Payments) progressState(ctx context.Context, attemptID, orgID uuid.UUID) (ProgressState, error) {
	q := db.New(p.Pool)
	attempt, err := q.AttemptByID(ctx, attemptID)
	if err != nil {
		return "", fmt.Errorf("read attempt: %w", err)
	}
	entitlement, err := q.Entitlement(ctx, orgID)
	if err != nil && !db.IsNotFound(err) {
		return "", fmt.Errorf("read entitlement: %w", err)
	}
	switch {
	case attempt.State == attemptExpired, deref(attempt.PaymentStatus) == paymentFailed:
		return ProgressExpired, nil
	case attempt.State == attemptComplete && deref(attempt.PaymentStatus) == "unpaid":
		return ProgressPending, nil
	case attempt.State == attemptComplete && AccessNow(entitlement, p.Now()).Level.Allows():
		return ProgressActive, nil
	default:
		return ProgressWaiting, nil
	}
}

// askAboutAttempt asks how the attempt's session stands, ends the attempt if it
// is over, and syncs its customer if something was bought.
func (p *Payments) askAboutAttempt(ctx context.Context, id uuid.UUID) error {
	attempt, err := db.New(p.Pool).AttemptByID(ctx, id)
	if err != nil {
		return fmt.Errorf("read attempt %s: %w", id, err)
	}
	if attempt.SessionID == nil {
		return p.endAttempt(ctx, attempt, attemptExpired, CheckoutSession{})
	}
	session, err := p.Stripe.CheckoutSession(ctx, *attempt.SessionID)
	if errors.Is(err, ErrNoSuchObject) {
		session, err = CheckoutSession{Status: attemptExpired}, nil
	}
	if err != nil {
		return fmt.Errorf("ask for session %s: %w", *attempt.SessionID, err)
	}
	switch session.Status {
	case attemptComplete:
		if err := p.endAttempt(ctx, attempt, attemptComplete, session); err != nil {
			return err
		}
		return p.SyncCustomer(ctx, session.CustomerID)
	case attemptExpired:
		return p.endAttempt(ctx, attempt, attemptExpired, CheckoutSession{})
	default:
		return nil
	}
}

// SweepAttempts asks once about each checkout past its end and closes it: an
// abandoned one in the funnel.
func (p *Payments) SweepAttempts(ctx context.Context) error {
	attempts, err := db.New(p.Pool).AttemptsPastEnd(ctx, p.Now())
	if err != nil {
		return fmt.Errorf("read attempts past their end: %w", err)
	}
	var faults []error
	for _, attempt := range attempts {
		faults = append(faults, p.askAboutAttempt(ctx, attempt.ID))
	}
	return errors.Join(faults...)
}

// endAttempt ends an attempt as its session says. Whoever comes second changes
// nothing, except that money on its way may have arrived.
func (p *Payments) endAttempt(ctx context.Context, attempt db.CheckoutAttempt, state string, session CheckoutSession) error {
	at := p.Now()
	if state == attemptExpired && attempt.ExpiresAt != nil && attempt.ExpiresAt.Before(at) {
		at = *attempt.ExpiresAt // noticed late, as after a jump of the clock
	}
	err := db.InTx(ctx, p.Pool, func(_ pgx.Tx, q *db.Queries) error {
		n, err := q.AttemptEnded(ctx, db.AttemptEndedParams{
			ID: attempt.ID, State: state, PaymentStatus: session.PaymentStatus, SubscriptionID: session.SubscriptionID, EndedAt: at,
		})
		if err != nil {
			return err
		}
		if n == 0 && session.PaymentStatus == "paid" {
			return q.AttemptsPaid(ctx, []string{session.SubscriptionID})
		}
		if n == 0 {
			return nil
		}
		if err := audit.Write(ctx, q, checkoutAct(checkoutEnds[state], attempt, at)); err != nil {
			return err
		}
		if attempt.SessionID == nil {
			return nil
		}
		if state != attemptExpired {
			return q.MarkVisits(ctx, db.MarkVisitsParams{SessionIds: []string{*attempt.SessionID}})
		}
		var params CheckoutParams
		if err := json.Unmarshal(attempt.Params, &params); err != nil {
			return fmt.Errorf("read params: %w", err)
		}
		o := occasion{orgID: &attempt.OrgID, customerID: params.CustomerID, livemode: p.Livemode, at: at}
		return record(ctx, q, o, abandoned(attempt))
	})
	if err != nil {
		return fmt.Errorf("end checkout %s: %w", attempt.ID, err)
	}
	return nil
}

func abandoned(attempt db.CheckoutAttempt) happening {
	return happening{
		kind: "checkout_abandoned", key: *attempt.SessionID, plan: attempt.Plan, interval: billing.Interval(attempt.Interval),
	}
}

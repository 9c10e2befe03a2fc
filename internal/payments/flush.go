package payments

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/audit"
)

// changes are what a batch writes, gathered from all its subjects.
type changes struct {
	observed     []db.SubscriptionObservation
	versions     []db.SubscriptionVersion
	versionsGone []db.DeleteVersionParams
	dirty        []string
	copies       []db.Subscription
	unverified   []string // subscriptions
	attempts     []attemptEnd
	paid         []string // subscriptions
	failed       []string // sessions whose asynchronous payment failed
	arrived      []string // sessions whose asynchronous payment arrived
	objects      []db.StripeObject
	located      []db.LocatePaymentEventParams
	entitlements []db.Entitlement
	recorded     []db.PaymentEvent
	revised      []db.RevisePaymentEventParams
	takenBack    []int64
	reconsidered []string // subscriptions whose earlier story is taken back
	marked       db.MarkEventsParams
	finished     db.FinishClaimsParams
	// told are those of recorded that nobody knew.
	told []db.PaymentEvent
	effects
}

// attemptEnd is the end of a checkout that an event told.
type attemptEnd struct {
	db.AttemptEndedParams
	attempt db.CheckoutAttempt
	eventID string
}

// flush writes what was gathered, a round trip a table. Rows of one customer
// are guarded by its queue row, and those of an organization by its own.
func (b *batch) flush() error {
	c := &b.changes
	visits := b.visitsOf()
	for _, step := range []struct {
		what string
		skip bool
		run  func() error
	}{
		{"observations", len(c.observed) == 0, func() error { return asJSON(b.ctx, b.q.Observe, c.observed) }},
		{"versions that the history no longer has", len(c.versionsGone) == 0, func() error { return each(b.q.DeleteVersion(b.ctx, c.versionsGone)) }},
		{"versions", len(c.versions) == 0, func() error { return asJSON(b.ctx, b.q.WriteVersions, c.versions) }},
		{"dirty marks", len(c.dirty) == 0, func() error { return b.q.MarkDirty(b.ctx, c.dirty) }},
		{"subscriptions", len(c.copies) == 0, func() error { return asJSON(b.ctx, b.q.WriteSubscriptions, c.copies) }},
		{"unverified subscriptions", len(c.unverified) == 0, func() error { return b.q.MarkUnverified(b.ctx, c.unverified) }},
		{"checkouts", len(c.attempts) == 0, b.endAttempts},
		{"failed checkouts", len(c.failed) == 0, func() error { return b.q.SessionsFailed(b.ctx, c.failed) }},
		{"arrived checkouts", len(c.arrived) == 0, func() error { return b.q.SessionsPaid(b.ctx, c.arrived) }},
		{"paid checkouts", len(c.paid) == 0, func() error { return b.q.AttemptsPaid(b.ctx, c.paid) }},
		{"entitlements", len(c.entitlements) == 0, func() error { return asJSON(b.ctx, b.q.WriteEntitlements, c.entitlements) }},
		{"payment events taken back", len(c.takenBack) == 0, func() error { return b.q.DeletePaymentEvents(b.ctx, c.takenBack) }},
		{"payment events revised", len(c.revised) == 0, func() error { return each(b.q.RevisePaymentEvent(b.ctx, c.revised)) }},
		{"payment events located", len(c.located) == 0, func() error { return each(b.q.LocatePaymentEvent(b.ctx, c.located)) }},
		{"charges", len(c.objects) == 0, func() error { return rememberObjects(b.ctx, b.q, c.objects) }},
		{"payment events", len(c.recorded) == 0, func() error { return asJSON(b.ctx, b.q.RecordPaymentEvents, c.recorded) }},
		{"marks of visitors", len(visits.SessionIds)+len(visits.SubscriptionIds) == 0, func() error { return b.q.MarkVisits(b.ctx, visits) }},
		{"events", len(c.marked.Ids) == 0, func() error { return b.q.MarkEvents(b.ctx, c.marked) }},
		{"claims", len(c.finished.Subjects) == 0, func() error {
			c.finished.Now = b.now
			return b.q.FinishClaims(b.ctx, c.finished)
		}},
	} {
		if step.skip {
			continue
		}
		if err := step.run(); err != nil {
			return fmt.Errorf("write %s: %w", step.what, err)
		}
	}
	return nil
}

func (b *batch) endAttempts() error {
	for _, a := range b.changes.attempts {
		n, err := b.q.AttemptEnded(b.ctx, a.AttemptEndedParams)
		if err != nil {
			return err
		}
		if n > 0 {
			act := checkoutAct(checkoutEnds[a.State], a.attempt, a.EndedAt)
			act.Actor, act.EventID = audit.Actor{Kind: audit.Stripe}, a.eventID
			b.changes.acts = append(b.changes.acts, act)
		}
	}
	return nil
}

// tell logs, once it is committed, what nobody knew before.
func (b *batch) tell() {
	for _, e := range b.changes.told {
		b.Log.InfoContext(b.ctx, "payment event", "kind", e.Kind, "key", e.NaturalKey, "at", e.At, "organization", e.OrgID,
			"customer", deref(e.StripeCustomerID), "subscription", deref(e.SubscriptionID), "plan", deref(e.Plan),
			"amount_minor", deref(e.AmountMinor), "currency", deref(e.Currency), "event", deref(e.SourceEventID))
	}
}

// asJSON runs a statement that takes all its rows as one JSON array, which says
// what is null without a second array.
func asJSON[T any](ctx context.Context, write func(context.Context, json.RawMessage) error, rows []T) error {
	raw, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	return write(ctx, raw)
}

// each runs a batch of statements and returns the first one's fault; those
// behind it were not run.
func each(results interface{ Exec(func(int, error)) }) error {
	var faults []error
	results.Exec(func(_ int, err error) {
		if err != nil {
			faults = append(faults, err)
		}
	})
	if len(faults) == 0 {
		return nil
	}
	return faults[0]
}

package payments

import (
	"fmt"
	"slices"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/billing"
)

// writeEntitlement answers again what the organization may do.
func (w *writing) writeEntitlement() error {
	if w.customer.OrgID == nil {
		return nil
	}
	orgID := *w.customer.OrgID
	rows, err := w.q.SubscriptionsOfOrganization(w.ctx, orgID)
	if err != nil {
		return fmt.Errorf("read subscriptions of organization: %w", err)
	}
	versions, err := w.q.VersionsOfOrganization(w.ctx, orgID)
	if err != nil {
		return fmt.Errorf("read versions of organization: %w", err)
	}
	history := map[string][]db.SubscriptionVersion{}
	for _, v := range versions {
		history[v.SubscriptionID] = append(history[v.SubscriptionID], v)
	}
	standings := make([]billing.Standing, 0, len(rows))
	for _, row := range rows {
		s, err := standing(row, history[row.StripeSubscriptionID])
		if err != nil {
			return err
		}
		standings = append(standings, s)
	}
	e := billing.DefaultAccessPolicy().Entitle(standings, w.Plans, w.Now())
	if err := w.q.WriteEntitlement(w.ctx, db.WriteEntitlementParams{
		OrgID: orgID, Plan: optional(e.Plan), Status: optional(string(e.Status)), Access: string(e.Level), Reason: e.Reason,
		Until: optional(e.Until), ThenAccess: optional(string(e.Then)), ThenReason: optional(e.ThenReason),
		Features: mustJSON(e.Features), Limits: mustJSON(e.Limits), AsOf: w.answer.At,
	}); err != nil {
		return fmt.Errorf("write entitlement: %w", err)
	}
	return nil
}

// standing puts the copy and what only the history knows together: since when
// payment has failed without a break, and when an unbroken pause began.
func standing(row db.Subscription, history []db.SubscriptionVersion) (billing.Standing, error) {
	s := billing.Standing{Plan: deref(row.Plan), HasPaid: row.HasPaid, NextAttemptAt: deref(row.NextPaymentAttempt)}
	if err := unmarshalFacts(row.Facts, &s.Facts); err != nil {
		return s, err
	}
	s.PastDueSince = row.ReadAt
	if p := s.Facts.Pause; p != nil {
		s.PausedPeriodEnd = p.PeriodEnd.Time()
	}
	for _, v := range slices.Backward(history) {
		var facts billing.Facts
		if err := unmarshalFacts(v.Facts, &facts); err != nil {
			return s, err
		}
		if facts.Status != billing.StatusPastDue {
			break
		}
		s.PastDueSince = v.At
	}
	for _, v := range slices.Backward(history) {
		var facts billing.Facts
		if err := unmarshalFacts(v.Facts, &facts); err != nil {
			return s, err
		}
		if facts.Pause == nil {
			break
		}
		s.PausedPeriodEnd = facts.Pause.PeriodEnd.Time()
	}
	return s, nil
}

// AccessNow evaluates a stored entitlement; the zero row is of an organization
// that never had one.
func AccessNow(row db.Entitlement, now time.Time) billing.Access {
	if row.Access == "" {
		return billing.Access{Level: billing.AccessNone, Reason: "no_subscription"}
	}
	return billing.Access{
		Level: billing.Level(row.Access), Reason: row.Reason, Until: deref(row.Until),
		Then: billing.Level(deref(row.ThenAccess)), ThenReason: deref(row.ThenReason),
	}.At(now)
}

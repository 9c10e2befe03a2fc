package payments

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/billing"
)

// entitle answers what an organization may do by all its subscriptions, in
// order of their creation, and their versions.
func entitle(orgID uuid.UUID, subscriptions []db.Subscription, versions []db.SubscriptionVersion, _ db.Entitlement,
	plans billing.Plans, now, asOf time.Time,
) (db.WriteEntitlementParams, error) {
	history := map[string][]db.SubscriptionVersion{}
	for _, v := range versions {
		history[v.SubscriptionID] = append(history[v.SubscriptionID], v)
	}
	standings := make([]billing.Standing, 0, len(subscriptions))
	for _, row := range subscriptions {
		s, err := standing(row, history[row.StripeSubscriptionID])
		if err != nil {
			return db.WriteEntitlementParams{}, err
		}
		standings = append(standings, s)
	}
	e := billing.DefaultAccessPolicy().Entitle(standings, plans, now)
	return db.WriteEntitlementParams{
		OrgID: orgID, Plan: optional(e.Plan), Status: optional(string(e.Status)), Access: string(e.Level), Reason: e.Reason,
		Until: optional(e.Until), ThenAccess: optional(string(e.Then)), ThenReason: optional(e.ThenReason),
		Features: mustJSON(e.Features), Limits: mustJSON(e.Limits), AsOf: asOf,
	}, nil
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

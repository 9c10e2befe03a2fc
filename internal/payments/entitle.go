package payments

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/billing"
)

// entitle answers what an organization may do by all its subscriptions, in
// order of their creation, and their versions.
func entitle(orgID uuid.UUID, subscriptions []db.Subscription, versions []db.SubscriptionVersion,
	plans billing.Plans, now, asOf time.Time,
) (db.Entitlement, error) {
	standings, err := standingsOf(subscriptions, versions)
	if err != nil {
		return db.Entitlement{}, err
	}
	stages := billing.DefaultAccessPolicy().Stages(standings, plans, now)
	e := billing.Now(stages, plans, now)
	return db.Entitlement{
		OrgID: orgID, Plan: optional(e.Plan), Status: optional(string(e.Status)), Access: string(e.Level), Reason: e.Reason,
		Until: optional(e.Until), ThenAccess: optional(string(e.Then)), ThenReason: optional(e.ThenReason),
		Features: mustJSON(e.Features), Limits: mustJSON(e.Limits), AsOf: asOf,
		GrantedBy: e.GrantedBy, Later: mustJSON(stages[1:]),
	}, nil
}

func standingsOf(subscriptions []db.Subscription, versions []db.SubscriptionVersion) ([]billing.Standing, error) {
	history := map[string][]db.SubscriptionVersion{}
	for _, v := range versions {
		history[v.SubscriptionID] = append(history[v.SubscriptionID], v)
	}
	standings := make([]billing.Standing, 0, len(subscriptions))
	for _, row := range subscriptions {
		s, err := standing(row, history[row.StripeSubscriptionID])
		if err != nil {
			return nil, fmt.Errorf("subscription %s: %w", row.StripeSubscriptionID, err)
		}
		standings = append(standings, s)
	}
	return standings, nil
}

// standing puts the copy and what only the history knows together: since when
// payment has failed without a break, and when an unbroken pause began.
func standing(row db.Subscription, history []db.SubscriptionVersion) (billing.Standing, error) {
	s := billing.Standing{
		Plan: deref(row.Plan), HasPaid: row.HasPaid, PeriodEnd: row.CurrentPeriodEnd,
		NextAttemptAt: deref(row.NextPaymentAttempt), AsOf: row.ReadAt,
	}
	if err := unmarshalFacts(row.Facts, &s.Facts); err != nil {
		return s, err
	}
	s.PastDueSince = row.ReadAt
	if p := s.Facts.Pause; p != nil {
		s.PausedPeriodEnd = p.PeriodEnd.Time()
	}
	isPastDue, isPaused := s.Facts.Status == billing.StatusPastDue, s.Facts.Pause != nil
	for _, v := range slices.Backward(history) {
		if !isPastDue && !isPaused {
			break
		}
		var facts billing.Facts
		if err := unmarshalFacts(v.Facts, &facts); err != nil {
			return s, err
		}
		if isPastDue = isPastDue && facts.Status == billing.StatusPastDue; isPastDue {
			s.PastDueSince = v.At
		}
		if isPaused = isPaused && facts.Pause != nil; isPaused {
			if s.PausedPeriodEnd = facts.Pause.PeriodEnd.Time(); s.PausedPeriodEnd.IsZero() {
				s.PausedPeriodEnd = v.At // nothing says what is paid
			}
		}
	}
	return s, nil
}

// EntitlementNow evaluates a stored entitlement, with the features and limits
// that the plans have today; the zero row is of an organization that never had
// a subscription.
func EntitlementNow(row db.Entitlement, plans billing.Plans, now time.Time) (billing.Entitlement, error) {
	stages, err := stagesOf(row)
	if err != nil {
		return billing.Entitlement{}, err
	}
	return billing.Now(stages, plans, now), nil
}

// stagesOf are a row's columns and what it says of later.
func stagesOf(row db.Entitlement) ([]billing.Stage, error) {
	if row.Access == "" {
		return []billing.Stage{{Level: billing.AccessNone, Reason: billing.ReasonNoSubscription}}, nil
	}
	if !billing.Level(row.Access).Allows() {
		row.GrantedBy = nil // a release that does not know the column left it as it was
	}
	return billing.ReadStages(
		billing.Stage{
			Level: billing.Level(row.Access), Reason: row.Reason,
			Plan: deref(row.Plan), Status: billing.Status(deref(row.Status)), GrantedBy: row.GrantedBy,
		},
		billing.Access{Until: deref(row.Until), Then: billing.Level(deref(row.ThenAccess)), ThenReason: deref(row.ThenReason)},
		row.Later)
}

// AccessNow evaluates a stored entitlement as EntitlementNow does, for who needs
// no more than the level.
func AccessNow(row db.Entitlement, now time.Time) billing.Access {
	stages, err := stagesOf(row)
	if err != nil { // it is our own JSON; the columns know the next change
		row.Later = []byte("[]")
		stages, _ = stagesOf(row)
	}
	return billing.Now(stages, billing.Plans{}, now).Access
}

package billing

import (
	"cmp"
	"slices"
	"time"
)

// Level is how much of the product an organization may use.
type Level string

// The levels, weakest first.
const (
	AccessNone     Level = "none"
	AccessReadOnly Level = "read_only"
	AccessGrace    Level = "grace"
	AccessFull     Level = "full"
)

var levels = []Level{AccessNone, AccessReadOnly, AccessGrace, AccessFull}

// Allows reports whether the level lets features be used.
func (l Level) Allows() bool { return l == AccessFull || l == AccessGrace }

// AccessPolicy is how long we are patient. The zero value is not useful;
// DefaultAccessPolicy is.
type AccessPolicy struct {
	// TrialLag is how long a trial goes on past its end while Stripe cannot be
	// asked how it ended.
	TrialLag time.Duration
	// Grace is how long a customer who has paid before keeps access after
	// payment fails, GraceNeverPaid one who never has.
	Grace, GraceNeverPaid time.Duration
}

// DefaultAccessPolicy is the table of the design: one company measured 14.0
// days (median) from the first failure to Stripe's cancellation, and locking
// out earlier loses customers whose card would have recovered.
func DefaultAccessPolicy() AccessPolicy {
	const day = 24 * time.Hour
	return AccessPolicy{TrialLag: 7 * day, Grace: 14 * day, GraceNeverPaid: 3 * day}
}

// Standing is a subscription as access sees it.
type Standing struct {
	Facts Facts
	// Plan is the code of its plan; empty while its price is unknown.
	Plan    string
	HasPaid bool
	// PastDueSince is the start of the unbroken run of past_due in the
	// versions; PausedPeriodEnd the end of the period in which an unbroken
	// pause began. Zero where there is no run.
	PastDueSince    time.Time
	PausedPeriodEnd time.Time
	// NextAttemptAt is when Stripe tries to collect again; zero: never.
	NextAttemptAt time.Time
}

// Access is the answer for a moment: a level that holds until Until, and what
// holds then. Until is zero where the answer does not change by itself.
type Access struct {
	Level  Level
	Reason string
	Until  time.Time

	Then       Level
	ThenReason string
}

// At is the answer as it is at now, which may be past Until.
func (a Access) At(now time.Time) Access {
	if a.Until.IsZero() || now.Before(a.Until) {
		return a
	}
	return Access{Level: a.Then, Reason: a.ThenReason}
}

// Of is the access that one subscription gives at now: the table of design.md,
// "Access and MRR".
func (p AccessPolicy) Of(s Standing, now time.Time) Access {
	switch s.Facts.Status {
	case StatusTrialing:
		return during(now, s.Facts.TrialEnd.Time().Add(p.TrialLag), AccessFull, "trialing", AccessNone, "trial_over")
	case StatusActive:
		if s.Facts.Pause != nil && s.Facts.Pause.Behavior == "void" {
			return during(now, s.PausedPeriodEnd, AccessFull, "active", AccessReadOnly, "collection_paused")
		}
		return Access{Level: AccessFull, Reason: "active"}
	case StatusPastDue:
		grace := p.GraceNeverPaid
		if s.HasPaid {
			grace = p.Grace
		}
		until := s.PastDueSince.Add(grace)
		if s.HasPaid && s.NextAttemptAt.After(until) {
			until = s.NextAttemptAt
		}
		return during(now, until, AccessGrace, "payment_failed", AccessReadOnly, "grace_over")
	case StatusUnpaid:
		return Access{Level: AccessReadOnly, Reason: "unpaid"}
	case StatusPaused:
		return Access{Level: AccessReadOnly, Reason: "paused"}
	case StatusIncomplete, StatusIncompleteExpired:
		return Access{Level: AccessNone, Reason: "payment_incomplete"}
	case StatusCanceled:
		return Access{Level: AccessNone, Reason: "canceled"}
	default: // a status that Stripe adds one day gives nothing by accident
		return Access{Level: AccessNone, Reason: "unknown_status"}
	}
}

func during(now, until time.Time, level Level, reason string, then Level, thenReason string) Access {
	if now.Before(until) {
		return Access{Level: level, Reason: reason, Until: until, Then: then, ThenReason: thenReason}
	}
	return Access{Level: then, Reason: thenReason}
}

// Entitlement is what an organization may do.
type Entitlement struct {
	Access
	// Plan and Status are those of the subscription that decides; empty
	// without one.
	Plan   string
	Status Status
	// Features and Limits are, one by one, the best of all subscriptions that
	// allow use.
	Features []string
	Limits   map[string]int64
}

// Entitle answers for an organization with any number of subscriptions: the
// strongest decides, and each feature is the best of all.
func (p AccessPolicy) Entitle(standings []Standing, plans Plans, now time.Time) Entitlement {
	out := Entitlement{
		Access:   Access{Level: AccessNone, Reason: "no_subscription"},
		Features: []string{}, Limits: map[string]int64{},
	}
	type judged struct {
		Standing
		Access
	}
	all := make([]judged, 0, len(standings))
	for _, s := range standings {
		access := p.Of(s, now)
		if s.Plan == "" {
			// Nothing says what an unknown price buys.
			access = Access{Level: AccessNone, Reason: "unknown_price"}
		}
		all = append(all, judged{s, access})
		if plan, ok := plans.ByCode(s.Plan); ok && access.Level.Allows() {
			out.Features = append(out.Features, plan.Features...)
			for limit, n := range plan.Limits {
				out.Limits[limit] = max(out.Limits[limit], n)
			}
		}
	}
	slices.Sort(out.Features)
	out.Features = slices.Compact(out.Features)
	if len(all) == 0 {
		return out
	}
	best := slices.MaxFunc(all, func(a, b judged) int {
		return cmp.Or(
			cmp.Compare(slices.Index(levels, a.Level), slices.Index(levels, b.Level)),
			cmp.Compare(plans.Rank(a.Plan), plans.Rank(b.Plan)),
		)
	})
	out.Access, out.Plan, out.Status = best.Access, best.Plan, best.Facts.Status
	return out
}

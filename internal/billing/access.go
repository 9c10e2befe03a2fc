package billing

import (
	"encoding/json"
	"fmt"
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

// The reasons of an answer, for programs and for whoever puts them into words.
const (
	ReasonTrialing          = "trialing"           // full
	ReasonActive            = "active"             // full
	ReasonPaymentFailed     = "payment_failed"     // grace
	ReasonGraceOver         = "grace_over"         // read-only
	ReasonCollectionPaused  = "collection_paused"  // read-only
	ReasonUnpaid            = "unpaid"             // read-only
	ReasonPaused            = "paused"             // read-only
	ReasonNotConfirmed      = "not_confirmed"      // read-only
	ReasonPaymentIncomplete = "payment_incomplete" // none
	ReasonCanceled          = "canceled"           // none
	ReasonUnknownPrice      = "unknown_price"      // none
	ReasonUnknownStatus     = "unknown_status"     // none
	ReasonNoSubscription    = "no_subscription"    // none
)

// AccessPolicy is how long we are patient. The zero value is not useful;
// DefaultAccessPolicy is.
type AccessPolicy struct {
	// Unconfirmed is how long what was in order at Stripe's last answer goes on
	// past the moment at which something should have happened, while Stripe
	// cannot be asked what did.
	Unconfirmed time.Duration
	// Grace is how long a customer who has paid before keeps access after
	// payment fails, GraceNeverPaid one who never has.
	Grace, GraceNeverPaid time.Duration
	// Attempt is how long grace goes on past the next attempt, so that nobody
	// is locked out before it is known how that one went.
	Attempt time.Duration
}

// DefaultAccessPolicy is the table of the design: one company measured 14.0
// days (median) from the first failure to Stripe's cancellation, and locking
// out earlier loses customers whose card would have recovered.
func DefaultAccessPolicy() AccessPolicy {
	const day = 24 * time.Hour
	return AccessPolicy{Unconfirmed: 7 * day, Grace: 14 * day, GraceNeverPaid: 3 * day, Attempt: day}
}

// Standing is a subscription as access sees it.
type Standing struct {
	Facts Facts
	// Plan is the code of its plan, where its price is unknown the one that it
	// had before; empty where no price of it ever meant a plan.
	Plan    string
	HasPaid bool
	// PeriodEnd is when the current period ends; zero: nothing says.
	PeriodEnd time.Time
	// PastDueSince is the start of the unbroken run of past_due in the
	// versions; PausedPeriodEnd the end of the period in which an unbroken
	// pause began. Zero where there is no run.
	PastDueSince    time.Time
	PausedPeriodEnd time.Time
	// NextAttemptAt is when Stripe tries to collect the oldest open invoice
	// again; zero: never.
	NextAttemptAt time.Time
	// AsOf is when Stripe said all this.
	AsOf time.Time
}

// Step is what holds from a moment on; the zero moment is that of Stripe's last
// answer.
type Step struct {
	From   time.Time
	Level  Level
	Reason string
}

// Course is what a subscription gives as time passes and nothing is heard of
// it, in ascending order; there is always a first step.
type Course []Step

// Course is the access that one subscription gives: the table of design.md,
// "Access and MRR".
func (p AccessPolicy) Course(s Standing) Course {
	if s.Plan == "" { // nothing says, or ever said, what its price buys
		return Course{{Level: AccessNone, Reason: ReasonUnknownPrice}}
	}
	switch s.Facts.Status {
	case StatusTrialing:
		return p.whileConfirmed(s, Course{{Level: AccessFull, Reason: ReasonTrialing}}, s.Facts.TrialEnd.Time(), s.PeriodEnd, s.Facts.EndsAt.Time())
	case StatusActive:
		return p.active(s)
	case StatusPastDue:
		return p.pastDue(s)
	case StatusUnpaid:
		return Course{{Level: AccessReadOnly, Reason: ReasonUnpaid}}
	case StatusPaused:
		return Course{{Level: AccessReadOnly, Reason: ReasonPaused}}
	case StatusIncomplete, StatusIncompleteExpired:
		return Course{{Level: AccessNone, Reason: ReasonPaymentIncomplete}}
	case StatusCanceled:
		return Course{{Level: AccessNone, Reason: ReasonCanceled}}
	default: // a status that Stripe adds one day gives nothing by accident
		return Course{{Level: AccessNone, Reason: ReasonUnknownStatus}}
	}
}

func (p AccessPolicy) active(s Standing) Course {
	full := Course{{Level: AccessFull, Reason: ReasonActive}}
	pause, ends := s.Facts.Pause, s.Facts.EndsAt.Time()
	if pause == nil || pause.Behavior != "void" {
		return p.whileConfirmed(s, full, s.PeriodEnd, ends)
	}
	resumes := pause.ResumesAt.Time()
	if !resumes.After(s.AsOf) || !ends.IsZero() && !resumes.Before(ends) {
		// No day is set, or it has passed and Stripe says nothing has resumed, or
		// the subscription ends before it.
		return append(full, Step{s.PausedPeriodEnd, AccessReadOnly, ReasonCollectionPaused})
	}
	if !resumes.After(s.PausedPeriodEnd) { // every invoice that falls due is collected
		return p.whileConfirmed(s, full, s.PeriodEnd, ends)
	}
	// It resumes by itself, without waiting for us to hear of it.
	return p.whileConfirmed(s, append(full,
		Step{s.PausedPeriodEnd, AccessReadOnly, ReasonCollectionPaused},
		Step{resumes, AccessFull, ReasonActive}), resumes)
}

func (p AccessPolicy) pastDue(s Standing) Course {
	end := s.PastDueSince.Add(p.GraceNeverPaid)
	if s.HasPaid {
		end = s.PastDueSince.Add(p.Grace)
		if !s.NextAttemptAt.IsZero() {
			end = latest(end, s.NextAttemptAt.Add(p.Attempt))
		}
	}
	over := Step{end, AccessReadOnly, ReasonGraceOver}
	if pause := s.Facts.Pause; pause != nil && pause.Behavior == "void" && s.PausedPeriodEnd.Before(end) {
		over = Step{s.PausedPeriodEnd, AccessReadOnly, ReasonCollectionPaused} // nothing is collected any more
	}
	return Course{{Level: AccessGrace, Reason: ReasonPaymentFailed}, over}
}

// whileConfirmed ends a course where nothing has been heard for too long of
// what should have happened at the first of the moments. An answer given after
// that moment confirms what it says.
func (p AccessPolicy) whileConfirmed(s Standing, c Course, moments ...time.Time) Course {
	moments = slices.DeleteFunc(moments, time.Time.IsZero)
	if len(moments) == 0 {
		return c
	}
	due := latest(slices.MinFunc(moments, time.Time.Compare), s.AsOf)
	return append(c, Step{due.Add(p.Unconfirmed), AccessReadOnly, ReasonNotConfirmed})
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// at is the index of the step that holds at a moment.
func (c Course) at(now time.Time) int {
	for i := len(c) - 1; i > 0; i-- {
		if !now.Before(c[i].From) {
			return i
		}
	}
	return 0
}

// At is the answer as it is at now.
func (c Course) At(now time.Time) Access {
	i := c.at(now)
	a := Access{Level: c[i].Level, Reason: c[i].Reason}
	if i+1 < len(c) {
		a.Until, a.Then, a.ThenReason = c[i+1].From, c[i+1].Level, c[i+1].Reason
	}
	return a
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

// Ends is when access will end or be less by itself, by what is known to
// happen; zero: never. That nobody may have confirmed a renewal by some day is
// no end to tell a customer of.
func (a Access) Ends() time.Time {
	if a.ThenReason == ReasonNotConfirmed || slices.Index(levels, a.Then) >= slices.Index(levels, a.Level) {
		return time.Time{}
	}
	return a.Until
}

// Entitlement is what an organization may do.
type Entitlement struct {
	Access
	// Plan and Status are those of the subscription that decides; empty
	// without one.
	Plan   string
	Status Status
	// GrantedBy are the plans in use, in alphabetical order.
	GrantedBy []string
	// Features and Limits are, one by one, the best of these plans.
	Features []string
	Limits   map[string]int64
}

// Entitle answers for an organization with any number of subscriptions, in
// order of their creation.
func (p AccessPolicy) Entitle(standings []Standing, plans Plans, now time.Time) Entitlement {
	return Now(p.Stages(standings, plans, now), plans, now)
}

// Stage is what an organization may do from a moment on while nothing is heard.
type Stage struct {
	// From is 0 for the stage that holds already.
	From      Second   `json:"from,omitempty"`
	Level     Level    `json:"access"`
	Reason    string   `json:"reason"`
	Plan      string   `json:"plan,omitempty"`
	Status    Status   `json:"status,omitempty"`
	GrantedBy []string `json:"granted_by,omitempty"`
}

// Stages are what an organization may do now and later, in ascending order: at
// each moment the strongest subscription decides and every plan in use adds
// what it has, so that one which ends earlier than another takes away exactly
// what was its own. There is always a first stage.
func (p AccessPolicy) Stages(standings []Standing, plans Plans, now time.Time) []Stage {
	courses := make([]Course, len(standings))
	var turns []time.Time
	for i, s := range standings {
		courses[i] = p.Course(s)
		for _, step := range courses[i] {
			if step.From.After(now) {
				turns = append(turns, step.From)
			}
		}
	}
	slices.SortFunc(turns, time.Time.Compare)
	first, _ := combine(standings, courses, plans, now)
	stages := []Stage{first}
	for _, turn := range turns {
		next, _ := combine(standings, courses, plans, turn)
		if next.equal(stages[len(stages)-1]) {
			continue
		}
		next.From = At(turn)
		stages = append(stages, next)
	}
	return stages
}

func (s Stage) equal(o Stage) bool {
	return s.Level == o.Level && s.Reason == o.Reason && s.Plan == o.Plan && s.Status == o.Status && slices.Equal(s.GrantedBy, o.GrantedBy)
}

// Deciding is the index of the subscription whose level an organization has; -1
// without one.
func (p AccessPolicy) Deciding(standings []Standing, plans Plans, now time.Time) int {
	courses := make([]Course, len(standings))
	for i, s := range standings {
		courses[i] = p.Course(s)
	}
	_, best := combine(standings, courses, plans, now)
	return best
}

// combine is what all subscriptions together give at a moment, and which of
// them decides.
func combine(standings []Standing, courses []Course, plans Plans, now time.Time) (Stage, int) {
	out := Stage{Level: AccessNone, Reason: ReasonNoSubscription, GrantedBy: []string{}}
	best := -1
	for i, s := range standings {
		step := courses[i][courses[i].at(now)]
		if step.Level.Allows() {
			out.GrantedBy = append(out.GrantedBy, s.Plan)
		}
		if best < 0 || decides(s, step.Level, standings[best], out.Level, plans) {
			best = i
			out.Level, out.Reason, out.Plan, out.Status = step.Level, step.Reason, s.Plan, s.Facts.Status
		}
	}
	slices.Sort(out.GrantedBy)
	out.GrantedBy = slices.Compact(out.GrantedBy)
	return out, best
}

// decides reports whether a subscription says more of an organization than the
// best of those before it: it gives more, or is of a larger plan. Of those that
// give nothing, what is over says least and the newest most.
func decides(s Standing, level Level, best Standing, bestLevel Level, plans Plans) bool {
	mine, theirs := slices.Index(levels, level), slices.Index(levels, bestLevel)
	switch {
	case mine != theirs:
		return mine > theirs
	case level != AccessNone:
		return plans.Rank(s.Plan) > plans.Rank(best.Plan)
	default:
		return !s.Facts.Status.IsTerminal() || best.Facts.Status.IsTerminal()
	}
}

// ReadStages puts together what is kept of an answer: what holds already, what
// holds next, and the stages of later as JSON, the first of which is the next.
func ReadStages(first Stage, next Access, later []byte) ([]Stage, error) {
	stages := []Stage{first}
	if next.Until.IsZero() {
		return stages, nil
	}
	var rest []Stage
	if err := json.Unmarshal(later, &rest); err != nil {
		return nil, fmt.Errorf("read what an organization may do later: %w", err)
	}
	if len(rest) > 0 && rest[0].From == At(next.Until) {
		return append(stages, rest...), nil
	}
	then := first // kept before stages were
	then.From, then.Level, then.Reason = At(next.Until), next.Then, next.ThenReason
	if !then.Level.Allows() {
		then.GrantedBy = nil
	}
	return append(stages, then), nil
}

// Now is the entitlement at a moment by the stages that were worked out before
// it. Features and limits are those that the plans have today.
func Now(stages []Stage, plans Plans, now time.Time) Entitlement {
	i := 0
	for i+1 < len(stages) && !now.Before(stages[i+1].From.Time()) {
		i++
	}
	s := stages[i]
	out := Entitlement{
		Access: Access{Level: s.Level, Reason: s.Reason}, Plan: s.Plan, Status: s.Status, GrantedBy: s.GrantedBy,
		Features: []string{}, Limits: map[string]int64{},
	}
	if i+1 < len(stages) {
		next := stages[i+1]
		out.Until, out.Then, out.ThenReason = next.From.Time(), next.Level, next.Reason
	}
	for _, code := range s.GrantedBy {
		plan, _ := plans.ByCode(code) // one that is gone from the file has nothing
		out.Features = append(out.Features, plan.Features...)
		for limit, n := range plan.Limits {
			out.Limits[limit] = max(out.Limits[limit], n)
		}
	}
	slices.Sort(out.Features)
	out.Features = slices.Compact(out.Features)
	return out
}

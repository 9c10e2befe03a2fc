package billing_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/promptforge/payments/internal/billing"
)

// TestWhatIsKeptEqualsWhatIsComputedLater: for any subscriptions of an
// organization and any two moments, the stages kept at the first say at the
// second what computing everything again would.
func TestWhatIsKeptEqualsWhatIsComputedLater(t *testing.T) {
	plans, policy := billing.DefaultPlans(), billing.DefaultAccessPolicy()
	statuses := []billing.Status{
		billing.StatusIncomplete, billing.StatusIncompleteExpired, billing.StatusTrialing, billing.StatusActive,
		billing.StatusPastDue, billing.StatusUnpaid, billing.StatusCanceled, billing.StatusPaused, "hibernating",
	}
	hours := func(t *rapid.T, name string) time.Time {
		return noon.Add(time.Duration(rapid.IntRange(-40*24, 40*24).Draw(t, name)) * time.Hour)
	}
	maybe := func(t *rapid.T, name string) time.Time {
		if rapid.Bool().Draw(t, "has "+name) {
			return hours(t, name)
		}
		return time.Time{}
	}
	rapid.Check(t, func(t *rapid.T) {
		standings := make([]billing.Standing, rapid.IntRange(0, 4).Draw(t, "subscriptions"))
		for i := range standings {
			s := &standings[i]
			s.Facts.Status = rapid.SampledFrom(statuses).Draw(t, "status")
			s.Plan = rapid.SampledFrom([]string{"", "pilot", "pro", "enterprise", "gone"}).Draw(t, "plan")
			s.HasPaid = rapid.Bool().Draw(t, "has paid")
			s.AsOf = hours(t, "as of")
			s.PeriodEnd, s.NextAttemptAt = maybe(t, "period end"), maybe(t, "next attempt")
			s.PastDueSince, s.PausedPeriodEnd = hours(t, "past due since"), hours(t, "paused from")
			s.Facts.TrialEnd, s.Facts.EndsAt = billing.At(maybe(t, "trial end")), billing.At(maybe(t, "end"))
			if rapid.Bool().Draw(t, "pause") {
				s.Facts.Pause = &billing.Pause{
					Behavior:  rapid.SampledFrom([]string{"void", "keep_as_draft", "mark_uncollectible"}).Draw(t, "behavior"),
					ResumesAt: billing.At(maybe(t, "resumes")),
				}
			}
		}
		first := hours(t, "first")
		second := first.Add(time.Duration(rapid.IntRange(0, 90*24*60).Draw(t, "later")) * time.Minute)

		stages := policy.Stages(standings, plans, first)
		now := billing.Now(stages, plans, first)
		later, err := json.Marshal(stages[1:])
		if err != nil {
			t.Fatal(err)
		}
		kept, err := billing.ReadStages(stages[0], now.Access, later)
		if err != nil {
			t.Fatal(err)
		}
		got, want := billing.Now(kept, plans, second), policy.Entitle(standings, plans, second)
		if got.Access != want.Access || got.Plan != want.Plan || got.Status != want.Status ||
			!slices.Equal(got.GrantedBy, want.GrantedBy) || !slices.Equal(got.Features, want.Features) || !maps.Equal(got.Limits, want.Limits) {
			t.Fatalf("at %s kept says\n%+v, computed\n%+v", second, got, want)
		}
		checkStages(t, stages, standings)
	})
}

// checkStages holds stages to what is true of them whatever they come from.
func checkStages(t *rapid.T, stages []billing.Stage, standings []billing.Standing) {
	for i, s := range stages {
		if i > 0 && (s.From <= stages[i-1].From || reflect.DeepEqual(without(s), without(stages[i-1]))) {
			t.Fatalf("stages %+v do not ascend, or one repeats another", stages)
		}
		if s.Level.Allows() != (len(s.GrantedBy) > 0) {
			t.Fatalf("%+v: a level that lets features be used comes with plans, and no other", s)
		}
	}
	last := stages[len(stages)-1]
	knowsEnd := !slices.ContainsFunc(standings, func(s billing.Standing) bool {
		return s.PeriodEnd.IsZero() && s.Facts.EndsAt == 0 && (s.Facts.Status == billing.StatusActive || s.Facts.Status == billing.StatusTrialing)
	})
	if last.Level.Allows() && knowsEnd {
		t.Fatalf("%+v lasts for ever, though nothing is heard", last)
	}
}

func without(s billing.Stage) billing.Stage {
	s.From = 0
	if s.GrantedBy == nil {
		s.GrantedBy = []string{}
	}
	return s
}

package billing_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/promptforge/payments/internal/billing"
)

var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// standing is a subscription of a known plan, asked about at noon.
func standing(status billing.Status, changes ...func(*billing.Standing)) billing.Standing {
	s := billing.Standing{Facts: billing.Facts{Status: status}, Plan: "pro", AsOf: noon}
	for _, change := range changes {
		change(&s)
	}
	return s
}

func renewing(in time.Duration) func(*billing.Standing) {
	return func(s *billing.Standing) { s.PeriodEnd = noon.Add(in) }
}

func ending(in time.Duration) func(*billing.Standing) {
	return func(s *billing.Standing) { s.Facts.EndsAt = billing.At(noon.Add(in)) }
}

func trial(in time.Duration) func(*billing.Standing) {
	return func(s *billing.Standing) { s.Facts.TrialEnd = billing.At(noon.Add(in)) }
}

// paused is collected no more once the period has ended in which it began.
func paused(behavior string, bites, resumes time.Duration) func(*billing.Standing) {
	return func(s *billing.Standing) {
		s.PausedPeriodEnd = noon.Add(bites)
		s.Facts.Pause = &billing.Pause{Behavior: behavior, PeriodEnd: billing.At(s.PausedPeriodEnd)}
		if resumes != 0 {
			s.Facts.Pause.ResumesAt = billing.At(noon.Add(resumes))
		}
	}
}

func failing(ago time.Duration, hasPaid bool) func(*billing.Standing) {
	return func(s *billing.Standing) { s.PastDueSince, s.HasPaid = noon.Add(-ago), hasPaid }
}

func retried(in time.Duration) func(*billing.Standing) {
	return func(s *billing.Standing) { s.NextAttemptAt = noon.Add(in) }
}

func asked(ago time.Duration) func(*billing.Standing) {
	return func(s *billing.Standing) { s.AsOf = noon.Add(-ago) }
}

func TestAccessFollowsTheTable(t *testing.T) {
	const full, grace, readOnly, none = billing.AccessFull, billing.AccessGrace, billing.AccessReadOnly, billing.AccessNone
	type step struct {
		in     time.Duration // from noon; 0: already
		level  billing.Level
		reason string
	}
	for name, tt := range map[string]struct {
		standing billing.Standing
		want     []step
	}{
		"a trial is full until a week past its end": {
			standing(billing.StatusTrialing, trial(day), renewing(day)),
			[]step{{0, full, "trialing"}, {8 * day, readOnly, "not_confirmed"}},
		},
		"a trial that will be canceled is asked about when it ends": {
			standing(billing.StatusTrialing, trial(9*day), ending(2*day)),
			[]step{{0, full, "trialing"}, {9 * day, readOnly, "not_confirmed"}},
		},
		"a trial whose payments are paused is a trial": {
			standing(billing.StatusTrialing, trial(day), paused("void", day, 0)),
			[]step{{0, full, "trialing"}, {8 * day, readOnly, "not_confirmed"}},
		},
		"a trial nobody could ask about for a week is read-only": {
			standing(billing.StatusTrialing, trial(-7*day), asked(8*day)), []step{{0, readOnly, "not_confirmed"}},
		},
		"a trial that Stripe still calls one past its end is believed": {
			standing(billing.StatusTrialing, trial(-9*day)),
			[]step{{0, full, "trialing"}, {7 * day, readOnly, "not_confirmed"}},
		},
		"active is full until a week past its period": {
			standing(billing.StatusActive, renewing(20*day)),
			[]step{{0, full, "active"}, {27 * day, readOnly, "not_confirmed"}},
		},
		"active without a period that anybody knows has no end": {standing(billing.StatusActive), []step{{0, full, "active"}}},
		"active while nobody could ask for six days is full": {
			standing(billing.StatusActive, renewing(-6*day), asked(30*day)),
			[]step{{0, full, "active"}, {day, readOnly, "not_confirmed"}},
		},
		"active while nobody could ask for a week is read-only": {
			standing(billing.StatusActive, renewing(-7*day), asked(30*day)), []step{{0, readOnly, "not_confirmed"}},
		},
		"active with the end scheduled is full until a week past it": {
			standing(billing.StatusActive, renewing(20*day), ending(5*day)),
			[]step{{0, full, "active"}, {12 * day, readOnly, "not_confirmed"}},
		},
		"active with an end in years follows the period": {
			standing(billing.StatusActive, renewing(20*day), ending(900*day)),
			[]step{{0, full, "active"}, {27 * day, readOnly, "not_confirmed"}},
		},
		"a void pause is full until the paid period ends": {
			standing(billing.StatusActive, renewing(day), paused("void", day, 0)),
			[]step{{0, full, "active"}, {day, readOnly, "collection_paused"}},
		},
		"a void pause is read-only from that instant": {
			standing(billing.StatusActive, renewing(30*day), paused("void", 0, 0)), []step{{0, readOnly, "collection_paused"}},
		},
		"a void pause ends on its day without anybody asking": {
			standing(billing.StatusActive, renewing(30*day), paused("void", day, 3*day)),
			[]step{{0, full, "active"}, {day, readOnly, "collection_paused"}, {3 * day, full, "active"}, {10 * day, readOnly, "not_confirmed"}},
		},
		"a void pause that ends within the paid period takes nothing": {
			standing(billing.StatusActive, renewing(3*day), paused("void", 3*day, day)),
			[]step{{0, full, "active"}, {10 * day, readOnly, "not_confirmed"}},
		},
		"a void pause that should have ended and has not goes on": {
			standing(billing.StatusActive, renewing(30*day), paused("void", -9*day, -day)), []step{{0, readOnly, "collection_paused"}},
		},
		"a void pause does not outlive the subscription": {
			standing(billing.StatusActive, renewing(30*day), paused("void", -day, 9*day), ending(5*day)), []step{{0, readOnly, "collection_paused"}},
		},
		"a pause that keeps drafts is full": {
			standing(billing.StatusActive, renewing(day), paused("keep_as_draft", -day, 0)),
			[]step{{0, full, "active"}, {8 * day, readOnly, "not_confirmed"}},
		},
		"a pause that marks uncollectible is full": {
			standing(billing.StatusActive, renewing(day), paused("mark_uncollectible", -day, 3*day)),
			[]step{{0, full, "active"}, {8 * day, readOnly, "not_confirmed"}},
		},
		"past due after paying has fourteen days": {
			standing(billing.StatusPastDue, renewing(17*day), failing(13*day, true)),
			[]step{{0, grace, "payment_failed"}, {day, readOnly, "grace_over"}},
		},
		"past due after paying is over after fourteen days": {
			standing(billing.StatusPastDue, failing(14*day, true)), []step{{0, readOnly, "grace_over"}},
		},
		"grace lasts while Stripe still tries, and a day to hear how it went": {
			standing(billing.StatusPastDue, failing(20*day, true), retried(2*day)),
			[]step{{0, grace, "payment_failed"}, {3 * day, readOnly, "grace_over"}},
		},
		"an attempt within the fourteen days does not shorten them": {
			standing(billing.StatusPastDue, failing(day, true), retried(2*day)),
			[]step{{0, grace, "payment_failed"}, {13 * day, readOnly, "grace_over"}},
		},
		"past due without ever paying has three days, however often Stripe tries": {
			standing(billing.StatusPastDue, failing(2*day, false), retried(9*day)),
			[]step{{0, grace, "payment_failed"}, {day, readOnly, "grace_over"}},
		},
		"past due of which nothing is collected any more is read-only from that instant": {
			standing(billing.StatusPastDue, failing(2*day, true), paused("void", 3*day, 0)),
			[]step{{0, grace, "payment_failed"}, {3 * day, readOnly, "collection_paused"}},
		},
		"grace is over though more would be collected": {
			standing(billing.StatusPastDue, failing(2*day, true), paused("void", 20*day, 0)),
			[]step{{0, grace, "payment_failed"}, {12 * day, readOnly, "grace_over"}},
		},
		"unpaid is read-only":                {standing(billing.StatusUnpaid, renewing(day)), []step{{0, readOnly, "unpaid"}}},
		"paused is read-only":                {standing(billing.StatusPaused, renewing(day)), []step{{0, readOnly, "paused"}}},
		"incomplete gives nothing":           {standing(billing.StatusIncomplete), []step{{0, none, "payment_incomplete"}}},
		"incomplete expired gives nothing":   {standing(billing.StatusIncompleteExpired), []step{{0, none, "payment_incomplete"}}},
		"canceled gives nothing":             {standing(billing.StatusCanceled, renewing(9*day)), []step{{0, none, "canceled"}}},
		"a status of tomorrow gives nothing": {standing("hibernating"), []step{{0, none, "unknown_status"}}},
		"a price that never meant a plan gives nothing": {
			standing(billing.StatusActive, func(s *billing.Standing) { s.Plan = "" }), []step{{0, none, "unknown_price"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			course := billing.DefaultAccessPolicy().Course(tt.standing)
			for i, want := range tt.want {
				got := course.At(noon.Add(want.in))
				if got.Level != want.level || got.Reason != want.reason {
					t.Errorf("in %s: %s because %s, want %s because %s", want.in, got.Level, got.Reason, want.level, want.reason)
				}
				var until time.Time
				if i+1 < len(tt.want) {
					until = noon.Add(tt.want[i+1].in)
					if got.Then != tt.want[i+1].level || got.ThenReason != tt.want[i+1].reason {
						t.Errorf("in %s: then %s because %s", want.in, got.Then, got.ThenReason)
					}
					if before := course.At(until.Add(-time.Second)); before != got {
						t.Errorf("a second before %s: %+v, want still %+v", until, before, got)
					}
				}
				if !got.Until.Equal(until) {
					t.Errorf("in %s: until %s, want %s", want.in, got.Until, until)
				}
			}
		})
	}
}

func TestOnlyAnEndThatIsKnownToComeIsTold(t *testing.T) {
	at := func(level billing.Level, then billing.Level, why string) billing.Access {
		return billing.Access{Level: level, Until: noon, Then: then, ThenReason: why}
	}
	for name, tt := range map[string]struct {
		access billing.Access
		want   time.Time
	}{
		"grace ends":                        {at(billing.AccessGrace, billing.AccessReadOnly, "grace_over"), noon},
		"a renewal that nobody may confirm": {at(billing.AccessFull, billing.AccessReadOnly, "not_confirmed"), time.Time{}},
		"a pause ends":                      {at(billing.AccessReadOnly, billing.AccessFull, "active"), time.Time{}},
		"another plan goes":                 {at(billing.AccessFull, billing.AccessFull, "active"), time.Time{}},
		"nothing changes":                   {billing.Access{Level: billing.AccessFull}, time.Time{}},
	} {
		if got := tt.access.Ends(); !got.Equal(tt.want) {
			t.Errorf("%s: ends %s, want %s", name, got, tt.want)
		}
	}
}

func of(plan string, s billing.Standing) billing.Standing {
	s.Plan = plan
	return s
}

func TestEntitleTakesTheBestFeatureByFeature(t *testing.T) {
	got := billing.DefaultAccessPolicy().Entitle([]billing.Standing{
		of("enterprise", standing(billing.StatusUnpaid)),
		of("pro", standing(billing.StatusActive)),
		of("pilot", standing(billing.StatusActive)),
	}, billing.DefaultPlans(), noon)
	if got.Plan != "pro" || got.Level != billing.AccessFull || got.Status != billing.StatusActive || !slices.Equal(got.GrantedBy, []string{"pilot", "pro"}) {
		t.Errorf("entitlement = %+v, want full access by pro", got)
	}
	if want := map[string]int64{"members": 10, "prompts": 20000}; !maps.Equal(got.Limits, want) {
		t.Errorf("limits = %v, want %v: what is unpaid adds nothing", got.Limits, want)
	}
	if slices.Contains(got.Features, "audit_export") || !slices.Contains(got.Features, "api") {
		t.Errorf("features = %v", got.Features)
	}
}

// TestWhatEachSubscriptionGivesEndsWithIt: the answer stays right at every later
// moment, though nothing is computed again.
func TestWhatEachSubscriptionGivesEndsWithIt(t *testing.T) {
	plans := billing.DefaultPlans()
	standings := []billing.Standing{
		of("enterprise", standing(billing.StatusPastDue, failing(12*day, true))), // two days left
		of("pro", standing(billing.StatusTrialing, trial(3*day))),                // and seven
		of("pilot", standing(billing.StatusActive, renewing(30*day), paused("void", 5*day, 0))),
	}
	stages := billing.DefaultAccessPolicy().Stages(standings, plans, noon)
	for _, tt := range []struct {
		in      time.Duration
		level   billing.Level
		reason  string
		plan    string
		members int64
		by      []string
		until   time.Duration
	}{
		{0, billing.AccessFull, "trialing", "pro", 100, []string{"enterprise", "pilot", "pro"}, 2 * day},
		{2 * day, billing.AccessFull, "trialing", "pro", 10, []string{"pilot", "pro"}, 5 * day},
		{5 * day, billing.AccessFull, "trialing", "pro", 10, []string{"pro"}, 10 * day},
		{10 * day, billing.AccessReadOnly, "grace_over", "enterprise", 0, nil, 0},
	} {
		got := billing.Now(stages, plans, noon.Add(tt.in))
		if got.Level != tt.level || got.Reason != tt.reason || got.Plan != tt.plan || got.Limits["members"] != tt.members || !slices.Equal(got.GrantedBy, tt.by) {
			t.Errorf("in %s: %+v, want %+v", tt.in, got, tt)
		}
		if want := noon.Add(tt.until); tt.until != 0 && !got.Until.Equal(want) || tt.until == 0 && !got.Until.IsZero() {
			t.Errorf("in %s: until %s, want %s", tt.in, got.Until, want)
		}
		fresh := billing.DefaultAccessPolicy().Entitle(standings, plans, noon.Add(tt.in))
		if fresh.Access != got.Access || !maps.Equal(fresh.Limits, got.Limits) || !slices.Equal(fresh.Features, got.Features) {
			t.Errorf("in %s: computed again it is %+v, kept it was %+v", tt.in, fresh, got)
		}
	}
}

func TestWhatIsKeptIsReadAgain(t *testing.T) {
	plans := billing.DefaultPlans()
	stages := billing.DefaultAccessPolicy().Stages([]billing.Standing{
		of("pro", standing(billing.StatusActive, renewing(30*day), paused("void", day, 3*day))),
	}, plans, noon)
	now := billing.Now(stages, plans, noon)
	later, err := json.Marshal(stages[1:])
	if err != nil {
		t.Fatal(err)
	}
	again, err := billing.ReadStages(stages[0], now.Access, later)
	if err != nil || len(again) != 4 {
		t.Fatalf("read %+v, %v, want four stages", again, err)
	}
	for _, in := range []time.Duration{0, day - time.Second, day, 3 * day, 11 * day} {
		want, got := billing.Now(stages, plans, noon.Add(in)), billing.Now(again, plans, noon.Add(in))
		if want.Access != got.Access || !slices.Equal(want.Features, got.Features) {
			t.Errorf("in %s: %+v, want %+v", in, got, want)
		}
	}
	// A row of before there were stages knows one change.
	old, err := billing.ReadStages(stages[0], now.Access, []byte("[]"))
	if got := billing.Now(old, plans, noon.Add(day)); err != nil || got.Level != billing.AccessReadOnly || len(got.Features) > 0 {
		t.Errorf("by the columns alone: %+v, %v", got, err)
	}
	if _, err := billing.ReadStages(stages[0], now.Access, []byte("{")); err == nil {
		t.Error("what is no JSON is read")
	}
}

func TestOfWhatGivesNothingTheNewestThatGoesOnIsTold(t *testing.T) {
	got := billing.DefaultAccessPolicy().Entitle([]billing.Standing{
		of("enterprise", standing(billing.StatusCanceled)),
		of("pilot", standing(billing.StatusIncomplete)),
		of("pro", standing(billing.StatusIncompleteExpired)),
	}, billing.DefaultPlans(), noon)
	if got.Level != billing.AccessNone || got.Plan != "pilot" || got.Reason != "payment_incomplete" {
		t.Errorf("entitlement = %+v, want the checkout that can still be finished", got)
	}
	got = billing.DefaultAccessPolicy().Entitle([]billing.Standing{
		of("enterprise", standing(billing.StatusCanceled)), of("pilot", standing(billing.StatusCanceled)),
	}, billing.DefaultPlans(), noon)
	if got.Plan != "pilot" || got.Reason != "canceled" {
		t.Errorf("entitlement = %+v, want the plan that ended last", got)
	}
}

func TestReadOnlyShowsThePlan(t *testing.T) {
	got := billing.DefaultAccessPolicy().Entitle([]billing.Standing{
		of("pilot", standing(billing.StatusCanceled)), of("pro", standing(billing.StatusUnpaid)),
	}, billing.DefaultPlans(), noon)
	if got.Plan != "pro" || got.Status != billing.StatusUnpaid || len(got.Features) > 0 || len(got.Limits) > 0 {
		t.Errorf("entitlement = %+v, want to read what pro has", got)
	}
}

func TestEntitleWithoutASubscriptionSaysNone(t *testing.T) {
	got := billing.DefaultAccessPolicy().Entitle(nil, billing.DefaultPlans(), noon)
	if got.Level != billing.AccessNone || got.Reason != "no_subscription" || got.Features == nil || got.Limits == nil {
		t.Errorf("entitlement = %+v", got)
	}
}

func TestTiersCost(t *testing.T) {
	tiers := []billing.Tier{{UpTo: 10, UnitMicro: 100}, {UpTo: 20, UnitMicro: 80, FlatMicro: 5}, {UnitMicro: 50}}
	for _, tt := range []struct {
		mode     string
		quantity int64
		want     int64
	}{
		{"", 3, 21},
		{"volume", 10, 1000},
		{"volume", 11, 885},
		{"volume", 30, 1500},
		{"graduated", 10, 1000},
		{"graduated", 15, 1000 + 400 + 5},
		{"graduated", 25, 1000 + 800 + 5 + 250},
	} {
		a := billing.PriceAmount{UnitMicro: 7, TiersMode: tt.mode, Tiers: tiers}
		if got := a.Micro(tt.quantity); got != tt.want {
			t.Errorf("%s cost of %d = %d, want %d", tt.mode, tt.quantity, got, tt.want)
		}
	}
}

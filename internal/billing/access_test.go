package billing_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/promptforge/payments/internal/billing"
)

var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func TestAccessFollowsTheTable(t *testing.T) {
	at := billing.At
	facts := func(s billing.Status) billing.Facts { return billing.Facts{Status: s} }
	paused := func(behavior string) billing.Facts {
		return billing.Facts{Status: billing.StatusActive, Pause: &billing.Pause{Behavior: behavior}}
	}
	for name, tt := range map[string]struct {
		standing billing.Standing
		level    billing.Level
		until    time.Time
		then     billing.Level
	}{
		"a trial is full until a week past its end": {
			billing.Standing{Facts: billing.Facts{Status: billing.StatusTrialing, TrialEnd: at(noon.Add(day))}},
			billing.AccessFull, noon.Add(8 * day), billing.AccessNone,
		},
		"a trial nobody could ask about ends after a week": {
			billing.Standing{Facts: billing.Facts{Status: billing.StatusTrialing, TrialEnd: at(noon.Add(-7 * day))}},
			billing.AccessNone,
			time.Time{},
			"",
		},
		"active is full": {billing.Standing{Facts: facts(billing.StatusActive)}, billing.AccessFull, time.Time{}, ""},
		"active with the end scheduled is full": {
			billing.Standing{Facts: billing.Facts{Status: billing.StatusActive, EndsAt: at(noon.Add(day))}},
			billing.AccessFull,
			time.Time{},
			"",
		},
		"a void pause is full until the paid period ends": {
			billing.Standing{Facts: paused("void"), PausedPeriodEnd: noon.Add(day)},
			billing.AccessFull, noon.Add(day), billing.AccessReadOnly,
		},
		"a void pause is read-only from that instant": {
			billing.Standing{Facts: paused("void"), PausedPeriodEnd: noon}, billing.AccessReadOnly, time.Time{}, "",
		},
		"a pause that keeps drafts is full": {
			billing.Standing{Facts: paused("keep_as_draft"), PausedPeriodEnd: noon.Add(-day)}, billing.AccessFull, time.Time{}, "",
		},
		"a pause that marks uncollectible is full": {
			billing.Standing{Facts: paused("mark_uncollectible"), PausedPeriodEnd: noon.Add(-day)}, billing.AccessFull, time.Time{}, "",
		},
		"past due after paying has fourteen days": {
			billing.Standing{Facts: facts(billing.StatusPastDue), HasPaid: true, PastDueSince: noon.Add(-13 * day)},
			billing.AccessGrace, noon.Add(day), billing.AccessReadOnly,
		},
		"past due after paying is over after fourteen days": {
			billing.Standing{Facts: facts(billing.StatusPastDue), HasPaid: true, PastDueSince: noon.Add(-14 * day)},
			billing.AccessReadOnly,
			time.Time{},
			"",
		},
		"grace lasts while Stripe still tries": {
			billing.Standing{
				Facts: facts(billing.StatusPastDue), HasPaid: true,
				PastDueSince: noon.Add(-20 * day), NextAttemptAt: noon.Add(2 * day),
			},
			billing.AccessGrace, noon.Add(2 * day), billing.AccessReadOnly,
		},
		"past due without ever paying has three days": {
			billing.Standing{Facts: facts(billing.StatusPastDue), PastDueSince: noon.Add(-2 * day), NextAttemptAt: noon.Add(9 * day)},
			billing.AccessGrace, noon.Add(day), billing.AccessReadOnly,
		},
		"unpaid is read-only":                {billing.Standing{Facts: facts(billing.StatusUnpaid)}, billing.AccessReadOnly, time.Time{}, ""},
		"paused is read-only":                {billing.Standing{Facts: facts(billing.StatusPaused)}, billing.AccessReadOnly, time.Time{}, ""},
		"incomplete gives nothing":           {billing.Standing{Facts: facts(billing.StatusIncomplete)}, billing.AccessNone, time.Time{}, ""},
		"incomplete expired gives nothing":   {billing.Standing{Facts: facts(billing.StatusIncompleteExpired)}, billing.AccessNone, time.Time{}, ""},
		"canceled gives nothing":             {billing.Standing{Facts: facts(billing.StatusCanceled)}, billing.AccessNone, time.Time{}, ""},
		"a status of tomorrow gives nothing": {billing.Standing{Facts: facts("hibernating")}, billing.AccessNone, time.Time{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := billing.DefaultAccessPolicy().Of(tt.standing, noon)
			if got.Level != tt.level || !got.Until.Equal(tt.until) || got.Then != tt.then {
				t.Errorf("access = %+v, want %s until %v then %q", got, tt.level, tt.until, tt.then)
			}
			if got.Reason == "" {
				t.Error("the answer gives no reason")
			}
		})
	}
}

func TestAccessChangesByItself(t *testing.T) {
	grace := billing.Access{Level: billing.AccessGrace, Reason: "payment_failed", Until: noon, Then: billing.AccessReadOnly, ThenReason: "grace_over"}
	if got := grace.At(noon.Add(-time.Second)); got != grace {
		t.Errorf("before its end %+v", got)
	}
	if got := grace.At(noon); got != (billing.Access{Level: billing.AccessReadOnly, Reason: "grace_over"}) {
		t.Errorf("at its end %+v", got)
	}
	full := billing.Access{Level: billing.AccessFull, Reason: "active"}
	if got := full.At(noon.AddDate(9, 0, 0)); got != full {
		t.Errorf("without an end %+v", got)
	}
}

func TestEntitleTakesTheBestFeatureByFeature(t *testing.T) {
	plans := billing.DefaultPlans()
	active := billing.Facts{Status: billing.StatusActive}
	got := billing.DefaultAccessPolicy().Entitle([]billing.Standing{
		{Facts: billing.Facts{Status: billing.StatusUnpaid}, Plan: "enterprise"},
		{Facts: active, Plan: "pro"},
		{Facts: active, Plan: "pilot"},
	}, plans, noon)
	if got.Plan != "pro" || got.Level != billing.AccessFull || got.Status != billing.StatusActive {
		t.Errorf("entitlement = %+v, want full access by pro", got)
	}
	if want := map[string]int64{"members": 10, "prompts": 20000}; !maps.Equal(got.Limits, want) {
		t.Errorf("limits = %v, want %v: what is unpaid adds nothing", got.Limits, want)
	}
	if slices.Contains(got.Features, "audit_export") || !slices.Contains(got.Features, "api") {
		t.Errorf("features = %v", got.Features)
	}
}

func TestEntitleWithoutASubscriptionSaysNone(t *testing.T) {
	got := billing.DefaultAccessPolicy().Entitle(nil, billing.DefaultPlans(), noon)
	if got.Level != billing.AccessNone || got.Reason != "no_subscription" || got.Features == nil || got.Limits == nil {
		t.Errorf("entitlement = %+v", got)
	}
}

func TestEntitleGivesNothingForAnUnknownPrice(t *testing.T) {
	got := billing.DefaultAccessPolicy().Entitle(
		[]billing.Standing{{Facts: billing.Facts{Status: billing.StatusActive}}}, billing.DefaultPlans(), noon)
	if got.Level != billing.AccessNone || got.Reason != "unknown_price" {
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

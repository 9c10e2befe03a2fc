package analytics_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/promptforge/payments/internal/analytics"
)

// funnelNoon is a moment that days are counted from.
var funnelNoon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

func afterDays(days float64) time.Time {
	return funnelNoon.Add(time.Duration(days * 24 * float64(time.Hour))).Truncate(time.Second)
}

// came is a checkout that began after so many days and came on, a number a step:
// completed, activated, paid.
func came(id, plan string, trial int, days ...float64) analytics.FunnelCheckout {
	c := analytics.FunnelCheckout{ID: id, Plan: plan, Customer: "org:" + id, TrialDays: trial, StartedAt: afterDays(days[0])}
	for i, at := range []*time.Time{&c.CompletedAt, &c.ActivatedAt, &c.PaidAt} {
		if i+1 < len(days) {
			*at = afterDays(days[i+1])
		}
	}
	return c
}

func TestWaysThroughTheFunnel(t *testing.T) {
	t.Parallel()
	const hour = 1.0 / 24
	type way struct {
		Day     int
		Bucket  analytics.FunnelBucket
		Plan    string
		Reached analytics.FunnelStep
		Settled int // the day, counted from the first
	}
	for _, tt := range []struct {
		name      string
		views     []float64
		checkouts []analytics.FunnelCheckout
		want      []way
	}{
		{"who only looks is settled when the week for a checkout is over", []float64{0}, nil, []way{{0, "viewed", "", analytics.FunnelViewed, 8}}},
		{"who looks again within thirty days entered once", []float64{0, 1, 29.9}, nil, []way{{0, "viewed", "", analytics.FunnelViewed, 8}}},
		{
			"after thirty days it is another way, however often somebody looks",
			[]float64{0, 20, 30, 45},
			nil,
			[]way{{0, "viewed", "", analytics.FunnelViewed, 8}, {30, "viewed", "", analytics.FunnelViewed, 38}},
		},
		{
			"bought at once and paid",
			[]float64{0},
			[]analytics.FunnelCheckout{came("a", "pro", 0, hour, 2*hour, 2*hour, 2*hour)},
			[]way{{0, "viewed", "pro", analytics.FunnelPaid, 0}},
		},
		{
			"what Stripe dates some seconds before the end of the checkout is of that moment",
			[]float64{0},
			[]analytics.FunnelCheckout{came("a", "pro", 0, hour, 2*hour, 1.99*hour, 1.98*hour)},
			[]way{{0, "viewed", "pro", analytics.FunnelPaid, 0}},
		},
		{
			"a trial is paid for up to fourteen days after its end",
			[]float64{0},
			[]analytics.FunnelCheckout{came("a", "pilot", 14, 1, 1, 1, 29)},
			[]way{{0, "viewed", "pilot", analytics.FunnelPaid, 29}},
		},
		{
			"and not later",
			[]float64{0},
			[]analytics.FunnelCheckout{came("a", "pilot", 14, 1, 1, 1, 29.01)},
			[]way{{0, "viewed", "pilot", analytics.FunnelActivated, 30}},
		},
		{
			"a checkout that is completed on the seventh day counts",
			[]float64{0},
			[]analytics.FunnelCheckout{came("a", "pro", 0, 6, 7, 7, 7)},
			[]way{{0, "viewed", "pro", analytics.FunnelPaid, 7}},
		},
		{
			"one that is completed later was only started",
			[]float64{0},
			[]analytics.FunnelCheckout{came("a", "pro", 0, 6, 7.01, 7.01, 7.01)},
			[]way{{0, "viewed", "pro", analytics.FunnelStarted, 8}},
		},
		{
			"one that begins later is no step, and no direct one either",
			[]float64{0},
			[]analytics.FunnelCheckout{came("a", "pro", 0, 8, 8, 8, 8)},
			[]way{{0, "viewed", "", analytics.FunnelViewed, 8}},
		},
		{
			"two checkouts count once, for what came furthest",
			[]float64{0},
			[]analytics.FunnelCheckout{came("a", "enterprise", 0, 1), came("b", "pro", 0, 2, 2, 2, 2)},
			[]way{{0, "viewed", "pro", analytics.FunnelPaid, 2}},
		},
		{
			"no look before it is direct", nil,
			[]analytics.FunnelCheckout{came("a", "pro", 0, 0, 0, 0, 0)},
			[]way{{0, "direct", "pro", analytics.FunnelPaid, 0}},
		},
		{
			"a look more than thirty days before is none",
			[]float64{-31},
			[]analytics.FunnelCheckout{came("a", "pro", 0, 0, 0, 0, 0)},
			[]way{{-31, "viewed", "", analytics.FunnelViewed, -23}, {0, "direct", "pro", analytics.FunnelPaid, 0}},
		},
		{
			"who began directly, then looked, and bought is both",
			[]float64{1},
			[]analytics.FunnelCheckout{came("a", "pro", 0, 0), came("b", "pilot", 0, 2, 2, 2, 2)},
			[]way{{0, "direct", "pro", analytics.FunnelStarted, 8}, {1, "viewed", "pilot", analytics.FunnelPaid, 2}},
		},
		{
			"a look in the second in which the checkout begins comes before it",
			[]float64{0},
			[]analytics.FunnelCheckout{came("a", "pro", 0, 0)},
			[]way{{0, "viewed", "pro", analytics.FunnelStarted, 8}},
		},
		{
			"activated without a completed checkout is not",
			[]float64{0},
			[]analytics.FunnelCheckout{{ID: "a", Plan: "pro", StartedAt: afterDays(1), ActivatedAt: afterDays(1), PaidAt: afterDays(1)}},
			[]way{{0, "viewed", "pro", analytics.FunnelStarted, 8}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var views []time.Time
			for _, days := range tt.views {
				views = append(views, afterDays(days))
			}
			first := analytics.DayOf(funnelNoon, time.UTC)
			dayOf := func(day time.Time) int { return int(day.Sub(first) / (24 * time.Hour)) }
			var got []way
			for _, u := range analytics.FunnelUnits(views, tt.checkouts, time.UTC) {
				got = append(got, way{dayOf(u.Day), u.Bucket, u.Plan, u.Reached, dayOf(u.SettledOn)})
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestADayOfTheFunnelIsOneOfTheZone(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("far east", 13*60*60)
	u := analytics.FunnelUnits([]time.Time{funnelNoon}, nil, zone)[0]
	if want := time.Date(2026, 3, 11, 0, 0, 0, 0, time.UTC); !u.Day.Equal(want) {
		t.Errorf("entered on %s, want %s", u.Day, want)
	}
}

// TestTheWorkedExampleOfTheFunnel is G38: of twelve, ten and nine.
func TestTheWorkedExampleOfTheFunnel(t *testing.T) {
	t.Parallel()
	f := analytics.Funnel{Prices: analytics.FunnelCounts{12, 10, 9, 8, 7}}
	for of, want := range map[[2]analytics.FunnelStep]float64{
		{analytics.FunnelStarted, analytics.FunnelViewed}:   0.8333,
		{analytics.FunnelCompleted, analytics.FunnelViewed}: 0.75,
	} {
		if got := f.Share(of[0], of[1]); math.Abs(got.Float()-want) > 0.00005 {
			t.Errorf("step %d of step %d is %v, want %v", of[0], of[1], got.Float(), want)
		}
	}
	point := analytics.Sum([]analytics.Point{{Funnel: &f}, {}, {Funnel: &f}})
	if m, _ := analytics.MetricByKey("checkoutStartRate"); math.Abs(m.Of(point).Float()-0.8333) > 0.00005 {
		t.Errorf("twice as many have another rate: %v", m.Of(point).Float())
	}
	if v := (analytics.Funnel{}).Share(analytics.FunnelPaid, analytics.FunnelViewed); v.Defined() {
		t.Error("nobody has a rate")
	}
	f.PendingPayments = 1
	if f.Share(analytics.FunnelPaid, analytics.FunnelActivated).Note != "provisional" || f.Share(analytics.FunnelStarted, analytics.FunnelViewed).Note != "" {
		t.Error("a trial under way makes the wrong rates provisional")
	}
	f.IsOfPlan = true
	if f.Share(analytics.FunnelStarted, analytics.FunnelViewed).Defined() {
		t.Error("a plan has a rate of views")
	}
}

// TestWaysDoNotDependOnTheOrderOfArrival, are never counted twice, and reach no
// step before the one before it.
func TestWaysDoNotDependOnTheOrderOfArrival(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		moment := rapid.Custom(func(t *rapid.T) time.Time {
			return funnelNoon.Add(time.Duration(rapid.IntRange(0, 90*24*60).Draw(t, "minutes")) * time.Minute)
		})
		views := rapid.SliceOfN(moment, 0, 12).Draw(t, "views")
		var checkouts []analytics.FunnelCheckout
		for i := range rapid.IntRange(0, 6).Draw(t, "checkouts") {
			c := analytics.FunnelCheckout{
				ID: string(rune('a' + i)), Plan: rapid.SampledFrom([]string{"pilot", "pro"}).Draw(t, "plan"), StartedAt: moment.Draw(t, "started"),
				TrialDays: rapid.SampledFrom([]int{0, 14}).Draw(t, "trial"),
			}
			at := c.StartedAt
			for _, step := range []*time.Time{&c.CompletedAt, &c.ActivatedAt, &c.PaidAt} {
				if at = at.Add(time.Duration(rapid.IntRange(-10, 20*24*60).Draw(t, "wait")) * time.Minute); rapid.Bool().Draw(t, "happened") {
					*step = at
				}
			}
			checkouts = append(checkouts, c)
		}
		want := analytics.FunnelUnits(views, checkouts, time.UTC)
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		random.Shuffle(len(views), func(i, j int) { views[i], views[j] = views[j], views[i] })
		random.Shuffle(len(checkouts), func(i, j int) { checkouts[i], checkouts[j] = checkouts[j], checkouts[i] })
		// A look that is heard twice is the same one.
		got := analytics.FunnelUnits(append(views, views...), checkouts, time.UTC)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("in another order:\n%s", diff)
		}
		started := 0
		for i, u := range got {
			for step := analytics.FunnelStarted; step <= u.Reached; step++ {
				if u.After[step] < u.After[step-1] {
					t.Fatalf("step %d is reached before the one before it: %v", step, u.After)
				}
			}
			if u.Reached >= analytics.FunnelStarted {
				started++
			}
			if u.Reached >= analytics.FunnelCompleted && u.After[analytics.FunnelCompleted] > int64(analytics.FunnelToCompleted/time.Second) {
				t.Fatalf("completed after %d seconds", u.After[analytics.FunnelCompleted])
			}
			if i > 0 && u.Bucket == got[i-1].Bucket && u.EnteredAt.Before(got[i-1].EnteredAt.Add(analytics.FunnelEntry)) {
				t.Fatalf("entered at %s and again at %s", got[i-1].EnteredAt, u.EnteredAt)
			}
		}
		if started > len(checkouts) {
			t.Fatalf("%d checkouts are %d ways that started one", len(checkouts), started)
		}
	})
}

// TestAMedianIsRightWithinATwentieth: whatever the durations.
func TestAMedianIsRightWithinATwentieth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		took := rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(0, 100), rapid.Int64Range(0, 40*24*60*60)), 1, 60).Draw(t, "seconds")
		counts := map[int16]int64{}
		for _, seconds := range took {
			counts[analytics.TimeClass(seconds)]++
		}
		var histogram []analytics.TimeCount
		for class, n := range counts {
			histogram = append(histogram, analytics.TimeCount{Class: class, N: n})
		}
		slices.Sort(took)
		want := took[(len(took)-1)/2]
		got, ok := analytics.MedianTime(histogram)
		if !ok || math.Abs(got.Seconds()-float64(want)) > 0.05*float64(want)+0.5 {
			t.Fatalf("the median of %v is %s, want about %d s", took, got, want)
		}
	})
	if _, ok := analytics.MedianTime(nil); ok {
		t.Error("nobody took a time")
	}
}

package analytics_test

import (
	"math"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/promptforge/payments/internal/analytics"
)

// TestWorkedExamplesOfCohorts lives each example as the movements of its
// customers, each of whom pays a dollar from a day of the cohort's month on and
// leaves in the month in which the example is one less.
func TestWorkedExamplesOfCohorts(t *testing.T) {
	t.Parallel()
	type example struct {
		ID, Topic string
		Cohorts   []struct {
			Size    int64
			Active  []int64
			Percent []float64
		}
		Weighted  []float64
		Tolerance float64
	}
	start := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	const one = 100_000_000
	for _, tt := range golden[example](t, "cohorts.json") {
		t.Run(tt.ID+": "+tt.Topic, func(t *testing.T) {
			var changes []analytics.CohortChange
			months := 0
			for _, c := range tt.Cohorts {
				months = max(months, len(c.Active), len(c.Percent))
			}
			running := start.AddDate(0, months, 0)
			for i, c := range tt.Cohorts {
				active := c.Active
				for _, p := range c.Percent {
					active = append(active, int64(math.Round(float64(c.Size)*p/100)))
				}
				// Published tables end at the same month: a shorter one began later.
				month := start.AddDate(0, months-len(active), 0)
				if len(tt.Cohorts) == 1 {
					month = start
				}
				for n := range c.Size {
					moves := []analytics.Movement{{Currency: "usd", Day: month.AddDate(0, 0, int(n)%28), Kind: analytics.New, Plan: "pro", AmountMicro: one, Customers: 1}}
					if k := slices.IndexFunc(active, func(a int64) bool { return a <= n }); k >= 0 {
						moves = append(moves, analytics.Movement{
							Currency: "usd", Day: month.AddDate(0, k, 27), Kind: analytics.Churn, Plan: "pro", AmountMicro: -one, Customers: -1,
						})
					}
					changes = append(changes, analytics.CohortChanges(moves)...)
				}
				if active[0] != c.Size {
					t.Fatalf("cohort %d has %d at the end of its first month, want all %d", i, active[0], c.Size)
				}
			}
			averages := analytics.CohortAverages(analytics.Cohorts(changes, running), running)
			if len(averages) != len(tt.Weighted) {
				t.Fatalf("there are averages of %d months, want %d", len(averages), len(tt.Weighted))
			}
			for k, want := range tt.Weighted {
				for _, measure := range analytics.CohortMeasures { // who never changes what they pay weighs the same
					if got := averages[k].Share(measure).Float(); math.Abs(got-want) > tt.Tolerance+1e-12 {
						t.Errorf("M%d of %s is %.4f, want %.4f", k, measure, got, want)
					}
				}
			}
		})
	}
}

func TestACohortKeepsWhatItBeganWith(t *testing.T) {
	t.Parallel()
	jan, running := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	move := func(day time.Time, kind analytics.MovementKind, micro int64, customers int) analytics.Movement {
		return analytics.Movement{Currency: "usd", Day: day, Kind: kind, Plan: "pro", AmountMicro: micro, Customers: customers}
	}
	var changes []analytics.CohortChange
	for _, movements := range [][]analytics.Movement{
		// Doubles in February, halves in March below what it began with.
		{move(jan, analytics.New, 100, 1), move(jan.AddDate(0, 1, 3), analytics.Expansion, 100, 0), move(jan.AddDate(0, 2, 3), analytics.Contraction, -150, 0)},
		// Leaves within its month and returns in March: to this cohort.
		{move(jan.AddDate(0, 0, 4), analytics.New, 300, 1), move(jan.AddDate(0, 0, 20), analytics.Churn, -300, -1), move(jan.AddDate(0, 2, 0), analytics.Reactivation, 400, 1)},
	} {
		changes = append(changes, analytics.CohortChanges(movements)...)
	}
	// What is dated ahead is not known yet.
	changes = append(changes, analytics.CohortChange{Cohort: jan, Month: jan.AddDate(0, 9, 0), Currency: "usd", MRRMicro: 1})
	slices.Reverse(changes)
	level := func(mrr, gross, active int64) analytics.CohortLevel {
		return analytics.CohortLevel{MRRMicro: mrr, GrossMicro: gross, Active: active, InitialMicro: 400, Customers: 2}
	}
	cohorts := analytics.Cohorts(changes, running)
	want := []analytics.Cohort{{Month: jan, Levels: []analytics.CohortLevel{
		level(100, 100, 1), level(200, 100, 1), level(450, 350, 2), level(450, 350, 2),
	}}}
	if diff := gocmp.Diff(want, cohorts); diff != "" {
		t.Fatalf("cohorts differ (-want +got):\n%s", diff)
	}
	if got := cohorts[0].Began(); got.InitialMicro != 400 || got.Customers != 2 {
		t.Errorf("it began with %+v", got)
	}
	if got := len(analytics.CohortAverages(cohorts, running)); got != 3 {
		t.Errorf("averages have %d months, want 3: the running one is not over", got)
	}
	for measure, share := range map[analytics.CohortMeasure]float64{analytics.CohortLogos: 1, analytics.CohortNet: 1.125, analytics.CohortGross: 0.875} {
		if got := cohorts[0].Levels[2].Share(measure).Float(); got != share {
			t.Errorf("M2 of %s is %v, want %v", measure, got, share)
		}
	}
	if (analytics.CohortLevel{}).Share(analytics.CohortNet).Defined() {
		t.Error("a share of nothing is defined")
	}
}

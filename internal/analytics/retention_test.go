package analytics_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/money"
)

func date(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

func moved(day string, kind analytics.MovementKind, plan string, micro int64, reason ...analytics.Reason) analytics.Movement {
	m := analytics.Movement{Currency: "usd", Day: date(day), Kind: kind, Plan: plan, AmountMicro: micro}
	if len(reason) > 0 {
		m.Reason = reason[0]
	}
	return m
}

func retentionLines(changes []analytics.RetentionChange, horizon int) string {
	var lines []string
	for _, c := range changes {
		if c.Horizon == horizon {
			lines = append(lines, fmt.Sprintf("%s %q net %d gross %d lost %d/%d unpaid %d/%d", c.PeriodEnd.Format("2006-01"), c.Plan,
				c.NetMicro, c.GrossLostMicro, c.LostCustomers, c.LostMicro, c.InvoluntaryCustomers, c.InvoluntaryMicro))
		}
	}
	return strings.Join(lines, "\n")
}

func TestRetentionIsWhatBecameOfWhoeverWasThere(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		movements []analytics.Movement
		want      string // of months
	}{
		"who came in the month was not there": {
			[]analytics.Movement{moved("2026-01-10", analytics.New, "pro", 100), moved("2026-01-20", analytics.Churn, "pro", -100)}, "",
		},
		"who expands and leaves takes out no more than was there": {
			[]analytics.Movement{
				moved("2026-01-10", analytics.New, "pro", 100), moved("2026-03-05", analytics.Expansion, "pro", 900),
				moved("2026-03-20", analytics.Churn, "pro", -1000, analytics.ReasonCancelVoluntary),
			},
			"2026-04 \"\" net -100 gross 100 lost 1/100 unpaid 0/0\n2026-04 \"pro\" net -100 gross 100 lost 1/100 unpaid 0/0",
		},
		"who is back by the end of the month is not lost": {
			[]analytics.Movement{
				moved("2026-01-10", analytics.New, "pro", 100), moved("2026-03-05", analytics.Churn, "pro", -100, analytics.ReasonCancelInvoluntary),
				moved("2026-03-20", analytics.Reactivation, "pro", 60),
			},
			"2026-04 \"\" net -40 gross 40 lost 0/0 unpaid 0/0\n2026-04 \"pro\" net -40 gross 40 lost 0/0 unpaid 0/0",
		},
		"who did not pay is lost against their will": {
			[]analytics.Movement{
				moved("2026-01-10", analytics.New, "pro", 100), moved("2026-02-28", analytics.Churn, "pro", -100, analytics.ReasonCancelInvoluntary),
			},
			"2026-03 \"\" net -100 gross 100 lost 1/100 unpaid 1/100\n2026-03 \"pro\" net -100 gross 100 lost 1/100 unpaid 1/100",
		},
		"a change of plan is what it brings, on the plan that was left": {
			[]analytics.Movement{
				moved("2026-01-10", analytics.New, "pro", 100), moved("2026-02-03", analytics.TransferOut, "pro", -100),
				moved("2026-02-03", analytics.TransferIn, "max", 100), moved("2026-02-03", analytics.Expansion, "max", 300),
			},
			"2026-03 \"\" net 300 gross 0 lost 0/0 unpaid 0/0\n2026-03 \"pro\" net 300 gross 0 lost 0/0 unpaid 0/0",
		},
		"a change of plan for the same money is nothing": {
			[]analytics.Movement{
				moved("2026-01-10", analytics.New, "pro", 100), moved("2026-02-03", analytics.TransferOut, "pro", -100),
				moved("2026-02-03", analytics.TransferIn, "max", 100),
			}, "",
		},
		"what is left of two plans is split as they were": {
			[]analytics.Movement{
				moved("2026-01-10", analytics.New, "max", 200), moved("2026-01-10", analytics.New, "pro", 100),
				moved("2026-02-03", analytics.Contraction, "max", -200),
			},
			"2026-03 \"\" net -200 gross 200 lost 0/0 unpaid 0/0\n2026-03 \"max\" net -133 gross 133 lost 0/0 unpaid 0/0\n2026-03 \"pro\" net -67 gross 67 lost 0/0 unpaid 0/0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := retentionLines(analytics.RetentionChanges(tt.movements), analytics.HorizonMonth); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestAYearOfRetentionEndsUpToElevenMonthsLater(t *testing.T) {
	t.Parallel()
	changes := analytics.RetentionChanges([]analytics.Movement{
		moved("2025-01-10", analytics.New, "pro", 100), moved("2026-01-20", analytics.Churn, "pro", -100),
	})
	var ends []string
	for _, c := range changes {
		if c.Horizon == analytics.HorizonYear && c.Plan == analytics.AllPlans {
			ends = append(ends, c.PeriodEnd.Format("2006-01"))
		}
	}
	// The first year that began with the customer ends with January 2026, and the
	// last one that has the loss in it with December.
	want := []string{"2026-02", "2026-03", "2026-04", "2026-05", "2026-06", "2026-07", "2026-08", "2026-09", "2026-10", "2026-11", "2026-12", "2027-01"}
	if diff := gocmp.Diff(want, ends); diff != "" {
		t.Errorf("years differ (-want +got):\n%s", diff)
	}
}

// randomMovements are those of a customer who does something now and then, on
// up to three plans and in up to two currencies.
func randomMovements(t *rapid.T) []analytics.Movement {
	var out []analytics.Movement
	for _, currency := range []money.Currency{"eur", "usd"} {
		balance := map[string]int64{}
		day := date("2024-01-01")
		ever := false
		for range rapid.IntRange(0, 8).Draw(t, "changes") {
			day = day.AddDate(0, 0, rapid.IntRange(1, 120).Draw(t, "days"))
			before := total(balance)
			var rows []analytics.Movement
			for _, plan := range []string{"a", "b", "c"} {
				if !rapid.Bool().Draw(t, "touched") {
					continue
				}
				now := rapid.SampledFrom([]int64{0, 0, 7, 100, 101}).Draw(t, "micro")
				if now != balance[plan] {
					rows = append(rows, analytics.Movement{Currency: currency, Day: day, Plan: plan, AmountMicro: now - balance[plan]})
					balance[plan] = now
				}
			}
			after := total(balance)
			kind := analytics.Expansion
			switch {
			case before == 0 && !ever:
				kind = analytics.New
			case before == 0:
				kind = analytics.Reactivation
			case after == 0:
				kind = analytics.Churn
			case after < before:
				kind = analytics.Contraction
			}
			for i := range rows {
				rows[i].Kind = kind
			}
			ever = ever || after > 0
			out = append(out, rows...)
		}
	}
	return out
}

func total(byPlan map[string]int64) (sum int64) {
	for _, micro := range byPlan {
		sum += micro
	}
	return sum
}

// balanceBefore adds up everything before a day, of a plan or of all.
func balanceBefore(movements []analytics.Movement, currency money.Currency, plan string, day time.Time) (sum int64) {
	for _, m := range movements {
		if m.Currency == currency && m.Day.Before(day) && (plan == "" || m.Plan == plan) {
			sum += m.AmountMicro
		}
	}
	return sum
}

func TestRetentionEqualsEndPointsCountedMonthByMonth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		movements := randomMovements(t)
		type key struct {
			end      time.Time
			horizon  int
			currency money.Currency
			plan     string
		}
		got := map[key]analytics.Retained{}
		for _, c := range analytics.RetentionChanges(movements) {
			k := key{c.PeriodEnd, c.Horizon, c.Currency, c.Plan}
			if _, twice := got[k]; twice {
				t.Fatalf("%v has two rows", k)
			}
			got[k] = c.Retained
		}
		for _, currency := range []money.Currency{"eur", "usd"} {
			for end := date("2024-01-01"); end.Before(date("2029-01-01")); end = end.AddDate(0, 1, 0) {
				for _, horizon := range []int{1, 12} {
					s := balanceBefore(movements, currency, "", end.AddDate(0, -horizon, 0))
					e := balanceBefore(movements, currency, "", end)
					all := got[key{end, horizon, currency, ""}]
					want := analytics.Retained{}
					if s > 0 {
						want.NetMicro, want.GrossLostMicro = e-s, s-min(s, e)
						if e == 0 {
							want.LostCustomers, want.LostMicro = 1, s
						}
					}
					if all != want {
						t.Fatalf("%s to %s over %d months: %+v, want %+v", currency, end.Format(time.DateOnly), horizon, all, want)
					}
					var plans analytics.Retained
					for _, plan := range []string{"a", "b", "c"} {
						p := got[key{end, horizon, currency, plan}]
						plans.NetMicro += p.NetMicro
						plans.GrossLostMicro += p.GrossLostMicro
						plans.LostMicro += p.LostMicro
						base := balanceBefore(movements, currency, plan, end.AddDate(0, -horizon, 0))
						if p.GrossLostMicro > base || p.LostMicro > base || base == 0 && p != (analytics.Retained{}) {
							t.Fatalf("plan %s had %d and comes to %+v", plan, base, p)
						}
					}
					plans.LostCustomers = all.LostCustomers
					if plans != all {
						t.Fatalf("plans add up to %+v, the account has %+v", plans, all)
					}
				}
			}
		}
	})
}

func TestCohortsEqualTheStateAtTheEndOfEachMonth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		movements := randomMovements(t)
		changes := analytics.CohortChanges(movements)
		if len(movements) == 0 {
			return
		}
		first := slices.MinFunc(movements, func(a, b analytics.Movement) int { return a.Day.Compare(b.Day) }).Day
		for _, currency := range []money.Currency{"eur", "usd"} {
			var began time.Time
			for _, m := range movements {
				if m.Currency == currency && (began.IsZero() || m.Day.Before(began)) {
					began = m.Day
				}
			}
			var level analytics.CohortChange
			initial := balanceBefore(movements, currency, "", began.AddDate(0, 0, 1))
			for month := date("2024-01-01"); month.Before(date("2028-01-01")); month = month.AddDate(0, 1, 0) {
				for _, c := range changes {
					if c.Currency != currency || !c.Month.Equal(month) {
						continue
					}
					if !c.Cohort.Equal(analytics.Monthly.Start(first)) {
						t.Fatalf("the cohort is %s, want that of %s", c.Cohort, first)
					}
					level.MRRMicro += c.MRRMicro
					level.GrossMicro += c.GrossMicro
					level.Active += c.Active
					level.InitialMicro += c.InitialMicro
					level.Customers += c.Customers
				}
				balance := balanceBefore(movements, currency, "", month.AddDate(0, 1, 0))
				want := analytics.CohortChange{MRRMicro: balance, GrossMicro: min(balance, initial), Active: int64(cmp.Compare(balance, 0))}
				if !began.IsZero() && !month.Before(analytics.Monthly.Start(began)) {
					want.InitialMicro, want.Customers = initial, 1
				}
				if level != want {
					t.Fatalf("%s at the end of %s: %+v, want %+v", currency, month.Format("2006-01"), level, want)
				}
			}
		}
	})
}

func TestIllegalHistoriesAreNamed(t *testing.T) {
	t.Parallel()
	legal := []analytics.Movement{
		moved("2026-01-10", analytics.New, "pro", 100), moved("2026-02-03", analytics.TransferOut, "pro", -100),
		moved("2026-02-03", analytics.TransferIn, "max", 100), moved("2026-02-03", analytics.Expansion, "max", 300),
		moved("2026-03-03", analytics.Churn, "max", -400), moved("2026-04-03", analytics.Reactivation, "max", 400),
	}
	if why := analytics.Illegal(legal); why != "" {
		t.Errorf("a legal history is refused: %s", why)
	}
	for name, spoil := range map[string]func([]analytics.Movement) []analytics.Movement{
		"new twice":                     func(m []analytics.Movement) []analytics.Movement { m[5].Kind = analytics.New; return m },
		"a return of who was not here":  func(m []analytics.Movement) []analytics.Movement { m[0].Kind = analytics.Reactivation; return m },
		"a transfer that does not land": func(m []analytics.Movement) []analytics.Movement { m[2].Kind = analytics.Expansion; return m },
		"more lost than there was":      func(m []analytics.Movement) []analytics.Movement { m[4].AmountMicro = -401; return m },
		"a churn that leaves something": func(m []analytics.Movement) []analytics.Movement { m[4].AmountMicro = -399; return m },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if analytics.Illegal(spoil(slices.Clone(legal))) == "" {
				t.Error("nothing is found")
			}
		})
	}
}

// Every metric says what it is, and none panics or divides by nought on a point
// of which nothing is known.
func TestEveryMetricIsDeclaredWhole(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, m := range analytics.Metrics {
		if seen[m.Key] {
			t.Errorf("%s is declared twice", m.Key)
		}
		seen[m.Key] = true
		if m.Name == "" || m.Definition == "" || m.Formula == "" || m.Source == "" || m.Unit == "" || m.Terms == nil {
			t.Errorf("%s lacks a part: %+v", m.Key, m)
		}
		if v := m.Of(analytics.Point{}); !v.Defined() && v.Note == "" {
			t.Errorf("%s is undefined without a reason", m.Key)
		}
		m.Terms(analytics.Point{})
		if found, ok := analytics.MetricByKey(m.Key); !ok || found.Name != m.Name {
			t.Errorf("%s is not found by its key", m.Key)
		}
	}
}

package analytics_test

import (
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/money"
)

// TestWorkedExamplesOfRates puts published examples through what pages do: the
// customers of a month become movements, these what was retained, and that the
// figures of the registry. Those that begin with sums begin with a point.
func TestWorkedExamplesOfRates(t *testing.T) {
	t.Parallel()
	type example struct {
		ID, Topic string
		// Pairs are customers: MRR as the month begins and as it ends, in dollars.
		Pairs [][2]int64
		// Equal are so many alike, of whom so many leave.
		Equal struct{ Count, Lost, MRR int64 }
		// Year is a share that leaves each month, and for how many months.
		Year [2]any
		// Closing is MRR in dollars and the customers who have it.
		Closing [2]int64
		// Earlier is customer churn of the months before.
		Earlier []string
		Moved   map[analytics.MovementKind]int64
		// Want is each figure as a fraction, in dollars; empty: there is none.
		Want, Notes map[string]string
	}
	for _, tt := range golden[example](t, "rates.json") {
		t.Run(tt.ID+": "+tt.Topic, func(t *testing.T) {
			begins := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
			point := analytics.Point{Period: analytics.Period{Start: begins, End: begins.AddDate(0, 1, 0)}}
			for range tt.Equal.Lost {
				tt.Pairs = append(tt.Pairs, [2]int64{tt.Equal.MRR, 0})
			}
			for range tt.Equal.Count - tt.Equal.Lost {
				tt.Pairs = append(tt.Pairs, [2]int64{tt.Equal.MRR, tt.Equal.MRR})
			}
			if share, ok := tt.Year[0].(string); ok {
				tt.Pairs = decaying(fraction(t, share), int(tt.Year[1].(float64)))
			}
			if len(tt.Pairs) > 0 {
				point.Month = retainedOf(tt.Pairs, begins)
			}
			point.Closing = analytics.Level{MRRMicro: tt.Closing[0] * dollar, Customers: tt.Closing[1]}
			if tt.Earlier != nil {
				point.Month = &analytics.Retained{BaseMicro: 1, BaseCustomers: 1}
			}
			for _, churn := range tt.Earlier {
				share := fraction(t, churn)
				point.Earlier = append(point.Earlier, analytics.Retained{
					BaseMicro: 1, BaseCustomers: share.Denom().Int64(), LostCustomers: share.Num().Int64(),
				})
			}
			for kind, dollars := range tt.Moved {
				if point.Moved == nil {
					point.Moved = map[analytics.MovementKind]analytics.Level{}
				}
				point.Moved[kind] = analytics.Level{MRRMicro: dollars * dollar}
				point.Closing.MRRMicro += dollars * dollar
			}
			for key, want := range tt.Want {
				metric, ok := analytics.MetricByKey(key)
				if !ok {
					t.Fatalf("there is no figure %q", key)
				}
				got := metric.Of(point)
				if want == "" {
					if got.Defined() || got.Note == "" {
						t.Errorf("%s is %v (%q), want none with a reason", key, got.Rat, got.Note)
					}
					continue
				}
				expected := fraction(t, want)
				if metric.Unit == analytics.Money {
					expected.Mul(expected, big.NewRat(100*money.Micro, 1))
				}
				if !got.Defined() || !isWithin(got.Rat, expected, tt.Year[0] != nil) {
					t.Errorf("%s is %v, want %v", key, got.Rat, expected)
				}
				if note, ok := tt.Notes[key]; ok && got.Note != note {
					t.Errorf("the note of %s is %q, want %q", key, got.Note, note)
				}
			}
		})
	}
}

func fraction(t *testing.T, s string) *big.Rat {
	t.Helper()
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatalf("%q is no fraction", s)
	}
	return r
}

// isWithin reports whether a figure is what is wanted, exactly or to a twentieth
// of a percentage point where the source is rounded.
func isWithin(got, want *big.Rat, rounded bool) bool {
	if !rounded {
		return got.Cmp(want) == 0
	}
	off := new(big.Rat).Sub(got, want)
	return off.Abs(off).Cmp(big.NewRat(5, 10_000)) <= 0
}

// decaying are ten thousand customers of a dollar of whom a share of those left
// leaves each month.
func decaying(share *big.Rat, months int) [][2]int64 {
	const customers = 10_000
	left := big.NewRat(customers, 1)
	for range months {
		left.Sub(left, new(big.Rat).Mul(left, share))
	}
	stay, _ := left.Float64()
	var out [][2]int64
	for i := range customers {
		end := int64(0)
		if float64(i) < stay {
			end = 1
		}
		out = append(out, [2]int64{1, end})
	}
	return out
}

// retainedOf adds up what became of customers in a month, each by its movements,
// as the ledger does. Someone who comes in the month is in no base.
func retainedOf(pairs [][2]int64, begins time.Time) *analytics.Retained {
	movement := func(day time.Time, from, to int64, ever bool) analytics.Movement {
		m := analytics.Movement{Currency: "usd", Day: day, Plan: "pro", AmountMicro: (to - from) * dollar}
		switch {
		case from == 0 && !ever:
			m.Kind = analytics.New
		case to == 0:
			m.Kind = analytics.Churn
		case to > from:
			m.Kind = analytics.Expansion
		default:
			m.Kind = analytics.Contraction
		}
		return m
	}
	out := analytics.Retained{}
	take := func(movements []analytics.Movement) {
		for _, c := range analytics.RetentionChanges(movements) {
			if c.Plan == analytics.AllPlans && c.Horizon == analytics.HorizonMonth && c.PeriodEnd.Equal(begins.AddDate(0, 1, 0)) {
				out.NetMicro += c.NetMicro
				out.GrossLostMicro += c.GrossLostMicro
				out.LostCustomers += c.LostCustomers
				out.LostMicro += c.LostMicro
			}
		}
	}
	for _, p := range pairs {
		movements := []analytics.Movement{movement(begins.AddDate(0, -2, 0), 0, p[0], false)}
		if p[0] != p[1] {
			movements = append(movements, movement(begins.AddDate(0, 0, 9), p[0], p[1], true))
		}
		take(movements)
		out.BaseMicro += p[0] * dollar
		out.BaseCustomers++
	}
	// Who came in the month and left again counts nowhere.
	take([]analytics.Movement{
		movement(begins.AddDate(0, 0, 3), 0, 77, false), movement(begins.AddDate(0, 0, 20), 77, 0, true),
	})
	return &out
}

func TestRatesKeepWithinTheirBounds(t *testing.T) {
	t.Parallel()
	for i := range 2000 {
		n := int64(i)
		pairs := [][2]int64{{1 + n%7, n * 31 % 11}, {5 + n%13, n * 17 % 23}, {1 + n%3, n % 4}}
		r := retainedOf(pairs, time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
		point := analytics.Point{Month: r}
		of := func(key string) *big.Rat {
			m, _ := analytics.MetricByKey(key)
			return m.Of(point).Rat
		}
		nrr, grr, gross, net := of("nrr"), of("grr"), of("revenueChurn"), of("netRevenueChurn")
		one := big.NewRat(1, 1)
		if grr.Sign() < 0 || grr.Cmp(one) > 0 || grr.Cmp(nrr) > 0 || new(big.Rat).Add(grr, gross).Cmp(one) != 0 || new(big.Rat).Add(nrr, net).Cmp(one) != 0 {
			t.Fatal(fmt.Sprint(pairs), nrr, grr, gross, net)
		}
	}
}

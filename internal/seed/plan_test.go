package seed_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/seed"
)

var present = time.Date(2026, time.November, 24, 12, 0, 0, 0, time.UTC)

func config(customers, months int, number int64) seed.Config {
	return seed.Config{Customers: customers, Months: months, Seed: number, Present: present, Plans: billing.DefaultPlans()}
}

func TestTheSameInputsMakeTheSamePlan(t *testing.T) {
	t.Parallel()
	first := seed.Make(config(60, 12, 1))
	if again := seed.Make(config(60, 12, 1)); !reflect.DeepEqual(first, again) {
		t.Error("the same inputs made another plan")
	}
	if other := seed.Make(config(60, 12, 2)); reflect.DeepEqual(first.Acts, other.Acts) {
		t.Error("another seed made the same plan")
	}
}

// TestWhoBuysHasLookedAtThePrices, but for the few who are not counted, and most
// who look buy nothing.
func TestWhoBuysHasLookedAtThePrices(t *testing.T) {
	t.Parallel()
	for _, customers := range []int{1, 14, 60, 300} {
		plan := seed.Make(config(customers, 12, 1))
		looks := map[uuid.UUID][]time.Time{}
		for i, v := range plan.Views {
			if v.At.Before(plan.Start) || v.At.After(plan.Present) || i > 0 && v.At.Before(plan.Views[i-1].At) {
				t.Errorf("%d customers: a look at %s, after one at %s", customers, v.At, plan.Views[max(i-1, 0)].At)
			}
			looks[v.Visitor] = append(looks[v.Visitor], v.At)
		}
		uncounted := 0
		for _, a := range plan.Acts {
			if a.Kind != seed.StartCheckout {
				continue
			}
			visitor := plan.Organizations[a.Org].Visitor
			if visitor == uuid.Nil {
				uncounted++
				continue
			}
			if !slices.ContainsFunc(looks[visitor], func(at time.Time) bool { return !at.After(a.At) && at.After(a.At.Add(-2*time.Minute)) }) {
				t.Errorf("%d customers: %s began a checkout at %s and looked at %v", customers, plan.Organizations[a.Org].Name, a.At, looks[visitor])
			}
		}
		if customers == 300 && (uncounted < 10 || uncounted > 80) {
			t.Errorf("%d checkouts of 300 customers are of nobody who is counted", uncounted)
		}
		if n := len(looks); n < 8*customers || n > 11*customers {
			t.Errorf("%d customers came out of %d visitors", customers, n)
		}
	}
}

// TestTheDefaultYear pins what the demo's year consists of, so that a change of
// the way that lives are drawn is seen.
func TestTheDefaultYear(t *testing.T) {
	t.Parallel()
	got := map[seed.Kind]int{}
	for _, a := range seed.Make(config(60, 12, 1)).Acts {
		got[a.Kind]++
	}
	want := map[seed.Kind]int{
		seed.SignUp: 60, seed.StartCheckout: 66, seed.TryCard: 3, seed.Pay: 62, seed.ChangePlan: 21, seed.ReplaceCard: 36,
		seed.PayInvoice: 2, seed.CancelAtEnd: 15, seed.WithdrawAtEnd: 5, seed.CancelNow: 3, seed.MonthEnds: 12,
		seed.Refund: 2, seed.AnswerDispute: 2, seed.AgreePrice: 1, seed.ScheduleChange: 1, seed.SecondSubscription: 1,
		seed.OfferTrial: 1, seed.KeepUnpaid: 1, seed.EndUnpaid: 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("acts by kind (-want +got):\n%s", diff)
	}
}

// TestEveryPlanCanBeLived holds plans of all sizes to what living them relies on.
func TestEveryPlanCanBeLived(t *testing.T) {
	t.Parallel()
	for months := 1; months <= seed.MaxMonths; months++ {
		for _, customers := range []int{1, 2, 5, 6, 7, 23, 60} {
			for number := range int64(8) {
				p := seed.Make(config(customers, months, number-3))
				if len(p.Organizations) != customers || p.Count(seed.SignUp) > customers {
					t.Fatalf("%d customers: %d organizations, %d sign-ups", customers, len(p.Organizations), p.Count(seed.SignUp))
				}
				if !slices.IsSortedFunc(p.Acts, func(a, b seed.Act) int { return a.At.Compare(b.At) }) {
					t.Fatal("the acts are not in order of time")
				}
				for org := range customers {
					checkLife(t, p, org)
				}
			}
		}
	}
}

// checkLife wants what somebody does to presuppose what was done before.
func checkLife(t *testing.T, p seed.Plan, org int) {
	t.Helper()
	var did []seed.Kind
	has := func(k seed.Kind) bool { return slices.Contains(did, k) }
	for _, a := range p.Acts {
		if a.Org != org {
			continue
		}
		if a.At.Before(p.Start) || !a.At.Before(p.Present) {
			t.Fatalf("organization %d: %s on %s, outside the history", org, a.Kind, a.At)
		}
		var needs seed.Kind
		switch a.Kind {
		case seed.SignUp, seed.MonthEnds:
		case seed.StartCheckout:
			needs = seed.SignUp
		case seed.TryCard, seed.Pay:
			needs = seed.StartCheckout
		case seed.WithdrawAtEnd:
			needs = seed.CancelAtEnd
		default:
			needs = seed.Pay
		}
		if needs != "" && !has(needs) {
			t.Fatalf("organization %d: %s without %s, after %v", org, a.Kind, needs, did)
		}
		did = append(did, a.Kind)
	}
}

func TestNamesAndAddressesAreUniqueAndUnreachable(t *testing.T) {
	t.Parallel()
	names, addresses := map[string]bool{}, map[string]bool{}
	for _, o := range seed.Make(config(seed.MaxCustomers, 1, 1)).Organizations {
		names[o.Name], addresses[o.Email] = true, true
		if !strings.HasSuffix(o.Email, ".example") || strings.ContainsAny(o.Email, " &'") {
			t.Errorf("address %q", o.Email)
		}
	}
	if len(names) != seed.MaxCustomers || len(addresses) != seed.MaxCustomers {
		t.Errorf("%d names and %d addresses for %d organizations", len(names), len(addresses), seed.MaxCustomers)
	}
}

func TestAConfigurationOutOfBoundsNamesThem(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*seed.Config)
		want   string
	}{
		"nobody":            {func(c *seed.Config) { c.Customers = 0 }, "0 customers: 1 to 2000 are possible"},
		"too many":          {func(c *seed.Config) { c.Customers = 2001 }, "2001 customers: 1 to 2000 are possible"},
		"no time":           {func(c *seed.Config) { c.Months = 0 }, "0 months: 1 to 13 are possible"},
		"too much time":     {func(c *seed.Config) { c.Months = 14 }, "14 months: 1 to 13 are possible"},
		"long ago":          {func(c *seed.Config) { c.Present = present.AddDate(-10, 0, 0) }, "a present of 2016-11-24T12:00:00Z: 2020-01-01T00:00:00Z to 2027-11-25T12:00:00Z is possible"},
		"far in the future": {func(c *seed.Config) { c.Present = present.AddDate(2, 0, 0) }, "a present of 2028-11-24T12:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := config(60, 12, 1)
			if err := c.Check(present); err != nil {
				t.Fatalf("the default: %v", err)
			}
			tt.change(&c)
			if err := c.Check(present); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the fault is %v, want %q", err, tt.want)
			}
		})
	}
}

// TestSomethingIsOpenAtThePresent wants each role played.
func TestSomethingIsOpenAtThePresent(t *testing.T) {
	t.Parallel()
	for number := range int64(20) {
		last := map[int]seed.Act{} // by organization
		p := seed.Make(config(60, 12, number))
		for _, a := range p.Acts {
			last[a.Org] = a
		}
		open := map[seed.Kind]bool{}
		for _, a := range last {
			if age := p.Present.Sub(a.At); age < 15*24*time.Hour {
				open[a.Kind] = true
			}
		}
		for _, kind := range []seed.Kind{seed.StartCheckout, seed.Pay, seed.CancelAtEnd, seed.ReplaceCard} {
			if !open[kind] {
				t.Errorf("seed %d: nobody's last act is %s; there are %v", number, kind, slices.Collect(maps.Keys(open)))
			}
		}
		if len(p.Failing) == 0 {
			t.Errorf("seed %d: nobody is in retry", number)
		}
	}
}

// failingNumbers are of the cards that are taken and do not pay later.
var failingNumbers = []string{"4000000000000341", "4000000000003410", "4000000000013419"}

// TestMostCardsThatFailAreReplaced holds years to what is usual: all through the
// year cards fail, and most of their owners put in another one.
func TestMostCardsThatFailAreReplaced(t *testing.T) {
	t.Parallel()
	for number := range int64(20) {
		p := seed.Make(config(60, 12, number))
		failing, failed, replaced := map[int]bool{}, 0, 0
		months := map[time.Month]bool{}
		for _, a := range p.Acts {
			if a.Kind != seed.ReplaceCard {
				continue
			}
			isFailing := slices.Contains(failingNumbers, a.Card.Number)
			switch {
			case isFailing:
				failed++
			case failing[a.Org]:
				replaced++
				months[a.At.Month()] = true
			}
			failing[a.Org] = isFailing
		}
		if failed < 12 || failed > 30 || 100*replaced < 50*failed || 100*replaced > 90*failed {
			t.Errorf("seed %d: %d cards fail, %d of them are replaced", number, failed, replaced)
		}
		if len(months) < 5 {
			t.Errorf("seed %d: cards are replaced in %d months only", number, len(months))
		}
	}
}

// TestTheRarerThingsHappenInEveryYear of a company of the usual size, or in nearly
// every one where they presuppose somebody who has left.
func TestTheRarerThingsHappenInEveryYear(t *testing.T) {
	t.Parallel()
	const years = 20
	got := map[string]int{}
	for number := range int64(years) {
		p := seed.Make(config(60, 12, number))
		for _, kind := range []seed.Kind{
			seed.Refund, seed.AnswerDispute, seed.AgreePrice, seed.ScheduleChange, seed.SecondSubscription, seed.OfferTrial, seed.KeepUnpaid,
		} {
			if p.Count(kind) > 0 {
				got[string(kind)]++
			}
		}
		if slices.ContainsFunc(p.Acts, func(a seed.Act) bool { return a.Card.Number == "bank_debit_succeeds" }) {
			got["bank debit"]++
		}
	}
	for what, least := range map[string]int{
		"refund": years, "answer_dispute": years, "agree_price": years, "bank debit": years, "second_subscription": years,
		"schedule_change": years - 4, "offer_trial": years - 4, "keep_unpaid": years - 4,
	} {
		if got[what] < least {
			t.Errorf("%s happens in %d of %d years", what, got[what], years)
		}
	}
}

// TestAnExampleOfEachPlanPays finds somebody for each, who has done nothing
// lately and whose card pays.
func TestAnExampleOfEachPlanPays(t *testing.T) {
	t.Parallel()
	for number := range int64(20) {
		p := seed.Make(config(60, 12, number))
		for _, plan := range billing.DefaultPlans().Plans {
			i := p.Paying(plan)
			if i < 0 {
				t.Errorf("seed %d: nobody pays for %s", number, plan.Code)
				continue
			}
			var last seed.Act
			for _, a := range p.Acts {
				if a.Org == i {
					last = a
				}
			}
			if last.At.After(p.Present.AddDate(0, 0, -14)) || slices.Contains(failingNumbers, last.Card.Number) || last.Kind == seed.CancelAtEnd || last.Kind == seed.CancelNow {
				t.Errorf("seed %d: for %s pays one whose last act is %+v", number, plan.Code, last)
			}
		}
	}
	if i := seed.Make(config(1, 1, 1)).Paying(billing.Plan{Code: "none"}); i != -1 {
		t.Errorf("organization %d pays for a plan that nobody sells", i)
	}
}

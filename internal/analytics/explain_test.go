package analytics_test

import (
	"strings"
	"testing"

	"github.com/promptforge/payments/internal/analytics"
)

// TestEveryFormulaNamesItsTerms, so that a formula can be shown with its values:
// but for sums, which say in words what is added up.
func TestEveryFormulaNamesItsTerms(t *testing.T) {
	t.Parallel()
	retained := analytics.Retained{BaseMicro: 100, BaseCustomers: 10, NetMicro: -5, GrossLostMicro: 8, LostCustomers: 1, LostMicro: 4}
	p := analytics.Point{
		Opening: analytics.Level{MRRMicro: 100, Customers: 10}, Closing: analytics.Level{MRRMicro: 95, Customers: 9},
		Moved: map[analytics.MovementKind]analytics.Level{analytics.New: {MRRMicro: 10, Customers: 1}, analytics.Churn: {MRRMicro: -15, Customers: -2}},
		Month: &retained, Year: &retained, Earlier: []analytics.Retained{retained, retained, retained},
		Trials: &analytics.Trials{Ended: 2, Converted: 1}, Payments: &analytics.Payments{Attempted: analytics.Invoices{Count: 1, AmountMinor: 1}}, Cash: &analytics.Cash{}, Funnel: &analytics.Funnel{},
	}
	for _, m := range analytics.Metrics {
		terms := m.Terms(p)
		if len(terms) == 0 {
			t.Errorf("%s has no terms", m.Key)
		}
		if strings.HasPrefix(m.Formula, "the ") { // the sum of …, the number of …
			continue
		}
		for _, term := range terms {
			if !strings.Contains(m.Formula, term.Name) {
				t.Errorf("the formula of %s, %q, does not name %q", m.Key, m.Formula, term.Name)
			}
		}
	}
}

func TestAFormulaIsShownWithItsValues(t *testing.T) {
	t.Parallel()
	say := func(term analytics.Term) string { return "<" + term.Value.Rat.RatString() + ">" }
	p := analytics.Point{
		Opening: analytics.Level{MRRMicro: 100, Customers: 10}, Closing: analytics.Level{MRRMicro: 95, Customers: 9},
		Moved: map[analytics.MovementKind]analytics.Level{
			analytics.New: {MRRMicro: 10, Customers: 1}, analytics.Churn: {MRRMicro: -15, Customers: -2}, analytics.TransferIn: {MRRMicro: 7}, analytics.TransferOut: {MRRMicro: -4},
		},
	}
	for key, want := range map[string]string{
		"mrr": "<100> − <5> + <0>", "arr": "12 × <95>", "customers": "<10> + <1> + <0> − <2>", "new": "",
		"netNew": "<10> + <0> + <0> + <0> − <15> + <3>", "quickRatio": "(<10> + <0>) ÷ (<15> + <0>)", "nrr": "",
	} {
		m, _ := analytics.MetricByKey(key)
		if got := m.Worked(p, say); got != want {
			t.Errorf("%s is worked as %q, want %q", key, got, want)
		}
	}
}

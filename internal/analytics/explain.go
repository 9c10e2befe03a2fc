package analytics

import (
	"cmp"
	"math/big"
	"slices"
	"strings"
)

// Worked is the formula of a figure with the values of a point in the place of
// their names, as say writes them; terms that the formula does not name, such as
// changes of plan in what a plan gained, are added behind it. Empty where there
// are no values, or nothing is computed from them: a sum of rows is its only term.
func (m Metric) Worked(p Point, say func(Term) string) string {
	terms := m.Terms(p)
	if len(terms) == 0 || strings.HasPrefix(m.Formula, "the sum ") || strings.HasPrefix(m.Formula, "the number ") {
		return ""
	}
	// The longest names first: one may be a part of another.
	slices.SortStableFunc(terms, func(a, b Term) int { return cmp.Compare(len(b.Name), len(a.Name)) })
	var pairs []string
	rest := ""
	for _, t := range terms {
		isLess := t.Value.Defined() && t.Value.Rat.Sign() < 0
		less := t
		if isLess { // what is less by something is not more by less than nothing
			less.Value.Rat = new(big.Rat).Neg(t.Value.Rat)
		}
		switch {
		case !strings.Contains(m.Formula, t.Name) && isLess:
			rest += " − " + say(less)
		case !strings.Contains(m.Formula, t.Name):
			rest += " + " + say(t)
		case isLess:
			pairs = append(pairs, "+ "+t.Name, "− "+say(less), t.Name, say(t))
		default:
			pairs = append(pairs, t.Name, say(t))
		}
	}
	return strings.NewReplacer(pairs...).Replace(m.Formula) + rest
}

// WithoutRates is the figure as it is of a single currency: no exchange rates
// move it, so that neither its formula nor its terms name them.
func (m Metric) WithoutRates() Metric {
	const rates = "exchange rates"
	terms := m.Terms
	m.Formula = strings.Replace(m.Formula, " + "+rates, "", 1)
	m.Terms = func(p Point) []Term {
		return slices.DeleteFunc(terms(p), func(t Term) bool { return t.Name == rates })
	}
	return m
}

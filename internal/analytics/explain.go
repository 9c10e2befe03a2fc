package analytics

import (
	"cmp"
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
		if strings.Contains(m.Formula, t.Name) {
			pairs = append(pairs, t.Name, say(t))
		} else {
			rest += " + " + say(t)
		}
	}
	return strings.NewReplacer(pairs...).Replace(m.Formula) + rest
}

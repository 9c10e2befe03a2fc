package handlers

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/promptforge/payments/internal/analytics"
)

// FuzzFiguresQuery: whatever the address says, what is made out of it has one
// address, which asks for exactly that.
func FuzzFiguresQuery(f *testing.F) {
	for _, query := range []string{
		"", "range=30d&interval=day", "range=30d&interval=month", "range=custom&from=2026-03&to=2026-04", "from=2026-03-01&to=2026-03-05&interval=day",
		"from=2026-03-05&to=2026-03-01", "range=12m&from=2026-03", "to=x&compare=year&plan=pro&currency=USD", "range=%00&interval=%ff", "a;b=%zz",
		"compare=me&sort=mrr&sort=name", "from=9999-99-99", "range=custom", "plan=+pro+&currency=+", "from=0000-00&range=all",
	} {
		f.Add(query)
	}
	sections := []section{
		{path: "/admin/billing"},
		{path: "/admin/billing/cohorts", without: []string{"interval", "compare"}, keys: []string{"sort"}},
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return // the router hands on what could be read of it
		}
		for _, sec := range sections {
			ask := parseFigures(sec, values)
			asked := ask.query()
			if _, err := analytics.ParseInterval(string(asked.Interval)); err != nil {
				t.Fatalf("%q asks for %+v", query, asked)
			}
			address, err := url.Parse(ask.here())
			if err != nil || address.Path != sec.path {
				t.Fatalf("%q has the address %q: %v", query, ask.here(), err)
			}
			again := parseFigures(sec, address.Query())
			if again.here() != ask.here() || again.href("/x") != ask.href("/x") {
				t.Fatalf("%q has the address %q, which has the address %q", query, ask.here(), again.here())
			}
			if diff := cmp.Diff(asked, again.query()); len(ask.problems) == 0 && diff != "" {
				t.Fatalf("%q asks for something else than its address (-it +address):\n%s", query, diff)
			}
		}
	})
}

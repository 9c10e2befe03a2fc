package handlers

import (
	"net/url"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/promptforge/payments/views/ui"
)

// FuzzSubscriptionQuery: whatever the address says, what is made out of it is
// within what the list offers, and its own address says exactly that.
func FuzzSubscriptionQuery(f *testing.F) {
	for _, query := range []string{
		"", "status=past_due&plan=pro&interval=year&ending=1&failing=1&q=a+b&sort=mrr&order=asc&page=3", "q=%00%ff", "a;b=%zz", "page=-1",
		"page=99999999999999999999", "sort=started&order=asc", "sort=organization&order=desc", "q=%C2%A0%E2%80%A8", "status=&plan=&q=", "plan=unknown&plan=pro",
	} {
		f.Add(query)
	}
	offered := subscriptionChoices{
		plans:     []ui.Option{{Value: "pro"}, {Value: "unknown"}},
		intervals: []ui.Option{{Value: "month"}, {Value: "year"}},
	}
	f.Fuzz(func(t *testing.T, query string) {
		ask := parseSubscriptions(query, offered)
		if ask.page < 1 || ask.sort == "" || ask.plan != "" && ask.plan != "pro" && ask.plan != "unknown" {
			t.Fatalf("%q asks for %+v", query, ask)
		}
		if !utf8.ValidString(ask.words) || utf8.RuneCountInString(ask.words) > longestWords {
			t.Fatalf("%q looks for %q", query, ask.words)
		}
		for _, r := range ask.words {
			if unicode.IsControl(r) {
				t.Fatalf("%q looks for %q, which holds a control character", query, ask.words)
			}
		}
		address, err := url.Parse(ask.href(nil))
		if err != nil {
			t.Fatalf("%q has the address %q: %v", query, ask.href(nil), err)
		}
		again := parseSubscriptions(address.RawQuery, offered)
		if len(again.problems) > 0 || again.href(nil) != ask.href(nil) {
			t.Fatalf("%q has the address %q, which has the address %q and problems %q", query, ask.href(nil), again.href(nil), again.problems)
		}
		again.problems, ask.problems = nil, nil
		if again.words != ask.words || again.status != ask.status || again.isDescending != ask.isDescending || again.page != ask.page {
			t.Fatalf("%q asks for %+v, and its address for %+v", query, ask, again)
		}
	})
}

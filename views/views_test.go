package views_test

import (
	"flag"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/a-h/templ"
	"github.com/google/go-cmp/cmp"

	"github.com/promptforge/payments/views"
)

var update = flag.Bool("update", false, "write the golden files anew")

func zeroPages() []sample {
	return []sample{
		{"pricing", views.PricingPage(views.Pricing{})},
		{"signup", views.SignUpPage(views.SignUp{})},
		{"login", views.LoginPage(views.Login{})},
		{"checkout", views.CheckoutPage(views.Checkout{})},
		{"success", views.CheckoutSuccessPage(views.CheckoutSuccess{})},
		{"cancel", views.CheckoutCancelPage(views.CheckoutCancel{})},
		{"billing", views.BillingPage(views.Billing{})},
		{"billing with a plan", views.BillingPage(views.Billing{HasPlan: true})},
		{"refusal", views.RefusalPage(views.Refusal{})},
		{"admin", views.FiguresPage(views.FiguresFrame{}, views.OverviewBody(views.Overview{}))},
		{"explanation", views.FiguresPage(views.FiguresFrame{}, views.ExplainReport(views.Explanation{}))},
		{"definitions", views.DefinitionsPage(views.Definitions{})},
		{"subscriptions", views.AdminSubscriptionsPage(views.AdminSubscriptions{})},
		{"no subscriptions", views.AdminSubscriptionsPage(views.AdminSubscriptions{Results: views.SubscriptionResults{IsBare: true}})},
		{"organization", views.AdminOrganizationPage(views.AdminOrganization{})},
		{"customer-unlinked", views.AdminOrganizationPage(views.AdminOrganization{IsUnlinked: true})},
		{"mailbox", views.MailboxPage(views.Mailbox{})},
		{"mail", views.MailPage(views.Mail{})},
		{"error", views.ErrorPage(views.Error{})},
	}
}

func draw(t *testing.T, c templ.Component) string {
	t.Helper()
	var b strings.Builder
	if err := c.Render(t.Context(), &b); err != nil {
		t.Fatalf("draw: %v", err)
	}
	return b.String()
}

func parse(t *testing.T, c templ.Component) *goquery.Document {
	t.Helper()
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(draw(t, c)))
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	return doc
}

func TestEveryPageIsSoundWhateverItsModel(t *testing.T) {
	for kind, pages := range map[string][]sample{"zero": zeroPages(), "full": fullPages()} {
		for _, s := range pages {
			t.Run(kind+" "+s.name, func(t *testing.T) {
				t.Parallel()
				doc := parse(t, s.page)
				checkStructure(t, doc)
				checkPolicy(t, doc)
				checkNames(t, doc)
			})
		}
	}
}

func checkStructure(t *testing.T, doc *goquery.Document) {
	t.Helper()
	for selector, want := range map[string]int{
		"h1": 1, "main#main": 1, "head > title": 1, `html[lang="en"]`: 1, `a.skip[href="#main"]`: 1,
	} {
		if got := doc.Find(selector).Length(); got != want {
			t.Errorf("%d %s, want %d", got, selector, want)
		}
	}
	if h1 := strings.TrimSpace(doc.Find("h1").Text()); h1 == "" {
		t.Error("the h1 is empty")
	}
	if title := doc.Find("head > title").Text(); !strings.HasSuffix(title, " · "+views.Product) {
		t.Errorf("title %q does not name page and product", title)
	}
	seen := map[string]bool{}
	doc.Find("[id]").Each(func(_ int, s *goquery.Selection) {
		id := s.AttrOr("id", "")
		if id == "" || seen[id] {
			t.Errorf("id %q is empty or used twice", id)
		}
		seen[id] = true
	})
	for _, attribute := range []string{"for", "aria-describedby", "aria-labelledby"} {
		doc.Find("[" + attribute + "]").Each(func(_ int, s *goquery.Selection) {
			for id := range strings.FieldsSeq(s.AttrOr(attribute, "")) {
				if !seen[id] {
					t.Errorf("%s names %q, which is not there", attribute, id)
				}
			}
		})
	}
}

// checkPolicy holds what the Content-Security-Policy would refuse, and what
// htmx would have to evaluate.
func checkPolicy(t *testing.T, doc *goquery.Document) {
	t.Helper()
	for _, forbidden := range []string{"style", "[style]", "script:not([src])", "base", "iframe", "object"} {
		if n := doc.Find(forbidden).Length(); n > 0 {
			t.Errorf("%d %s", n, forbidden)
		}
	}
	doc.Find("*").Each(func(_ int, s *goquery.Selection) {
		for _, a := range s.Nodes[0].Attr {
			if strings.HasPrefix(a.Key, "on") || strings.HasPrefix(a.Key, "hx-on") || strings.HasPrefix(a.Val, "js:") {
				t.Errorf("<%s %s=%q> is script in an attribute", goquery.NodeName(s), a.Key, a.Val)
			}
			if a.Key != "src" && a.Key != "href" && a.Key != "action" {
				continue
			}
			if u, err := url.Parse(a.Val); err != nil || u.Host != "" || u.Scheme != "" {
				t.Errorf("<%s %s=%q> leaves the site", goquery.NodeName(s), a.Key, a.Val)
			}
		}
	})
}

func checkNames(t *testing.T, doc *goquery.Document) {
	t.Helper()
	doc.Find("input:not([type=hidden])").Each(func(_ int, s *goquery.Selection) {
		label := doc.Find(`label[for="` + s.AttrOr("id", "") + `"]`)
		if label.Length() != 1 || strings.TrimSpace(label.Text()) == "" {
			t.Errorf("input %q has no label", s.AttrOr("name", ""))
		}
	})
	doc.Find("a, button, summary").Each(func(_ int, s *goquery.Selection) {
		if strings.TrimSpace(s.Text()) == "" && s.AttrOr("aria-label", "") == "" {
			html, _ := goquery.OuterHtml(s)
			t.Errorf("nothing names %s", html)
		}
	})
	doc.Find("form").Each(func(_ int, s *goquery.Selection) {
		method := s.AttrOr("method", "")
		if (method != "post" && method != "get") || s.AttrOr("action", "") == "" || s.Find("button[type=submit]").Length() != 1 {
			t.Errorf("a form does not work by itself")
		}
	})
}

func TestPartsAreDrawnAsBefore(t *testing.T) {
	late := views.CheckoutSuccess{State: views.CheckoutLate, PlanName: "Pro", RefreshURL: "/checkout/success?session_id=cs_1", Reference: "cs_1"}
	for name, part := range map[string]templ.Component{
		"pricing-plans":    views.PricingPlans(pricing(visitor, "year")),
		"progress-waiting": views.CheckoutProgress(views.CheckoutSuccess{PlanName: "Pro", PollURL: "/checkout/success?session_id=cs_1&since=1"}),
		"progress-late":    views.CheckoutProgress(late),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// A line per tag: a difference is then a line and not the file.
			got := strings.ReplaceAll(draw(t, part), "><", ">\n<") + "\n"
			golden(t, filepath.Join("testdata", name+".html"), got)
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), go test ./views -update writes it anew:\n%s", file, diff)
	}
}

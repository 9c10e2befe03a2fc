package handlers_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/promptforge/payments/handlers"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
)

// shop is the overview of 20 May 2026, of a life that is worked out by hand.
type shop struct {
	*bundle
	admin *visitor
}

func openShop(t *testing.T) *shop {
	t.Helper()
	now := func() time.Time { return time.Date(2026, time.May, 20, 9, 30, 0, 0, time.UTC) }
	b := setup(t, func(d *handlers.Deps) {
		d.Now, d.Reports = now, &reports.Reports{Pool: d.Pool, Now: now}
		d.SimulatorURL = "http://127.0.0.1:8081/"
	})
	return &shop{b, b.admin()}
}

func (s *shop) flow(month, currency, plan, kind string, dollars, customers int64) {
	s.t.Helper()
	for _, table := range []string{"flow_monthly", "flow_daily"} { // on the first of the month
		s.exec(`INSERT INTO `+table+` VALUES (1, $1::text::date, $2, $3, $4, $5, $6)`, month, currency, plan, kind, dollars*100*money.Micro, customers)
	}
}

// live is a shop that has been open since February: MRR is 99, 528, 430, 558 at
// the ends of its months.
func (s *shop) live() *shop {
	s.t.Helper()
	s.flow("2026-02-01", "usd", "pro", "new", 99, 1)
	s.flow("2026-03-01", "usd", "enterprise", "new", 399, 1)
	s.flow("2026-03-01", "usd", "pilot", "new", 30, 1)
	s.flow("2026-04-01", "usd", "pro", "churn", -99, -1)
	s.flow("2026-04-01", "usd", "pilot", "expansion", 1, 0)
	s.flow("2026-05-01", "usd", "pro", "reactivation", 198, 1)
	s.flow("2026-05-01", "usd", "pilot", "contraction", -1, 0)
	s.flow("2026-05-01", "usd", "pilot", "transfer_out", -30, 0)
	s.flow("2026-05-01", "usd", "pro", "transfer_in", 30, 0)
	s.flow("2026-05-01", "usd", "pro", "expansion", 69, 0)
	s.flow("2026-05-01", "usd", "enterprise", "churn", -138, 0)
	return s
}

// words are the texts within, whether or not white space is between them.
func words(s *goquery.Selection) string {
	var out []string
	s.Contents().Each(func(_ int, part *goquery.Selection) {
		if goquery.NodeName(part) == "#text" {
			out = append(out, strings.Fields(part.Text())...)
		} else {
			out = append(out, words(part))
		}
	})
	return strings.Join(strings.Fields(strings.Join(out, " ")), " ")
}

// figure is what the card of a figure says.
func (a *answer) figure(label string) string {
	a.t.Helper()
	card := a.doc().Find(".key-figures > li").FilterFunction(func(_ int, card *goquery.Selection) bool {
		return strings.HasPrefix(strings.TrimSpace(card.Find("h2").Text()), label)
	})
	return words(card)
}

// table is the table beneath a chart, a line a row.
func (a *answer) table(section string) []string {
	a.t.Helper()
	var out []string
	a.doc().Find(section + " tbody tr").Each(func(_ int, row *goquery.Selection) {
		var cells []string
		row.Children().Each(func(_ int, cell *goquery.Selection) {
			cells = append(cells, words(cell))
		})
		out = append(out, strings.Join(cells, " | "))
	})
	return out
}

func (a *answer) wantFigure(label, want string) *answer {
	a.t.Helper()
	if got := a.figure(label); !strings.Contains(got, want) {
		a.t.Errorf("%s says %q, want %q", label, got, want)
	}
	return a
}

func (a *answer) wantRows(section string, want ...string) *answer {
	a.t.Helper()
	got := a.table(section)
	if len(got) > len(want) {
		got = got[len(got)-len(want):]
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		a.t.Errorf("the last rows of %s are\n%s\nwant\n%s", section, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	return a
}

func TestTheOverviewSaysHowTheMonthCompares(t *testing.T) {
	s := openShop(t).live()
	page := s.admin.get("/admin/billing").want(200)
	page.wantFigure("MRR", "$558.00 $128.00 more than at the end of April ARR $6,696.00")
	page.wantFigure("Net new MRR this month", "$128.00 $226.00 more than in the whole of April")
	page.wantFigure("Active customers", "3 1 more than at the end of April")
	page.wantFigure("In recovery", "$0.00 The same as at the end of April 0 invoices.")
	page.wantRows("#revenue", "February 2026 | $99.00", "March 2026 | $528.00", "April 2026 | $430.00", "May 2026 so far | $558.00")
	// Month, new, reactivation, expansion, churn, contraction, net.
	page.wantRows("#movements",
		"March 2026 | $429.00 | $0.00 | $0.00 | $0.00 | $0.00 | $429.00",
		"April 2026 | $0.00 | $0.00 | $1.00 | -$99.00 | $0.00 | -$98.00",
		"May 2026 so far | $0.00 | $198.00 | $69.00 | -$138.00 | -$1.00 | $128.00")
	page.wantText("#revenue figcaption", "MRR rose by $128.00 in May so far, to $558.00.")
	page.wantText("#movements figcaption", "May so far: $267.00 gained, $139.00 lost, $128.00 net.")
	if n := len(page.table("#revenue")); n != 12 {
		t.Errorf("the chart has %d months, want 12", n)
	}
	if n := page.doc().Find(`figure svg[role=img][aria-labelledby]`).Length(); n != 2 {
		t.Errorf("%d drawings have a name, want those of the two charts", n)
	}
	page.wantText(".bar", "As of 20 May 2026, 09:30").wantText(".bar", "Days in UTC · definition 1")
	page.wantText(".mode-strip", "It is 20 May 2026 here.")
	if href, _ := page.doc().Find(".mode-strip a").Attr("href"); href != "http://127.0.0.1:8081/" {
		t.Errorf("the clock is at %q", href)
	}
}

func TestEveryFigureLeadsToItsExplanationAndItsFile(t *testing.T) {
	s := openShop(t).live()
	page := s.admin.get("/admin/billing?range=6m&plan=pro").want(200)
	for label, want := range map[string]string{
		"MRR": "/admin/billing/explain/mrr?plan=pro&range=6m&at=2026-05-01", "Net new MRR": "/admin/billing/explain/netNew?plan=pro&range=6m&at=2026-05-01",
		"Active customers": "/admin/billing/explain/customers?plan=pro&range=6m&at=2026-05-01", "In recovery": "/admin/billing/explain/recoveryRate?plan=pro&range=6m&at=2026-05-01",
	} {
		link := page.doc().Find(".key-figures > li").FilterFunction(func(_ int, card *goquery.Selection) bool {
			return strings.HasPrefix(strings.TrimSpace(card.Find("h2").Text()), label)
		}).Find("h2 a")
		if got := link.AttrOr("href", ""); got != want {
			t.Errorf("%s is explained at %q, want %q", label, got, want)
		}
	}
	for selector, want := range map[string]string{
		"#revenue .chart-links a:nth-child(1)":          "/admin/billing/explain/mrr?plan=pro&range=6m",
		"#revenue .chart-links a:nth-child(2)":          "/admin/billing/export/figures.csv?plan=pro&range=6m",
		"#movements .chart-links a:nth-child(2)":        "/admin/billing/export/movements.csv?plan=pro&range=6m",
		"#movements tbody tr:last-child th a":           "/admin/billing/explain/netNew?plan=pro&range=6m&at=2026-05-01",
		`.rail a[data-figures]:contains("Revenue")`:     "/admin/billing/revenue?plan=pro&range=6m",
		`.rail a:not([data-figures]):contains("Subsc")`: "/admin/billing/subscriptions",
	} {
		if got := page.doc().Find(selector).AttrOr("href", ""); got != want {
			t.Errorf("%s leads to %q, want %q", selector, got, want)
		}
	}
}

func TestTheRangeIsThatOfTheAddress(t *testing.T) {
	s := openShop(t).live()
	for query, want := range map[string]struct {
		rows          int
		last, mrr     string
		rangeInterval string
	}{
		"range=6m":                             {6, "May 2026 so far", "$558.00", "6m By month"},
		"range=24m":                            {12, "May 2026 so far", "$558.00", "24m By month"},
		"range=all":                            {12, "May 2026 so far", "$558.00", "all By month"},
		"range=year":                           {5, "May 2026 so far", "$558.00", "year By month"},
		"range=30d&interval=month":             {2, "May 2026 so far", "$558.00", "30d By month"},
		"interval=week&range=30d":              {5, "The week of 18 May 2026 so far", "$558.00", "30d By week"},
		"range=custom":                         {12, "May 2026 so far", "$558.00", "custom By month"},
		"from=2026-03&range=custom":            {3, "May 2026 so far", "$558.00", "custom By month"},
		"range=custom&to=2026-03":              {12, "March 2026", "$528.00", "custom By month"},
		"from=2026-04&range=custom&to=2026-04": {1, "April 2026", "$430.00", "custom By month"},
		"from=2026-05-04&range=custom&to=2026-05-06":               {3, "6 May 2026", "$558.00", "custom By day"},
		"from=2025-12-01&range=custom&to=2026-05-06":               {6, "May 2026 so far", "$558.00", "custom By month"},
		"from=2026-05-06&range=custom":                             {1, "May 2026 so far", "$558.00", "custom By month"},
		"from=2026-05-06&interval=day&range=custom":                {15, "20 May 2026 so far", "$558.00", "custom By day"},
		"from=2025-05-20&interval=day&range=custom":                {366, "20 May 2026 so far", "$558.00", "custom By day"},
		"from=2026-04-29&interval=week&range=custom&to=2026-05-11": {3, "The week of 11 May 2026", "$558.00", "custom By week"},
	} {
		page := s.admin.get("/admin/billing?" + query).want(200)
		rows := page.table("#revenue")
		if len(rows) == 0 {
			t.Errorf("%s shows nothing", query)
			continue
		}
		if len(rows) != want.rows || !strings.HasPrefix(rows[len(rows)-1], want.last+" | ") {
			t.Errorf("%s shows %d periods up to %s, want %d up to %s", query, len(rows), rows[len(rows)-1], want.rows, want.last)
		}
		if got := page.doc().Find("#range option[selected]").AttrOr("value", "") + " " + page.doc().Find("#interval option[selected]").Text(); got != want.rangeInterval {
			t.Errorf("%s selects %q, want %q", query, got, want.rangeInterval)
		}
		if _, off := page.doc().Find(".filters fieldset").Attr("hidden"); off == strings.Contains(query, "custom") {
			t.Errorf("%s: the custom days are off: %v", query, off)
		}
		page.wantFigure("MRR", want.mrr)
	}
	past := s.admin.get("/admin/billing?from=2026-03&range=custom&to=2026-04").want(200)
	past.wantFigure("MRR · Apr 2026", "$98.00 less than at the end of March").wantFigure("Net new MRR · Apr 2026", "$527.00 less than in the whole of March").
		wantFigure("Active customers · Apr 2026", "1 fewer than at the end of March")
	past.wantText("#revenue figcaption", "MRR rose by $331.00 in 2 months, to $430.00 at the end of April 2026.")
	if from, to := past.doc().Find("#from").AttrOr("value", ""), past.doc().Find("#to").AttrOr("value", ""); from != "2026-03-01" || to != "2026-04-30" {
		t.Errorf("the form keeps %s to %s", from, to)
	}
}

func TestAnAddressSaysOnlyWhatMatters(t *testing.T) {
	s := openShop(t).live()
	s.flow("2026-05-01", "eur", "pro", "new", 90, 1)
	for query, want := range map[string]string{
		"range=12m&from=2026-03&to=2026-04":                       "",
		"range=6m&from=x&currency=EUR&plan=":                      "?currency=eur&range=6m",
		"currency=usd&compare=&interval=month":                    "",
		"range=year&to=2026-04&compare=year":                      "?compare=year&range=year",
		"range=30d&interval=day":                                  "?range=30d",
		"range=30d&interval=month&plan=":                          "?interval=month&range=30d",
		"to=2026-04&from=2026-03":                                 "?from=2026-03&range=custom&to=2026-04",
		"from=2026-03":                                            "?from=2026-03&range=custom",
		"range=custom&from=2026-03-01&to=2026-03-31&interval=day": "?from=2026-03-01&range=custom&to=2026-03-31",
		"utm_source=mail&page=7":                                  "",
	} {
		part := s.admin.with("HX-Request", "true").get("/admin/billing?" + query).want(200)
		if got := part.header.Get("HX-Push-Url"); got != "/admin/billing"+want {
			t.Errorf("the part of %s has the address %q, want %q", query, got, want)
		}
		if to := s.admin.get("/admin/billing?" + query).want(303).location(); to != "/admin/billing"+want {
			t.Errorf("%s leads to %q, want %q", query, to, want)
		}
		s.admin.get("/admin/billing" + want).want(200)
	}
	if got := s.admin.with("HX-Request", "true").get("/admin/billing?range=custom&from=2026-09").want(422).header.Get("HX-Push-Url"); got != "false" {
		t.Errorf("what was refused has the address %q", got)
	}
	// A page that refreshes its figures stays where it is.
	if got := s.admin.with("HX-Request", "true").with("X-Live-Version", "1").get("/admin/billing?range=6m").want(200).header.Get("HX-Push-Url"); got != "" {
		t.Errorf("a refresh pushes %q", got)
	}
}

func TestCustomDaysStartFromThoseShown(t *testing.T) {
	s := openShop(t).live()
	s.flow("2025-09-01", "usd", "pilot", "new", 0, 1)
	for query, want := range map[string]string{
		"?range=6m": "2025-12-01 2026-05-20", "?range=year": "2026-01-01 2026-05-20", "": "2025-06-01 2026-05-20", "?range=30d": "2026-04-21 2026-05-20",
	} {
		form := s.admin.get("/admin/billing" + query).want(200).doc().Find(".filters")
		got := form.Find("fieldset[hidden]:not([disabled]) #from").AttrOr("value", "") + " " + form.Find("#to").AttrOr("value", "")
		if got != want {
			t.Errorf("custom days after %q start from %s, want %s", query, got, want)
		}
		if first, last := form.Find("#from").AttrOr("min", ""), form.Find("#to").AttrOr("max", ""); first != "2025-09-01" || last != "2026-05-20" {
			t.Errorf("days from %s to %s may be chosen", first, last)
		}
	}
}

func TestWhatGoesWithoutSayingFollowsTheRange(t *testing.T) {
	s := openShop(t).live()
	s.flow("2026-05-01", "eur", "pro", "new", 90, 1)
	for query, want := range map[string]string{
		"":                            "interval: day|week|*; currency: eur|*; plan: *|pilot|pro|enterprise; compare: *|previous|year",
		"?range=90d":                  "interval: *|week|month; currency: eur|*; plan: *|pilot|pro|enterprise; compare: *|previous|year",
		"?currency=eur&interval=week": "interval: day|*week|; currency: *eur|; plan: *|pilot|pro|enterprise; compare: *|previous|year",
		"?compare=previous&plan=pro":  "interval: day|week|*; currency: eur|*; plan: |pilot|*pro|enterprise; compare: |*previous|year",
	} {
		var got []string
		page := s.admin.get("/admin/billing" + query).want(200)
		for _, name := range []string{"interval", "currency", "plan", "compare"} {
			var values []string
			page.doc().Find("#" + name + " option").Each(func(_ int, o *goquery.Selection) {
				mark := ""
				if _, ok := o.Attr("selected"); ok {
					mark = "*"
				}
				values = append(values, mark+o.AttrOr("value", "?"))
			})
			if n := page.doc().Find("#" + name + " option[selected]").Length(); n == 0 {
				values[0] = "*" + values[0] // what a browser selects
			}
			got = append(got, name+": "+strings.Join(values, "|"))
		}
		if got := strings.Join(got, "; "); got != want {
			t.Errorf("%q offers %s\nwant %s", query, got, want)
		}
	}
}

func TestPeriodsAreComparedWithOthers(t *testing.T) {
	s := openShop(t).live()
	s.flow("2025-04-01", "usd", "pro", "new", 10, 1)
	page := s.admin.get("/admin/billing?compare=year&range=year").want(200)
	page.wantRows("#revenue", "April 2026 | $440.00 | $10.00", "May 2026 so far | $568.00 | $10.00")
	page.wantText("#revenue .chart-legend", "A year before")
	page = s.admin.get("/admin/billing?compare=previous&from=2026-04&range=custom&to=2026-04").want(200)
	page.wantRows("#revenue", "April 2026 | $440.00 | $538.00")
}

func TestWhatCannotBeMadeOutIsSaidBesideTheField(t *testing.T) {
	s := openShop(t).live()
	for query, want := range map[string]struct{ field, message string }{
		"range=13":                             {"range", "Choose one of the ranges in the list."},
		"range=custom&from=March":              {"from", "“March” is no day. Write it as 2026-11-24"},
		"range=custom&to=2026-13":              {"to", "“2026-13” is no day. Write it as 2026-11-24"},
		"range=custom&from=2026-04&to=2026-03": {"from", "The first day is after the last one."},
		"range=custom&from=2026-06":            {"from", "The first day has not come yet."},
		"range=custom&from=0002-01&to=0002-02": {"from", "Choose a day of the last ten years."},
		"to=2026-01":                           {"to", "There is nothing before 1 Feb 2026."},
		"interval=hour":                        {"interval", "Choose days, weeks or months."},
		"from=2025-01&interval=day":            {"interval", "Choose months for more than a year."},
		"currency=chf":                         {"currency", "There are no figures in this currency."},
		"currency=%3Cscript%3E":                {"currency", "There are no figures in this currency."},
		"plan=gold":                            {"plan", "There are no figures of this plan."},
		"compare=me":                           {"compare", "Choose one of the comparisons in the list."},
	} {
		for name, v := range map[string]*visitor{"plain": s.admin, "htmx": s.admin.with("HX-Request", "true")} {
			a := v.get("/admin/billing?" + query).want(422)
			a.wantText("#"+want.field+"-error", want.message)
			// The figures of the last twelve months stand beneath.
			if n := len(a.table("#revenue")); n != 12 {
				t.Errorf("%s, %s: %d months", query, name, n)
			}
			if whole := strings.Contains(a.body, "<html"); whole != (name == "plain") {
				t.Errorf("%s, %s: whole = %v", query, name, whole)
			}
			if strings.Contains(a.body, "<script>") {
				t.Errorf("%s, %s: what was asked for comes back as it is", query, name)
			}
		}
	}
	// The field that is wrong keeps what was chosen, and names its message.
	a := s.admin.get("/admin/billing?range=custom&from=2026-04&to=2026-03").want(422)
	from := a.doc().Find("#from")
	if from.AttrOr("aria-invalid", "") != "true" || from.AttrOr("aria-describedby", "") != "from-error" || from.AttrOr("value", "") != "2026-04-01" {
		html, _ := goquery.OuterHtml(from)
		t.Errorf("the field is %s", html)
	}
}

func TestATimeInWhichNothingMovedSaysSo(t *testing.T) {
	s := openShop(t)
	s.flow("2026-02-01", "usd", "pro", "new", 99, 1)
	page := s.admin.get("/admin/billing?from=2026-05&range=custom").want(200)
	page.wantText("#revenue figcaption", "MRR stayed at $99.00 in May so far.").wantText("#movements figcaption", "Nothing moved in May 2026 so far.")
	page.wantText("#movements figure", "Nobody came, left or changed plans in this time.")
	s.admin.get("/admin/billing?from=2026-03&range=custom&to=2026-04").want(200).wantText("#revenue figcaption", "MRR was $99.00 at the end of April 2026, as it was 2 months before.")
	s.flow("2026-03-01", "usd", "pro", "churn", -99, -1)
	s.admin.get("/admin/billing?from=2026-04&range=custom").want(200).wantText("#revenue figure", "There was no MRR in this time.")
}

func TestCurrenciesStandApart(t *testing.T) {
	s := openShop(t).live()
	s.flow("2026-05-01", "eur", "pro", "new", 90, 1)
	s.flow("2026-05-01", "jpy", "pro", "new", 45, 1)
	// The one that plans are sold in comes first, though not in the alphabet.
	page := s.admin.get("/admin/billing").want(200).wantFigure("MRR", "$558.00")
	if got := page.doc().Find("#currency option").Text(); got != "In EURIn JPYIn USD" {
		t.Errorf("currencies are %q", got)
	}
	s.admin.get("/admin/billing?currency=eur").want(200).wantFigure("MRR", "€90.00").wantFigure("Active customers", "1")
	s.admin.get("/admin/billing?currency=jpy").want(200).wantFigure("MRR", "¥4,500")
}

func TestOnlyThePartIsSwapped(t *testing.T) {
	s := openShop(t).live()
	for name, tt := range map[string]struct {
		ask  *visitor
		part bool
	}{
		"plain":           {s.admin, false},
		"htmx":            {s.admin.with("HX-Request", "true"), true},
		"boosted":         {s.admin.with("HX-Request", "true").with("HX-Boosted", "true"), false},
		"history restore": {s.admin.with("HX-Request", "true").with("HX-History-Restore-Request", "true"), false},
	} {
		a := tt.ask.get("/admin/billing?range=6m").want(200)
		if part := !strings.Contains(a.body, "<html"); part != tt.part {
			t.Errorf("%s: part = %v", name, part)
		}
		if a.doc().Find("#figures").Length() != 1 || a.doc().Find(".rail").Length() == 1 == tt.part {
			t.Errorf("%s: the part is not what the form replaces", name)
		}
		if !strings.Contains(strings.Join(a.header.Values("Vary"), " "), "HX-Request") {
			t.Errorf("%s: Vary is %q", name, a.header.Values("Vary"))
		}
	}
	form := s.admin.get("/admin/billing").doc().Find("form.filters")
	for attribute, want := range map[string]string{
		"action": "/admin/billing", "method": "get", "hx-get": "/admin/billing", "hx-target": "#figures", "hx-push-url": "true", "hx-swap": "outerMorph",
	} {
		if got := form.AttrOr(attribute, ""); got != want {
			t.Errorf("%s of the form is %q, want %q", attribute, got, want)
		}
	}
}

func TestAnOverviewWithoutMRRSaysWhy(t *testing.T) {
	s := openShop(t)
	page := s.admin.get("/admin/billing").want(200).wantFigure("MRR", "$0.00").wantText("#figures", "No subscription yet").wantText("#events", "Nothing has happened yet")
	if n := page.doc().Find("figure").Length(); n != 0 {
		t.Errorf("%d charts of nothing", n)
	}
	s.exec(`INSERT INTO customers (stripe_customer_id, livemode, created_at) VALUES ('cus_1', false, now())`)
	s.exec(`INSERT INTO subscriptions (stripe_subscription_id, stripe_customer_id, status, plan, quantity, currency, current_period_start, current_period_end,
		cancel_at_period_end, has_paid, livemode, facts, created_at, read_at)
		VALUES ('sub_1', 'cus_1', 'trialing', 'pilot', 1, 'usd', now(), now(), false, false, false, '{}', now(), now())`)
	s.admin.get("/admin/billing").want(200).wantText("#figures", "Nobody pays yet").wantText("#figures", "1 trial is under way.")
	s.exec(`UPDATE subscriptions SET status = 'active'`)
	s.admin.get("/admin/billing").want(200).wantText(".flash-warn", "1 active subscription has a price whose amount is not known yet.")
}

func TestEventsReadAsStories(t *testing.T) {
	s := openShop(t)
	var acme uuid.UUID
	if err := s.pool.QueryRow(t.Context(), `INSERT INTO organizations (name, created_at) VALUES ('Acme', now()) RETURNING id`).Scan(&acme); err != nil {
		t.Fatal(err)
	}
	s.exec(`INSERT INTO customers (stripe_customer_id, org_id, livemode, created_at) VALUES ('cus_acme', $1, false, now())`, acme)
	type event struct{ kind, plan, interval, details string }
	none := "{}"
	for name, tt := range map[string]struct {
		events []event
		want   string
	}{
		"a purchase is not four payments": {[]event{
			{"subscription_created", "pro", "month", none},
			{"subscription_activated", "pro", "month", none},
			{"checkout_completed", "pro", "month", none},
			{"payment_succeeded", "pro", "month", `{"billing_reason": "subscription_create"}`},
		}, "Bought Pro, monthly $99.00"},
		"a trial asks for no money": {[]event{{"subscription_created", "pilot", "year", none}, {"trial_started", "pilot", "year", none}}, "Started a trial of Pilot, yearly"},
		"a trial that goes on":      {[]event{{"subscription_activated", "pilot", "month", none}}, "Trial of Pilot became a subscription"},
		"a renewal":                 {[]event{{"payment_succeeded", "pro", "month", `{"billing_reason": "subscription_cycle"}`}}, "Renewed Pro, monthly $99.00"},
		"a payment of another kind": {[]event{{"payment_succeeded", "pro", "month", `{"billing_reason": "manual"}`}}, "Paid for Pro $99.00"},
		"a failed renewal":          {[]event{{"payment_failed", "pro", "month", none}, {"subscription_past_due", "pro", "month", none}}, "Payment failed for Pro $99.00"},
		"what is written off":       {[]event{{"payment_failed", "pro", "month", none}, {"invoice_marked_uncollectible", "pro", "month", none}}, "Invoice written off for Pro $99.00"},
		"what nobody owes any more": {[]event{{"invoice_voided", "pro", "month", none}}, "Invoice voided for Pro $99.00"},
		"a recovery":                {[]event{{"payment_succeeded", "pro", "month", none}, {"subscription_recovered", "pro", "month", none}}, "Paid for Pro after a failure $99.00"},
		"retries are over":          {[]event{{"payment_failed", "pro", "month", none}, {"subscription_unpaid", "pro", "month", none}}, "Pro is unpaid, retries are over $99.00"},
		"an end after failures":     {[]event{{"payment_failed", "pro", "month", none}, {"subscription_canceled", "pro", "month", `{"from_status": "past_due"}`}}, "Pro ended after failed payments $99.00"},
		"an end of one's own will":  {[]event{{"subscription_canceled", "pro", "month", `{"from_status": "active"}`}}, "Pro ended"},
		"a trial that does not":     {[]event{{"subscription_canceled", "pilot", "month", `{"from_status": "trialing"}`}}, "Trial of Pilot ended without a purchase"},
		"an upgrade that is paid for at once": {[]event{
			{"plan_changed", "enterprise", "month", `{"from_plan": "pro"}`}, {"payment_succeeded", "enterprise", "month", `{"billing_reason": "subscription_update"}`},
		}, "Changed from Pro to Enterprise $99.00"},
		"a change of the period":        {[]event{{"plan_changed", "pro", "year", `{"from_plan": "pro"}`}}, "Pro is now billed yearly"},
		"a change of a lost price":      {[]event{{"plan_changed", "", "", none}}, "Changed the plan"},
		"a scheduled end":               {[]event{{"cancellation_scheduled", "pro", "month", none}}, "Pro will end with the period"},
		"what has no words here":        {[]event{{"trial_will_end", "pilot", "month", none}}, "Trial will end: Pilot"},
		"a kind nobody knows":           {[]event{{"moon_landed", "", "", none}}, "Moon landed"},
		"an end of what we do not know": {[]event{{"subscription_canceled", "", "", none}}, "A subscription ended"},
	} {
		s.exec(`DELETE FROM payment_events`)
		for i, e := range tt.events {
			s.exec(`INSERT INTO payment_events (kind, natural_key, at, stripe_customer_id, plan, "interval", currency, amount_minor, details, livemode)
				VALUES ($1, $2, '2026-05-19T08:15:00Z', 'cus_acme', nullif($3, ''), nullif($4, ''), 'usd', 9900, $5::text::jsonb, false)`, e.kind, fmt.Sprint(i), e.plan, e.interval, e.details)
		}
		page := s.admin.get("/admin/billing").want(200)
		var got []string
		page.doc().Find("#events li").Each(func(_ int, li *goquery.Selection) { got = append(got, words(li)) })
		if want := tt.want + " Acme 19 May, 08:15"; len(got) != 1 || got[0] != want {
			t.Errorf("%s is told as %q, want %q", name, got, want)
		}
		if href := page.doc().Find("#events li a").AttrOr("href", ""); href != "/admin/billing/organizations/"+acme.String() {
			t.Errorf("%s leads to %q", name, href)
		}
	}
	s.exec(`UPDATE payment_events SET stripe_customer_id = 'cus_stranger'`)
	if href := s.admin.get("/admin/billing").want(200).doc().Find("#events li a").AttrOr("href", ""); href != "/admin/billing/organizations/cus_stranger" {
		t.Errorf("a customer that no organization owns leads to %q", href)
	}
}

func TestTheRailIsFoldedWhereItWas(t *testing.T) {
	s := openShop(t)
	folded := func(cookie string) bool {
		_, ok := s.admin.with("Cookie", cookie).get("/admin/billing").want(200).doc().Find("#rail-fold").Attr("checked")
		return ok
	}
	if folded("rail=") || folded("rail=other") || !folded("rail=folded") {
		t.Error("the rail is not as the cookie says")
	}
}

// TestNoAddressBreaksTheOverview asks for what nobody would.
func TestNoAddressBreaksTheOverview(t *testing.T) {
	s := openShop(t).live()
	value := rapid.OneOf(
		rapid.SampledFrom([]string{"", "6m", "12m", "30d", "all", "year", "custom", "day", "week", "previous", "usd", "pro", "2026-05", "2026-04", "0000-01", "9999-12", "-1", "\x00", "2026-5", "2026-05-01"}),
		rapid.StringN(0, 12, 40),
	)
	rapid.Check(t, func(r *rapid.T) {
		query := url.Values{}
		for _, name := range []string{"range", "from", "to", "interval", "currency", "plan", "compare"} {
			for _, v := range rapid.SliceOfN(value, 0, 2).Draw(r, name) {
				query.Add(name, v)
			}
		}
		if a := s.admin.get("/admin/billing?" + query.Encode()); a.status != 200 && a.status != 303 && a.status != 422 {
			r.Fatalf("%s answers %d", query.Encode(), a.status)
		}
	})
}

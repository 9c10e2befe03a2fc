package e2e

import (
	"regexp"
	"testing"

	"github.com/playwright-community/playwright-go"
)

// tryFigures walks a chart by keyboard and by mouse, and changes what a page of
// figures is narrowed to while a table is open.
func tryFigures(t *testing.T, browser playwright.Browser, w *world) {
	expect := playwright.NewPlaywrightAssertions(10_000)
	open := func(t *testing.T, path string) playwright.Page {
		t.Helper()
		page := openAs(t, browser, w.cookies(staff), 1280, playwright.ColorSchemeLight)
		_, err := page.Goto(w.demo.App + path)
		must(t, err, "open %s", path)
		return page
	}
	t.Run("a chart is read by keyboard", func(t *testing.T) {
		page := open(t, "/admin/billing")
		cursor, tip := page.Locator("#moved-cursor"), page.Locator("#moved-cursor .chart-tip")
		must(t, expect.Locator(cursor).ToHaveAttribute("aria-valuemax", "12"), "it speaks of twelve months")
		must(t, page.Locator("#movements-heading").ScrollIntoViewIfNeeded(), "go there")
		must(t, page.Keyboard().Press("Tab"), "press Tab") // from here on the focus shows
		must(t, cursor.Focus(), "reach the plot")
		must(t, expect.Locator(tip).ToContainText("so far"), "the running month is the first to be shown")
		must(t, page.Keyboard().Press("Home"), "press Home")
		must(t, page.Keyboard().Press("ArrowRight"), "press the arrow")
		must(t, expect.Locator(cursor).ToHaveAttribute("aria-valuenow", "2"), "it is the second month")
		row, err := page.Locator("#moved-table tbody tr:nth-child(2) td:last-child").TextContent()
		must(t, err, "read the table")
		must(t, expect.Locator(tip).ToContainText(row), "the tip says what the table says")
		must(t, expect.Locator(cursor).ToHaveAttribute("aria-valuetext", regexp.MustCompile(regexp.QuoteMeta("Net "+row))), "so does the reader")
		must(t, page.Keyboard().Press("Escape"), "press Escape")
		must(t, expect.Locator(tip).ToBeHidden(), "Escape hides it")
		must(t, page.Keyboard().Press("ArrowLeft"), "go on")
		must(t, page.Keyboard().Press("Enter"), "ask what is behind it")
		must(t, expect.Page(page).ToHaveURL(regexp.MustCompile(`/admin/billing/explain/netNew\?at=`)), "it is explained")
		must(t, expect.Locator(page.Locator("dialog#panel[open] #panel-title")).ToBeFocused(), "in a panel over the page")
		must(t, page.Keyboard().Press("Escape"), "close it")
		must(t, expect.Page(page).ToHaveURL(w.demo.App+"/admin/billing"), "the page is there again")
		must(t, expect.Locator(cursor).ToBeFocused(), "the focus is where it was")
	})
	t.Run("a chart is read by mouse", func(t *testing.T) {
		page := open(t, "/admin/billing")
		cursor, tip := page.Locator("#mrr-cursor"), page.Locator("#mrr-cursor .chart-tip")
		must(t, cursor.Hover(playwright.LocatorHoverOptions{Position: &playwright.Position{X: 5, Y: 20}}), "point at the first month")
		must(t, expect.Locator(tip).ToBeVisible(), "its tip is there")
		first, err := page.Locator("#mrr-table tbody tr:first-child th").TextContent()
		must(t, err, "read the table")
		must(t, expect.Locator(tip.Locator("b")).ToHaveText(first), "it is the first")
		// The pointer may go over it, and it stays.
		must(t, tip.Hover(), "point at the tip")
		must(t, expect.Locator(tip.Locator("b")).ToHaveText(first), "it stays")
		must(t, page.Keyboard().Press("Escape"), "press Escape")
		must(t, expect.Locator(tip).ToBeHidden(), "Escape hides it")
		must(t, cursor.Hover(playwright.LocatorHoverOptions{Position: &playwright.Position{X: 5, Y: 20}}), "point again")
		must(t, page.Locator("h1").Hover(), "point elsewhere")
		must(t, expect.Locator(tip).ToBeHidden(), "it is gone")
	})
	t.Run("the bar keeps the place", func(t *testing.T) {
		page := open(t, "/admin/billing?compare=previous")
		must(t, page.Locator("#moved-table > summary").Click(), "open a table")
		must(t, page.Locator("#range").Focus(), "go to the bar")
		choose := func(field, label string) {
			t.Helper()
			_, err := page.Locator(field).SelectOption(playwright.SelectOptionValues{Labels: &[]string{label}})
			must(t, err, "choose %s", label)
		}
		at := func(query string) {
			t.Helper()
			must(t, expect.Page(page).ToHaveURL(w.demo.App+"/admin/billing"+query), "the address")
		}
		choose("#range", "Last 30 days")
		at("?compare=previous&range=30d")
		must(t, expect.Locator(page.Locator("#interval option:checked")).ToHaveText("By day"), "thirty days are shown by day")
		must(t, expect.Locator(page.Locator("#moved-table")).ToHaveAttribute("open", ""), "the table stays open")
		must(t, expect.Locator(page.Locator("#range")).ToBeFocused(), "the focus stays")
		must(t, expect.Locator(page.Locator("[data-figures-status]")).ToHaveText(regexp.MustCompile("^Updated ")), "a reader is told")
		must(t, expect.Locator(page.Locator(".rail a").Filter(playwright.LocatorFilterOptions{HasText: "Revenue"})).
			ToHaveAttribute("href", regexp.MustCompile(`/admin/billing/revenue\?compare=previous&range=30d$`)), "the rail carries it along")
		// What goes without saying follows, also for a field that was touched.
		choose("#interval", "By week")
		at("?compare=previous&interval=week&range=30d")
		choose("#interval", "By day")
		choose("#range", "Last 12 months")
		at("?compare=previous")
		must(t, expect.Locator(page.Locator("#interval option:checked")).ToHaveText("By month"), "twelve months are shown by month")
		// Dates that make no sense are no address to come back to.
		choose("#range", "Custom days")
		must(t, page.Locator("#to").Fill("2001-01-01"), "type a day before all others")
		must(t, expect.Locator(page.Locator("#to-error, #from-error")).ToBeVisible(), "it is said beside the field")
		must(t, expect.Page(page).ToHaveURL(regexp.MustCompile(`range=custom&to=\d{4}-`)), "the address is the last that made sense")
	})
}

package e2e

import (
	"regexp"
	"testing"

	"github.com/playwright-community/playwright-go"
)

// tryPanel opens an explanation over the page that it is asked from, goes on
// from there, and comes back to where the reader was.
func tryPanel(t *testing.T, browser playwright.Browser, w *world) {
	expect := playwright.NewPlaywrightAssertions(10_000)
	page := openAs(t, browser, w.cookies(staff), 1280, playwright.ColorSchemeLight)
	wire := listen(t, page, 200, w.demo.App)
	address := w.demo.App + "/admin/billing/revenue"
	_, err := page.Goto(address)
	must(t, err, "open the page of revenue")
	link := page.Locator(`#figures a[href^="/admin/billing/explain/"]`).First()
	must(t, link.Focus(), "go to the first figure")
	must(t, page.Keyboard().Press("Enter"), "ask how it is counted")
	panel := page.Locator("dialog#panel[open]")
	must(t, expect.Locator(panel.Locator("#panel-title")).ToBeFocused(), "the panel has the focus")
	must(t, expect.Page(page).ToHaveURL(regexp.MustCompile("/admin/billing/explain/")), "the address is that of the explanation")
	// What lies beneath takes no focus, so that only axe-core looks here.
	_, err = page.Evaluate(axeCore(t))
	must(t, err, "bring axe-core")
	for _, fault := range ask(t, page, axeRun, false) {
		t.Error(fault)
	}
	must(t, page.EmulateMedia(playwright.PageEmulateMediaOptions{ColorScheme: playwright.ColorSchemeDark}), "turn dark")
	for _, fault := range append(ask(t, page, axeRun, true), wire.faults()...) {
		t.Error("dark: " + fault)
	}
	events := panel.Locator("details > summary").First()
	must(t, events.Click(), "open the events of a movement")
	must(t, expect.Locator(panel.Locator("details[open] .happening-title").First()).ToBeVisible(), "they are there")
	must(t, panel.Locator(".evidence-filters a").Last().Click(), "narrow the movements")
	must(t, expect.Locator(panel.Locator(".evidence-filters a").Last()).ToHaveAttribute("aria-current", "true"), "the panel shows those alone")
	must(t, expect.Page(page).ToHaveURL(regexp.MustCompile("kind=")), "the address says so")
	explained := page.URL()
	must(t, page.Keyboard().Press("Escape"), "press Escape")
	must(t, expect.Locator(panel).ToHaveCount(0), "the panel is gone")
	must(t, expect.Page(page).ToHaveURL(address), "the address is the page's own again")
	must(t, expect.Locator(link).ToBeFocused(), "the focus is where it was")
	// The address that was shown is a page by itself.
	_, err = page.Goto(explained)
	must(t, err, "open what was shown")
	must(t, expect.Locator(page.Locator("h1")).ToBeVisible(), "it is a page")
	must(t, expect.Locator(page.Locator(".evidence-filters [aria-current]")).ToHaveCount(1), "of the same rows")
}

package e2e

import (
	"regexp"
	"testing"

	"github.com/playwright-community/playwright-go"
)

// swaps are the places where a part of a page is exchanged for another.
var swaps = []struct {
	name, path string
	as         who
	// part is what is exchanged.
	part string
	// press is what is done, from the keyboard.
	press func(page playwright.Page) error
	// leadsTo is what the address has afterwards.
	leadsTo string
}{
	{"the interval of the prices", "/pricing", stranger, "#plans", follow("Yearly"), `interval=year`},
	{"the interval of the prices back", "/pricing?interval=year", subscriber, "#plans", follow("Monthly"), `interval=month`},
	{"the time of the overview", "/admin/billing", staff, "#figures", choose("#range", "ArrowDown"), `range=`},
	{"the status of the list", "/admin/billing/subscriptions", staff, "#results", choose("#status", "ArrowDown"), `status=trialing`},
	{"the words of the list", "/admin/billing/subscriptions", staff, "#results", choose("#q", "f", "r", "e", "q"), `q=freq`},
	{"the order of the list", "/admin/billing/subscriptions", staff, "#results", follow("^MRR"), `sort=mrr`},
}

// follow presses a link.
func follow(name string) func(playwright.Page) error {
	return func(page playwright.Page) error {
		link := page.GetByRole("link", playwright.PageGetByRoleOptions{Name: regexp.MustCompile(name)}).First()
		if err := link.Focus(); err != nil {
			return err
		}
		return page.Keyboard().Press("Enter")
	}
}

// choose presses keys in a field of a form.
func choose(field string, keys ...string) func(playwright.Page) error {
	return func(page playwright.Page) error {
		if err := page.Locator(field).Focus(); err != nil {
			return err
		}
		for _, key := range keys {
			if err := page.Keyboard().Press(key); err != nil {
				return err
			}
		}
		return nil
	}
}

// trySwaps presses each from the keyboard: the address says what is shown,
// nothing around the part moves, the focus stays where the reader is, and the
// page is as good as one that was opened whole.
func trySwaps(t *testing.T, browser playwright.Browser, w *world) {
	expect := playwright.NewPlaywrightAssertions(10_000)
	axe := axeCore(t)
	for _, s := range swaps {
		t.Run(s.name, func(t *testing.T) {
			page := openAs(t, browser, w.cookies(s.as), 1280, playwright.ColorSchemeLight)
			wire := listen(t, page, 200, w.demo.App)
			_, err := page.Goto(w.demo.App + s.path)
			must(t, err, "open %s", s.path)
			must(t, page.Keyboard().Press("Tab"), "press Tab") // from here on the focus shows
			must(t, s.press(page), "press it")
			must(t, expect.Page(page).ToHaveURL(regexp.MustCompile(s.leadsTo)), "the address says what is shown")
			waitUntil(t, page, "() => watched.swaps > 0") // it never is, where the whole page came instead
			for _, fault := range append(ask(t, page, afterSwap), inspect(t, page, wire, axe, s.part)...) {
				t.Error(fault)
			}
		})
	}
}

// afterSwap waits until a shift would have been noted, and looks for the focus.
const afterSwap = `async () => {
	await new Promise((done) => setTimeout(done, 100));
	const faults = [];
	const e = document.activeElement;
	if (e === document.body) return ["the focus is lost"];
	const style = getComputedStyle(e), box = e.getBoundingClientRect();
	if (!e.matches(":focus-visible") || style.outlineStyle === "none") faults.push("the focus is on " + e.outerHTML.slice(0, 90) + ", and does not show");
	if (box.bottom < 0 || box.top > innerHeight) faults.push("the focus is out of sight, on " + e.outerHTML.slice(0, 90));
	return faults;
}`

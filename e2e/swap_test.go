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
	// press is what is pressed, from the keyboard.
	press func(page playwright.Page) playwright.Locator
	// leadsTo is what the address has afterwards.
	leadsTo string
}{
	{"the interval of the prices", "/pricing", stranger, linkNamed("Yearly"), `interval=year`},
	{"and back", "/pricing?interval=year", subscriber, linkNamed("Monthly"), `interval=month`},
}

func linkNamed(name string) func(playwright.Page) playwright.Locator {
	return func(page playwright.Page) playwright.Locator {
		return page.GetByRole("link", playwright.PageGetByRoleOptions{Name: regexp.MustCompile(name)})
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
			must(t, s.press(page).Focus(), "reach it")
			must(t, page.Keyboard().Press("Enter"), "press it")
			must(t, expect.Page(page).ToHaveURL(regexp.MustCompile(s.leadsTo)), "the address says what is shown")
			_, err = page.WaitForFunction("() => watched.swaps > 0", nil)
			must(t, err, "wait for the part: the whole page must not be loaded instead")
			for _, fault := range append(ask(t, page, afterSwap), inspect(t, page, wire, axe)...) {
				t.Error(fault)
			}
		})
	}
}

// afterSwap waits for two frames, so that a shift has been noted.
const afterSwap = `async () => {
	for (let i = 0; i < 2; i++) await new Promise((done) => requestAnimationFrame(done));
	await new Promise((done) => setTimeout(done, 50));
	const faults = [];
	const e = document.activeElement;
	if (e === document.body) return [...faults, "the focus is lost"];
	const style = getComputedStyle(e), box = e.getBoundingClientRect();
	if (!e.matches(":focus-visible") || style.outlineStyle === "none") faults.push("the focus is on " + e.outerHTML.slice(0, 90) + ", and does not show");
	if (box.bottom < 0 || box.top > innerHeight) faults.push("the focus is out of sight, on " + e.outerHTML.slice(0, 90));
	return faults;
}`

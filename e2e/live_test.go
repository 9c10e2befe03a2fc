package e2e

import (
	"testing"

	"github.com/playwright-community/playwright-go"
)

// TestFiguresMoveWhileSomebodyLooks: whoever has a page of figures open sees what
// is bought elsewhere, without a new page, a new address or a lost place. A tab
// that nobody sees asks for nothing, and catches up when it is looked at.
func TestFiguresMoveWhileSomebodyLooks(t *testing.T) {
	w := &world{demo: startDemo(t, "--empty"), clients: map[who]*client{}, bought: map[who]string{}, org: map[who]string{}}
	w.clients[staff] = w.logIn(t, w.demo.Admin)
	w.signUp(t, subscriber, "Hedy Kiesler", "Frequency Works")
	w.buy(t, subscriber, "pro", "4242424242424242")

	expect := playwright.NewPlaywrightAssertions(15_000)
	page := openAs(t, openBrowser(t), w.cookies(staff), 1280, playwright.ColorSchemeLight)
	wire := listen(t, page, 200, w.demo.App)
	address := w.demo.App + "/admin/billing/revenue?range=6m"
	_, err := page.Goto(address)
	must(t, err, "open the page of revenue")
	figures := page.Locator("#figures")
	must(t, expect.Locator(figures).ToContainText("$99.00"), "the first purchase is there")
	must(t, expect.Locator(page.Locator("[data-live-state]")).ToHaveText("Live"), "the page says that it is live")

	// The reader opens a table, and stands on its summary.
	summary := page.Locator("#figures details > summary").First()
	must(t, summary.Focus(), "go to a table")
	must(t, page.Keyboard().Press("Enter"), "open it")
	_, err = page.Evaluate(`() => { window.same = document.querySelector("#figures"); window.entries = history.length; }`)
	must(t, err, "remember the page")

	w.signUp(t, leaver, "Emmy Ring", "Invariant Labs")
	w.buy(t, leaver, "enterprise", "4242424242424242")
	must(t, expect.Locator(figures).ToContainText("$498.00"), "the second purchase appears")
	for _, fault := range ask(t, page, `() => {
		const faults = [];
		if (document.querySelector("#figures") !== window.same) faults.push("the page is another one");
		if (history.length !== window.entries) faults.push("there are " + history.length + " addresses in the history, there were " + window.entries);
		const details = document.querySelector("#figures details");
		if (!details.open) faults.push("the table that was opened is closed");
		if (document.activeElement !== details.querySelector("summary")) faults.push("the focus is on " + document.activeElement.outerHTML.slice(0, 90));
		return faults;
	}`) {
		t.Error(fault)
	}
	must(t, expect.Page(page).ToHaveURL(address), "the address stays")
	must(t, expect.Locator(page.Locator("[data-live-state]")).ToHaveText("Live"), "it still says that it is live")

	// Nobody looks.
	look := func(hidden bool) {
		_, err := page.Evaluate(`(hidden) => {
			Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
			document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
			window.asked = 0;
			addEventListener("htmx:before:request", () => window.asked++);
		}`, hidden)
		must(t, err, "look away, or again")
	}
	look(true)
	w.signUp(t, trialist, "Alan Bombe", "Bletchley Tools")
	w.buy(t, trialist, "pro", "4242424242424242")
	for _, fault := range ask(t, page, `async () => {
		await new Promise((done) => setTimeout(done, 1500));
		return window.asked > 0 ? ["a tab that nobody sees asks for figures"] : [];
	}`) {
		t.Error(fault)
	}
	must(t, expect.Locator(figures).Not().ToContainText("$597.00"), "what is bought meanwhile is not there")
	look(false)
	must(t, expect.Locator(figures).ToContainText("$597.00"), "it is there once somebody looks")
	for _, fault := range wire.faults() {
		t.Error(fault)
	}

	// The stream is cut for longer than several tries, each of which fails at once.
	// The browser's own switch would leave alone a stream that is open.
	state := page.Locator("[data-live-state]")
	stream := w.demo.App + "/admin/billing/stream*"
	isFirst := true
	must(t, page.Route(stream, func(r playwright.Route) {
		if isFirst { // it says how soon to come again, and ends
			isFirst = false
			_ = r.Fulfill(playwright.RouteFulfillOptions{ContentType: playwright.String("text/event-stream"), Body: "retry: 300\n\n"})
			return
		}
		_ = r.Abort()
	}), "cut the stream")
	_, err = page.Reload()
	must(t, err, "begin anew without it")
	must(t, expect.Locator(state).ToHaveText("Reconnecting…"), "the page says that it is cut off")
	must(t, expect.Locator(state).ToHaveAttribute("data-live-state", "off"), "so does its dot")
	must(t, page.Unroute(stream), "mend it")
	must(t, expect.Locator(state).ToHaveText("Live"), "it is live again")
}

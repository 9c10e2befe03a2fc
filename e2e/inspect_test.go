package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/playwright-community/playwright-go"
)

// firstView is what a page may weigh on the wire, with its style, script and
// pictures, when nothing of it is in the browser yet.
const firstView = 60 << 10

// watch runs in every page before anything of its own. It notes what moves and
// what the Content-Security-Policy refuses, and counts what htmx puts in. That
// something moves soon after a press is no excuse, as it is in the figure that
// browsers report.
const watch = `
window.watched = { shifts: [], refused: [], swaps: 0 };
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    const sources = entry.sources.filter((s) => s.node), nodes = sources.map((s) => s.node);
    const at = (r) => [r.x, r.y, r.width, r.height].map(Math.round).join(" ");
    const what = sources.map((s) => (s.node.outerHTML ?? s.node.textContent).slice(0, 90) + " from " + at(s.previousRect) + " to " + at(s.currentRect));
    watched.shifts.push({ nodes, value: entry.value, toString: () => "shifts by " + entry.value.toFixed(4) + ": " + what.join(" | ") });
  }
}).observe({ type: "layout-shift", buffered: true });
addEventListener("securitypolicyviolation", (e) =>
  watched.refused.push("the policy refuses " + e.violatedDirective + " " + e.blockedURI + " " + e.sourceFile + ":" + e.lineNumber));
addEventListener("htmx:after:swap", () => watched.swaps++);
`

// outline are the faults of the page's frame. Within a part that was exchanged,
// and below it, things may come to stand elsewhere: there are fewer rows than
// before. What stands above it must not. A page that is loading may move by a
// fiftieth of a screen, where browsers call a tenth good: a machine that is busy
// with other tests draws it by halves.
const outline = `(part) => {
	const changed = part && document.querySelector(part);
	const stands = (node) => !changed || !(changed.contains(node) || changed.compareDocumentPosition(node) & Node.DOCUMENT_POSITION_FOLLOWING);
	const faults = [...watched.shifts.filter((s) => s.value > (part ? 0.001 : 0.02) && s.nodes.some(stands)).map(String), ...watched.refused];
	const root = document.documentElement;
	const shown = (what) => [...document.querySelectorAll(what)].filter((e) => e.checkVisibility()).length;
	const over = root.scrollWidth - root.clientWidth;
	if (over > 0) {
		const wide = [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > root.clientWidth + 0.5).at(-1);
		faults.push("is " + over + " px too wide: " + wide?.outerHTML.slice(0, 120));
	}
	for (const what of ["h1", "main"]) if (shown(what) !== 1) faults.push("has " + shown(what) + " of " + what);
	if (root.lang !== "en") faults.push("has no language");
	if (!document.title.trim()) faults.push("has no title");
	return faults;
}`

// focus gives the keyboard's focus to everything that takes it, and wants to
// see each time where it is.
const focus = `() => {
	const faults = [];
	const all = document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']");
	for (const e of all) {
		if (!e.checkVisibility({ visibilityProperty: true }) || e.disabled) continue;
		e.focus({ preventScroll: true });
		const name = e.outerHTML.slice(0, 120);
		if (document.activeElement !== e) { faults.push("takes no focus: " + name); continue; }
		const isMarked = [[e], [e, "::after"], [e.parentElement], [e.closest("label, tr")]].some(([m, part]) => {
			const style = m && getComputedStyle(m, part);
			return style && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
		});
		if (!isMarked) faults.push("does not show its focus: " + name);
	}
	document.activeElement.blur();
	return faults;
}`

// axeRun runs all of axe-core's rules, or only those that a colour can break.
const axeRun = `async (onlyColours) => {
	const options = { preload: false, resultTypes: ["violations"] };
	if (onlyColours) options.runOnly = ["color-contrast", "link-in-text-block"];
	const { violations } = await axe.run(document, options);
	return violations.map((v) => "axe-core " + v.id + ": " + v.help + v.nodes.map((n) =>
		"\n  " + n.html.slice(0, 160) + "\n    " + [...n.any, ...n.all, ...n.none].map((c) => c.message).join("; ")).join(""));
}`

// inspect returns what is wrong with a page that has been opened. part is what
// was exchanged since, or empty. It leaves the page in the dark scheme.
func inspect(t *testing.T, page playwright.Page, wire *wire, axe, part string) []string {
	t.Helper()
	faults := slices.Concat(wire.faults(), ask(t, page, outline, part))
	must(t, page.Keyboard().Press("Tab"), "press Tab") // from here on the focus shows
	faults = append(faults, ask(t, page, focus)...)
	// As a debugger would bring it: the page's policy stays in force.
	_, err := page.Evaluate(axe)
	must(t, err, "bring axe-core")
	faults = append(faults, ask(t, page, axeRun, false)...)
	must(t, page.EmulateMedia(playwright.PageEmulateMediaOptions{ColorScheme: playwright.ColorSchemeDark}), "turn dark")
	for _, fault := range ask(t, page, axeRun, true) {
		faults = append(faults, "dark: "+fault)
	}
	return faults
}

// ask runs a script that returns a list of texts.
func ask(t *testing.T, page playwright.Page, script string, args ...any) []string {
	t.Helper()
	found, err := page.Evaluate(script, args...)
	must(t, err, "look at the page")
	var out []string
	for _, text := range found.([]any) {
		out = append(out, fmt.Sprint(text))
	}
	return out
}

// wire is what a page asks for and what it complains of.
type wire struct {
	mu    sync.Mutex
	bytes int
	noted []string
}

func (wr *wire) note(format string, args ...any) {
	wr.mu.Lock()
	defer wr.mu.Unlock()
	wr.noted = append(wr.noted, fmt.Sprintf(format, args...))
}

// faults are those so far.
func (wr *wire) faults() []string {
	wr.mu.Lock()
	defer wr.mu.Unlock()
	return slices.Clone(wr.noted)
}

// weigh notes a first view that is too heavy, once the page is there.
func (wr *wire) weigh() {
	wr.mu.Lock()
	bytes := wr.bytes
	wr.mu.Unlock()
	if bytes == 0 || bytes > firstView {
		wr.note("takes %d bytes at first view, %d are allowed", bytes, firstView)
	}
}

// listen begins before the page is opened. A page that is an error says so in
// the console, which is no fault; hosts are those that it may ask.
func listen(t *testing.T, page playwright.Page, status int, hosts ...string) *wire {
	t.Helper()
	wr := &wire{}
	page.OnPageError(func(err error) { wr.note("JavaScript error: %v", err) })
	page.OnConsole(func(m playwright.ConsoleMessage) {
		isOwnStatus := status >= 400 && strings.Contains(m.Text(), fmt.Sprintf("status of %d", status))
		if (m.Type() == "error" || m.Type() == "warning") && !isOwnStatus {
			wr.note("console %s: %s", m.Type(), m.Text())
		}
	})
	page.OnRequest(func(r playwright.Request) {
		isAllowed := func(host string) bool { return strings.HasPrefix(r.URL(), host) }
		if !slices.ContainsFunc(append(hosts, "data:", "about:"), isAllowed) {
			wr.note("asks another host: %s", r.URL())
		}
	})
	debugger, err := page.Context().NewCDPSession(page)
	must(t, err, "open a debugger")
	debugger.On("Network.loadingFinished", func(event map[string]any) {
		wr.mu.Lock()
		defer wr.mu.Unlock()
		switch n := event["encodedDataLength"].(type) {
		case float64:
			wr.bytes += int(n)
		case int:
			wr.bytes += n
		}
	})
	_, err = debugger.Send("Network.enable", map[string]any{})
	must(t, err, "watch the network")
	_, err = debugger.Send("Network.setCacheDisabled", map[string]any{"cacheDisabled": true})
	must(t, err, "forget what earlier pages brought")
	return wr
}

// TestAnInspectionFindsWhatIsWrong shows it a page with one fault of each kind:
// an inspection that is blind would praise every page.
func TestAnInspectionFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			w.Header().Set("Content-Security-Policy", "script-src 'self'; style-src 'self'")
			fmt.Fprint(w, `<!DOCTYPE html><link rel="stylesheet" href="/bad.css"><script src="/bad.js" defer></script><title> </title>
				<h1>One</h1><h1>Two</h1><p class="pale">Can you read this?</p><p class="night">And this at night?</p>
				<a href="/" class="blind">Where am I</a><p class="wide">Wide</p><img src="http://localhost:1/x.png"><b style="color:red">Red</b>`)
		case "/bad.css":
			w.Header().Set("Content-Type", "text/css")
			fmt.Fprint(w, `.pale { color: #ddd } .blind:focus { outline: none } .wide { inline-size: 2000px } .tall { block-size: 200px } .night { color: #333; background: #fff }
				@media (prefers-color-scheme: dark) { .night { background: #222 } } /* `+noise(70<<10)+` */`)
		case "/bad.js":
			w.Header().Set("Content-Type", "text/javascript")
			fmt.Fprint(w, `setTimeout(() => { document.body.prepend(Object.assign(document.createElement("p"), { textContent: "Jump", className: "tall" })) }, 200);
				setTimeout(() => { document.body.dataset.done = "" }, 500); throw new Error("oh dear");`)
		}
	}))
	t.Cleanup(server.Close)
	page := openAs(t, openBrowser(t), nil, 1280, playwright.ColorSchemeLight)
	wire := listen(t, page, http.StatusOK, server.URL)
	_, err := page.Goto(server.URL)
	must(t, err, "open the bad page")
	wire.weigh()
	must(t, page.Locator("body[data-done]").WaitFor(), "wait until it has jumped")
	found := strings.Join(inspect(t, page, wire, axeCore(t), ""), "\n")
	for _, want := range []string{
		"shifts by 0.", "the policy refuses style-src", "px too wide: <p class=\"wide\"", "has 2 of h1", "has 0 of main", "has no language", "has no title",
		"does not show its focus: <a href=\"/\"", "bytes at first view", "oh dear", "console error: ", "asks another host: http://localhost:1/x.png",
		"axe-core color-contrast", "axe-core image-alt", "dark: axe-core color-contrast", "And this at night?",
	} {
		if !strings.Contains(found, want) {
			t.Errorf("the inspection did not see %q; it found\n%s", want, found)
		}
	}
}

// noise does not get smaller by compression, should there be any.
func noise(length int) string {
	text, x := make([]byte, length), uint32(1)
	for i := range text {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		text[i] = 'a' + byte(x%26)
	}
	return string(text)
}

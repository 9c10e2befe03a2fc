package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/playwright-community/playwright-go"
)

// TestThePages looks at every page there is, and at what changes within one.
func TestThePages(t *testing.T) {
	browser := openBrowser(t)
	w := cast(t, "--customers", "60")
	t.Run("swaps", func(t *testing.T) { trySwaps(t, browser, w) })
	t.Run("figures", func(t *testing.T) { tryFigures(t, browser, w) })
	t.Run("panel", func(t *testing.T) { tryPanel(t, browser, w) })
	t.Run("views", func(t *testing.T) { tryViews(t, browser, w) })
}

// tryViews opens each view at the width of a small phone and of a desk, in both
// colour schemes, and holds it to what every page promises.
func tryViews(t *testing.T, browser playwright.Browser, w *world) {
	axe := axeCore(t)
	type person struct {
		who
		width int
	}
	rooms := map[person]playwright.BrowserContext{}
	for _, v := range views {
		for _, width := range []int{320, 1280} {
			in := person{v.as, width}
			if rooms[in] == nil {
				rooms[in] = openRoom(t, browser, w.cookies(v.as), width, playwright.ColorSchemeLight)
			}
			t.Run(v.name+"/"+strconv.Itoa(width), func(t *testing.T) {
				page := openPageIn(t, rooms[in])
				wire := listen(t, page, v.wanted(), w.demo.App, w.demo.Stripe)
				v.visit(t, w, page)
				must(t, page.WaitForLoadState(), "load")
				wire.weigh()
				for _, fault := range inspect(t, page, wire, axe, "") {
					t.Error(fault)
				}
			})
		}
	}
}

func axeCore(t *testing.T) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(projectRoot(), "node_modules", "axe-core", "axe.min.js"))
	must(t, err, "read axe-core (npm ci brings it)")
	return string(source)
}

// openAs opens a page in a browser that holds nothing but somebody's cookies.
func openAs(t *testing.T, browser playwright.Browser, cookies []playwright.OptionalCookie, width int, scheme *playwright.ColorScheme) playwright.Page {
	t.Helper()
	return openPageIn(t, openRoom(t, browser, cookies, width, scheme))
}

// openRoom opens a browser that holds nothing but somebody's cookies.
func openRoom(t *testing.T, browser playwright.Browser, cookies []playwright.OptionalCookie, width int, scheme *playwright.ColorScheme) playwright.BrowserContext {
	t.Helper()
	room, err := browser.NewContext(playwright.BrowserNewContextOptions{
		Viewport: &playwright.Size{Width: width, Height: 800}, ColorScheme: scheme, ReducedMotion: playwright.ReducedMotionReduce,
		Locale: playwright.String("en-US"), TimezoneId: playwright.String("UTC"),
	})
	must(t, err, "open a browser")
	t.Cleanup(func() { _ = room.Close() })
	must(t, room.AddCookies(cookies), "bring cookies")
	must(t, room.AddInitScript(playwright.Script{Content: playwright.String(watch)}), "watch the page")
	return room
}

func openPageIn(t *testing.T, room playwright.BrowserContext) playwright.Page {
	t.Helper()
	page, err := room.NewPage()
	must(t, err, "open a page")
	t.Cleanup(func() { _ = page.Close() })
	page.SetDefaultTimeout(20_000)
	return page
}

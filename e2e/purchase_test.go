package e2e

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/playwright-community/playwright-go"
)

// TestAPurchaseReachesTheDashboard is the product in one line: a stranger buys
// pro in a browser, and the administrator sees MRR rise by exactly 99.00.
func TestAPurchaseReachesTheDashboard(t *testing.T) {
	demo := startDemo(t, "--empty")
	browser := openBrowser(t)
	expect := playwright.NewPlaywrightAssertions(15_000)

	admin := openPage(t, browser)
	logIn(t, admin, demo.App, demo.Admin)
	before := mrr(t, admin, demo.App)

	page := openPage(t, browser)
	_, err := page.Goto(demo.App + "/")
	must(t, err, "open the pricing page")
	must(t, page.GetByRole("link", playwright.PageGetByRoleOptions{Name: regexp.MustCompile("Yearly")}).Click(), "switch to yearly")
	must(t, expect.Page(page).ToHaveURL(regexp.MustCompile("interval=year")), "the switch changes the address")
	must(t, expect.Locator(page.GetByText("$990 billed yearly")).ToBeVisible(), "the yearly price shows")
	must(t, page.GetByRole("link", playwright.PageGetByRoleOptions{Name: "Monthly"}).Click(), "switch back to monthly")
	must(t, expect.Page(page).ToHaveURL(regexp.MustCompile("interval=month")), "the switch changes the address back")
	must(t, page.GetByRole("link", playwright.PageGetByRoleOptions{Name: "Choose Pro"}).Click(), "choose pro")

	must(t, expect.Page(page).ToHaveURL(regexp.MustCompile("/signup")), "choosing asks a stranger to sign up")
	for field, value := range map[string]string{
		"Your name": "Charles Babbage", "E-mail address": "charles@example.com", "Password": "difference engine", "Organization": "Difference Engines",
	} {
		must(t, page.GetByLabel(field, playwright.PageGetByLabelOptions{Exact: playwright.Bool(true)}).Fill(value), "fill %s", field)
	}
	must(t, page.GetByRole("button", playwright.PageGetByRoleOptions{Name: "Create account"}).Click(), "sign up")

	must(t, expect.Page(page).ToHaveURL(regexp.MustCompile(`/checkout\?`)), "signing up leads to the review of the order")
	must(t, expect.Locator(page.GetByText("$99.00 a month")).ToBeVisible(), "the review names the price")
	must(t, page.GetByRole("button", playwright.PageGetByRoleOptions{Name: "Continue to payment"}).Click(), "continue to payment")

	must(t, expect.Page(page).ToHaveURL(regexp.MustCompile("^"+regexp.QuoteMeta(demo.Stripe)+"/c/pay/")), "the hosted page opens")
	must(t, page.Locator(`button.test-card[value="4000000000000002"]`).Click(), "try the card that is declined")
	must(t, expect.Locator(page.GetByText("Your card was declined.").First()).ToBeVisible(), "the decline shows")
	must(t, page.Locator(`button.test-card[value="4242424242424242"]`).Click(), "pay")

	must(t, expect.Page(page).ToHaveURL(regexp.MustCompile(`/checkout/success\?session_id=`)), "paying leads back")
	must(t, expect.Locator(page.GetByRole("heading", playwright.PageGetByRoleOptions{Name: "Pro is active"})).ToBeVisible(), "the plan is active")
	must(t, page.GetByRole("link", playwright.PageGetByRoleOptions{Name: "See your plan"}).Click(), "go to billing")
	must(t, expect.Locator(page.GetByRole("heading", playwright.PageGetByRoleOptions{Name: "Pro", Exact: playwright.Bool(true)})).ToBeVisible(), "billing names the plan")
	must(t, expect.Locator(page.GetByText("Active", playwright.PageGetByTextOptions{Exact: playwright.Bool(true)})).ToBeVisible(), "billing says active")
	must(t, expect.Locator(page.Locator("dd", playwright.PageLocatorOptions{HasText: "$99.00"})).ToHaveCount(2), "billing names the last amount and the next one")

	settle(t, demo)
	if rise := mrr(t, admin, demo.App) - before; rise != 9900 {
		t.Errorf("MRR rose by %d cents, want exactly 9900", rise)
	}
	must(t, expect.Locator(admin.GetByText("Difference Engines").First()).ToBeVisible(), "the newest events name the customer")

	// A month later it is billed again, and an hour after that it is paid: the
	// clock moves on its own page, and everything else follows.
	must(t, admin.GetByRole("link", playwright.PageGetByRoleOptions{Name: "Move the clock"}).Click(), "go to the clock")
	for _, step := range []string{"month", "day"} {
		button := admin.GetByRole("button", playwright.PageGetByRoleOptions{Name: "Advance one " + step})
		navigate(t, admin, func() error { return button.Click() })
		must(t, expect.Locator(admin.GetByRole("status")).ToContainText("The clock has moved"), "the clock's page says what happened")
	}
	settle(t, demo)
	if month := mrr(t, admin, demo.App); month != before+9900 {
		t.Errorf("a month later MRR is %d cents, want %d", month, before+9900)
	}
	must(t, expect.Locator(admin.GetByText("Renewed Pro, monthly")).ToBeVisible(), "the newest events tell of the renewal")

	// A second subscription finds the door shut, with a way forward.
	_, err = page.Goto(demo.App + "/checkout?plan=enterprise&interval=month")
	must(t, err, "review a second plan")
	must(t, expect.Locator(page.GetByRole("heading", playwright.PageGetByRoleOptions{Name: "You already have a subscription"})).ToBeVisible(), "it is refused")
}

// TestThePageWorksWithoutJavaScript buys with nothing but links and forms.
func TestThePageWorksWithoutJavaScript(t *testing.T) {
	demo := startDemo(t, "--empty")
	browser := openBrowser(t)
	expect := playwright.NewPlaywrightAssertions(15_000)
	plain, err := browser.NewContext(playwright.BrowserNewContextOptions{JavaScriptEnabled: playwright.Bool(false)})
	must(t, err, "open a browser without JavaScript")
	page, err := plain.NewPage()
	must(t, err, "open a page")

	logIn(t, page, demo.App, demo.Customer)
	_, err = page.Goto(demo.App + "/pricing")
	must(t, err, "open the pricing page")
	must(t, page.GetByRole("link", playwright.PageGetByRoleOptions{Name: regexp.MustCompile("Yearly")}).Click(), "switch to yearly")
	must(t, page.GetByRole("link", playwright.PageGetByRoleOptions{Name: "Start 14-day trial"}).Click(), "choose the trial")
	must(t, page.GetByRole("button", playwright.PageGetByRoleOptions{Name: "Continue to card details"}).Click(), "continue to card details")
	must(t, page.Locator("#cancel").Click(), "cancel at the hosted page")
	must(t, expect.Locator(page.GetByRole("heading", playwright.PageGetByRoleOptions{Name: "You left without paying"})).ToBeVisible(), "cancelling comes back")
	_, err = page.Goto(demo.App + "/checkout?plan=pilot&interval=year")
	must(t, err, "review the order again")
	must(t, page.GetByRole("button", playwright.PageGetByRoleOptions{Name: "Continue to card details"}).Click(), "continue to card details")
	must(t, page.Locator(`button.test-card[value="4242424242424242"]`).Click(), "begin the trial")
	must(t, expect.Locator(page.GetByRole("heading", playwright.PageGetByRoleOptions{Name: "Your trial of Pilot has begun"})).ToBeVisible(), "the trial has begun")
	_, err = page.Goto(demo.App + "/billing")
	must(t, err, "open billing")
	must(t, expect.Locator(page.GetByText("Trial ends on")).ToBeVisible(), "billing says when the trial ends")
}

// settle waits until what Stripe said is processed and counted.
func settle(t *testing.T, d demo) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.Stripe+"/sim/settle", nil)
	must(t, err, "ask to settle")
	request.Header.Set("Authorization", "Bearer "+d.Secret)
	response, err := http.DefaultClient.Do(request)
	must(t, err, "settle")
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("settling answers %s", response.Status)
	}
}

func logIn(t *testing.T, page playwright.Page, app string, who login) {
	t.Helper()
	_, err := page.Goto(app + "/login")
	must(t, err, "open the log-in page")
	must(t, page.GetByLabel("E-mail address").Fill(who.Email), "fill the address")
	must(t, page.GetByLabel("Password").Fill(who.Password), "fill the password")
	must(t, page.GetByRole("button", playwright.PageGetByRoleOptions{Name: "Log in"}).Click(), "log in")
}

// mrr reads the figure from the dashboard, in cents.
func mrr(t *testing.T, page playwright.Page, app string) int64 {
	t.Helper()
	_, err := page.Goto(app + "/admin/billing")
	must(t, err, "open the dashboard")
	card := page.Locator(".stat").Filter(playwright.LocatorFilterOptions{HasText: "MRR"}).First()
	text, err := card.TextContent()
	must(t, err, "read MRR")
	return cents(t, text)
}

package stripesim_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/stripe/stripe-go/v76"

	"github.com/promptforge/payments/internal/stripesim"
	"github.com/promptforge/payments/internal/stripesim/simtest"
)

// browser looks at pages and does not follow where they send it.
var browser = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func look(t *testing.T, address string) (*http.Response, *goquery.Document) {
	t.Helper()
	response, err := browser.Get(address)
	must(t, err)
	return response, read(t, response)
}

func submit(t *testing.T, address string, form url.Values) (*http.Response, *goquery.Document) {
	t.Helper()
	response, err := browser.PostForm(address, form)
	must(t, err)
	return response, read(t, response)
}

func read(t *testing.T, response *http.Response) *goquery.Document {
	t.Helper()
	defer response.Body.Close()
	page, err := goquery.NewDocumentFromReader(io.LimitReader(response.Body, 1<<20))
	must(t, err)
	return page
}

func typed(number string) url.Values {
	return url.Values{
		"card_number": {number}, "expiry": {"12 / 40"}, "cvc": {"123"}, "name": {"Ada Lovelace"}, "email": {"ada@example.com"}, "pay": {"typed"},
	}
}

func TestTheHostedPageShowsTheOrder(t *testing.T) {
	t.Parallel()
	shop := openShop(t)
	session := shop.newSession(t)
	response, page := look(t, session.URL)
	equal(t, "status", response.StatusCode, http.StatusOK)
	for selector, want := range map[string]string{
		"h1":          "Your order",
		".strip":      "Test mode: no money moves.",
		".items li":   "Pro",
		".item-price": "$99.00 every month",
		".total dd":   "$99.00",
		"#pay":        "Subscribe and pay $99.00",
		".fixed dd":   "ada@example.com",
	} {
		if got := page.Find(selector).Text(); !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", selector, got, want)
		}
	}
	equal(t, "cancel", page.Find("#cancel").AttrOr("href", ""), "http://127.0.0.1:8080/checkout/cancel")
	equal(t, "test cards", page.Find("button.test-card").Length(), 8)
	equal(t, "the button that enter presses", page.Find("#card_number").Closest("form").Find("button").First().AttrOr("id", ""), "pay")
	equal(t, "scripts", page.Find("script").Length(), 0)
	equal(t, "inline styles", page.Find("[style], style").Length(), 0)
	equal(t, "headings", page.Find("h1").Length(), 1)
	equal(t, "language", page.Find("html").AttrOr("lang", ""), "en")
	page.Find("input").Each(func(_ int, input *goquery.Selection) {
		id := input.AttrOr("id", "")
		if page.Find(`label[for="`+id+`"]`).Length() != 1 {
			t.Errorf("input %q has no label", id)
		}
	})
	policy := response.Header.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "style-src 'self'", "form-action 'self' http://127.0.0.1:8080"} {
		if !strings.Contains(policy, part) {
			t.Errorf("policy lacks %s: %s", part, policy)
		}
	}
	page.Find("link[rel=stylesheet], link[rel=icon]").Each(func(_ int, link *goquery.Selection) {
		asset, err := browser.Get(shop.URL + link.AttrOr("href", ""))
		must(t, err)
		asset.Body.Close()
		equal(t, "asset "+link.AttrOr("href", ""), asset.StatusCode, http.StatusOK)
	})
}

func TestAGoodCardPays(t *testing.T) {
	t.Parallel()
	for sentence, form := range map[string]url.Values{
		"typed":                    typed("4242 4242 4242 4242"),
		"typed without spaces":     typed("4242424242424242"),
		"with the test card's key": {"test_card": {"4242424242424242"}},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			shop := openShop(t)
			session := shop.newSession(t)
			want := "http://127.0.0.1:8080/checkout/success?session_id=" + session.ID
			response, _ := submit(t, session.URL, form)
			equal(t, "status", response.StatusCode, http.StatusSeeOther)
			equal(t, "location", response.Header.Get("Location"), want)

			response, _ = submit(t, session.URL, form)
			equal(t, "pressed twice", response.StatusCode, http.StatusSeeOther)
			equal(t, "location", response.Header.Get("Location"), want)
			equal(t, "subscriptions", len(shop.State(t)["subscription"]), 1)

			response, page := look(t, session.URL)
			equal(t, "looked at again", response.StatusCode, http.StatusOK)
			equal(t, "title", page.Find("h1").Text(), "You have paid already")
			equal(t, "the way on", page.Find("a.button").AttrOr("href", ""), want)
		})
	}
}

func TestADeclinedCardKeepsWhatWasTyped(t *testing.T) {
	t.Parallel()
	shop := openShop(t)
	session := shop.newSession(t)
	response, page := submit(t, session.URL, typed("4000 0000 0000 0002"))
	equal(t, "status", response.StatusCode, http.StatusPaymentRequired)
	equal(t, "beside the field", page.Find("#card_number-fault").Text(), "Your card was declined.")
	equal(t, "in the summary", page.Find(".faults a").Text(), "Your card was declined.")
	equal(t, "number", page.Find("#card_number").AttrOr("value", ""), "4000 0000 0000 0002")
	equal(t, "name", page.Find("#name").AttrOr("value", ""), "Ada Lovelace")
	equal(t, "marked", page.Find("#card_number").AttrOr("aria-invalid", ""), "true")
	got, err := shop.api.CheckoutSessions.Get(session.ID, nil)
	must(t, err)
	equal(t, "still open", got.Status, stripe.CheckoutSessionStatusOpen)
	equal(t, "subscriptions", len(shop.State(t)["subscription"]), 0)
	response, _ = submit(t, session.URL, url.Values{"test_card": {"4242424242424242"}})
	equal(t, "another card", response.StatusCode, http.StatusSeeOther)
}

func TestWhatIsTypedWrongIsSaidBesideTheField(t *testing.T) {
	t.Parallel()
	shop := openShop(t)
	params := shop.sessionParams()
	params.Customer = nil
	session, err := shop.api.CheckoutSessions.New(params)
	must(t, err)
	for _, c := range []struct{ sentence, field, value, fault string }{
		{"no number", "card_number", "", "Enter a card number."},
		{"a number cut off", "card_number", "4242 4242", "Your card number is incomplete."},
		{"letters", "card_number", "4242 4242 4242 424x", "Your card number is invalid."},
		{"a wrong check digit", "card_number", "4242 4242 4242 4241", "Your card number is invalid."},
		{"a card that may be real", "card_number", "4111 1111 1111 1111", "Your card was declined. This is a test page, and this is not one of its test cards."},
		{"no date", "expiry", "", "Enter the date as MM / YY."},
		{"a 13th month", "expiry", "13/40", "Enter the date as MM / YY."},
		{"a date in the past", "expiry", "01/20", "Your card's expiration date is in the past."},
		{"no security code", "cvc", "", "Enter the three or four digits of the security code."},
		{"no name", "name", " ", "Enter the name on the card."},
		{"no e-mail", "email", "ada", "Enter an e-mail address, such as you@example.com."},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			form := typed("4242 4242 4242 4242")
			form.Set(c.field, c.value)
			response, page := submit(t, session.URL, form)
			equal(t, "status", response.StatusCode, http.StatusUnprocessableEntity)
			equal(t, "fault", page.Find("#"+c.field+"-fault").Text(), c.fault)
			equal(t, "faults", page.Find(".fault").Length(), 1)
			equal(t, "the value", page.Find("#"+c.field).AttrOr("value", ""), strings.TrimSpace(c.value))
		})
	}
	equal(t, "charges", len(shop.State(t)["charge"]), 0)
	equal(t, "customers", len(shop.State(t)["customer"]), 1)

	response, _ := submit(t, session.URL, typed("4242 4242 4242 4242"))
	equal(t, "then all right", response.StatusCode, http.StatusSeeOther)
	customers := shop.State(t)["customer"]
	equal(t, "customers", len(customers), 2)
	equal(t, "the new customer's name", customers[1]["name"], any("Ada Lovelace"))
}

func TestATrialSaysWhatComesLater(t *testing.T) {
	t.Parallel()
	shop := openShop(t)
	params := shop.sessionParams()
	params.SubscriptionData.TrialPeriodDays = stripe.Int64(14)
	params.PaymentMethodCollection = stripe.String("if_required")
	session, err := shop.api.CheckoutSessions.New(params)
	must(t, err)
	_, page := look(t, session.URL)
	equal(t, "item", page.Find(".item-price").Text(), "14 days free")
	equal(t, "due today", page.Find(".total dd").Text(), "$0.00")
	equal(t, "later", page.Find(".later").Text(), "After 14 days: $99.00 every month.")
	equal(t, "button", page.Find("#pay").Text(), "Start trial")
	equal(t, "card fields, where no card is needed", page.Find("#card_number, .test-card").Length(), 0)
	response, _ := submit(t, session.URL, url.Values{"pay": {"typed"}})
	equal(t, "status", response.StatusCode, http.StatusSeeOther)
	got, err := shop.api.CheckoutSessions.Get(session.ID, nil)
	must(t, err)
	equal(t, "payment", got.PaymentStatus, stripe.CheckoutSessionPaymentStatusNoPaymentRequired)
	subscription, err := shop.api.Subscriptions.Get(got.Subscription.ID, nil)
	must(t, err)
	equal(t, "status", subscription.Status, stripe.SubscriptionStatusTrialing)
}

func TestPagesThatCannotBePaidSayTheWayBack(t *testing.T) {
	t.Parallel()
	clock := newClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	shop := openShop(t, simtest.WithConfig(func(c *stripesim.Config) { c.Now = clock.now }))
	session := shop.newSession(t)
	clock.set(clock.now().Add(25 * time.Hour))
	response, page := look(t, shop.URL+"/c/pay/"+session.ID)
	equal(t, "status", response.StatusCode, http.StatusGone)
	equal(t, "title", page.Find("h1").Text(), "This checkout has expired")
	equal(t, "the way back", page.Find("a.button").AttrOr("href", ""), "http://127.0.0.1:8080/checkout/cancel")
	response, _ = submit(t, shop.URL+"/c/pay/"+session.ID, typed("4242 4242 4242 4242"))
	equal(t, "paying too late", response.StatusCode, http.StatusGone)

	response, page = look(t, shop.URL+"/c/pay/cs_test_none")
	equal(t, "no such session", response.StatusCode, http.StatusNotFound)
	equal(t, "title", page.Find("h1").Text(), "There is no such checkout")
	response, _ = look(t, shop.URL+"/c/assets/none.css")
	equal(t, "no such asset", response.StatusCode, http.StatusNotFound)
	response, page = look(t, shop.URL+"/")
	equal(t, "home", response.StatusCode, http.StatusOK)
	equal(t, "title", page.Find("h1").Text(), "A stand-in for Stripe")
	response, _ = look(t, shop.URL+"/elsewhere")
	equal(t, "elsewhere", response.StatusCode, http.StatusNotFound)
}

func TestACardThatWantsToBeConfirmedShowsAStep(t *testing.T) {
	t.Parallel()
	for sentence, trialDays := range map[string]int64{"paying now": 0, "beginning a trial": 14} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			shop := openShop(t, simtest.WithSchemas())
			params := shop.sessionParams()
			intents := "payment_intent"
			if trialDays > 0 {
				params.SubscriptionData.TrialPeriodDays = stripe.Int64(trialDays)
				intents = "setup_intent"
			}
			session, err := shop.api.CheckoutSessions.New(params)
			must(t, err)
			step := shop.URL + "/c/pay/" + session.ID + "/confirmation"
			response, _ := look(t, step)
			equal(t, "nothing to confirm yet", response.Header.Get("Location"), "/c/pay/"+session.ID)
			response, _ = submit(t, step, url.Values{"answer": {"confirm"}})
			equal(t, "confirming nothing", response.StatusCode, http.StatusBadRequest)

			for _, answer := range []string{"fail", "confirm"} {
				response, _ = submit(t, session.URL, url.Values{"test_card": {"4000002500003155"}})
				equal(t, "status", response.StatusCode, http.StatusSeeOther)
				equal(t, "location", response.Header.Get("Location"), "/c/pay/"+session.ID+"/confirmation")
				equal(t, "intent", shop.State(t)[intents][0]["status"], any("requires_action"))
				response, page := look(t, step)
				equal(t, "status", response.StatusCode, http.StatusOK)
				equal(t, "title", page.Find("h1").Text(), "Your bank asks: is this you?")
				equal(t, "card", page.Find("main strong").Text(), "···· 3155")
				equal(t, "buttons", page.Find("form button").Length(), 2)
				response, page = submit(t, step, url.Values{"answer": {answer}})
				if answer == "fail" {
					equal(t, "status", response.StatusCode, http.StatusPaymentRequired)
					equal(t, "fault", page.Find("#card_number-fault").Text(), "We are unable to authenticate your payment method. Please choose a different payment method and try again.")
					equal(t, "intent", shop.State(t)[intents][0]["status"], any("requires_payment_method"))
					equal(t, "subscriptions", len(shop.State(t)["subscription"]), 0)
					continue
				}
				equal(t, "status", response.StatusCode, http.StatusSeeOther)
				equal(t, "location", response.Header.Get("Location"), "http://127.0.0.1:8080/checkout/success?session_id="+session.ID)
			}
			equal(t, "intents", len(shop.State(t)[intents]), 1)
			equal(t, "intent", shop.State(t)[intents][0]["status"], any("succeeded"))
			response, _ = submit(t, step, url.Values{"answer": {"confirm"}})
			equal(t, "pressed twice", response.StatusCode, http.StatusSeeOther)

			_, err = shop.Server.Advance(t.Context(), shop.Server.Now().AddDate(0, 2, 0).Add(2*time.Hour))
			must(t, err)
			equal(t, "it pays by itself from then on", shop.State(t)["subscription"][0]["status"], any("active"))
			for _, invoice := range shop.State(t)["invoice"] {
				equal(t, "invoice", invoice["status"], any("paid"))
			}
		})
	}
}

func TestTheHomePageMovesTheClock(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	e := openEra(t, start)
	_, page := look(t, e.URL+"/")
	equal(t, "now", page.Find("#now").Text(), "Sat 31 Jan 2026, 12:00 UTC")
	equal(t, "buttons", page.Find("form button").Length(), 3)
	equal(t, "nobody yet", page.Find("#no-customers").Length(), 1)
	e.buy(t)

	move := func(by string, headers ...string) *http.Response {
		request, err := http.NewRequest(http.MethodPost, e.URL+"/sim/clock", strings.NewReader("by="+by))
		must(t, err)
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for i := 0; i < len(headers); i += 2 {
			request.Header.Set(headers[i], headers[i+1])
		}
		response, err := browser.Do(request)
		must(t, err)
		must(t, response.Body.Close())
		return response
	}
	for sentence, headers := range map[string][]string{
		"another page":            {"Origin", "http://elsewhere.example"},
		"another page's frame":    {"Origin", e.URL, "Sec-Fetch-Site", "cross-site"},
		"another port":            {"Origin", "http://127.0.0.1:1", "Sec-Fetch-Site", "same-site"},
		"a page without a name":   {"Origin", "null"},
		"no page at all":          {},
		"a name that leads there": {"Origin", "http://rebound.example", "Sec-Fetch-Site", "same-origin"},
	} {
		if response := move("day", headers...); response.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d", sentence, response.StatusCode)
		}
	}
	equal(t, "a step that there is not", move("year", "Origin", e.URL).StatusCode, http.StatusUnprocessableEntity)
	equal(t, "the clock", e.Server.Now(), start)

	for _, c := range []struct{ by, want, location string }{
		{"day", "2026-02-01T12:00:00Z", "/?events=0"},
		{"week", "2026-02-08T12:00:00Z", "/?events=0"},
		{"month", "2026-03-08T12:00:00Z", "/?events=11"}, // announced before the day, then renewed
	} {
		response := move(c.by, "Origin", e.URL, "Sec-Fetch-Site", "same-origin")
		equal(t, c.by, response.StatusCode, http.StatusSeeOther)
		equal(t, c.by, e.Server.Now().Format(time.RFC3339), c.want)
		equal(t, c.by, response.Header.Get("Location"), c.location)
	}
	_, page = look(t, e.URL+"/?events=11")
	equal(t, "what came of it", page.Find("#moved").Text(), "The clock has moved, and 11 events were made and sent on the way. Pages of the product know them within seconds, when they are loaded again.")
	equal(t, "customers", page.Find("#customers li").Length(), 1)
	equal(t, "name", page.Find("#customers .item-name").Text(), "Ada")
	equal(t, "next", page.Find("#customers .later").Last().Text(), "renews 31 Mar 2026")
	equal(t, "nonsense says nothing", func() int { _, p := look(t, e.URL+"/?events=<b>"); return p.Find("#moved").Length() }(), 0)
}

// TestAHeldClockIsMovedByItsOwnerOnly: neither the page nor the API moves it, and
// both say why.
func TestAHeldClockIsMovedByItsOwnerOnly(t *testing.T) {
	t.Parallel()
	const why = "A year is being lived through."
	start := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	e := openEra(t, start)
	e.Server.HoldClock(why)
	_, page := look(t, e.URL+"/")
	equal(t, "the reason", page.Find("#held").Text(), why)
	equal(t, "buttons", page.Find("form, button").Length(), 0)

	press := func() *http.Response {
		request, err := http.NewRequest(http.MethodPost, e.URL+"/sim/clock", strings.NewReader("by=day"))
		must(t, err)
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Origin", e.URL)
		response, err := browser.Do(request)
		must(t, err)
		return response
	}
	response := press()
	answer, err := goquery.NewDocumentFromReader(response.Body)
	must(t, err)
	must(t, response.Body.Close())
	equal(t, "the form", response.StatusCode, http.StatusConflict)
	equal(t, "its answer", strings.Contains(answer.Find("main").Text(), why), true)
	status, body := e.Do(t, http.MethodPost, "/sim/clock/advance", `{"by":"24h"}`)
	equal(t, "the API", status, http.StatusConflict)
	equal(t, "its answer", strings.Contains(string(body), why), true)
	equal(t, "the clock", e.Server.Now(), start)

	e.after(t, day)
	equal(t, "its owner moves it", e.Server.Now(), start.Add(day))
	e.Server.HoldClock("")
	_, page = look(t, e.URL+"/")
	equal(t, "buttons", page.Find("form button").Length(), 3)
	equal(t, "reasons", page.Find("#held").Length(), 0)
	response = press()
	must(t, response.Body.Close())
	equal(t, "the form", response.StatusCode, http.StatusSeeOther)
	equal(t, "the clock", e.Server.Now(), start.Add(2*day))
}

// TestTheHomePageSaysWhatIsGoingToHappen by the newest subscription of a customer.
func TestTheHomePageSaysWhatIsGoingToHappen(t *testing.T) {
	t.Parallel()
	for want, live := range map[string]func(*era){
		"renews 10 Apr 2026":            func(e *era) { e.buy(t) },
		"a bank answers by 14 Mar 2026": func(e *era) { e.Complete(t, e.newSession(t).ID, "bank_debit_succeeds") },
		"must be paid by 11 Mar 2026":   func(e *era) { e.subscribe(t, incomplete) },
		"changes by schedule 10 Apr 2026": func(e *era) {
			_, schedule := e.scheduled(t)
			_, err := e.api.SubscriptionSchedules.Update(schedule.ID, &stripe.SubscriptionScheduleParams{Phases: []*stripe.SubscriptionSchedulePhaseParams{
				phase(e.price.ID, spring, spring.AddDate(0, 1, 0)), phase(e.dearer(t).ID, spring.AddDate(0, 1, 0), spring.AddDate(0, 2, 0)),
			}})
			must(t, err)
		},
		"waits for a payment method": func(e *era) {
			e.subscribe(t, func(p *stripe.SubscriptionParams) {
				p.TrialPeriodDays = stripe.Int64(2)
				p.TrialSettings = &stripe.SubscriptionTrialSettingsParams{EndBehavior: &stripe.SubscriptionTrialSettingsEndBehaviorParams{
					MissingPaymentMethod: stripe.String("pause"),
				}}
			})
			e.after(t, 3*day)
		},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			e := openEra(t, spring)
			live(e)
			_, page := look(t, e.URL+"/")
			equal(t, "next", page.Find("#customers li .later").Last().Text(), want)
		})
	}
}

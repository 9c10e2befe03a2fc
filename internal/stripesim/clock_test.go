package stripesim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/promptforge/payments/internal/stripesim"
	"github.com/promptforge/payments/internal/stripesim/simtest"
)

// era is a shop whose clock stands still until it is moved.
type era struct {
	*shop
	start time.Time
}

func openEra(t *testing.T, start time.Time, with ...simtest.Option) *era {
	t.Helper()
	with = append([]simtest.Option{simtest.WithConfig(func(c *stripesim.Config) {
		c.Now = func() time.Time { return start }
	})}, with...)
	return &era{shop: openShop(t, with...), start: start}
}

func (e *era) to(t *testing.T, moment time.Time) {
	t.Helper()
	if _, err := e.Server.Advance(t.Context(), moment); err != nil {
		t.Fatalf("advance to %s: %v", moment, err)
	}
}

// after moves the clock to a moment that is counted from the beginning.
func (e *era) after(t *testing.T, d time.Duration) {
	t.Helper()
	e.to(t, e.start.Add(d))
}

const day = 24 * time.Hour

func (e *era) subscription(t *testing.T, id string) *stripe.Subscription {
	t.Helper()
	subscription, err := e.api.Subscriptions.Get(id, nil)
	must(t, err)
	return subscription
}

// card attaches one of Stripe's test methods and makes it what the customer pays
// with.
func (e *era) card(t *testing.T, testMethod string) string {
	t.Helper()
	method, err := e.api.PaymentMethods.Attach(testMethod, &stripe.PaymentMethodAttachParams{Customer: stripe.String(e.customer.ID)})
	must(t, err)
	_, err = e.api.Customers.Update(e.customer.ID, &stripe.CustomerParams{
		InvoiceSettings: &stripe.CustomerInvoiceSettingsParams{DefaultPaymentMethod: stripe.String(method.ID)},
	})
	must(t, err)
	return method.ID
}

// subscribe begins a subscription without a checkout.
func (e *era) subscribe(t *testing.T, change func(*stripe.SubscriptionParams)) *stripe.Subscription {
	t.Helper()
	params := &stripe.SubscriptionParams{
		Customer: stripe.String(e.customer.ID), Items: []*stripe.SubscriptionItemsParams{{Price: stripe.String(e.price.ID)}},
	}
	if change != nil {
		change(params)
	}
	subscription, err := e.api.Subscriptions.New(params)
	must(t, err)
	return subscription
}

// story is what the events say that were made later than so long after the
// beginning, a line each: when, which type, and of a changed subscription what
// was different before.
func (e *era) story(t *testing.T, after time.Duration) []string {
	t.Helper()
	var lines []string
	for _, event := range e.State(t)["event"] {
		at := time.Unix(int64(event["created"].(float64)), 0).Sub(e.start)
		if at <= after {
			continue
		}
		line := fmt.Sprintf("%dd%s %s", at/day, at%day, event["type"])
		data := event["data"].(map[string]any)
		if before, update := data["previous_attributes"].(map[string]any); update && strings.HasPrefix(event["type"].(string), "customer.") {
			line += " " + strings.Join(keysOf(before), ",")
		}
		lines = append(lines, line)
	}
	return lines
}

func compareLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestARenewalIsABurstOfEventsAtItsTwoMoments(t *testing.T) {
	t.Parallel()
	e := openEra(t, time.Date(2026, 1, 15, 10, 30, 0, 0, time.UTC), simtest.WithSchemas())
	subscription := e.buy(t).Subscription
	e.to(t, time.Date(2026, 2, 20, 0, 0, 0, 0, time.UTC))
	compareLines(t, e.story(t, 0),
		"24d0s invoice.upcoming",
		"31d0s customer.subscription.updated current_period_end,current_period_start,latest_invoice",
		"31d0s invoice.created",
		"31d1h0m0s payment_intent.created",
		"31d1h0m0s invoice.finalized",
		"31d1h0m0s invoice.updated",
		"31d1h0m0s charge.succeeded",
		"31d1h0m0s payment_intent.succeeded",
		"31d1h0m0s invoice.updated",
		"31d1h0m0s invoice.paid",
		"31d1h0m0s invoice.payment_succeeded",
	)
	renewed := e.subscription(t, subscription.ID)
	equal(t, "status", renewed.Status, stripe.SubscriptionStatusActive)
	equal(t, "period start", renewed.CurrentPeriodStart, time.Date(2026, 2, 15, 10, 30, 0, 0, time.UTC).Unix())
	equal(t, "period end", renewed.CurrentPeriodEnd, time.Date(2026, 3, 15, 10, 30, 0, 0, time.UTC).Unix())
	invoice, err := e.api.Invoices.Get(renewed.LatestInvoice.ID, nil)
	must(t, err)
	equal(t, "invoice", invoice.Status, stripe.InvoiceStatusPaid)
	equal(t, "reason", invoice.BillingReason, stripe.InvoiceBillingReasonSubscriptionCycle)
	equal(t, "paid", invoice.AmountPaid, 9900)
	equal(t, "the period that it ends", invoice.PeriodEnd, renewed.CurrentPeriodStart)
	equal(t, "the period that it is for", invoice.Lines.Data[0].Period.End, renewed.CurrentPeriodEnd)
	equal(t, "finalized at", invoice.StatusTransitions.FinalizedAt, renewed.CurrentPeriodStart+3600)
}

func TestTheClockRefusesNonsense(t *testing.T) {
	t.Parallel()
	e := openEra(t, time.Date(2026, 1, 15, 10, 30, 0, 0, time.UTC))
	for _, body := range []string{
		`{"by":"-1h"}`, `{"by":"9601h"}`, `{"by":"a month"}`, `{"to":"2026-01-15T10:29:59Z"}`, `{"to":"2027-03-15T00:00:00Z"}`, `{"to":"tomorrow"}`,
		`{}`, ``, `{"by":"1h","to":"2026-02-01T00:00:00Z"}`, `{"for":"1h"}`, `[]`, `{"by":1}`,
	} {
		if status, answer := e.Do(t, http.MethodPost, "/sim/clock/advance", body); status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", body, status, answer)
		}
	}
	equal(t, "the clock", e.Server.Now(), e.start)
	request, err := http.NewRequest(http.MethodPost, e.URL+"/sim/clock/advance", strings.NewReader(`{"by":"1h"}`))
	must(t, err)
	answer, err := http.DefaultClient.Do(request)
	must(t, err)
	answer.Body.Close()
	equal(t, "without the key", answer.StatusCode, http.StatusUnauthorized)
}

func TestAdvancesAtTheSameTimeAddUp(t *testing.T) {
	t.Parallel()
	e := openEra(t, time.Date(2026, 1, 15, 10, 30, 0, 0, time.UTC))
	e.buy(t)
	done := make(chan int)
	for range 8 {
		go func() {
			status, _ := e.Do(t, http.MethodPost, "/sim/clock/advance", `{"by":"240h"}`)
			done <- status
		}()
	}
	for range 8 {
		equal(t, "status", <-done, http.StatusOK)
	}
	equal(t, "the clock", e.Server.Now(), e.start.Add(80*day))
	request, err := http.NewRequest(http.MethodGet, e.URL+"/v1/account", nil)
	must(t, err)
	request.Header.Set("Authorization", "Bearer "+e.SecretKey)
	answer, err := http.DefaultClient.Do(request)
	must(t, err)
	must(t, answer.Body.Close())
	equal(t, "the date of an answer", answer.Header.Get("Date"), e.start.Add(80*day).Format(http.TimeFormat))
	equal(t, "invoices", len(e.State(t)["invoice"]), 3)
}

func TestTheAnswerCountsEventsAndDeliveries(t *testing.T) {
	t.Parallel()
	e := openEra(t, time.Date(2026, 1, 15, 10, 30, 0, 0, time.UTC), withRetries(time.Hour))
	e.buy(t)
	good, bad := newReceiver(t, always(http.StatusOK)), newReceiver(t, always(http.StatusInternalServerError))
	e.addEndpoint(t, good.URL)
	e.addEndpoint(t, bad.URL, "invoice.paid")
	status, body := e.Do(t, http.MethodPost, "/sim/clock/advance", `{"by":"768h"}`)
	equal(t, "status", status, http.StatusOK)
	var answer struct {
		Now               time.Time
		Events            int
		PendingDeliveries int `json:"pending_deliveries"`
	}
	must(t, json.Unmarshal(body, &answer))
	equal(t, "now", answer.Now, e.start.Add(32*day))
	equal(t, "events", answer.Events, 11)
	equal(t, "delivered by then", len(good.all()), 11)
	equal(t, "tried by then", len(bad.all()), 1)
	equal(t, "pending", answer.PendingDeliveries, 1)
}

// TestOneJumpAndDailyJumpsMakeTheSameObjects lives the same acts twice and then
// lets thirteen months pass in one call and in one call a day. It begins on the
// last day of a month before a leap day.
func TestOneJumpAndDailyJumpsMakeTheSameObjects(t *testing.T) {
	t.Parallel()
	start := time.Date(2024, 1, 21, 12, 0, 0, 0, time.UTC)
	const days = 395
	begin := func() *era {
		e := openEra(t, start, simtest.WithoutMirror())
		e.buy(t)
		e.after(t, 10*day)
		e.card(t, "pm_card_visa")
		e.subscribe(t, nil)
		e.subscribe(t, func(p *stripe.SubscriptionParams) { p.TrialPeriodDays = stripe.Int64(14) })
		ending := e.subscribe(t, nil)
		_, err := e.api.Subscriptions.Update(ending.ID, &stripe.SubscriptionParams{CancelAtPeriodEnd: stripe.Bool(true)})
		must(t, err)
		paused := e.subscribe(t, nil)
		_, err = e.api.Subscriptions.Update(paused.ID, &stripe.SubscriptionParams{PauseCollection: &stripe.SubscriptionPauseCollectionParams{
			Behavior: stripe.String("void"), ResumesAt: stripe.Int64(start.Add(200 * day).Unix()),
		}})
		must(t, err)
		method, err := e.api.PaymentMethods.Attach("pm_card_chargeCustomerFail", &stripe.PaymentMethodAttachParams{Customer: stripe.String(e.customer.ID)})
		must(t, err)
		failing := e.subscribe(t, nil)
		_, err = e.api.Subscriptions.Update(failing.ID, &stripe.SubscriptionParams{DefaultPaymentMethod: stripe.String(method.ID)})
		must(t, err)
		e.newSession(t)
		return e
	}
	once, daily := begin(), begin()
	once.to(t, start.Add((10+days)*day))
	for n := range days {
		daily.to(t, start.Add(time.Duration(11+n)*day))
	}
	got, want := normalised(t, once), normalised(t, daily)
	if len(want) < 200 {
		t.Fatalf("only %d objects to compare", len(want))
	}
	equal(t, "objects", len(got), len(want))
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("object %d:\n%s\nand day by day\n%s", i, got[i], want[i])
		}
	}
}

var someID = regexp.MustCompile(`\b(acct|ch|cs_test|cus|evt|ii|il|in|pi|pm|price|prod|req|seti|si|sub|txn)_[0-9A-Za-z]+(_secret_\w+)?|"[0-9A-Z]{8}(-\d{4})?"|127\.0\.0\.1:\d+`)

// normalised is everything that a stand-in holds as text, with ids told by the
// order in which they are met.
func normalised(t *testing.T, e *era) []string {
	t.Helper()
	names := map[string]string{}
	var all []string
	state := e.State(t)
	for _, kind := range keysOf(state) {
		for _, object := range state[kind] {
			text, err := json.Marshal(object)
			must(t, err)
			all = append(all, someID.ReplaceAllStringFunc(string(text), func(id string) string {
				if names[id] == "" {
					names[id] = fmt.Sprintf("#%d", len(names))
				}
				return names[id]
			}))
		}
	}
	return all
}

func TestTheClockSurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	machine := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	start := time.Date(2025, 12, 1, 8, 0, 0, 0, time.UTC)
	open := func() *stripesim.Server {
		server, err := stripesim.Open(stripesim.Config{
			Dir: dir, SecretKey: simtest.SecretKey, PublicURL: "http://127.0.0.1:1",
			Now: func() time.Time { return machine }, Start: start,
		})
		must(t, err)
		return server
	}
	first := open()
	equal(t, "an empty state begins", first.Now(), start)
	_, err := first.Advance(t.Context(), start.Add(40*day))
	must(t, err)
	must(t, first.Close())
	machine = machine.Add(90 * time.Minute)
	second := open()
	defer second.Close()
	equal(t, "an hour and a half later", second.Now(), start.Add(40*day+90*time.Minute))
}

// TestAKillInTheMiddleOfAnAdvanceLosesNothing kills the process while a year
// passes and goes on from wherever it was.
func TestAKillInTheMiddleOfAnAdvanceLosesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	process, sim := startProcess(t, dir)
	shop := stock(t, sim)
	for range 20 {
		shop.buy(t)
	}
	client := &http.Client{}
	go func() {
		request, err := http.NewRequest(http.MethodPost, sim.URL+"/sim/clock/advance", strings.NewReader(`{"by":"8760h"}`))
		if err != nil {
			return
		}
		request.Header.Set("Authorization", "Bearer "+sim.SecretKey)
		if response, err := client.Do(request); err == nil {
			response.Body.Close()
		}
	}()
	eventually(t, "a quarter of the invoices", func() bool { return len(shop.State(t)["invoice"]) >= 70 })
	must(t, process.Process.Kill())
	_ = process.Wait()

	again := simtest.Start(t, inFolder(dir))
	shop.Sim = again
	passed := time.Until(again.Server.Now())
	if passed < 60*day || passed > 366*day {
		t.Errorf("the clock stands %s ahead", passed)
	}
	_, err := again.Server.Advance(t.Context(), again.Server.Now().Add(365*day-passed))
	must(t, err)
	state := shop.State(t)
	equal(t, "invoices", len(state["invoice"]), 20*13)
	for _, invoice := range state["invoice"] {
		if created := time.Unix(int64(invoice["created"].(float64)), 0); time.Since(created) < -364*day-23*time.Hour {
			continue // of the last hour: still a draft
		}
		if invoice["status"] != "paid" {
			t.Errorf("invoice %v is %v", invoice["id"], invoice["status"])
		}
	}
	for _, intent := range state["payment_intent"] {
		if intent["status"] != "succeeded" {
			t.Errorf("intent %v is %v", intent["id"], intent["status"])
		}
	}
}

// TestEventsAreForgottenAfterThirtyDays: but not one that is still on its way.
func TestEventsAreForgottenAfterThirtyDays(t *testing.T) {
	t.Parallel()
	e := openEra(t, time.Date(2026, 1, 15, 10, 30, 0, 0, time.UTC), withRetries(slices.Repeat([]time.Duration{20 * time.Millisecond}, 10_000)...))
	var up atomic.Bool
	endpoint := newReceiver(t, func(int) int {
		if up.Load() {
			return http.StatusOK
		}
		return http.StatusInternalServerError
	})
	e.addEndpoint(t, endpoint.URL, "customer.subscription.created")
	e.buy(t)
	oldest := func() string {
		event := e.State(t)["event"][0]
		return fmt.Sprint(event["type"], " ", time.Unix(int64(event["created"].(float64)), 0).Sub(e.start))
	}
	e.after(t, 29*day)
	equal(t, "after 29 days", oldest(), "product.created 0s")
	e.after(t, 31*day)
	equal(t, "while it is being delivered", oldest(), "customer.subscription.created 0s")
	up.Store(true)
	eventually(t, "delivered", func() bool { return e.Server.PendingDeliveries() == 0 })
	e.after(t, 31*day+time.Hour)
	equal(t, "then", oldest(), "invoice.upcoming 576h0m0s")
	_, err := e.api.Events.Get(endpoint.all()[0].event["id"].(string), nil)
	if err == nil {
		t.Error("the event can still be asked for")
	}
}

// TestAReadIsDatedByTheTimeOfItsState reads a subscription again and again while
// a year passes: whenever it is, the period that is shown is the one of then.
func TestAReadIsDatedByTheTimeOfItsState(t *testing.T) {
	t.Parallel()
	sim := simtest.Start(t, simtest.WithoutMirror())
	shop := stock(t, sim)
	for range 10 {
		shop.buy(t)
	}
	id := shop.buy(t).Subscription.ID
	start, periods := sim.Server.Now(), map[int64]bool{}
	for week := range 52 {
		done := make(chan error, 1)
		go func() {
			_, err := sim.Server.Advance(t.Context(), start.Add(time.Duration(week+1)*7*day))
			done <- err
		}()
		for passing := true; passing; {
			select {
			case err := <-done:
				must(t, err)
				passing = false
			default:
			}
			subscription, err := shop.api.Subscriptions.Get(id, nil)
			must(t, err)
			date, err := http.ParseTime(subscription.LastResponse.Header.Get("Date"))
			must(t, err)
			periods[subscription.CurrentPeriodStart] = true
			if at := date.Unix(); at < subscription.CurrentPeriodStart || at >= subscription.CurrentPeriodEnd {
				t.Fatalf("read at %s: a period from %s to %s", date, time.Unix(subscription.CurrentPeriodStart, 0), time.Unix(subscription.CurrentPeriodEnd, 0))
			}
		}
	}
	equal(t, "periods", len(periods), 12)
}

// TestTimePassesByItself: what falls due in real time happens without anybody
// asking for anything.
func TestTimePassesByItself(t *testing.T) {
	t.Parallel()
	clock := newClock(spring)
	e := &era{shop: openShop(t, simtest.WithConfig(func(c *stripesim.Config) { c.Now = clock.now })), start: spring}
	endpoint := newReceiver(t, always(http.StatusOK))
	e.addEndpoint(t, endpoint.URL, "invoice.paid")
	e.buy(t)
	eventually(t, "the first payment", func() bool { return len(endpoint.all()) == 1 })
	clock.set(spring.AddDate(0, 1, 0).Add(90 * time.Minute))
	eventually(t, "the renewal", func() bool { return len(endpoint.all()) == 2 })
	equal(t, "dated by its own moment", int64(endpoint.all()[1].event["created"].(float64)), spring.AddDate(0, 1, 0).Add(time.Hour).Unix())
}

package payments_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/promptforge/payments/db/dbtest"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/payments"
)

// life is a customer of the world, drawn by chance, and two shops that hear of
// it: one on time and in order, the other as it comes.
type life struct {
	*world
	draw   *rapid.T
	onTime *shop
	late   *shop

	org, user uuid.UUID
	customer  string
	// waiting are deliveries to the late shop, each with the step at which it
	// arrives.
	waiting []delivery
	step    int
	acts    map[string]int // how often each act was made
	// taken is when the late shop was seen to have taken an event up.
	taken map[string]time.Time
}

type delivery struct {
	event json.RawMessage
	at    int
}

// TestWhateverWayEventsTakeTheRowsAreTheSame lives random lives of a customer.
// One shop hears of everything on time; the other gets the events in any order,
// several times, as two objects or days late, while Stripe cannot be asked or
// answers with what was true a moment ago. Once Stripe has been asked after the
// last event, both know the same.
//
// Without -rapid.checks it lives as many as fit into its time, and a few at
// least.
func TestWhateverWayEventsTakeTheRowsAreTheSame(t *testing.T) {
	t.Parallel()
	first, second := pools(t)
	acts, lives := map[string]int{}, 0
	enough := budget(t, 20*time.Second)
	const fewest = 10
	rapid.Check(t, func(draw *rapid.T) {
		if lives >= fewest && enough() {
			return
		}
		lives++
		empty(t, first)
		empty(t, second)
		w, done := newWorld(draw, t.Context(), rapid.SampledFrom(beginnings).Draw(draw, "begin"))
		defer done()
		l := &life{world: w, draw: draw, onTime: w.shop("on time", first), late: w.shop("late", second), acts: acts, taken: map[string]time.Time{}}
		l.live(rapid.IntRange(1, 14).Draw(draw, "steps"))
		if diff := differences(l.onTime.state(), l.late.state()); diff != "" {
			draw.Fatalf("the rows differ (-on time +late):\n%s", diff)
		}
		l.compareMails()
		for _, s := range []*shop{l.onTime, l.late} {
			if err := s.ledger.Verify(s.ctx); err != nil {
				draw.Fatalf("%s: %v", s.name, err)
			}
		}
	})
	t.Logf("%d lives, acts %v", lives, acts)
}

// budget says when it is enough: never where somebody has said how many checks
// are wanted.
func budget(t *testing.T, d time.Duration) (enough func() bool) {
	t.Helper()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || strings.HasPrefix(f.Name, "rapid.") })
	end := time.Now().Add(d)
	return func() bool { return !given && !t.Failed() && time.Now().After(end) }
}

// beginnings are days on which calendars differ.
var beginnings = []time.Time{
	time.Date(2026, 1, 31, 23, 59, 30, 0, time.UTC),
	time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC),
	time.Date(2028, 1, 30, 8, 0, 0, 0, time.UTC),
	time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC),
}

func (l *life) live(steps int) {
	l.org, l.user = organization(l.onTime, l.late)
	l.signUp()
	l.hear()
	for l.step = 1; l.step <= steps; l.step++ {
		l.remember(l.customer)
		name := l.drawAct()
		made := acts[name](l)
		l.Logf("%s %s: %t", l.sim.Now().Format(time.DateTime), name, made)
		if made {
			l.acts[name]++
		}
		l.remember(l.customer)
		l.hear()
		// Most acts have a second of their own, as those of people have.
		l.pass(time.Duration(rapid.SampledFrom([]int{3, 2, 1, 0}).Draw(l.draw, "pause")) * time.Second)
	}
	l.end()
}

// drawAct draws each act as often as another, which rapid by itself does not:
// it prefers what stands first.
func (l *life) drawAct() string {
	n := rapid.Uint32().Draw(l.draw, "number")
	name := actNames[(n*2654435761>>16)%uint32(len(actNames))]
	l.Logf("act %q", name)
	return name
}

// hear tells the shops what is new: the one at once, the other as it comes.
func (l *life) hear() {
	l.Helper()
	news := l.news()
	for _, e := range news {
		l.onTime.deliver(e)
		l.onTime.settle()
		l.waiting = append(l.waiting, delivery{e, l.step + l.delay()})
		switch rapid.IntRange(0, 5).Draw(l.draw, "again") {
		case 0:
			l.waiting = append(l.waiting, delivery{e, l.step + l.delay()})
		case 1:
			second := twin(e)
			l.waiting = append(l.waiting, delivery{second, l.step + l.delay()})
		}
	}
	l.late.sky.turn(rapid.SampledFrom([]weather{clear, clear, cut, stale, stale}).Draw(l.draw, "weather"))
	var now, later []delivery
	for _, d := range l.waiting {
		if d.at <= l.step {
			now = append(now, d)
		} else {
			later = append(later, d)
		}
	}
	l.waiting = later
	l.arrive(now)
	l.noteTaken()
}

func (l *life) noteTaken() {
	for _, event := range l.late.rows(`SELECT id FROM webhook_events WHERE state = 'processed'`) {
		if _, known := l.taken[event]; !known {
			l.taken[event] = l.sim.Now()
		}
	}
}

// compareMails: the late shop writes each mail once, none that the other does
// not, and leaves out only what is no news any more: what it heard of a day later,
// and a failure that was settled before.
func (l *life) compareMails() {
	l.Helper()
	const mails = `SELECT concat_ws(' ', kind, natural_key, to_address) FROM outbox ORDER BY kind, natural_key, to_address`
	onTime, late := l.onTime.rows(mails), l.late.rows(mails)
	for _, mail := range late {
		if !slices.Contains(onTime, mail) {
			l.Errorf("only the late shop wrote %s", mail)
		}
	}
	for _, mail := range onTime {
		if slices.Contains(late, mail) {
			continue
		}
		key := strings.Fields(mail)
		told := l.onTime.rows(`SELECT concat_ws(' ', source_event_id, extract(epoch FROM at)::bigint) FROM payment_events
			WHERE natural_key = $2 AND kind = CASE $1 WHEN 'receipt' THEN 'payment_succeeded' ELSE 'payment_failed' END`, key[0], key[1])
		var event string
		var at int64
		if _, err := fmt.Sscan(strings.Join(told, " "), &event, &at); err != nil {
			l.Errorf("of the mail %s only %q is known", mail, told)
			continue
		}
		isOld := l.taken[event].Sub(time.Unix(at, 0)) >= 24*time.Hour
		isSettled := key[0] == "payment_failed" && len(l.late.rows(`SELECT kind FROM payment_events
			WHERE kind IN ('payment_succeeded', 'invoice_voided', 'invoice_marked_uncollectible') AND invoice_id = split_part($1, ':', 1)`, key[1])) > 0
		if !isOld && !isSettled {
			l.Errorf("the late shop never wrote %s, of which it heard on %s", mail, l.taken[event])
		}
	}
}

// delay is for how many steps a delivery is on its way; most are quick, and
// some come only at the end.
func (l *life) delay() int {
	return rapid.SampledFrom([]int{0, 0, 0, 1, 2, 4, 1000}).Draw(l.draw, "delay")
}

// arrive delivers in any order and works in between, or does not.
func (l *life) arrive(all []delivery) {
	l.Helper()
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	if len(all) > 1 {
		order = rapid.Permutation(order).Draw(l.draw, "order")
	}
	for _, i := range order {
		e := all[i].event
		l.late.deliver(e)
		l.Logf("  late: %s %s", kind(e), id(e))
		l.now()
	}
	if len(all) == 0 {
		l.now()
	}
}

// now is a moment at which the late shop may do something.
func (l *life) now() {
	l.Helper()
	switch rapid.IntRange(0, 7).Draw(l.draw, "meanwhile") {
	case 0, 1, 2:
		l.late.work()
	case 3: // a button, which may fail while Stripe cannot be asked
		for _, c := range l.late.rows(`SELECT stripe_customer_id FROM customers`) {
			_ = l.late.SyncCustomer(l.ctx, c)
		}
	case 4:
		if _, err := l.late.ledger.Step(l.ctx); err != nil {
			l.Fatalf("derive: %v", err)
		}
	}
}

// end lets the last events arrive and Stripe be asked once more.
func (l *life) end() {
	l.Helper()
	l.step = 100000
	l.hear()
	l.late.sky.turn(clear)
	l.late.settle()
	for range 5 { // what is due meanwhile has events of its own
		l.pass(61 * time.Second)
		news := l.news()
		l.onTime.deliver(news...)
		l.late.deliver(news...)
		if len(news) == 0 {
			break
		}
	}
	for _, s := range []*shop{l.onTime, l.late} {
		s.settle()
		s.ask()
		s.settle()
		s.derive()
	}
	l.noteTaken()
}

// signUp buys by the hosted page, or leaves it.
func (l *life) signUp() bool {
	l.Helper()
	offer := rapid.SampledFrom([]string{"pilot", "pro", "enterprise"}).Draw(l.draw, "plan")
	interval := rapid.SampledFrom([]billing.Interval{billing.Month, billing.Month, billing.Year}).Draw(l.draw, "interval")
	checkout, err := l.onTime.StartCheckout(l.ctx, payments.CheckoutRequest{UserID: l.user, OrgID: l.org, Plan: offer, Interval: interval})
	l.onTime.share(l.late)
	if found := l.onTime.rows(`SELECT stripe_customer_id FROM customers WHERE org_id IS NOT NULL AND is_current`); len(found) == 1 {
		l.customer = found[0]
	}
	if err != nil {
		return false // there is one already
	}
	l.remember(l.customer)
	card := rapid.SampledFrom([]string{"4242424242424242", "4242424242424242", "4000000000000341", "000123456789", "000222222227", "leaves"}).Draw(l.draw, "card")
	if card == "leaves" {
		return true
	}
	return l.act(http.MethodPost, "/sim/checkout/"+checkout.SessionID+"/complete", `{"card":"`+card+`"}`)
}

// subscription is one of the customer's that has not ended.
func (l *life) subscription() (object, bool) {
	l.Helper()
	all := l.all("/v1/subscriptions?customer=" + l.customer) // which leaves out those that have ended
	if len(all) == 0 {
		return object{}, false
	}
	return all[rapid.IntRange(0, len(all)-1).Draw(l.draw, "which")], true
}

// change posts to one of the customer's subscriptions.
func (l *life) change(form func(s object) url.Values) bool {
	l.Helper()
	s, ok := l.subscription()
	return ok && l.act(http.MethodPost, "/v1/subscriptions/"+s.ID, form(s).Encode())
}

func (l *life) price() string {
	plan := rapid.SampledFrom([]string{"pilot", "pro", "enterprise"}).Draw(l.draw, "to plan")
	interval := rapid.SampledFrom([]billing.Interval{billing.Month, billing.Month, billing.Year}).Draw(l.draw, "to interval")
	return l.set.Sold[payments.Offer{Plan: plan, Interval: interval}]
}

func (l *life) withItem(s object, name, value string) url.Values {
	return url.Values{
		"items[0][id]": {s.Items.Data[0].ID}, "items[0][" + name + "]": {value},
		"proration_behavior": {rapid.SampledFrom([]string{"create_prorations", "always_invoice", "none"}).Draw(l.draw, "proration")},
	}
}

// card gives the customer a card, and all their subscriptions.
func (l *life) card(kind string) bool {
	l.Helper()
	status, body := l.do(http.MethodPost, "/v1/payment_methods/"+kind+"/attach", "customer="+l.customer)
	if status != http.StatusOK {
		return false
	}
	method := field(body, "id")
	for _, s := range l.all("/v1/subscriptions?customer=" + l.customer) {
		l.act(http.MethodPost, "/v1/subscriptions/"+s.ID, "default_payment_method="+method)
	}
	return l.act(http.MethodPost, "/v1/customers/"+l.customer, "invoice_settings[default_payment_method]="+method)
}

func (l *life) invoice(status string) (object, bool) {
	l.Helper()
	all := l.all("/v1/invoices?customer=" + l.customer + "&status=" + status)
	if len(all) == 0 {
		return object{}, false
	}
	return all[rapid.IntRange(0, len(all)-1).Draw(l.draw, "invoice")], true
}

func form(pairs ...string) url.Values {
	out := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		out.Set(pairs[i], pairs[i+1])
	}
	return out
}

func (l *life) days(most int) bool {
	// Events are listed for a month, so that nobody may look away for longer.
	l.pass(time.Duration(rapid.IntRange(1, most).Draw(l.draw, "days")) * 24 * time.Hour)
	return true
}

func seconds(l *life) bool {
	l.pass(time.Duration(rapid.SampledFrom([]int{1, 7, 20, 45, 100, 3700}).Draw(l.draw, "seconds")) * time.Second)
	return true
}

// actNames are in a fixed order, so that a seed draws the same.
var actNames = []string{
	"seconds", "seconds", "days", "weeks", "weeks", "change plan", "change plan", "change quantity", "schedule the end", "withdraw the end",
	"end at a date", "cancel now", "pause", "pause", "unpause", "card that fails", "card that pays", "pay what is open", "second subscription", "second item",
	"refund", "end the trial", "rename", "buy", "void", "write off", "what becomes of who does not pay", "card that is disputed", "leave for good",
}

var acts = map[string]func(*life) bool{
	"seconds": seconds,
	"days":    func(l *life) bool { return l.days(5) },
	"weeks":   func(l *life) bool { return l.days(20) },
	"change plan": func(l *life) bool {
		return l.change(func(s object) url.Values { return l.withItem(s, "price", l.price()) })
	},
	"change quantity": func(l *life) bool {
		return l.change(func(s object) url.Values {
			return l.withItem(s, "quantity", fmt.Sprint(rapid.IntRange(1, 4).Draw(l.draw, "quantity")))
		})
	},
	"schedule the end": func(l *life) bool {
		return l.change(func(object) url.Values { return form("cancel_at_period_end", "true") })
	},
	"withdraw the end": func(l *life) bool {
		return l.change(func(object) url.Values { return form("cancel_at_period_end", "false") })
	},
	"end at a date": func(l *life) bool {
		at := l.sim.Now().Add(time.Duration(rapid.IntRange(1, 40).Draw(l.draw, "in days")) * 24 * time.Hour)
		return l.change(func(object) url.Values { return form("cancel_at", fmt.Sprint(at.Unix()), "proration_behavior", "none") })
	},
	"cancel now": func(l *life) bool {
		s, ok := l.subscription()
		return ok && l.act(http.MethodDelete, "/v1/subscriptions/"+s.ID, "")
	},
	"pause": func(l *life) bool {
		f := form("pause_collection[behavior]", rapid.SampledFrom([]string{"void", "keep_as_draft", "mark_uncollectible"}).Draw(l.draw, "behavior"))
		if rapid.Bool().Draw(l.draw, "resumes") {
			f.Set("pause_collection[resumes_at]", fmt.Sprint(l.sim.Now().Add(10*24*time.Hour).Unix()))
		}
		return l.change(func(object) url.Values { return f })
	},
	"unpause":          func(l *life) bool { return l.change(func(object) url.Values { return form("pause_collection", "") }) },
	"card that fails":  func(l *life) bool { return l.card("pm_card_chargeCustomerFail") },
	"card that pays":   func(l *life) bool { return l.card("pm_card_visa") },
	"pay what is open": func(l *life) bool { return l.invoiceAct("open", "pay") },
	"void":             func(l *life) bool { return l.invoiceAct("open", "void") },
	"write off":        func(l *life) bool { return l.invoiceAct("open", "mark_uncollectible") },
	"second item": func(l *life) bool {
		return l.change(func(object) url.Values { return form("items[0][price]", l.price()) })
	},
	"second subscription": func(l *life) bool {
		return l.card("pm_card_visa") && l.act(http.MethodPost, "/v1/subscriptions", form("customer", l.customer, "items[0][price]", l.price()).Encode())
	},
	"refund": func(l *life) bool {
		charges := l.all("/v1/charges?customer=" + l.customer)
		return len(charges) > 0 && l.act(http.MethodPost, "/v1/refunds", form("charge", charges[0].ID, "amount", "100").Encode())
	},
	"end the trial": func(l *life) bool { return l.change(func(object) url.Values { return form("trial_end", "now") }) },
	"rename":        func(l *life) bool { return l.act(http.MethodPost, "/v1/customers/"+l.customer, "name=Bea") },
	"buy":           func(l *life) bool { return l.signUp() },
	"what becomes of who does not pay": func(l *life) bool {
		return l.act(http.MethodPost, "/sim/settings", `{"after_retries":"`+rapid.SampledFrom([]string{"cancel", "unpaid", "past_due"}).Draw(l.draw, "after retries")+`"}`)
	},
	"card that is disputed": func(l *life) bool { return l.card("pm_card_createDispute") },
	"leave for good":        func(l *life) bool { return l.act(http.MethodDelete, "/v1/customers/"+l.customer, "") },
}

func (l *life) invoiceAct(status, act string) bool {
	l.Helper()
	i, ok := l.invoice(status)
	return ok && l.act(http.MethodPost, "/v1/invoices/"+i.ID+"/"+act, "")
}

// TestAnAnswerOlderThanWhatWasWrittenIsNotBelieved: the event of a change was
// taken up, and twenty seconds later a button gets an answer from before it.
func TestAnAnswerOlderThanWhatWasWrittenIsNotBelieved(t *testing.T) {
	t.Parallel()
	w, done := newWorld(t, t.Context(), aNoon)
	defer done()
	s := w.shop("shop", dbtest.New(t))
	b := w.sell("pro", "4242424242424242", s)
	hear := func() {
		s.deliver(w.news()...)
		s.settle()
	}
	hear()
	w.pass(time.Hour)
	w.remember(b.customer)
	w.update(b.customer, "cancel_at_period_end", "true")
	w.remember(b.customer)
	hear()
	before := s.state()
	w.pass(20 * time.Second)
	s.sky.turn(stale)
	if err := s.SyncCustomer(t.Context(), b.customer); err != nil {
		t.Fatal(err)
	}
	if asked := s.sky.left.Load(); asked != 3 {
		t.Fatalf("the stale answer was not given: %d left", asked)
	}
	if diff := differences(before, s.state()); diff != "" {
		t.Errorf("it changed the rows (-before +after):\n%s", diff)
	}
}

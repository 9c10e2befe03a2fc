package stripesim

import (
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestWhateverIsDoneTheEventsTellItWithoutAGap lets customers, banks, time and the
// account do anything in any order. No request may break the stand-in, nothing
// that is due may stay due, and what the events say of each subscription must be
// one story: each begins where the one before it ended.
func TestWhateverIsDoneTheEventsTellItWithoutAGap(t *testing.T) {
	t.Parallel()
	seen := map[any]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := newWhatever(t)
		w.seen = seen
		for range rapid.IntRange(5, 40).Draw(t, "steps") {
			w.step()
			w.follow()
		}
		for range 9 {
			w.now = w.now.Add(11 * day)
			w.send("GET", "/v1/balance", "")
			w.follow()
		}
	})
	if len(seen) < 20 {
		t.Errorf("too little happened: %v", seen)
	}
}

// whatever is a player who asks for anything.
type whatever struct {
	*player
	told  map[string]object // what the last event said of each subscription
	heard int64
	log   *strings.Builder
	seen  map[any]int // events by type
}

func newWhatever(t *rapid.T) *whatever {
	w := &whatever{told: map[string]object{}, log: &strings.Builder{}}
	w.player = newPlayerWith(t, func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelError}))
		c.AfterRetries = rapid.SampledFrom([]AfterRetries{CancelAfterRetries, UnpaidAfterRetries, PastDueAfterRetries}).Draw(t, "after retries")
	})
	return w
}

// any answers one of the objects of a kind, or an id that is none.
func (w *whatever) any(kind string) string {
	records := w.server.store.table(kind).order
	if len(records) == 0 {
		return "none"
	}
	return records[rapid.IntRange(0, len(records)-1).Draw(w.t, kind)].ID
}

func (w *whatever) item(subscription string) string {
	if o := w.server.store.table(kindSubscription).byID[subscription]; o != nil {
		return itemsOf(o.Object)[0].id()
	}
	return "none"
}

func (w *whatever) of(words ...string) string { return rapid.SampledFrom(words).Draw(w.t, "word") }

func (w *whatever) soon(days int64) string {
	return strconv.FormatInt(w.now.Unix()+rapid.Int64Range(1, days*86400).Draw(w.t, "seconds ahead"), 10)
}

func (w *whatever) step() {
	price := func() string { return rapid.SampledFrom(w.prices).Draw(w.t, "price") }
	subscription := w.any(kindSubscription)
	change := func(params string) { w.try("/v1/subscriptions/"+subscription, params) }
	switch rapid.IntRange(0, 19).Draw(w.t, "act") {
	case 0, 1, 2:
		w.now = w.now.Add(time.Duration(rapid.Int64Range(0, 20*86400).Draw(w.t, "passes")) * time.Second)
		w.send("GET", "/v1/balance", "") // events are kept for a month only
	case 3:
		params := "customer=" + w.any(kindCustomer) + "&items[0][price]=" + price() + "&payment_behavior=" + w.of("allow_incomplete", "default_incomplete", "error_if_incomplete")
		if rapid.Bool().Draw(w.t, "trial") {
			params += "&trial_period_days=5&trial_settings[end_behavior][missing_payment_method]=" + w.of("pause", "cancel", "create_invoice")
		}
		w.try("/v1/subscriptions", params)
	case 4, 5:
		change(fmt.Sprintf("items[0][id]=%s&items[0][price]=%s&items[0][quantity]=%d&proration_behavior=%s&payment_behavior=%s", w.item(subscription), price(),
			rapid.IntRange(1, 3).Draw(w.t, "quantity"), w.of("create_prorations", "always_invoice", "none"), w.of("allow_incomplete", "pending_if_incomplete", "error_if_incomplete")))
	case 6:
		change(w.of("cancel_at="+w.soon(60), "cancel_at=", "cancel_at_period_end=true", "cancel_at_period_end=false"))
	case 7:
		change("pause_collection[behavior]=" + w.of("void", "keep_as_draft", "mark_uncollectible") + "&pause_collection[resumes_at]=" + w.soon(40))
	case 8:
		change(w.of("pause_collection=", "trial_end=now", "trial_end="+w.soon(20), "billing_cycle_anchor=now", "automatic_tax[enabled]=true"))
	case 9:
		w.try("/v1/subscriptions/"+subscription+"/resume", "billing_cycle_anchor="+w.of("now", "unchanged"))
	case 10:
		w.send("DELETE", "/v1/subscriptions/"+subscription, "")
	case 11, 12:
		card := w.of("pm_card_visa", "pm_card_chargeCustomerFail", "pm_card_createDispute", "pm_card_refundFail", "pm_card_pendingRefund",
			"pm_card_authenticationRequired", "pm_usBankAccount_success", "pm_usBankAccount_insufficientFunds")
		customer := w.any(kindCustomer)
		if status, method := w.send("POST", "/v1/payment_methods/"+card+"/attach", "customer="+customer); status == http.StatusOK {
			w.try("/v1/customers/"+customer, "invoice_settings[default_payment_method]="+method.id())
		}
	case 13:
		w.try("/v1/payment_methods/"+w.any(kindPaymentMethod)+"/detach", "")
	case 14:
		w.try("/v1/invoices/"+w.any(kindInvoice)+"/"+w.of("pay", "void", "mark_uncollectible", "finalize"), "")
	case 15:
		w.try("/v1/payment_intents/"+w.any(kindPaymentIntent)+"/confirm", "payment_method="+w.any(kindPaymentMethod))
	case 16:
		w.try("/v1/refunds", "charge="+w.any(kindCharge)+w.of("", "&amount=100"))
	case 17:
		w.try("/v1/disputes/"+w.any(kindDispute), "evidence[uncategorized_text]="+w.of(winningEvidence, losingEvidence, "words"))
	case 18:
		w.schedule(subscription, price())
	case 19:
		w.try("/v1/customers/"+w.any(kindCustomer), w.of("address=", "address[country]=US", "metadata[a]=b"))
	}
}

func (w *whatever) schedule(subscription, price string) {
	id := w.any(kindSchedule)
	switch w.of("make", "begin", "plan", "release", "cancel") {
	case "make":
		w.try("/v1/subscription_schedules", "from_subscription="+subscription)
	case "begin":
		w.try("/v1/subscription_schedules", "customer="+w.any(kindCustomer)+"&phases[0][items][0][price]="+price+"&end_behavior="+w.of("cancel", "release")+w.of("", "&start_date="+w.soon(20)))
	case "plan":
		r := w.server.store.table(kindSchedule).byID[id]
		if r == nil || r.Object.obj("current_phase") == nil {
			return
		}
		phase := r.Object.obj("current_phase")
		w.try("/v1/subscription_schedules/"+id, fmt.Sprintf("phases[0][start_date]=%d&phases[0][end_date]=%d&phases[0][items][0][price]=%s&phases[1][items][0][price]=%s&end_behavior=%s",
			phase.int("start_date"), phase.int("end_date"), price, rapid.SampledFrom(w.prices).Draw(w.t, "next price"), w.of("cancel", "release")))
	case "release":
		w.try("/v1/subscription_schedules/"+id+"/release", "")
	case "cancel":
		w.try("/v1/subscription_schedules/"+id+"/cancel", "")
	}
}

// try may be refused, but must be answered.
func (w *whatever) try(path, params string) {
	w.t.Helper()
	if status, answer := w.send("POST", path, params); status >= http.StatusInternalServerError {
		w.t.Fatalf("%s %s: %d %v", path, params, status, answer)
	}
}

// follow hears what is new, and compares it with what was said before.
func (w *whatever) follow() {
	w.t.Helper()
	for _, r := range w.server.store.table(kindEvent).order {
		if r.Seq <= w.heard {
			continue
		}
		w.heard = r.Seq
		w.seen[r.Object["type"]]++
		data := r.Object.obj("data")
		now := data.obj("object")
		if now.kind() != kindSubscription {
			continue
		}
		before := facts(now)
		if previous := data.obj("previous_attributes"); previous != nil {
			before = facts(restored(now, previous))
		}
		if told, known := w.told[now.id()]; known && !reflect.DeepEqual(told, before) && r.Object["type"] != "customer.subscription.deleted" {
			w.t.Fatalf("%s begins with\n%v and the one before it ended with\n%v", r.Object["type"], before, told)
		}
		w.told[now.id()] = facts(now)
	}
	for id, told := range w.told {
		if is := facts(w.server.store.table(kindSubscription).byID[id].Object); !reflect.DeepEqual(told, is) {
			w.t.Fatalf("the events end with\n%v, and it is\n%v", told, is)
		}
	}
	if w.log.Len() > 0 {
		w.t.Fatal(w.log)
	}
}

// facts are what a history is told by.
func facts(subscription object) object {
	told := changes(subscription, "status", "cancel_at", "cancel_at_period_end", "pause_collection", "trial_end", "ended_at",
		"current_period_start", "current_period_end", "schedule", "pending_update")
	for _, item := range itemsOf(subscription) {
		told[item.id()] = fmt.Sprint(item.obj("price").id(), " ", item["quantity"])
	}
	return told
}

// restored puts previous_attributes back.
func restored(now, previous object) object {
	before := maps.Clone(now)
	for field, was := range previous {
		if inner, is := asObject(was), before.obj(field); inner != nil && is != nil {
			was = restored(is, inner)
		}
		before[field] = was
	}
	return before
}

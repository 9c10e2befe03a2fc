package stripesim

import (
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestWhatIsBilledIsWhatIsUsed plays subscriptions whose plan, interval and
// quantity change at random moments, within periods and across renewals, waiting
// for the next invoice or billed at once, and that are to end on some day or not
// after all. At every moment all invoices and what
// is pending make up what was used until then and the rest of the period, which
// is paid in advance as far as the subscription lasts, but for the roundings of the
// prorations.
func TestWhatIsBilledIsWhatIsUsed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := newPlayer(t)
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			p.pass(rapid.Int64Range(0, 27*86400).Draw(t, "seconds"))
			p.compare("after a while")
			if rapid.IntRange(0, 2).Draw(t, "end") == 0 {
				p.end()
			} else {
				p.change()
			}
			p.compare("after a change")
		}
	})
}

// player keeps a subscription, and beside it what it should cost.
type player struct {
	t         *rapid.T
	server    *Server
	handler   http.Handler
	now       time.Time
	prices    []string
	id        string
	used      *big.Rat
	roundings int64
}

func newPlayer(t *rapid.T) *player { return newPlayerWith(t, func(*Config) {}) }

func newPlayerWith(t *rapid.T, set func(*Config)) *player {
	p := &player{t: t, now: time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC), used: new(big.Rat)}
	config := Config{SecretKey: "sk_test_x", PublicURL: "http://127.0.0.1:1", Now: func() time.Time { return p.now }}
	set(&config)
	server, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	p.server, p.handler = server, server.Handler()
	for _, price := range []string{"month 2900", "month 9900", "month 39901", "year 99000", "year 399000"} {
		interval, amount, _ := strings.Cut(price, " ")
		p.prices = append(p.prices, p.ask("POST", "/v1/prices", "currency=usd&product_data[name]=P&unit_amount="+amount+"&recurring[interval]="+interval).id())
	}
	customer := p.ask("POST", "/v1/customers", "").id()
	method := p.ask("POST", "/v1/payment_methods/pm_card_visa/attach", "customer="+customer).id()
	p.ask("POST", "/v1/customers/"+customer, "invoice_settings[default_payment_method]="+method)
	p.id = p.ask("POST", "/v1/subscriptions", "customer="+customer+"&items[0][quantity]=2&items[0][price]="+p.prices[1]).id()
	return p
}

func (p *player) ask(method, path, params string) object {
	p.t.Helper()
	status, answer := p.send(method, path, params)
	if status != http.StatusOK {
		p.t.Fatalf("%s %s %s: %d %v", method, path, params, status, answer)
	}
	return answer
}

func (p *player) send(method, path, params string) (status int, answer object) {
	p.t.Helper()
	body := params
	if method == http.MethodGet {
		path, body = path+"?"+params, ""
	}
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer sk_test_x")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, r)
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		p.t.Fatalf("%s %s %s: %d %s", method, path, params, w.Code, w.Body)
	}
	return w.Code, answer
}

// subscription reads past the API, which is asked often enough.
func (p *player) subscription() (found object) {
	if err := p.server.update(cause{}, func(t *tx) error { found = t.get(kindSubscription, p.id); return nil }); err != nil {
		p.t.Fatal(err)
	}
	return found
}

// pass lets time pass, less than the shortest period, and notes what it used.
//
// It stops short of the subscription's end.
func (p *player) pass(seconds int64) {
	if end := p.subscription().int("cancel_at"); end != 0 {
		seconds = min(seconds, end-p.now.Unix()-1)
	}
	before, from := p.subscription(), p.now.Unix()
	until := from + seconds
	p.now = p.now.Add(time.Duration(seconds) * time.Second)
	if end := before.int("current_period_end"); until >= end {
		p.use(before, from, end)
		p.use(p.subscription(), end, until)
		return
	}
	p.use(before, from, until)
}

func (p *player) use(subscription object, from, until int64) {
	p.used.Add(p.used, share(subscription, until-from))
}

// share is what so many seconds of the subscription's period cost.
func share(subscription object, seconds int64) *big.Rat {
	item := itemsOf(subscription)[0]
	exact := exactAmount(item.obj("price"), item.int("quantity"))
	return exact.Mul(exact, big.NewRat(seconds, naturalEnd(subscription)-subscription.int("current_period_start")))
}

// end lets the subscription end on some day of this period or a later one, or go
// on.
func (p *player) end() {
	params := "cancel_at="
	if rapid.Bool().Draw(p.t, "ends") {
		params += strconv.FormatInt(p.now.Unix()+rapid.Int64Range(2, 100*86400).Draw(p.t, "ends in"), 10)
	}
	p.ask("POST", "/v1/subscriptions/"+p.id, params)
	p.roundings += 2
}

func (p *player) change() {
	item := itemsOf(p.subscription())[0]
	params := fmt.Sprintf("items[0][id]=%s&items[0][price]=%s&items[0][quantity]=%d&proration_behavior=%s", item.id(),
		rapid.SampledFrom(p.prices).Draw(p.t, "price"), rapid.Int64Range(1, 30).Draw(p.t, "quantity"),
		rapid.SampledFrom([]string{"create_prorations", "always_invoice"}).Draw(p.t, "behaviour"))
	if rapid.IntRange(0, 4).Draw(p.t, "anew") == 0 {
		params += "&billing_cycle_anchor=now"
	}
	preview := p.upcoming("&" + strings.NewReplacer("items", "subscription_items", "proration_", "subscription_proration_", "billing_", "subscription_billing_").Replace(params))
	latest := p.subscription()["latest_invoice"]
	changed := p.ask("POST", "/v1/subscriptions/"+p.id, params)
	p.roundings += 4
	comes := p.upcoming("")
	if changed["latest_invoice"] != latest {
		comes = p.ask("GET", "/v1/invoices/"+changed.str("latest_invoice"), "")
	}
	if preview["total"] != comes["total"] || preview["amount_due"] != comes["amount_due"] {
		p.t.Fatalf("%s: the preview said %v, due %v, and it is %v, due %v", params, preview["total"], preview["amount_due"], comes["total"], comes["amount_due"])
	}
}

// upcoming is the next invoice, or nil where a subscription that ends with its
// period has nothing more to bill.
func (p *player) upcoming(params string) object {
	p.t.Helper()
	status, answer := p.send("GET", "/v1/invoices/upcoming", "subscription="+p.id+params)
	if status == http.StatusNotFound && p.subscription()["cancel_at"] != nil {
		return nil
	}
	if status != http.StatusOK {
		p.t.Fatalf("upcoming %s: %d %v", params, status, answer)
	}
	return answer
}

// compare adds up everything that was ever billed or waits to be. What was paid
// and what is left on the balance must be the same sum of the invoices.
func (p *player) compare(when string) {
	p.t.Helper()
	var billed, invoiced, paid int64
	customer := p.subscription().str("customer")
	err := p.server.update(cause{}, func(t *tx) error {
		for _, invoice := range t.ofCustomer(kindInvoice, customer) {
			invoiced += invoice.int("total")
			paid += invoice.int("amount_paid")
			if invoice.str("status") == "draft" { // which takes the balance when it is issued
				paid += invoice.int("total")
			}
		}
		billed = invoiced
		for _, item := range t.ofCustomer(kindInvoiceItem, customer) {
			if item["invoice"] == nil {
				billed += item.int("amount")
			}
		}
		if balance := t.get(kindCustomer, customer).int("balance"); invoiced != paid+balance {
			return fmt.Errorf("invoiced %d, paid %d, on the balance %d", invoiced, paid, balance)
		}
		return nil
	})
	if err != nil {
		p.t.Fatalf("%s: %v", when, err)
	}
	subscription := p.subscription()
	paidUntil := subscription.int("current_period_end")
	if end := subscription.int("cancel_at"); end != 0 {
		paidUntil = min(paidUntil, end)
	}
	want := new(big.Rat).Add(p.used, share(subscription, paidUntil-p.now.Unix()))
	difference := want.Sub(want, big.NewRat(billed, 1))
	if difference.Abs(difference).Cmp(big.NewRat(p.roundings, 2)) > 0 {
		p.t.Fatalf("%s: billed %d, which differs by %s after %d roundings", when, billed, difference.FloatString(3), p.roundings)
	}
}

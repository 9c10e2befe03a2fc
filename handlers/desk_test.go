package handlers_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestMembersSeeThePlanAndPayersTheAmounts(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	v.get("/billing").want(200).wantText("main", "No plan yet").wantText("main", "Choose a plan")
	v.get("/checkout/success?session_id=" + b.buy(v, "pro")).want(200)
	b.exec(`UPDATE memberships SET role = 'member'`)
	a := v.get("/billing").want(200).wantText("main", "Pro").wantText("main", "1 of 10")
	if strings.Contains(a.text("main"), "$99") {
		t.Error("a member without a billing role sees the amount")
	}
	v.get("/checkout?plan=pro&interval=month").want(403)
	if a := b.visitor().get("/billing").want(303); a.location() != "/login?next=%2Fbilling" {
		t.Errorf("the anonymous are led to %s", a.location())
	}
}

func TestTheDashboardIsForAdministrators(t *testing.T) {
	b := setup(t)
	a := b.visitor().get("/admin/billing").want(404)
	if href, _ := a.doc().Find(`main a[href^="/login"]`).Attr("href"); href != "/login?next=%2Fadmin%2Fbilling" {
		t.Errorf("the anonymous 404 leads to %q", href)
	}
	customer := b.signUp("ada@example.com", "Engines")
	theirs, nowhere := customer.get("/admin/billing").want(404), customer.get("/admin/nothing").want(404)
	if theirs.text("main h1") != nowhere.text("main h1") || theirs.doc().Find(`main a[href^="/login"]`).Length() > 0 {
		t.Errorf("a customer is told %q, of a page that is not there %q", theirs.text("main"), nowhere.text("main"))
	}
	admin := b.admin()
	admin.get("/admin/billing").want(200).wantText("main", "$0.00").wantText("main", "No subscription yet")

	customer.get("/checkout/success?session_id=" + b.buy(customer, "pro")).want(200)
	b.derive()
	page := admin.get("/admin/billing").want(200)
	page.wantText("main", "$99.00").wantText("main", "$1,188.00").wantText("figure", "MRR rose by $99.00").wantText("#events", "Bought Pro, monthly")
	if n := page.doc().Find("#revenue figure details table tbody tr").Length(); n != 12 {
		t.Errorf("the chart's table has %d months, want 12", n)
	}
}

// TestAnAdministratorWhoErrsStaysAtTheDesk: the rail stays, nothing is said to be
// somebody else's, and the way on leads to where the mistake was made. To anyone
// else there is no desk.
func TestAnAdministratorWhoErrsStaysAtTheDesk(t *testing.T) {
	b := setup(t)
	admin := b.admin()
	const unknown = "/admin/billing/organizations/7b0f2f8e-54b4-4a3c-9d1f-2d7f0d5d3a10"
	for path, want := range map[string]struct{ title, href string }{
		unknown:                  {"No such organization", "/admin/billing/subscriptions"},
		"/admin/billing/nothing": {"There is no such page", "/admin/billing"},
		"/admin/nothing":         {"There is no such page", "/admin/billing"},
	} {
		doc := admin.get(path).want(404).wantText("main h1", want.title).doc()
		if got, _ := doc.Find("main a.button").Attr("href"); got != want.href || doc.Find(".rail nav a").Length() == 0 {
			t.Errorf("%s leads to %q, with %d links in the rail", path, got, doc.Find(".rail nav a").Length())
		}
		if text := doc.Find("main").Text(); strings.Contains(text, "yours") {
			t.Errorf("%s says %q", path, text)
		}
	}
	for name, v := range map[string]*visitor{"a stranger": b.visitor(), "a customer": b.signUp("ada@example.com", "Engines")} {
		if a := v.get(unknown).want(404); a.text("main h1") != "There is nothing here" || a.doc().Find(".rail").Length() > 0 {
			t.Errorf("%s is told %q", name, a.text("main"))
		}
	}
}

func sign(secret string, at time.Time, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.%s", at.Unix(), body)
	return fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(mac.Sum(nil)))
}

func (b *bundle) deliver(header, body string) *answer {
	v := b.visitor().with("Origin", "https://evil.example") // Stripe is no browser
	if header != "" {
		v = v.with("Stripe-Signature", header)
	}
	return v.json("/api/webhooks/stripe", body)
}

func TestTheWebhookAnswersAsDocumented(t *testing.T) {
	b := setup(t)
	now := time.Now()
	event := `{"id":"evt_1","object":"event","type":"invoice.payment_failed","created":1700000000,"livemode":false,"data":{"object":{"customer":"cus_1"}}}`
	for name, body := range map[string]string{
		"an event": event, "the same again": event, "an unknown type": strings.ReplaceAll(strings.ReplaceAll(event, "evt_1", "evt_2"), "payment_failed", "sent"),
		"what is no event": "hello",
	} {
		a := b.deliver(sign(webhookSecret, now, body), body).want(200)
		if strings.TrimSpace(a.body) != `{"received":true}` || a.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %s %v", name, a.body, a.header)
		}
	}
	b.unchanged("what is not Stripe's", func() {
		for name, header := range map[string]string{
			"no signature": "", "a bad one": sign("whsec_other", now, event), "an old one": sign(webhookSecret, now.Add(-6*time.Minute), event),
			"a future one": sign(webhookSecret, now.Add(6*time.Minute), event), "one for another body": sign(webhookSecret, now, "{}"),
		} {
			if a := b.deliver(header, event).want(400); !strings.Contains(a.body, `"code":"bad_signature"`) {
				t.Errorf("%s: %s", name, a.body)
			}
		}
		large := `{"a":"` + strings.Repeat("x", 1<<20) + `"}`
		b.deliver(sign(webhookSecret, now, large), large).want(413)
		r := httptest.NewRequest(http.MethodPost, "/api/webhooks/stripe", io.MultiReader(strings.NewReader(large)))
		r.Header.Set("Stripe-Signature", sign(webhookSecret, now, large))
		recorder := httptest.NewRecorder()
		b.app.ServeHTTP(recorder, r)
		if recorder.Code != 413 {
			t.Errorf("too large with its length unsaid: %d", recorder.Code)
		}
	})
	b.exec(`ALTER TABLE webhook_events RENAME TO away`)
	b.deliver(sign(webhookSecret, now, event), event).want(503)
}

// unread fails the test when it is read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read, and its header says enough")
	return 0, io.EOF
}

func TestABadHeaderCostsNoBody(t *testing.T) {
	b := setup(t)
	for name, header := range map[string]string{"none": "", "old": sign(webhookSecret, time.Now().Add(-time.Hour), "x"), "malformed": "t=1"} {
		r := httptest.NewRequest(http.MethodPost, "/api/webhooks/stripe", unread{t})
		r.Header.Set("Stripe-Signature", header)
		recorder := httptest.NewRecorder()
		b.app.ServeHTTP(recorder, r)
		if recorder.Code != 400 {
			t.Errorf("%s: status %d", name, recorder.Code)
		}
	}
}

// TestASlowBodyDoesNotKeepOthersOut sends a body that never ends, over a real
// connection.
func TestASlowBodyDoesNotKeepOthersOut(t *testing.T) {
	b := setup(t)
	front := httptest.NewServer(b.app)
	defer front.Close()
	body, hold := io.Pipe()
	defer hold.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, front.URL+"/api/webhooks/stripe", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Stripe-Signature", sign(webhookSecret, time.Now(), "x"))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status = %d, want 503", answer.StatusCode)
	}
}

// TestUnverifiedBytesAreBounded holds as many bodies open as may be read at
// once. A recorder has no deadline, so they stay.
func TestUnverifiedBytesAreBounded(t *testing.T) {
	b := setup(t)
	header := sign(webhookSecret, time.Now(), "x")
	var held sync.WaitGroup
	reading := make(chan struct{})
	body, release := io.Pipe()
	for range 32 {
		held.Go(func() {
			r := httptest.NewRequest(http.MethodPost, "/api/webhooks/stripe", io.MultiReader(signal(reading), body))
			r.Header.Set("Stripe-Signature", header)
			b.app.ServeHTTP(httptest.NewRecorder(), r)
		})
	}
	for range 32 {
		<-reading
	}
	event := `{"id":"evt_1","type":"invoice.sent","created":1700000000}`
	if a := b.deliver(sign(webhookSecret, time.Now(), event), event).want(503); a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	release.Close()
	held.Wait()
	b.deliver(sign(webhookSecret, time.Now(), event), event).want(200)
}

// signal says when it is read, and is empty.
type signal chan<- struct{}

func (s signal) Read([]byte) (int, error) {
	s <- struct{}{}
	return 0, io.EOF
}

func TestADatabaseThatHangsIs503WithinThreeSeconds(t *testing.T) {
	b := setup(t)
	tx, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), `LOCK TABLE webhook_events IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	body := `{"id":"evt_1","type":"invoice.sent","created":1700000000}`
	began := time.Now()
	b.deliver(sign(webhookSecret, began, body), body).want(503)
	// The limit is three seconds; anything near the test's own patience is a hang.
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestBillingSaysWhatAccessThereIsNow(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines")
	v.get("/checkout/success?session_id=" + b.buy(v, "pro")).want(200)
	b.exec(`UPDATE subscriptions SET status = 'past_due'`)
	b.exec(`UPDATE entitlements SET access = 'grace', reason = 'payment_failed', until = now() + interval '1 day', then_access = 'read_only', then_reason = 'grace_over'`)
	v.get("/billing").want(200).wantText("main", "Payment failed").wantText("main", "Everything goes on working")
	b.exec(`UPDATE entitlements SET until = now() - interval '1 second'`)
	v.get("/billing").want(200).wantText("main", "You can read everything, and change nothing")
	b.exec(`UPDATE subscriptions SET status = 'active', pause_behavior = 'void'`)
	v.get("/billing").want(200).wantText("main", "You can read everything, and change nothing, until they resume")
}

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

	"github.com/promptforge/payments/internal/payments"
)

const webhookPath = "/api/webhooks/stripe"

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
	return v.json(webhookPath, body)
}

// event is a body that is stored and of no further effect.
func event(n int) string {
	return fmt.Sprintf(`{"id":"evt_%d","type":"invoice.sent","created":1700000000}`, n)
}

func TestTheWebhookAnswersAsDocumented(t *testing.T) {
	b := setup(t)
	now := time.Now()
	event := `{"id":"evt_1","object":"event","type":"invoice.payment_failed","created":1700000000,"livemode":false,"data":{"object":{"customer":"cus_1"}}}`
	for name, body := range map[string]string{
		"an event": event, "the same again": event, "an unknown type": strings.ReplaceAll(strings.ReplaceAll(event, "evt_1", "evt_2"), "payment_failed", "sent"),
		"what is no event": "hello", "an empty body": "", "no UTF-8": "\xff\x00", "1 MiB": strings.Repeat("x", 1<<20),
		"nesting without end": strings.Repeat(`{"a":[`, 100_000),
	} {
		a := b.deliver(sign(webhookSecret, now, body), body).want(200)
		if strings.TrimSpace(a.body) != `{"received":true}` || a.header.Get("Content-Type") != "application/json" || a.header.Get("Set-Cookie") != "" {
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
		large := strings.Repeat("x", 1<<20+1)
		b.deliver(sign(webhookSecret, now, large), large).want(413)
		b.deliverUnsaid(sign(webhookSecret, now, large), strings.NewReader(large)).want(413)
	})
	b.exec(`ALTER TABLE webhook_events RENAME TO away`)
	if a := b.deliver(sign(webhookSecret, now, event), event).want(503); a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	b.exec(`ALTER TABLE away RENAME TO webhook_events`)
	b.deliver(sign(webhookSecret, now, event), event).want(200)
	refusals := b.deps.Payments.Refusals()
	for reason, want := range map[payments.Refusal]int64{
		payments.RefusedUnsigned: 1, payments.RefusedForged: 2, payments.RefusedOutOfTime: 2, payments.RefusedTooLarge: 2,
		payments.RefusedNotStored: 1, payments.RefusedMalformed: 0, payments.RefusedNotRead: 0,
	} {
		if refusals[reason] != want {
			t.Errorf("%s is counted %d times, want %d", reason, refusals[reason], want)
		}
	}
}

// deliverUnsaid sends a body without its length.
func (b *bundle) deliverUnsaid(header string, body io.Reader) *answer {
	r := httptest.NewRequest(http.MethodPost, webhookPath, io.MultiReader(body))
	r.Header.Set("Stripe-Signature", header)
	recorder := httptest.NewRecorder()
	b.app.ServeHTTP(recorder, r)
	return &answer{t: b.t, status: recorder.Code, header: recorder.Header(), body: recorder.Body.String()}
}

// unread fails the test when it is read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read, and its header says enough")
	return 0, io.EOF
}

func TestABadHeaderCostsNoBody(t *testing.T) {
	b := setup(t)
	good := sign(webhookSecret, time.Now(), "x")
	for name, header := range map[string]string{
		"none": "", "old": sign(webhookSecret, time.Now().Add(-time.Hour), "x"), "malformed": "t=1",
		"ten thousand signatures": good + strings.Repeat(good[strings.Index(good, ",v1"):], 10_000),
	} {
		if a := b.deliverUnsaid(header, unread{t}); a.status != 400 {
			t.Errorf("%s: status %d", name, a.status)
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
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, front.URL+webhookPath, body)
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
	if n := b.deps.Payments.Refusals()[payments.RefusedNotRead]; n != 1 {
		t.Errorf("counted %d times", n)
	}
}

// TestUnverifiedBytesAreBounded holds bodies open. A recorder has no deadline,
// so they stay.
func TestUnverifiedBytesAreBounded(t *testing.T) {
	b := setup(t)
	header := sign(webhookSecret, time.Now(), "x")
	hold := func(n, bytes int) (release func()) {
		rest, end := io.Pipe()
		reading, refused := make(chan struct{}, n), make(chan struct{}, n)
		var held sync.WaitGroup
		// One after the other: of several that grow at once all might be refused,
		// and give back together more than the next one needs.
		for range n {
			held.Go(func() {
				b.deliverUnsaid(header, io.MultiReader(strings.NewReader(strings.Repeat("x", bytes)), signal(reading), rest))
				refused <- struct{}{}
			})
			select {
			case <-reading:
			case <-refused:
			}
		}
		return func() { end.Close(); held.Wait() }
	}
	one, next := event(1), event(2)

	// Many that promise much and send nothing keep nobody out.
	release := hold(1000, 0)
	b.deliver(sign(webhookSecret, time.Now(), one), one).want(200)
	release()

	// What is sent takes room, and only so much at once.
	release = hold(40, 600<<10)
	large := next + strings.Repeat(" ", 1<<20-len(next))
	if a := b.deliver(sign(webhookSecret, time.Now(), large), large).want(503); a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	release()
	b.deliver(sign(webhookSecret, time.Now(), large), large).want(200)
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
	began := time.Now()
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			body := event(i)
			b.deliver(sign(webhookSecret, began, body), body).want(503)
		})
	}
	all.Wait()
	// The limit is three seconds; anything near the test's own patience is a hang.
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	body := event(1)
	b.deliver(sign(webhookSecret, time.Now(), body), body).want(200)
}

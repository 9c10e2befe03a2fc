package payments_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/db/dbtest"
	"github.com/promptforge/payments/handlers"
	"github.com/promptforge/payments/internal/auth"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/internal/ratelimit"
	"github.com/promptforge/payments/internal/reports"
	"github.com/promptforge/payments/internal/stripeshape"
)

// mute is a Stripe that knows a customer without subscriptions, and no object.
type mute struct{ payments.Stripe }

func (mute) Subscriptions(context.Context, string) (payments.Answer, error) {
	return payments.Answer{At: time.Now().UTC().Truncate(time.Second)}, nil
}

func (mute) Subscription(context.Context, string) (billing.Subscription, error) {
	return billing.Subscription{}, payments.ErrNoSuchObject
}

func (mute) Price(context.Context, string) (billing.Price, error) {
	return billing.Price{}, payments.ErrNoSuchObject
}

func (mute) Charge(context.Context, string) (stripeshape.Charge, error) {
	return stripeshape.Charge{}, payments.ErrNoSuchObject
}

func (mute) PaymentIntent(context.Context, string) (stripeshape.PaymentIntent, error) {
	return stripeshape.PaymentIntent{}, payments.ErrNoSuchObject
}

func (mute) Refunds(context.Context, string) ([]stripeshape.Refund, error) {
	return nil, payments.ErrNoSuchObject
}

// FuzzReceive posts any body, signed, to the real router on a real database. It
// must be answered 200 and be in the table as it came, with a reason where it
// is not to be processed, and what is to be processed must end or be put off;
// and whatever it was, the next event is stored too.
func FuzzReceive(f *testing.F) {
	for _, seed := range fuzzSeeds(f) {
		f.Add(seed)
	}
	pool := dbtest.New(f)
	log := slog.New(slog.DiscardHandler)
	door := payments.New(payments.Payments{
		Pool: pool, Stripe: mute{}, Plans: billing.DefaultPlans(), Secrets: []string{webhookSecret}, BaseURL: "http://127.0.0.1:8080",
		Now: time.Now, Clock: time.Now, Log: log,
	})
	router := handlers.New(handlers.Deps{
		Pool: pool, Auth: auth.New(pool, time.Now), Sessions: auth.NewSessions(pool, false), Reports: &reports.Reports{Pool: pool, Now: time.Now},
		Payments: door, Shared: &ratelimit.Local{Now: time.Now}, Local: &ratelimit.Local{Now: time.Now},
		BaseURL: "http://127.0.0.1:8080", Now: time.Now, Clock: time.Now, Log: log,
	})
	n := 0
	f.Fuzz(func(t *testing.T, body []byte) {
		ctx := context.Background()
		n++
		if _, err := pool.Exec(ctx, `DELETE FROM webhook_events`); err != nil {
			t.Fatal(err)
		}
		if n%500 == 0 { // what syncs leave would make the queries slower and slower
			if _, err := pool.Exec(ctx, `TRUNCATE webhook_events, sync_queue, payment_events, subscription_observations, subscription_versions,
				subscriptions, customers, stripe_objects, metric_dirty, payment_alerts CASCADE`); err != nil {
				t.Fatal(err)
			}
		}
		want := http.StatusOK
		if len(body) > 1<<20 {
			want = http.StatusRequestEntityTooLarge
		}
		for range 2 {
			if got, said := postSigned(router, body); got != want {
				t.Fatalf("answered %d %s, want %d", got, said, want)
			}
		}
		if want != http.StatusOK {
			return
		}
		type row struct {
			State, Reason string
			Body          []byte
		}
		read := func() row {
			t.Helper()
			rows, err := pool.Query(ctx, `SELECT state, coalesce(reason, '') AS reason, body FROM webhook_events`)
			if err != nil {
				t.Fatal(err)
			}
			all, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
			if err != nil || len(all) != 1 || !bytes.Equal(all[0].Body, body) {
				t.Fatalf("stored %d rows (%v), want one with the bytes as they came", len(all), err)
			}
			return all[0]
		}
		if stored := read(); stored.State == "pending" {
			// A subject of an earlier body may be backed off.
			if _, err := pool.Exec(ctx, `UPDATE sync_queue SET due_at = now() - interval '1 hour', attempts = 0 WHERE wanted > done`); err != nil {
				t.Fatal(err)
			}
			if claimed, err := door.Work(ctx); err != nil || claimed == 0 {
				t.Fatalf("claimed %d: %v", claimed, err)
			}
			read()
			var panics int
			if err := pool.QueryRow(ctx, `SELECT count(*) FROM sync_queue WHERE last_error LIKE '%panic%'`).Scan(&panics); err != nil || panics > 0 {
				t.Fatalf("%d syncs ended in a panic (%v)", panics, err)
			}
		} else if stored.Reason == "" || strings.Contains(stored.Reason, "panic") {
			t.Fatalf("%s because of %q", stored.State, stored.Reason)
		}
		if got, said := postSigned(router, fmt.Appendf(nil, `{"id":"evt_next_%d","type":"invoice.payment_failed","created":1700000000,"data":{"object":{"customer":"cus_next"}}}`, n)); got != http.StatusOK {
			t.Fatalf("the next event is answered %d %s", got, said)
		}
	})
}

func postSigned(router *echo.Echo, body []byte) (status int, answer string) {
	r := httptest.NewRequest(http.MethodPost, "/api/webhooks/stripe", bytes.NewReader(body))
	r.Header.Set("Stripe-Signature", sign(webhookSecret, time.Now(), body))
	recorder := httptest.NewRecorder()
	router.ServeHTTP(recorder, r)
	return recorder.Code, recorder.Body.String()
}

// fuzzSeeds are a purchase's events, every example of another API version that
// the decoder's tests have, and what no version ever sent.
func fuzzSeeds(f *testing.F) [][]byte {
	f.Helper()
	var seeds [][]byte
	purchases := newPurchases(f)
	for range purchases.shapes {
		seeds = append(seeds, purchases.next().body)
	}
	err := filepath.WalkDir(filepath.Join("..", "stripeshape", "testdata"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		body, err := os.ReadFile(path)
		if err == nil && len(body) < 16<<10 {
			seeds = append(seeds, body)
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		f.Fatal(err)
	}
	envelope := func(typ, object string) string {
		return `{"id":"evt_1","object":"event","type":"` + typ + `","created":1700000000,"livemode":false,"data":{"object":` + object + `}}`
	}
	for _, typ := range payments.EventTypes {
		kind := typ[:strings.LastIndexByte(typ, '.')]
		seeds = append(seeds, []byte(envelope(typ, `{"id":"x_1","object":"`+kind+`","customer":"cus_1","subscription":"sub_1","status":"active","created":1700000000}`)))
	}
	for _, body := range []string{
		``, `null`, `[]`, `{}`, `17`, `"x"`, `{"id":"evt_1"}`, "\x00", "{\"id\":\"evt_\\u0000\"}", strings.Repeat("[", 2000),
		`{"id":"evt_1","object":"v2.core.event","type":"v1.x","created":"2026-01-01T00:00:00Z"}`,
		`{"id":"evt_1","type":"charge.refunded","created":"1.7e9","livemode":"false","request":"req_1","data":null}`,
		envelope("invoice.payment_failed", `{"id":"in_1","object":"invoice","customer":{"id":"cus_1"},"attempt_count":"2","amount_due":"99.00","lines":[],"metadata":[]}`),
		envelope("invoice.payment_succeeded", `{"id":"in_1","customer":"cus_1","parent":{"subscription_details":{"subscription":{"id":"sub_1"}}},"amount_paid":9900.0,"currency":"usd"}`),
		envelope("customer.subscription.updated", `{"id":"sub_1","object":"subscription","customer":"cus_1","plan":{"id":"gold","amount":9900,"interval":"month","currency":"usd"},"quantity":1,"status":"active","start":1700000000,"metadata":[]}`),
		envelope("customer.subscription.deleted", `{"id":"sub_1","object":"subscription","customer":"cus_1","items":{"data":[{"id":"si_1","price":{"id":"p","recurring":{"interval":"month"},"unit_amount":"9900.5"},"current_period_end":1700000000},{"id":"si_2"}]},"status":"canceled","ended_at":1700000000,"created":1}`),
		envelope("charge.dispute.closed", `{"id":"dp_1","object":"dispute","charge":"ch_1","amount":9900,"status":"lost"}`),
		envelope("charge.refund.updated", `{"id":"re_1","object":"refund","payment_intent":"pi_1","status":"failed"}`),
	} {
		seeds = append(seeds, []byte(body))
	}
	return seeds
}

package payments_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/internal/pgembed"
	"github.com/promptforge/payments/migrations"
)

// prompt is a Stripe that answers at once, so that only our part is measured:
// each customer has one active subscription, just renewed.
type prompt struct{ payments.Stripe }

func (prompt) Subscriptions(_ context.Context, customer string) (payments.Answer, error) {
	now := time.Now().UTC().Truncate(time.Second)
	return payments.Answer{At: now, Subscriptions: []billing.Subscription{{
		ID: "sub_" + customer, CustomerID: customer, CreatedAt: now, CurrentPeriodStart: now, CurrentPeriodEnd: now.AddDate(0, 1, 0),
		Facts: billing.Facts{Status: billing.StatusActive, Currency: "usd", Items: []billing.Item{{PriceID: "price_pro", Quantity: 1}}},
		LatestInvoice: &billing.Invoice{
			ID: "in_" + customer, SubscriptionID: "sub_" + customer, CustomerID: customer, Status: "paid", Currency: "usd",
			AmountDueMinor: 9900, AmountPaidMinor: 9900, PaidAt: now,
		},
	}}}, nil
}

func (prompt) Price(_ context.Context, id string) (billing.Price, error) {
	return billing.Price{
		ID: id, Plan: "pro", Interval: billing.Month, IntervalCount: 1, UsageType: "licensed", ProductID: "prod_pro",
		Amounts: map[money.Currency]billing.PriceAmount{"usd": {UnitMicro: 9900 * money.Micro}},
	}, nil
}

// BenchmarkSync works off new customers whose checkout told us five events
// each, with a transaction for each customer and with one for up to 32.
func BenchmarkSync(b *testing.B) {
	ctx := b.Context()
	server, err := pgembed.Start(ctx, pgembed.Config{Dir: b.TempDir(), Settings: map[string]string{"max_wal_size": "4GB"}})
	if err != nil {
		b.Fatal(err)
	}
	defer server.Stop(context.WithoutCancel(ctx))
	url := server.URL("postgres")
	if _, err := migrations.Up(ctx, url); err != nil {
		b.Fatal(err)
	}
	pool, err := db.Open(ctx, url)
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	customers := 0
	rate := map[bool]float64{}
	for _, alone := range []bool{true, false} {
		name := "set-wise"
		if alone {
			name = "one by one"
		}
		b.Run(name, func(b *testing.B) {
			door := payments.New(payments.Payments{
				Pool: pool, Stripe: prompt{}, Plans: billing.DefaultPlans(), Secrets: []string{webhookSecret},
				Now: time.Now, Clock: time.Now, Log: slog.New(slog.DiscardHandler),
			})
			if alone {
				door.WriteOneByOne()
			}
			for range b.N {
				customers++
				storeCheckout(b, pool, customers)
			}
			b.ResetTimer()
			working, stop := context.WithCancel(ctx)
			done := make(chan error)
			go func() { done <- door.Run(working) }()
			for {
				left, err := db.New(pool).QueueBacklog(ctx)
				if err != nil {
					b.Fatal(err)
				}
				if left == 0 {
					break
				}
				time.Sleep(20 * time.Millisecond) // asking counts the queue, which is not free
			}
			b.StopTimer()
			stop()
			if err := <-done; err != nil {
				b.Fatal(err)
			}
			rate[alone] = float64(b.N) / b.Elapsed().Seconds()
			b.ReportMetric(rate[alone], "customers/s")
			if !alone {
				b.ReportMetric(rate[false]/rate[true], "x_one_by_one")
			}
		})
	}
}

// storeCheckout stores what Stripe tells of a checkout.
func storeCheckout(b *testing.B, pool db.DBTX, n int) {
	b.Helper()
	customer := fmt.Sprintf("cus_%d", n)
	var p db.StoreEventsParams
	for i, typ := range []string{
		"customer.subscription.created", "customer.subscription.updated", "invoice.payment_succeeded", "checkout.session.completed", "charge.succeeded",
	} {
		object := map[string]any{
			"customer.subscription.created": subscriptionOf(customer, "incomplete"), "customer.subscription.updated": subscriptionOf(customer, "active"),
			"invoice.payment_succeeded":  map[string]any{"id": "in_" + customer, "customer": customer, "subscription": "sub_" + customer, "amount_paid": 9900, "currency": "usd"},
			"checkout.session.completed": map[string]any{"id": "cs_" + customer, "customer": customer, "payment_status": "paid", "amount_total": 9900, "currency": "usd"},
			"charge.succeeded":           map[string]any{"id": "ch_" + customer, "customer": customer, "amount": 9900, "currency": "usd"},
		}[typ]
		id := fmt.Sprintf("evt_%d_%d", n, i)
		body, err := json.Marshal(map[string]any{"id": id, "type": typ, "created": time.Now().Unix(), "data": map[string]any{"object": object}})
		if err != nil {
			b.Fatal(err)
		}
		p.Created, p.Ids, p.Types, p.Subjects = append(p.Created, time.Now().Truncate(time.Second)), append(p.Ids, id), append(p.Types, typ), append(p.Subjects, customer)
		p.Livemodes, p.Accounts, p.ApiVersions = append(p.Livemodes, false), append(p.Accounts, ""), append(p.ApiVersions, "2023-10-16")
		p.SecretsUsed, p.Sources, p.States = append(p.SecretsUsed, 0), append(p.Sources, "delivered"), append(p.States, "pending")
		p.Reasons, p.Bodies = append(p.Reasons, ""), append(p.Bodies, body)
	}
	if err := db.New(pool).StoreEvents(b.Context(), p); err != nil {
		b.Fatal(err)
	}
}

func subscriptionOf(customer, status string) map[string]any {
	now := time.Now().Unix()
	return map[string]any{
		"id": "sub_" + customer, "customer": customer, "status": status, "currency": "usd", "created": now,
		"current_period_start": now, "current_period_end": now + 30*86400,
		"items": map[string]any{"data": []any{map[string]any{"id": "si_1", "quantity": 1, "price": map[string]any{"id": "price_pro"}}}},
	}
}

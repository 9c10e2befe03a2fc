package payments_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/internal/pgembed"
	"github.com/promptforge/payments/migrations"
)

// BenchmarkIntake stores events through the door, beside the bare insert of the
// same row on the same server, which commits to disk as production does.
func BenchmarkIntake(b *testing.B) {
	ctx := context.Background()
	server, err := pgembed.Start(ctx, pgembed.Config{Dir: b.TempDir(), Settings: map[string]string{"max_wal_size": "4GB"}})
	if err != nil {
		b.Fatal(err)
	}
	defer server.Stop(ctx)
	url := server.URL("postgres")
	if _, err := migrations.Up(ctx, url); err != nil {
		b.Fatal(err)
	}
	pool, err := db.Open(ctx, url+"&pool_max_conns=16")
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	door := payments.New(payments.Payments{
		Pool: pool, Secrets: []string{webhookSecret}, Now: time.Now, Clock: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	var n atomic.Int64
	event := func() (string, []byte) {
		i := n.Add(1)
		id := fmt.Sprintf("evt_%d", i)
		return id, fmt.Appendf(nil, `{"id":%q,"type":"invoice.payment_failed","created":%d,"livemode":false,"data":{"object":{"customer":"cus_%d"}}}`, id, time.Now().Unix(), i/5)
	}
	b.Run("bare insert", func(b *testing.B) {
		b.SetParallelism(8) // 16 on two cores
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				id, body := event()
				if _, err := pool.Exec(ctx, `INSERT INTO webhook_events (created, id, type, livemode, secret_used, source, state, reason, body)
					VALUES (now(), $1, 'bare', false, 0, 'delivered', 'ignored', 'benchmark', $2)`, id, body); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
	b.Run("receive", func(b *testing.B) {
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				_, body := event()
				if err := door.Receive(ctx, sign(webhookSecret, time.Now(), body), body); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}

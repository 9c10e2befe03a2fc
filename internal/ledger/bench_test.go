package ledger_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/db/dbtest"
	"github.com/promptforge/payments/internal/ledger"
)

// BenchmarkAChangeOfOneCustomer counts a change dated some weeks ago of one
// customer among a thousand; the baseline is a row written and committed.
func BenchmarkAChangeOfOneCustomer(b *testing.B) {
	pool := dbtest.New(b)
	q, ctx := db.New(pool), context.Background()
	now := birth.AddDate(2, 0, 0)
	l := ledger.Ledger{Pool: pool, Now: func() time.Time { return now }, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	for plan, price := range map[string]int64{"pilot": 29, "pro": 99, "enterprise": 399} {
		_, err := q.RememberPrice(ctx, db.RememberPriceParams{
			StripePriceID: "price_" + plan, Plan: plan, Interval: "month", IntervalCount: 1, UsageType: "licensed", Product: "prod_" + plan,
			Amounts: fmt.Appendf(nil, `{"usd": {"unit_micro": %d}}`, price*dollar), SeenAt: birth,
		})
		must(err)
	}
	version := func(customer int, at time.Time, plan string, quantity int64) {
		raw, err := json.Marshal(facts(plan, quantity))
		must(err)
		rows, err := json.Marshal([]db.SubscriptionVersion{{
			SubscriptionID: fmt.Sprint("sub_", customer), At: at, StripeCustomerID: fmt.Sprint("cus_", customer), Facts: raw, Source: "event", SourceID: fmt.Sprint(at.Unix()),
		}})
		must(err)
		must(q.WriteVersions(ctx, rows))
		must(q.MarkDirty(ctx, []string{fmt.Sprint("cus_", customer)}))
	}
	plans := []string{"pilot", "pro", "enterprise"}
	for c := range 1000 {
		for i := range 8 {
			version(c, birth.AddDate(0, 3*i, c%28), plans[(c+i)%3], int64(1+i%2))
		}
	}
	for {
		n, err := l.Step(ctx)
		must(err)
		if n == 0 {
			break
		}
	}
	b.Run("baseline", func(b *testing.B) {
		for range b.N {
			must(q.FiguresChanged(ctx, now))
		}
	})
	b.Run("step", func(b *testing.B) {
		i := 0
		for b.Loop() {
			b.StopTimer()
			version(i%1000, now.AddDate(0, 0, -30-i/1000), plans[i%3], int64(3+i%5))
			b.StartTimer()
			_, err := l.Step(ctx)
			must(err)
			i++
		}
	})
}

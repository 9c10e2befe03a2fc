package payments_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/payments"
)

// TestAStopLeavesNothingClaimed stops the workers at any moment, also while they
// claim: what they had claimed would wait for the end of its lease.
func TestAStopLeavesNothingClaimed(t *testing.T) {
	b := setup(t)
	const customers = 40
	crowd := b.sim.Populate(t, customers, b.Sold[payments.Offer{Plan: "pro", Interval: billing.Month}], nil)
	for _, c := range crowd {
		b.exec("INSERT INTO sync_queue (subject) VALUES ($1)", c.Customer)
	}
	for range 30 {
		b.exec("UPDATE sync_queue SET wanted = wanted + 1, due_at = now()")
		ctx, stop := context.WithTimeout(b.ctx, rand.N(4*time.Millisecond))
		if err := b.Run(ctx); err != nil {
			t.Fatal(err)
		}
		stop()
		b.want("what is claimed though nobody works", []string{}, "SELECT subject FROM sync_queue WHERE lease_until > now()")
		if t.Failed() {
			return
		}
	}
}

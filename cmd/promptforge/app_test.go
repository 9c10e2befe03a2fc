package main

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/promptforge/payments/db/dbtest"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/jobs"
	"github.com/promptforge/payments/internal/mail"
)

// TestAServerWhoseWorkersCannotWorkStops and says why: one that goes on serving
// would send no mail until somebody missed it.
func TestAServerWhoseWorkersCannotWorkStops(t *testing.T) {
	t.Parallel()
	away := dbtest.New(t)
	pool := dbtest.New(t)
	a, err := assemble(t.Context(), settings{
		databaseURL: pool.Config().ConnString(), baseURL: "http://127.0.0.1:1", stripeKey: "sk_test_x", stripeBase: "http://127.0.0.1:1",
		maxRPS: 1, webhookSecrets: []string{"whsec_x"}, plans: billing.DefaultPlans(), now: time.Now,
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if a.jobs, err = jobs.New(away, &mail.Mailer{Pool: away, Now: time.Now}, a.log); err != nil {
		t.Fatal(err)
	}
	away.Close()
	listener, err := listen("127.0.0.1:0", "ADDR")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := a.run(ctx, listener); err == nil || ctx.Err() != nil {
		t.Errorf("it ran on without its jobs, and ended with: %v", err)
	}
}

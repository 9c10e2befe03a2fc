package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/handlers"
	"github.com/promptforge/payments/internal/auth"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/jobs"
	"github.com/promptforge/payments/internal/ledger"
	"github.com/promptforge/payments/internal/live"
	"github.com/promptforge/payments/internal/mail"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/internal/ratelimit"
	"github.com/promptforge/payments/internal/reports"
	"github.com/promptforge/payments/internal/stripeapi"
	"github.com/promptforge/payments/migrations"
	"github.com/promptforge/payments/static"
)

// settings are what serve reads from the environment and demo makes up.
type settings struct {
	databaseURL string
	// listenURL leads to the same database, past a pooler; empty: databaseURL does.
	listenURL      string
	baseURL        string
	stripeKey      string
	stripeBase     string
	maxRPS         int
	isLive         bool
	webhookSecrets []string
	// base is the currency in which all may be added up; empty: none is.
	base           money.Currency
	plans          billing.Plans
	sold           map[payments.Offer]string
	trustedProxies []netip.Prefix
	rateCheckout   ratelimit.Rate
	rateRead       ratelimit.Rate
	// smtpURL and mailFrom are empty where mails are kept in the database.
	smtpURL, mailFrom string
	// proposal is the definition of the figures that is asked for.
	proposal ledger.Proposal
	// now is the business clock.
	now func() time.Time
	// simulatorURL is the stand-in's page in a demo; empty elsewhere.
	simulatorURL string
	// support is where customers write to.
	support string
}

// app is the product, assembled from the ground up and not yet running.
type app struct {
	pool     *pgxpool.Pool
	auth     *auth.Auth
	sessions *auth.Sessions
	keys     *auth.Keys
	payments *payments.Payments
	stripe   *stripeapi.Client
	replica  *replica
	ledger   *ledger.Ledger
	jobs     *jobs.Jobs
	live     *live.Hub
	limits   *ratelimit.Shared
	// proposal is the definition of the figures that was asked for.
	proposal ledger.Proposal
	handler  http.Handler
	log      *slog.Logger
}

func assemble(ctx context.Context, s settings, log *slog.Logger) (*app, error) {
	if err := static.Check(); err != nil {
		return nil, fmt.Errorf("front end: %w", err)
	}
	pool, err := db.Open(ctx, s.databaseURL)
	if err != nil {
		return nil, err
	}
	a := &app{pool: pool, log: log, proposal: s.proposal}
	if a.jobs, err = assembleJobs(s, pool, log); err != nil {
		pool.Close()
		return nil, err
	}
	a.auth = auth.New(pool, s.now)
	a.sessions = auth.NewSessions(pool, isHTTPS(s.baseURL))
	a.keys = &auth.Keys{Pool: pool, Clock: time.Now}
	a.limits = &ratelimit.Shared{Pool: pool, Now: time.Now}
	a.live = live.New(s.databaseURL, s.listenURL, log)
	a.ledger = &ledger.Ledger{Pool: pool, Now: s.now, Livemode: s.isLive, Logger: log, Changed: a.live.Note}
	a.stripe = stripeapi.New(stripeapi.Config{Key: s.stripeKey, Base: s.stripeBase, MaxRPS: s.maxRPS})
	a.replica = &replica{pool: pool, share: a.stripe.Share, log: log}
	a.payments = payments.New(payments.Payments{
		Pool: pool, Stripe: a.stripe,
		Plans: s.plans, Sold: s.sold, Secrets: s.webhookSecrets, Livemode: s.isLive, BaseURL: s.baseURL,
		Now: s.now, Clock: time.Now, Log: log, Enqueue: a.jobs.Enqueue,
	})
	forms := []string{"https://checkout.stripe.com", "https://billing.stripe.com"}
	if s.stripeBase != "" {
		forms = []string{s.stripeBase}
	}
	a.handler = handlers.New(handlers.Deps{
		Pool: pool, Auth: a.auth, Sessions: a.sessions, Keys: a.keys, Payments: a.payments, Live: a.live, Reports: &reports.Reports{Pool: pool, Now: s.now, Base: s.base},
		Shared: a.limits, Local: &ratelimit.Local{Now: time.Now}, RateCheckout: s.rateCheckout, RateRead: s.rateRead,
		Plans: s.plans, Livemode: s.isLive, BaseURL: s.baseURL, FormOrigins: forms, SimulatorURL: s.simulatorURL, Support: s.support, TrustedProxies: s.trustedProxies,
		Ready: func(ctx context.Context) error { return schemaIsCurrent(ctx, pool) },
		Now:   s.now, Clock: time.Now, Log: log,
	})
	return a, nil
}

// assembleJobs makes the queue that delivers mails, with the server that takes
// them.
func assembleJobs(s settings, pool *pgxpool.Pool, log *slog.Logger) (*jobs.Jobs, error) {
	mailer := &mail.Mailer{Pool: pool, Plans: s.plans, BaseURL: s.baseURL, Now: s.now}
	if s.stripeBase != "" {
		mailer.InvoiceOrigins = []string{s.stripeBase}
	}
	if s.smtpURL != "" {
		server, err := mail.NewSMTP(s.smtpURL, s.mailFrom)
		if err != nil {
			return nil, fmt.Errorf("mail: %w", err)
		}
		mailer.Server = server
	}
	return jobs.New(pool, mailer, log)
}

// schemaIsCurrent refuses a database that lacks a migration, with the command
// that brings it.
func schemaIsCurrent(ctx context.Context, q migrations.Querier) error {
	pending, err := migrations.Pending(ctx, q)
	if err != nil {
		return err
	}
	if len(pending) > 0 {
		return fmt.Errorf("the schema lacks %d migrations, the first is %s: run \"promptforge migrate up\"", len(pending), pending[0].File)
	}
	return nil
}

// run serves and works until the context ends, or a worker cannot work: a server
// that only seems well would be found out by its customers. Requests finish
// first, then the workers finish what they have claimed; what is left waits in
// the database.
func (a *app) run(ctx context.Context, listener net.Listener) error {
	defer a.pool.Close()
	working, stopWorking := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWorking()
	if err := a.replica.join(working); err != nil {
		return err
	}
	if err := a.ledger.Propose(working, a.proposal); err != nil {
		return err
	}
	ctx, stopServing := context.WithCancel(ctx)
	defer stopServing()
	var workers errgroup.Group
	for _, work := range []func(context.Context) error{a.replica.run, a.payments.Run, a.ledger.Run, a.ledger.Watch, a.jobs.Run, a.live.Run, a.keepHouse} {
		workers.Go(func() error {
			defer stopServing()
			return work(working)
		})
	}
	// A stream would keep the server from stopping for as long as somebody looks.
	context.AfterFunc(ctx, a.live.Stop)
	err := serveHTTP(ctx, listener, a.handler)
	stopWorking()
	return errors.Join(err, workers.Wait())
}

// keepHouse forgets ended sessions and windows of limits.
func (a *app) keepHouse(ctx context.Context) error {
	every := time.NewTicker(5 * time.Minute)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
			if err := errors.Join(a.sessions.Cleanup(ctx), a.limits.Cleanup(ctx)); err != nil && ctx.Err() == nil {
				a.log.ErrorContext(ctx, "forget what is over", "error", err)
			}
		}
	}
}

func isHTTPS(address string) bool { return len(address) > 6 && address[:6] == "https:" }

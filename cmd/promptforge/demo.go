package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/audit"
	"github.com/promptforge/payments/internal/auth"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/config"
	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/internal/pgembed"
	"github.com/promptforge/payments/internal/ratelimit"
	"github.com/promptforge/payments/internal/stripeapi"
	"github.com/promptforge/payments/internal/stripesim"
	"github.com/promptforge/payments/migrations"
)

const (
	demoAdmin    = "admin@promptforge.example"
	demoCustomer = "ada@customer.example"
	demoDatabase = "promptforge"
	// demoRPS is no limit: the stand-in is our own, and has none.
	demoRPS = 100_000
)

// demo is a demo that is being started; each part is added once it runs.
type demo struct {
	dir             string
	app, stripe     net.Listener
	postgres        *pgembed.Server
	binaries        string
	secrets         *secrets
	plans           billing.Plans
	std             stdio
	log             *slog.Logger
	customerOrg     string
	databaseAddress string
	// history is what the folder holds, or will; isCutOff: it holds a part.
	history  history
	isCutOff bool
	curtain  *curtain
}

// demoFile is demo.json, by which scripts find a running demo.
type demoFile struct {
	Version       int       `json:"version"`
	PID           int       `json:"pid"`
	App           string    `json:"app"`
	Stripe        string    `json:"stripe"`
	DatabaseURL   string    `json:"database_url"`
	SecretKey     string    `json:"secret_key"`
	WebhookSecret string    `json:"webhook_secret"`
	APIKey        string    `json:"api_key"`
	Admin         demoLogin `json:"admin"`
	Customer      demoLogin `json:"customer"`
}

type demoLogin struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	OrgID    string `json:"org_id,omitempty"`
}

func runDemo(ctx context.Context, args []string, std stdio) (err error) {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:8080", "loopback address of the product")
	stripeAddr := flags.String("stripe-addr", "127.0.0.1:8081", "loopback address of the Stripe stand-in")
	dir := flags.String("data", ".data", "folder that keeps everything; a second start finds it again")
	binaries := flags.String("postgres", "", "folder with Postgres's programs; by default those of npm ci")
	historyAsked := historyFlags(flags)
	if err := parse(flags, args, std); err != nil {
		return err
	}
	asked, err := historyAsked()
	if err != nil {
		return err
	}
	d := &demo{dir: *dir, binaries: *binaries, plans: billing.DefaultPlans(), std: std, log: newLogger(std.err, "text", slog.LevelWarn)}
	if d.app, err = listenLoopback(*addr, "--addr"); err != nil {
		return err
	}
	defer d.app.Close()
	if d.stripe, err = listenLoopback(*stripeAddr, "--stripe-addr"); err != nil {
		return err
	}
	defer d.stripe.Close()
	if err := d.openHistory(asked); err != nil {
		return err
	}
	defer sayStop(ctx, std.out)()
	return d.run(ctx)
}

// run starts the parts in order, and stops them in the other one.
func (d *demo) run(ctx context.Context) (err error) {
	d.phase("Postgres")
	if err := d.startPostgres(ctx); err != nil {
		return err
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		err = errors.Join(err, d.postgres.Stop(stopping))
	}()
	if err := d.openFolder(ctx); err != nil {
		return err
	}
	d.phase("schema")
	if _, err := migrations.Up(ctx, d.databaseAddress); err != nil {
		return err
	}
	d.phase("Stripe stand-in")
	sim, err := stripesim.Open(stripesim.Config{
		Dir: d.stripeDir(), SecretKey: d.secrets.SecretKey, PublicURL: "http://" + d.stripe.Addr().String(), Logger: d.log,
		Start: d.start(time.Now()), DashboardURL: "http://" + d.app.Addr().String() + "/admin/billing",
	})
	if err != nil {
		return fmt.Errorf("open the stand-in: %w", err)
	}
	if !d.history.IsDone && !d.history.IsEmpty {
		sim.HoldClock(heldClock)
	}
	// The stand-in serves until everything else has stopped.
	simulating, stopSimulating := context.WithCancel(context.WithoutCancel(ctx))
	var group errgroup.Group
	stripe := &settling{next: sim.Handler(), secretKey: d.secrets.SecretKey, pending: sim.PendingDeliveries}
	group.Go(func() error { return serveHTTP(simulating, d.stripe, stripe) })
	defer func() {
		stopSimulating()
		err = errors.Join(err, group.Wait(), sim.Close(), d.removeFile())
	}()
	d.phase("products, prices and webhook at the stand-in")
	sold, err := d.setUpStripe(ctx)
	if err != nil {
		return err
	}
	a, err := assemble(ctx, settings{
		databaseURL: d.databaseAddress, baseURL: "http://" + d.app.Addr().String(), stripeKey: d.secrets.SecretKey,
		stripeBase: "http://" + d.stripe.Addr().String(), simulatorURL: "http://" + d.stripe.Addr().String(), support: "help@promptforge.example", maxRPS: demoRPS,
		webhookSecrets: []string{d.secrets.WebhookSecret}, plans: d.plans, sold: sold,
		rateCheckout: ratelimit.Rate{N: 10, Per: time.Minute}, rateRead: ratelimit.Rate{N: 600, Per: time.Minute},
		now: sim.Now,
	}, d.log)
	if err != nil {
		return err
	}
	stripe.app.Store(a)
	return d.open(ctx, a, sim, stripe.wait)
}

// open serves, makes the history where it is missing, and lets visitors in.
func (d *demo) open(ctx context.Context, a *app, sim *stripesim.Server, settle func(context.Context) error) error {
	d.curtain = &curtain{next: a.handler}
	a.handler = d.curtain
	// If either the product or its history fails, the other one stops.
	serving, ctx := errgroup.WithContext(ctx)
	serving.Go(func() error { return a.run(ctx, d.app) })
	serving.Go(func() error {
		err := d.prepare(ctx, a, sim, settle)
		if ctx.Err() == nil {
			return err
		}
		// Stopped on purpose, or because serving failed, which tells it itself.
		if !d.history.IsDone {
			fmt.Fprintln(d.std.out, "== stopped before everything was there: the next start begins again")
		}
		return nil
	})
	return serving.Wait()
}

// prepare brings everything that a visitor finds.
func (d *demo) prepare(ctx context.Context, a *app, sim *stripesim.Server, settle func(context.Context) error) error {
	if !d.history.IsDone && !d.history.IsEmpty {
		d.phase(fmt.Sprintf("%d organizations live through %d months", d.history.Customers, d.history.Months))
		if err := d.makeHistory(ctx, a, sim, settle); err != nil {
			return err
		}
	}
	d.phase("log-ins")
	if err := d.createLogins(ctx, a); err != nil {
		return err
	}
	if err := d.createAPIKey(ctx, a); err != nil {
		return err
	}
	if !d.history.IsDone {
		d.history.IsDone = true
		if err := writeJSON(d.historyPath(), d.history); err != nil {
			return err
		}
	}
	d.curtain.isOpen.Store(true)
	sim.HoldClock("")
	if err := d.writeFile(); err != nil {
		return err
	}
	d.greet()
	return nil
}

func (d *demo) phase(name string) { fmt.Fprintf(d.std.out, "== %s\n", name) }

// startPostgres also finds out that nobody else is at work on the folder: its
// server holds a lock there that ends with the process.
func (d *demo) startPostgres(ctx context.Context) error {
	var err error
	d.postgres, err = pgembed.Start(ctx, pgembed.Config{Dir: filepath.Join(d.dir, "postgres"), Binaries: d.binaries})
	if errors.Is(err, pgembed.ErrInUse) {
		return fmt.Errorf("another demo runs on %s: stop it or use another --data", d.dir)
	}
	if err != nil {
		return fmt.Errorf("start Postgres: %w", err)
	}
	return nil
}

// openFolder makes ready what the folder keeps, now that it is ours.
func (d *demo) openFolder(ctx context.Context) error {
	if err := d.removeFile(); err != nil {
		return err
	}
	if err := d.noteHistory(); err != nil {
		return err
	}
	var err error
	if d.secrets, err = openSecrets(filepath.Join(d.dir, "secrets.json"), config.DemoKeyPrefix); err != nil {
		return err
	}
	if d.isCutOff {
		if err := d.dropPart(ctx); err != nil {
			return err
		}
	}
	if err := d.postgres.EnsureDatabase(ctx, demoDatabase); err != nil {
		return err
	}
	d.databaseAddress = d.postgres.URL(demoDatabase)
	return nil
}

// setUpStripe does what setup-stripe does. Other than there, an endpoint whose
// secret is not known, or that points to an address of an earlier start, is
// replaced.
func (d *demo) setUpStripe(ctx context.Context) (map[payments.Offer]string, error) {
	client := stripeapi.New(stripeapi.Config{Key: d.secrets.SecretKey, Base: "http://" + d.stripe.Addr().String(), MaxRPS: demoRPS})
	url := "http://" + d.app.Addr().String() + "/api/webhooks/stripe"
	endpoints, err := client.WebhookEndpoints(ctx)
	if err != nil {
		return nil, fmt.Errorf("read webhook endpoints: %w", err)
	}
	for _, e := range endpoints {
		if e.URL == url && e.ID == d.secrets.WebhookID {
			continue
		}
		if err := client.DeleteWebhookEndpoint(ctx, e.ID); err != nil {
			return nil, fmt.Errorf("delete webhook endpoint %s: %w", e.ID, err)
		}
	}
	setup, err := payments.SetUp(ctx, client, d.plans, payments.SetupOptions{WebhookURL: url})
	if err != nil {
		return nil, err
	}
	if setup.Endpoint.Secret != "" {
		d.secrets.WebhookID, d.secrets.WebhookSecret = setup.Endpoint.ID, setup.Endpoint.Secret
		if err := d.secrets.save(); err != nil {
			return nil, err
		}
	}
	return setup.Sold, nil
}

// createLogins makes the administrator and the customer, unless an earlier
// start has.
func (d *demo) createLogins(ctx context.Context, a *app) error {
	ctx = audit.WithActor(ctx, audit.Actor{Kind: audit.Command, ID: "demo"})
	q := db.New(a.pool)
	if _, err := q.UserByEmail(ctx, demoAdmin); db.IsNotFound(err) {
		if _, err := a.auth.CreateUser(ctx, auth.NewUser{Name: "Grace Admin", Email: demoAdmin, Password: d.secrets.AdminPassword, IsAdmin: true}); err != nil {
			return fmt.Errorf("create administrator: %w", err)
		}
	} else if err != nil {
		return fmt.Errorf("look for the administrator: %w", err)
	}
	customer, err := q.UserByEmail(ctx, demoCustomer)
	if db.IsNotFound(err) {
		_, owns, err := a.auth.SignUp(ctx, auth.SignUp{Name: "Ada Customer", Email: demoCustomer, Password: d.secrets.CustomerPassword, Organization: "Analytical Engines"})
		if err != nil {
			return fmt.Errorf("create customer: %w", err)
		}
		d.customerOrg = owns.OrgID.String()
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for the customer: %w", err)
	}
	memberships, err := a.auth.Memberships(ctx, customer.ID)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(memberships, func(m auth.Membership) bool { return m.Role == billing.RoleOwner }); i >= 0 {
		d.customerOrg = memberships[i].OrgID.String()
	}
	return nil
}

// createAPIKey makes the demo's key, unless an earlier start has.
func (d *demo) createAPIKey(ctx context.Context, a *app) error {
	if _, isThere, err := a.keys.Find(ctx, d.secrets.APIKey); err != nil || isThere {
		return err
	}
	ctx = audit.WithActor(ctx, audit.Actor{Kind: audit.Command, ID: "demo"})
	key := auth.NewKey{Name: "demo", Scopes: auth.Scopes(), Secret: d.secrets.APIKey, By: "demo", At: a.payments.Now()}
	secret, err := a.keys.Create(ctx, key)
	if db.IsConflict(err, "api_keys_hash_key") { // somebody has revoked it
		key.Secret = ""
		secret, err = a.keys.Create(ctx, key)
	}
	if err != nil {
		return err
	}
	d.secrets.APIKey = secret
	return d.secrets.save()
}

func (d *demo) path() string { return filepath.Join(d.dir, "demo.json") }

func (d *demo) writeFile() error {
	return writeJSON(d.path(), demoFile{
		Version: 1, PID: os.Getpid(), App: "http://" + d.app.Addr().String(), Stripe: "http://" + d.stripe.Addr().String(),
		DatabaseURL: d.databaseAddress, SecretKey: d.secrets.SecretKey, WebhookSecret: d.secrets.WebhookSecret,
		APIKey:   d.secrets.APIKey,
		Admin:    demoLogin{Email: demoAdmin, Password: d.secrets.AdminPassword},
		Customer: demoLogin{Email: demoCustomer, Password: d.secrets.CustomerPassword, OrgID: d.customerOrg},
	})
}

func (d *demo) removeFile() error {
	if err := os.Remove(d.path()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove demo.json: %w", err)
	}
	return nil
}

func (d *demo) greet() {
	fmt.Fprintf(d.std.out, `
PromptForge is running. No real money moves.

  Pricing         http://%[1]s/
  Dashboard       http://%[1]s/admin/billing
  Stripe stand-in http://%[2]s

  Administrator   %[3]s   %[4]s
  Customer        %[5]s        %[6]s
%[7]s
Pay with card 4242 4242 4242 4242; 4000 0000 0000 0002 is declined. Ctrl-C stops.
`, d.app.Addr(), d.stripe.Addr(), demoAdmin, d.secrets.AdminPassword, demoCustomer, d.secrets.CustomerPassword, d.others())
}

// others tells as whom of the history to log in.
func (d *demo) others() string {
	if len(d.history.Examples) == 0 {
		return ""
	}
	lines := "\n  As the history leaves them, with the customer's password:\n"
	for _, e := range d.history.Examples {
		lines += fmt.Sprintf("  %-15s %s\n", e.Label, e.Email)
	}
	return lines
}

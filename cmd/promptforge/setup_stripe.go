package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"strings"

	"github.com/promptforge/payments/internal/config"
	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/internal/stripeapi"
)

// webhookPath is where the server takes webhooks; see handlers/routes.go.
const webhookPath = "/api/webhooks/stripe"

func runSetupStripe(ctx context.Context, args []string, std stdio) error {
	flags := flag.NewFlagSet("setup-stripe", flag.ContinueOnError)
	webhookURL := flags.String("webhook-url", "", "where Stripe shall post, e.g. https://billing.example.com/api/webhooks/stripe; empty leaves endpoints alone")
	dryRun := flags.Bool("dry-run", false, "change nothing, say what would be done")
	live := flags.Bool("live", false, "allow a live key, which changes the real account")
	if err := parse(flags, args, std); err != nil {
		return err
	}
	environment, err := config.Environment()
	if err != nil {
		return err
	}
	c, plans, err := config.LoadStripe(environment)
	if err != nil {
		return err
	}
	if c.IsLive() && !*live && !*dryRun {
		return errors.New("STRIPE_SECRET_KEY is live: --live says that you mean it")
	}
	if err := checkWebhookURL(*webhookURL, c.APIBase == ""); err != nil {
		return err
	}
	client := stripeapi.New(stripeapi.Config{Key: c.SecretKey, Base: c.APIBase, MaxRPS: c.MaxRPS})
	setup, err := payments.SetUp(ctx, client, plans, payments.SetupOptions{WebhookURL: *webhookURL, DryRun: *dryRun})
	for _, step := range setup.Steps {
		fmt.Fprintln(std.err, step)
	}
	if err != nil {
		return err
	}
	for _, line := range environmentLines(plans, setup) {
		fmt.Fprintln(std.out, line)
	}
	if *webhookURL != "" && setup.Endpoint.Secret == "" && !*dryRun {
		fmt.Fprintln(std.err, "The endpoint was there already. Stripe told its secret when it was made; if it is lost, roll it in Stripe's dashboard.")
	}
	return nil
}

// checkWebhookURL refuses what Stripe would, and what it would take and never
// reach, before anything is made.
func checkWebhookURL(address string, atStripe bool) error {
	if address == "" {
		return nil
	}
	u, err := url.Parse(address)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return fmt.Errorf("--webhook-url %q is no http(s) address, such as https://billing.example.com%s", address, webhookPath)
	case !strings.HasSuffix(u.Path, webhookPath):
		return fmt.Errorf("--webhook-url %q must end in %s: that is where this server takes webhooks", address, webhookPath)
	case u.RawQuery != "", u.Fragment != "", u.User != nil:
		return fmt.Errorf("--webhook-url %q must have no query, fragment or user", address)
	case atStripe && (u.Scheme != "https" || config.IsLoopback(address)):
		return fmt.Errorf("--webhook-url %q cannot be reached by Stripe: it must be https and not on this machine", address)
	}
	return nil
}

package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"time"
	_ "time/tzdata" // a host without zone files still knows REPORTING_TIMEZONE's days

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/config"
	"github.com/promptforge/payments/internal/ledger"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/payments"
)

func runServe(ctx context.Context, args []string, std stdio) error {
	a, listener, err := openServe(ctx, args, std)
	if err != nil {
		return err
	}
	defer listener.Close()
	context.AfterFunc(ctx, func() { a.log.InfoContext(context.WithoutCancel(ctx), "stopping") })
	err = a.run(ctx, listener)
	a.log.InfoContext(context.WithoutCancel(ctx), "stopped")
	return err
}

// openServe reads the environment and assembles what serve runs, up to the
// address that it listens on.
func openServe(ctx context.Context, args []string, std stdio) (*app, net.Listener, error) {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	insecure := flags.Bool("insecure-simulator", false, "allow the Stripe stand-in and a demo's secrets where others can reach them")
	if err := parse(flags, args, std); err != nil {
		return nil, nil, err
	}
	environment, err := config.Environment()
	if err != nil {
		return nil, nil, err
	}
	c, err := config.LoadServe(environment, *insecure)
	if err != nil {
		return nil, nil, err
	}
	log := newLogger(std.out, c.LogFormat, c.LogLevel)
	listener, err := listen(c.Addr, "ADDR")
	if err != nil {
		return nil, nil, err
	}
	a, err := assemble(ctx, settings{
		databaseURL: c.DatabaseURL, listenURL: c.ListenURL, base: money.Currency(c.BaseCurrency), baseURL: c.BaseURL, stripeKey: c.SecretKey, stripeBase: c.APIBase, maxRPS: c.MaxRPS, isLive: c.IsLive(),
		webhookSecrets: c.WebhookSecrets, plans: c.Plans, sold: sold(c.Plans, c.PriceIDs), trustedProxies: c.TrustedProxies, support: c.SupportEmail,
		rateCheckout: c.RateCheckout, rateRead: c.RateRead, smtpURL: c.SMTPURL, mailFrom: c.MailFrom, proposal: ledger.Proposal{TimeZone: c.ReportingTimeZone, Discounts: analytics.DiscountPolicy(c.DiscountPolicy), PastDueCap: c.PastDueCap}, now: time.Now,
	}, log)
	if err != nil {
		listener.Close()
		return nil, nil, err
	}
	if err := schemaIsCurrent(ctx, a.pool); err != nil {
		listener.Close()
		a.pool.Close()
		return nil, nil, err
	}
	log.InfoContext(ctx, "serving", "address", listener.Addr().String(), "base_url", c.BaseURL, "livemode", c.IsLive())
	return a, listener, nil
}

// sold turns the environment's variables into offers.
func sold(plans billing.Plans, byVariable map[string]string) map[payments.Offer]string {
	out := map[payments.Offer]string{}
	for _, plan := range plans.Plans {
		for _, interval := range billing.Intervals() {
			out[payments.Offer{Plan: plan.Code, Interval: interval}] = byVariable[plan.PriceEnv(interval)]
		}
	}
	return out
}

// environmentLines is what setup-stripe prints, to be pasted.
func environmentLines(plans billing.Plans, s payments.Setup) []string {
	var out []string
	for _, plan := range plans.Plans {
		for _, interval := range billing.Intervals() {
			if id := s.Sold[payments.Offer{Plan: plan.Code, Interval: interval}]; id != "" {
				out = append(out, fmt.Sprintf("%s=%s", plan.PriceEnv(interval), id))
			}
		}
	}
	if s.Endpoint.Secret != "" {
		out = append(out, "STRIPE_WEBHOOK_SECRET="+s.Endpoint.Secret)
	}
	return out
}

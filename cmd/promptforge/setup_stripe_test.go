package main

import (
	"strings"
	"testing"

	"github.com/promptforge/payments/internal/stripesim/simtest"
)

func TestAWebhookAddressIsCheckedBeforeAnythingIsMade(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		address  string
		atStripe bool
		want     string
	}{
		"none":                       {"", true, ""},
		"ours":                       {"https://billing.example.com/api/webhooks/stripe", true, ""},
		"ours behind a path":         {"https://example.com/billing/api/webhooks/stripe", true, ""},
		"this machine's stand-in":    {"http://127.0.0.1:8080/api/webhooks/stripe", false, ""},
		"no address":                 {"billing.example.com", true, "is no http(s) address"},
		"a path alone":               {"/api/webhooks/stripe", true, "is no http(s) address"},
		"no host":                    {"https:///api/webhooks/stripe", true, "is no http(s) address"},
		"another page of ours":       {"https://billing.example.com/", true, "must end in /api/webhooks/stripe"},
		"one with a query":           {"https://billing.example.com/api/webhooks/stripe?x=1", true, "no query"},
		"plain http at Stripe":       {"http://billing.example.com/api/webhooks/stripe", true, "cannot be reached by Stripe"},
		"this machine's, for Stripe": {"https://localhost/api/webhooks/stripe", true, "cannot be reached by Stripe"},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkWebhookURL(tt.address, tt.atStripe)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
		})
	}
	sim := simtest.Start(t)
	env := map[string]string{"STRIPE_SECRET_KEY": sim.SecretKey, "STRIPE_API_BASE": sim.URL}
	_, stderr, code := call(t, env, "", "setup-stripe", "--dry-run", "--webhook-url", "billing.example.com")
	if code != 1 || !strings.Contains(stderr, "is no http(s) address") || strings.Contains(stderr, "would create") {
		t.Errorf("a dry run: exit %d, %s", code, stderr)
	}
}

func TestAKeyThatStripeDoesNotKnowIsNoOutage(t *testing.T) {
	t.Parallel()
	sim := simtest.Start(t)
	env := map[string]string{"STRIPE_SECRET_KEY": "sk_test_0123456789", "STRIPE_API_BASE": sim.URL}
	_, stderr, code := call(t, env, "", "setup-stripe", "--dry-run")
	if code != 1 || !strings.Contains(stderr, "Stripe does not accept the secret key") || strings.Contains(stderr, "unavailable") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

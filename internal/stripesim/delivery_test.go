package stripesim_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/promptforge/payments/internal/stripesim"
	"github.com/promptforge/payments/internal/stripesim/simtest"
)

func withRetries(schedule ...time.Duration) simtest.Option {
	return simtest.WithConfig(func(c *stripesim.Config) { c.RetrySchedule = schedule })
}

func TestDeliveriesAreSignedAsStripeSigns(t *testing.T) {
	t.Parallel()
	// The business clock is a year ago: a signature goes by the machine's.
	shop := openShop(t, simtest.WithConfig(func(c *stripesim.Config) {
		c.Now = func() time.Time { return time.Now().AddDate(-1, 0, 0) }
	}))
	endpoint := newReceiver(t, always(http.StatusOK))
	secret := shop.addEndpoint(t, endpoint.URL).Secret
	if !strings.HasPrefix(secret, "whsec_") {
		t.Errorf("secret %q", secret)
	}
	shop.buy(t)
	eventually(t, "13 events delivered", func() bool { return len(endpoint.all()) == 13 })
	for _, got := range endpoint.all() {
		event, err := webhook.ConstructEvent(got.body, got.header.Get("Stripe-Signature"), secret)
		if err != nil {
			t.Errorf("stripe-go refuses: %v\n%s", err, got.body)
		}
		equal(t, "version", event.APIVersion, "2023-10-16")
		if _, err := webhook.ConstructEvent(got.body, got.header.Get("Stripe-Signature"), secret+"x"); err == nil {
			t.Error("any secret would do")
		}
		if !strings.HasPrefix(got.header.Get("User-Agent"), "Stripe/1.0") {
			t.Errorf("user agent %q", got.header.Get("User-Agent"))
		}
		equal(t, "waiting endpoints in the body", event.PendingWebhooks, 1)
	}
	eventually(t, "all acknowledged", func() bool { return len(shop.State(t)["sim.delivery"]) == 0 })
	stored, err := shop.api.Events.Get(endpoint.all()[0].event["id"].(string), nil)
	must(t, err)
	equal(t, "waiting endpoints afterwards", stored.PendingWebhooks, 0)
}

func TestTheSecretIsShownOnce(t *testing.T) {
	t.Parallel()
	shop := openShop(t, simtest.WithSchemas())
	endpoint := shop.addEndpoint(t, "http://127.0.0.1:1/none")
	again, err := shop.api.WebhookEndpoints.Get(endpoint.ID, nil)
	must(t, err)
	equal(t, "secret when retrieved", again.Secret, "")
	updated, err := shop.api.WebhookEndpoints.Update(endpoint.ID, &stripe.WebhookEndpointParams{Disabled: stripe.Bool(true)})
	must(t, err)
	equal(t, "secret when updated", updated.Secret, "")
	equal(t, "status", updated.Status, "disabled")
	_, body := shop.Do(t, http.MethodGet, "/sim/state", "")
	if strings.Contains(string(body), endpoint.Secret) {
		t.Error("the state shows the secret")
	}
}

func TestAnEndpointGetsWhatItAskedFor(t *testing.T) {
	t.Parallel()
	shop := openShop(t)
	some, none := newReceiver(t, always(http.StatusOK)), newReceiver(t, always(http.StatusOK))
	shop.addEndpoint(t, some.URL, "invoice.paid", "customer.subscription.created")
	disabled := shop.addEndpoint(t, none.URL, "*")
	_, err := shop.api.WebhookEndpoints.Update(disabled.ID, &stripe.WebhookEndpointParams{Disabled: stripe.Bool(true)})
	must(t, err)
	shop.buy(t)
	eventually(t, "both events", func() bool { return len(some.all()) == 2 })
	equal(t, "deliveries to the disabled endpoint", len(none.all()), 0)
}

func TestWhatIsNotAcknowledgedIsSentAgain(t *testing.T) {
	t.Parallel()
	for answer, code := range map[string]int{"an error": 500, "a redirect": 302, "a refusal": 400} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			shop := openShop(t, withRetries(time.Millisecond, time.Millisecond))
			endpoint := newReceiver(t, func(n int) int {
				if n < 3 {
					return code
				}
				return http.StatusOK
			})
			secret := shop.addEndpoint(t, endpoint.URL, "customer.updated").Secret
			_, err := shop.api.Customers.Update(shop.customer.ID, &stripe.CustomerParams{Name: stripe.String("Grace")})
			must(t, err)
			eventually(t, "acknowledged", func() bool { return len(shop.State(t)["sim.delivery"]) == 0 })
			got := endpoint.all()
			equal(t, "attempts", len(got), 3)
			for _, attempt := range got {
				equal(t, "event", attempt.event["id"], got[0].event["id"])
				if _, err := webhook.ConstructEvent(attempt.body, attempt.header.Get("Stripe-Signature"), secret); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestAnEventThatNobodyTakesIsGivenUp(t *testing.T) {
	t.Parallel()
	shop := openShop(t, withRetries(time.Millisecond))
	endpoint := newReceiver(t, always(http.StatusInternalServerError))
	shop.addEndpoint(t, endpoint.URL, "customer.updated")
	_, err := shop.api.Customers.Update(shop.customer.ID, &stripe.CustomerParams{Name: stripe.String("Grace")})
	must(t, err)
	eventually(t, "given up", func() bool {
		deliveries := shop.State(t)["sim.delivery"]
		return len(deliveries) == 1 && deliveries[0]["state"] == "failed"
	})
	equal(t, "attempts", len(endpoint.all()), 2)
	it := shop.api.Events.List(&stripe.EventListParams{DeliverySuccess: stripe.Bool(false)})
	equal(t, "listed as undelivered", it.Next() && it.Event().Type == "customer.updated" && !it.Next(), true)
}

func TestADeletedEndpointGetsNoMore(t *testing.T) {
	t.Parallel()
	for sentence, wait := range map[string]time.Duration{"long before the next attempt": time.Hour, "just before it": 150 * time.Millisecond} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			shop := openShop(t, withRetries(wait, time.Millisecond))
			endpoint := newReceiver(t, always(http.StatusInternalServerError))
			registered := shop.addEndpoint(t, endpoint.URL, "customer.updated")
			_, err := shop.api.Customers.Update(shop.customer.ID, &stripe.CustomerParams{Name: stripe.String("Grace")})
			must(t, err)
			eventually(t, "first attempt", func() bool { return len(endpoint.all()) == 1 })
			_, err = shop.api.WebhookEndpoints.Del(registered.ID, nil)
			must(t, err)
			equal(t, "deliveries left", len(shop.State(t)["sim.delivery"]), 0)
			attempts := len(endpoint.all())
			time.Sleep(300 * time.Millisecond)
			equal(t, "attempts afterwards", len(endpoint.all()), attempts)
		})
	}
}

func TestCompletionWaitsForTheWebhook(t *testing.T) {
	t.Parallel()
	shop := openShop(t)
	endpoint := newReceiver(t, func(int) int {
		time.Sleep(200 * time.Millisecond)
		return http.StatusOK
	})
	shop.addEndpoint(t, endpoint.URL, "checkout.session.completed")
	began := time.Now()
	shop.buy(t)
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("the buyer was sent back after %s, before the webhook's answer", took)
	}
	equal(t, "deliveries", len(endpoint.all()), 1)
}

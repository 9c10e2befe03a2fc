package payments_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/payments"
)

func (b *bundle) setUp(plans billing.Plans, o payments.SetupOptions) payments.Setup {
	b.t.Helper()
	set, err := payments.SetUp(b.ctx, b.client, plans, o)
	if err != nil {
		b.t.Fatal(err)
	}
	return set
}

func TestSetUpNeverMakesAnythingTwice(t *testing.T) {
	b := setup(t) // has set up once
	o := payments.SetupOptions{WebhookURL: "https://example.com/api/webhooks/stripe"}
	first := b.setUp(b.Plans, o)
	second := b.setUp(b.Plans, o)
	b.listed("/v1/products", 3)
	b.listed("/v1/prices", 6)
	b.listed("/v1/webhook_endpoints", 1)
	for offer, price := range first.Sold {
		if second.Sold[offer] != price || b.Sold[offer] != price {
			t.Errorf("price of %v = %s, %s, %s: want one", offer, b.Sold[offer], price, second.Sold[offer])
		}
	}
	if first.Endpoint.Secret == "" || second.Endpoint.Secret != "" {
		t.Error("the secret is told when the endpoint is made, and only then")
	}
	endpoint := b.object("/v1/webhook_endpoints")
	if got := field(endpoint, "api_version"); got != "2023-10-16" {
		t.Errorf("the endpoint's version = %s, want it pinned", got)
	}
	var e struct {
		EnabledEvents []string `json:"enabled_events"`
	}
	if err := json.Unmarshal(endpoint, &e); err != nil {
		t.Fatal(err)
	}
	slices.Sort(e.EnabledEvents)
	if !slices.Equal(e.EnabledEvents, payments.EventTypes) {
		t.Errorf("types = %q, want exactly ours", e.EnabledEvents)
	}
}

func TestSetUpDryRunChangesNothing(t *testing.T) {
	b := setup(t)
	plans := b.Plans
	plans.Plans = append(slices.Clone(plans.Plans), billing.Plan{
		Code: "team", Name: "Team", PricesMinor: map[billing.Interval]int64{billing.Month: 100, billing.Year: 1000},
	})
	set := b.setUp(plans, payments.SetupOptions{WebhookURL: "https://example.com/hook", DryRun: true})
	b.listed("/v1/products", 3)
	b.listed("/v1/prices", 6)
	b.listed("/v1/webhook_endpoints", 0)
	for _, want := range []string{"found product promptforge_pro", "would create product promptforge_team", "would create webhook endpoint https://example.com/hook"} {
		if !slices.Contains(set.Steps, want) {
			t.Errorf("steps = %q, want %q among them", set.Steps, want)
		}
	}
}

func TestAChangedPriceTakesTheLookupKeyOver(t *testing.T) {
	b := setup(t)
	plans := b.Plans
	plans.Plans = slices.Clone(plans.Plans)
	i := plans.Rank("pro")
	plans.Plans[i].PricesMinor = map[billing.Interval]int64{billing.Month: 10900, billing.Year: 99000}
	dearer := b.setUp(plans, payments.SetupOptions{})
	monthly, yearly := payments.Offer{Plan: "pro", Interval: billing.Month}, payments.Offer{Plan: "pro", Interval: billing.Year}
	if dearer.Sold[monthly] == b.Sold[monthly] || dearer.Sold[yearly] != b.Sold[yearly] {
		t.Errorf("sold = %v after %v: want the monthly price replaced alone", dearer.Sold, b.Sold)
	}
	// Back to the amount of before: a third price, since an old one has lost its key.
	back := b.setUp(b.Plans, payments.SetupOptions{})
	if again := b.setUp(b.Plans, payments.SetupOptions{}); again.Sold[monthly] != back.Sold[monthly] || back.Sold[monthly] == dearer.Sold[monthly] {
		t.Errorf("sold = %v, then %v", back.Sold, again.Sold)
	}
}

func TestSetUpMendsTheTypesOfItsEndpoint(t *testing.T) {
	b := setup(t)
	const url = "https://example.com/hook"
	made, err := b.client.CreateWebhookEndpoint(b.ctx, url, []string{"invoice.paid"})
	if err != nil {
		t.Fatal(err)
	}
	set := b.setUp(b.Plans, payments.SetupOptions{WebhookURL: url})
	endpoints, err := b.client.WebhookEndpoints(b.ctx)
	if err != nil || len(endpoints) != 1 || set.Endpoint.ID != made.ID || !slices.Equal(endpoints[0].EventTypes, payments.EventTypes) {
		t.Errorf("endpoints = %+v, %v", endpoints, err)
	}
	if want := fmt.Sprintf("updated the event types of webhook endpoint %s: %d added, 1 removed", made.ID, len(payments.EventTypes)); !slices.Contains(set.Steps, want) {
		t.Errorf("steps = %q, want %q among them", set.Steps, want)
	}
}

// TestSetUpLeavesAnEndpointOfAnotherVersionToAPerson and makes ours beside it.
func TestSetUpLeavesAnEndpointOfAnotherVersionToAPerson(t *testing.T) {
	b := setup(t)
	const url = "https://example.com/hook"
	b.call(http.MethodPost, "/v1/webhook_endpoints", strings.NewReader("url="+url+"&enabled_events[0]=invoice.paid"), nil)
	set := b.setUp(b.Plans, payments.SetupOptions{WebhookURL: url})
	b.listed("/v1/webhook_endpoints", 2)
	if !slices.ContainsFunc(set.Steps, func(s string) bool { return strings.Contains(s, "another API version (the account's default)") }) {
		t.Errorf("steps = %q, want the old endpoint said", set.Steps)
	}
}

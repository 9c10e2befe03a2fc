package stripesim_test

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/promptforge/payments/internal/stripesim/simtest"
)

// TestAPopulationIsWhatPurchasesWouldHaveMade holds a few of them to Stripe's
// document, and lets time pass over them as over everybody.
func TestAPopulationIsWhatPurchasesWouldHaveMade(t *testing.T) {
	t.Parallel()
	e := openEra(t, spring)
	crowd := e.Populate(t, 3, e.price.ID, func(i int) map[string]string { return map[string]string{"org_id": strconv.Itoa(i)} })
	seen := map[string]int{}
	checkState(t, e.Sim, seen)
	equal(t, "subscriptions", seen["subscription"], 3)
	equal(t, "events", seen["customer.subscription.created"], 0)
	ids := map[string]bool{}
	for i, who := range crowd {
		for _, id := range []string{who.Customer, who.PaymentMethod, who.Subscription, who.Invoice, who.PaymentIntent, who.Charge} {
			ids[id] = true
		}
		subscription, err := e.api.Subscriptions.Get(who.Subscription, &stripe.SubscriptionParams{Expand: []*string{
			stripe.String("customer"), stripe.String("latest_invoice.payment_intent"), stripe.String("default_payment_method"),
		}})
		must(t, err)
		equal(t, "status", subscription.Status, "active")
		equal(t, "customer", subscription.Customer.Metadata["org_id"], strconv.Itoa(i))
		equal(t, "invoice of", subscription.LatestInvoice.Customer.ID, who.Customer)
		equal(t, "intent of", subscription.LatestInvoice.PaymentIntent.Invoice.ID, who.Invoice)
		equal(t, "item of", subscription.Items.Data[0].Subscription, who.Subscription)
		equal(t, "line of", subscription.LatestInvoice.Lines.Data[0].SubscriptionItem.ID, subscription.Items.Data[0].ID)
	}
	equal(t, "ids", len(ids), 18)
	story, err := e.Server.Story(crowd[1])
	must(t, err)
	equal(t, "events of a story", len(story), 5)
	for _, body := range story {
		var event map[string]any
		must(t, json.Unmarshal(body, &event))
		must(t, simtest.CheckObject(t, event, absentFields["event"]...))
		about := event["data"].(map[string]any)["object"].(map[string]any)
		equal(t, "event of", about["customer"], any(crowd[1].Customer))
	}

	e.after(t, 40*day)
	for _, who := range crowd {
		invoices := 0
		list := e.api.Invoices.List(&stripe.InvoiceListParams{Customer: stripe.String(who.Customer)})
		for list.Next() {
			equal(t, "invoice", list.Invoice().Status, "paid")
			invoices++
		}
		must(t, list.Err())
		equal(t, "invoices after a month", invoices, 2)
	}
}

// BenchmarkPopulate says how long a crowd takes and what it weighs.
func BenchmarkPopulate(b *testing.B) {
	customers := 10_000
	if asked, err := strconv.Atoi(os.Getenv("CUSTOMERS")); err == nil {
		customers = asked
	}
	for b.Loop() {
		sim := simtest.Start(b, simtest.WithoutMirror())
		shop := stock(b, sim)
		began := time.Now()
		crowd := sim.Populate(b, customers, shop.price.ID, nil)
		b.ReportMetric(float64(customers)/time.Since(began).Seconds(), "customers/s")
		var memory runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&memory)
		b.ReportMetric(float64(memory.HeapAlloc)/float64(customers), "B/customer")
		for i := range 10 {
			path := fmt.Sprintf("/v1/subscriptions?customer=%s&status=all&limit=100&expand[]=data.latest_invoice", crowd[i*customers/10].Customer)
			if status, body := sim.Do(b, "GET", path, ""); status != 200 {
				b.Fatalf("%d %s", status, body)
			}
		}
	}
}

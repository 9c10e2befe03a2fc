package payments_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/payments"
)

func TestLooksAtThePricesAreWrittenOnceAVisitorAndDayOfTheZone(t *testing.T) {
	b := setup(t)
	b.exec(`UPDATE metric_generation SET time_zone = 'America/New_York'`)
	ada, grace := uuid.New(), uuid.New()
	// Four in the morning in London is still the day before in New York.
	for _, at := range []string{"2026-03-10T20:00:00Z", "2026-03-10T15:00:00Z", "2026-03-11T03:00:00Z", "2026-03-11T04:00:00Z"} {
		moment, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		b.ViewPricing(payments.PricingView{Visitor: ada, At: moment})
		b.ViewPricing(payments.PricingView{Visitor: grace, At: moment.Add(300 * time.Millisecond)})
		if err := b.FlushViews(b.ctx); err != nil {
			t.Fatal(err)
		}
	}
	want := func(v uuid.UUID) []string {
		return []string{v.String() + ":2026-03-10 2026-03-10T15:00:00", v.String() + ":2026-03-11 2026-03-11T04:00:00"}
	}
	looks := `SELECT natural_key || ' ' || to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS') FROM payment_events WHERE visitor_id = '%s' ORDER BY at`
	b.want("Ada's", want(ada), fmt.Sprintf(looks, ada))
	b.want("Grace's", want(grace), fmt.Sprintf(looks, grace))
	b.want("marked", []string{"2"}, `SELECT count(DISTINCT customer_id)::text FROM metric_dirty WHERE customer_id LIKE 'visit:%'`)
	b.exec(`DELETE FROM metric_dirty`)
	b.ViewPricing(payments.PricingView{Visitor: ada, At: time.Date(2026, 3, 10, 23, 0, 0, 0, time.UTC)})
	if err := b.FlushViews(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.want("marked by what is known", []string{}, `SELECT customer_id FROM metric_dirty`)
}

// TestLooksNeverWaitAndAreDroppedBeyondTheirBound while the database is away, and
// those that wait are written when it is back.
func TestLooksNeverWaitAndAreDroppedBeyondTheirBound(t *testing.T) {
	b := setup(t)
	away, cancel := context.WithCancel(b.ctx)
	cancel()
	began := time.Now()
	const visitors = 5000
	for range visitors {
		b.ViewPricing(payments.PricingView{Visitor: uuid.New(), At: began})
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("%d looks took %s", visitors, took)
	}
	if dropped := b.DroppedViews(); dropped != visitors-4096 {
		t.Errorf("%d looks were dropped of %d", dropped, visitors)
	}
	if err := b.FlushViews(away); err == nil {
		t.Error("nobody notices that the database is away")
	}
	b.ViewPricing(payments.PricingView{Visitor: uuid.New(), At: began})
	if dropped := b.DroppedViews(); dropped != visitors-4096+1 {
		t.Errorf("%d looks were dropped: those that could not be written do not wait on", dropped)
	}
	if err := b.FlushViews(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.want("looks", []string{"4096"}, `SELECT count(*)::text FROM payment_events WHERE kind = 'pricing_viewed'`)
}

func TestLooksAreWrittenWithinSecondsAndAtTheLatestAtTheEnd(t *testing.T) {
	b := setup(t)
	running, stop := context.WithCancel(b.ctx)
	var workers sync.WaitGroup
	workers.Go(func() {
		if err := b.Run(running); err != nil {
			t.Error(err)
		}
	})
	b.ViewPricing(payments.PricingView{Visitor: uuid.New(), At: time.Now()})
	deadline := time.Now().Add(10 * time.Second)
	count := func() string {
		return b.rows(`SELECT count(*)::text FROM payment_events WHERE kind = 'pricing_viewed'`)[0]
	}
	for count() != "1" && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
	}
	if n := count(); n != "1" {
		t.Fatalf("%s looks were written in ten seconds", n)
	}
	b.ViewPricing(payments.PricingView{Visitor: uuid.New(), At: time.Now()})
	stop()
	workers.Wait()
	if n := count(); n != "2" {
		t.Errorf("%s looks are there after the end, want 2", n)
	}
}

func TestWhatAnAdministratorTriesIsNotInTheFunnel(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.exec(fmt.Sprintf(`UPDATE users SET is_admin = true WHERE id = '%s'`, user))
	b.start(org, user, "pro", billing.Month)
	b.want("in the funnel", []string{"false"}, `SELECT in_funnel::text FROM checkout_attempts`)
	b.want("marked", []string{}, `SELECT customer_id FROM metric_dirty WHERE customer_id LIKE 'visit:%'`)
}

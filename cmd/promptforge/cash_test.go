package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
)

// make posts to the stand-in and returns the id of what it made.
func (w *world) make(path, form string) string {
	w.t.Helper()
	status, body := w.sim.Do(w.t, http.MethodPost, path, form)
	var made struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(body, &made); err != nil || status != http.StatusOK {
		w.t.Fatalf("%s %s: %d %s %v", path, form, status, body, err)
	}
	return made.ID
}

// settleCash is settle with what moved the balance.
func (w *world) settleCash() {
	w.t.Helper()
	w.settle()
	if err := w.payments.SyncCash(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.settle()
}

// TestARefundIsCashAndNothingElse is G35 of metrics.md, through the doors: a year
// that is paid for and given back five days later, while the subscription stays.
func TestARefundIsCashAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Date(2016, 1, 1, 12, 0, 0, 0, time.UTC))
	product := w.make("/v1/products", "name=Yearly")
	price := w.make("/v1/prices", "product="+product+"&currency=usd&unit_amount=25000&recurring[interval]=year")
	customer := w.make("/v1/customers", "name=Ada")
	method := w.make("/v1/payment_methods/pm_card_visa/attach", "customer="+customer)
	w.make("/v1/subscriptions", fmt.Sprintf("customer=%s&items[0][price]=%s&default_payment_method=%s", customer, price, method))
	w.settleCash()
	w.advance(time.Date(2016, 1, 5, 12, 0, 0, 0, time.UTC))
	charges := w.sim.State(t)["charge"]
	w.make("/v1/refunds", "charge="+charges[len(charges)-1]["id"].(string))
	w.settleCash()
	w.advance(time.Date(2016, 2, 1, 1, 0, 0, 0, time.UTC))
	w.settleCash()

	read := reports.Reports{Pool: w.pool, Now: w.sim.Server.Now}
	january := time.Date(2016, 1, 1, 0, 0, 0, 0, time.UTC)
	figures, err := read.Series(t.Context(), reports.Query{First: january, Last: january.AddDate(0, 0, 30), Currency: "usd"})
	if err != nil {
		t.Fatal(err)
	}
	if len(figures.Points) != 1 {
		t.Fatalf("there are %d points, want January", len(figures.Points))
	}
	p := figures.Points[0]
	if want := int64(25_000 * money.Micro / 12); p.Closing.MRRMicro != want || p.Closing.Customers != 1 {
		t.Errorf("MRR is %+v, want %d micro of one customer", p.Closing, want)
	}
	if len(p.Moved) != 1 || p.Moved[analytics.New].Customers != 1 {
		t.Errorf("moved %+v, want one that is new and nothing else", p.Moved)
	}
	if want := (analytics.Cash{GrossMinor: 25_000, RefundsMinor: -25_000, FeesMinor: 755, NetMinor: -755}); *p.Cash != want {
		t.Errorf("cash is %+v, want %+v: all of it given back but the fee", *p.Cash, want)
	}
	if err := w.ledger.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

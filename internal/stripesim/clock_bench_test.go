package stripesim_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/promptforge/payments/internal/stripesim"
	"github.com/promptforge/payments/internal/stripesim/simtest"
)

// BenchmarkAYear lets a year pass for sixty customers, with an endpoint that
// hears everything and a journal on disk.
func BenchmarkAYear(b *testing.B) {
	customers := 60
	if asked, err := strconv.Atoi(os.Getenv("CUSTOMERS")); err == nil {
		customers = asked
	}
	endpoint := newReceiver(b, always(http.StatusOK))
	for b.Loop() {
		b.StopTimer()
		dir := b.TempDir()
		sim := simtest.Start(b, simtest.WithoutMirror(), simtest.WithConfig(func(c *stripesim.Config) { c.Dir = dir }))
		shop := stock(b, sim)
		shop.addEndpoint(b, endpoint.URL)
		for range customers {
			shop.buy(b)
		}
		b.StartTimer()
		began := time.Now()
		passed, err := sim.Server.Advance(b.Context(), sim.Server.Now().Add(365*day))
		must(b, err)
		b.ReportMetric(float64(passed.Events)/time.Since(began).Seconds(), "events/s")
		info, err := os.Stat(filepath.Join(dir, "journal.jsonl"))
		must(b, err)
		b.ReportMetric(float64(info.Size())/1e6, "MB")
		b.ReportMetric(float64(len(shop.State(b)["event"])), "kept")
	}
}

package stripeapi

import (
	"net/http"
	"testing"

	"golang.org/x/time/rate"
)

// answers gives one status after the other.
type answers struct{ statuses []int }

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	status := a.statuses[0]
	a.statuses = a.statuses[1:]
	return &http.Response{StatusCode: status, Body: http.NoBody, Request: r}, nil
}

func TestTheRateHalvesOn429AndCreepsBack(t *testing.T) {
	b := newBudget(&answers{[]int{200, 429, 429, 200, 200}}, 80)
	for _, want := range []rate.Limit{80, 40, 20, 20.8, 21.6} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://example.com", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := b.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if got := b.limiter.Limit(); got < want-0.001 || got > want+0.001 {
			t.Errorf("after %d the rate is %v, want %v", response.StatusCode, got, want)
		}
	}
	never := newBudget(nil, 4)
	for range 3 {
		never.adapt(true)
	}
	if got := never.limiter.Limit(); got != 1 {
		t.Errorf("the rate falls to %v, want 1 at the least", got)
	}
}

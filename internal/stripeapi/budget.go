package stripeapi

import (
	"net/http"
	"sync"

	"golang.org/x/time/rate"
)

// budget keeps a process under Stripe's limit of requests: it halves its rate
// when Stripe says 429 and creeps back to the ceiling with each request that
// passes.
type budget struct {
	next    http.RoundTripper
	ceiling rate.Limit

	mu      sync.Mutex
	limiter *rate.Limiter
}

func newBudget(next http.RoundTripper, maxRPS int) *budget {
	ceiling := rate.Limit(max(maxRPS, 1))
	return &budget{next: next, ceiling: ceiling, limiter: rate.NewLimiter(ceiling, max(maxRPS/4, 1))}
}

func (b *budget) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := b.limiter.Wait(r.Context()); err != nil {
		return nil, err
	}
	response, err := b.next.RoundTrip(r)
	if err == nil {
		b.adapt(response.StatusCode == http.StatusTooManyRequests)
	}
	return response, err
}

func (b *budget) adapt(refused bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	limit := b.limiter.Limit()
	if refused {
		b.limiter.SetLimit(max(limit/2, 1))
	} else if limit < b.ceiling {
		b.limiter.SetLimit(min(limit+b.ceiling/100, b.ceiling))
	}
}

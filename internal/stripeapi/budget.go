package stripeapi

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/promptforge/payments/internal/payments"
)

const (
	// workerShare is the part of the rate that the lanes of workers may use
	// together: what is left always lets people pass.
	workerShare = 0.6
	// requestTimeout bounds one try, from the moment it is sent; stripe-go tries
	// up to three times with the same idempotency key.
	requestTimeout = 10 * time.Second
)

// budget keeps a process under Stripe's limit of requests. It spends a rate
// that halves when Stripe says 429 and creeps back to the ceiling with each
// request that passes; the ceiling is this process's share of what all replicas
// may ask. Whoever asks waits in the lane of the context: a lane is served
// before the next one, and all but people's stop at workerShare.
//
// To wait costs nothing of a request's timeout, and whoever leaves while waiting
// has spent nothing.
type budget struct {
	next http.RoundTripper
	now  func() time.Time
	max  float64 // requests a second of all replicas together

	mu      sync.Mutex
	ceiling float64
	rate    float64
	// all and workers are what may be spent at once, as of filled.
	all, workers float64
	filled       time.Time
	waiting      [laneCount][]*ticket
	wake         *time.Timer // fires when the next one waiting may go; nil when nobody waits
	// refusals tells which requests were sent before the rate was last halved:
	// Stripe refuses a crowd at once, which is one reason to halve, not many.
	refusals int64
	used     Usage
}

const laneCount = int(payments.LaneBacklog) + 1

// ticket is a place in a lane. granted is closed, under the budget's lock, when
// its holder may go.
type ticket struct {
	lane    payments.Lane
	granted chan struct{}
}

// Usage is how a client has spent its budget since it was made.
type Usage struct {
	// Sent are the requests that were sent, by lane, tries again included.
	Sent map[payments.Lane]int64
	// Waiting is how many wait at this moment, by lane.
	Waiting map[payments.Lane]int
	// Refused are the answers 429.
	Refused int64
	// Rate is how many requests a second may be sent now, Ceiling how many when
	// Stripe refuses none: the share of one of Replicas.
	Rate, Ceiling float64
	Replicas      int
}

func newBudget(next http.RoundTripper, maxRPS int) *budget {
	b := &budget{next: next, now: time.Now, max: float64(max(maxRPS, 1))} //nolint:forbidigo // tests move it with the timers, in a bubble
	b.used = Usage{Sent: map[payments.Lane]int64{}, Replicas: 1}
	b.ceiling, b.rate = b.max, b.max
	b.all, b.workers, b.filled = b.burst(), b.workerBurst(), b.now()
	return b
}

// newTransport keeps as many connections as workers ask at once: Stripe itself
// speaks HTTP/2 over one, but what does not would be dialled for each request.
func newTransport() http.RoundTripper {
	standard, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport // somebody has replaced it, and knows why
	}
	own := standard.Clone()
	own.MaxIdleConnsPerHost = own.MaxIdleConns
	return own
}

// RoundTrip waits for its turn and sends the request.
func (b *budget) RoundTrip(r *http.Request) (*http.Response, error) {
	lane := payments.LaneOf(r.Context())
	refusals, err := b.spend(r.Context(), lane)
	if err != nil {
		return nil, fmt.Errorf("wait for the budget of requests: %w", err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	response, err := b.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	b.adapt(response.StatusCode == http.StatusTooManyRequests, refusals)
	response.Body = bounded{response.Body, cancel}
	return response, nil
}

// bounded is a body that is read within its request's time.
type bounded struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close closes the body and ends the request's time.
func (b bounded) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// spend waits until a request of the lane may be sent. It returns the refusals
// as of then, for adapt.
func (b *budget) spend(ctx context.Context, lane payments.Lane) (refusals int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	t := &ticket{lane: lane, granted: make(chan struct{})}
	b.mu.Lock()
	b.waiting[lane] = append(b.waiting[lane], t)
	b.serve()
	b.mu.Unlock()
	select {
	case <-t.granted:
	case <-ctx.Done():
		b.mu.Lock()
		defer b.mu.Unlock()
		b.leave(t)
		return 0, ctx.Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used.Sent[lane]++
	return b.refusals, nil
}

// leave takes back a ticket whose holder has gone, and what it was granted in
// the same moment. The caller holds the lock.
func (b *budget) leave(t *ticket) {
	if i := slices.Index(b.waiting[t.lane], t); i >= 0 {
		b.waiting[t.lane] = slices.Delete(b.waiting[t.lane], i, i+1)
	} else {
		b.take(t.lane, -1)
	}
	b.serve()
}

// serve lets go whoever may, the lanes in their order, and sets the time at
// which to look again. The caller holds the lock.
func (b *budget) serve() {
	b.fill()
	for lane, line := range b.waiting {
		served := 0
		for served < len(line) && b.affords(payments.Lane(lane)) {
			b.take(payments.Lane(lane), 1)
			close(line[served].granted)
			served++
		}
		b.waiting[lane] = slices.Delete(line, 0, served)
	}
	b.lookAgain()
}

func (b *budget) affords(lane payments.Lane) bool {
	return b.all >= 1 && (lane == payments.LanePeople || b.workers >= 1)
}

// take spends n requests of a lane, or gives them back.
func (b *budget) take(lane payments.Lane, n float64) {
	b.all -= n
	if lane != payments.LanePeople {
		b.workers -= n
	}
}

// fill adds what has become free since the last time.
func (b *budget) fill() {
	now := b.now()
	passed := max(now.Sub(b.filled).Seconds(), 0)
	b.filled = now
	b.all = min(b.all+passed*b.rate, b.burst())
	b.workers = min(b.workers+passed*b.rate*workerShare, b.workerBurst())
}

// burst is how many may be sent at once after a silence, workerBurst how many of
// those by workers: less than one would never let them pass.
func (b *budget) burst() float64       { return max(b.rate/4, 1) }
func (b *budget) workerBurst() float64 { return max(b.burst()*workerShare, 1) }

// lookAgain sets the timer for the first of those who wait.
func (b *budget) lookAgain() {
	if b.wake != nil {
		b.wake.Stop()
		b.wake = nil
	}
	in := (1 - b.all) / b.rate
	switch {
	case len(b.waiting[payments.LanePeople]) > 0:
	case len(b.waiting[payments.LaneFresh])+len(b.waiting[payments.LaneBacklog]) > 0:
		in = max(in, (1-b.workers)/(b.rate*workerShare))
	default:
		return
	}
	// A moment later than computed, so that no rounding finds the token short.
	b.wake = time.AfterFunc(time.Duration(max(in, 0)*float64(time.Second))+time.Microsecond, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.serve()
	})
}

// adapt halves the rate when Stripe refused a request that was sent after the
// rate was last halved, and raises it by a hundredth when Stripe did not.
func (b *budget) adapt(refused bool, sentAfter int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill() // what has passed, passed at the old rate
	if refused {
		b.used.Refused++
	}
	switch {
	case refused && sentAfter == b.refusals:
		b.refusals++
		b.rate = max(b.rate/2, min(b.ceiling, 1))
	case !refused && b.rate < b.ceiling:
		b.rate = min(b.rate+b.ceiling/100, b.ceiling)
	default:
		return
	}
	b.serve()
}

// share divides the ceiling by the replicas that ask with the same key. What
// Stripe has taught about the rate holds for the share too.
func (b *budget) share(replicas int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill()
	b.used.Replicas = max(replicas, 1)
	ceiling := b.max / float64(b.used.Replicas)
	b.rate *= ceiling / b.ceiling
	b.ceiling = ceiling
	b.serve()
}

func (b *budget) usage() Usage {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.used
	out.Sent, out.Waiting = map[payments.Lane]int64{}, map[payments.Lane]int{}
	for _, lane := range payments.Lanes() {
		out.Sent[lane], out.Waiting[lane] = b.used.Sent[lane], len(b.waiting[lane])
	}
	out.Rate, out.Ceiling = b.rate, b.ceiling
	return out
}

package stripeapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promptforge/payments/internal/payments"
)

// wire answers each request at once and notes when it was sent, by lane.
type wire struct {
	mu     sync.Mutex
	sent   map[payments.Lane][]time.Time
	status func(n int) int // of the n-th request, from 1; nil: always 200
	n      int
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sent == nil {
		w.sent = map[payments.Lane][]time.Time{}
	}
	lane := payments.LaneOf(r.Context())
	w.sent[lane] = append(w.sent[lane], time.Now())
	w.n++
	status := http.StatusOK
	if w.status != nil {
		status = w.status(w.n)
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader("{}")), Request: r}, nil
}

// within counts what a lane sent from one moment of the bubble until another.
func (w *wire) within(lane payments.Lane, from time.Time, start, end time.Duration) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, at := range w.sent[lane] {
		if in := at.Sub(from); in >= start && in < end {
			n++
		}
	}
	return n
}

func ask(ctx context.Context, b *budget, lane payments.Lane) (int, error) {
	r, err := http.NewRequestWithContext(payments.WithLane(ctx, lane), http.MethodGet, "http://stripe.example", nil)
	if err != nil {
		return 0, err
	}
	response, err := b.RoundTrip(r)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// flood has n askers of a lane who ask again as soon as they are answered.
func flood(ctx context.Context, b *budget, lane payments.Lane, n int) {
	for range n {
		go func() {
			for ctx.Err() == nil {
				_, _ = ask(ctx, b, lane)
			}
		}()
	}
}

func TestPeoplePassWhileWorkersSaturateTheirShare(t *testing.T) {
	t.Parallel()
	for name, lane := range map[string]payments.Lane{"fresh events": payments.LaneFresh, "a backlog": payments.LaneBacklog} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				out := &wire{}
				b := newBudget(out, 100)
				start := time.Now()
				flood(ctx, b, lane, 50)
				time.Sleep(10 * time.Second) // the first burst is over
				for range 200 {
					asked := time.Now()
					if _, err := ask(ctx, b, payments.LanePeople); err != nil {
						t.Fatal(err)
					}
					if waited := time.Since(asked); waited > 0 {
						t.Fatalf("a person waited %v", waited)
					}
					time.Sleep(25*time.Millisecond + 1) // 40 a second, which is what is kept free
				}
				for from := 1 * time.Second; from < 15*time.Second; from += time.Second {
					if n := out.within(lane, start, from, from+time.Second); n < 59 || n > 61 {
						t.Errorf("in the second from %v workers sent %d, want 60 of 100", from, n)
					}
				}
			})
		})
	}
}

func TestPeopleMayUseTheWholeRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		out := &wire{}
		b := newBudget(out, 100)
		start := time.Now()
		flood(ctx, b, payments.LaneBacklog, 5)
		flood(ctx, b, payments.LanePeople, 5)
		time.Sleep(10 * time.Second)
		if people, backlog := out.within(payments.LanePeople, start, time.Second, 10*time.Second), out.within(payments.LaneBacklog, start, time.Second, 10*time.Second); people < 898 || backlog > 2 {
			t.Errorf("people sent %d and the backlog %d in nine seconds, want all 900 by people", people, backlog)
		}
	})
}

func TestABacklogDoesNotStarveFreshEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		out := &wire{}
		b := newBudget(out, 100)
		start := time.Now()
		flood(ctx, b, payments.LaneBacklog, 100)
		time.Sleep(5 * time.Second)
		for range 100 {
			asked := time.Now()
			if _, err := ask(ctx, b, payments.LaneFresh); err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(asked); waited > 20*time.Millisecond {
				t.Fatalf("a fresh event waited %v behind a hundred of the backlog", waited)
			}
			time.Sleep(50 * time.Millisecond)
		}
		// What fresh events leave, the backlog gets.
		if n := out.within(payments.LaneBacklog, start, 5*time.Second, 10*time.Second); n < 190 || n > 215 {
			t.Errorf("the backlog sent %d in five seconds beside 20 fresh a second, want 40 a second", n)
		}
	})
}

func TestTheRateHalvesOn429AndCreepsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		statuses := []int{200, 429, 429, 200, 200}
		b := newBudget(&wire{status: func(n int) int { return statuses[n-1] }}, 80)
		for i, want := range []float64{80, 40, 20, 20.8, 21.6} {
			status, err := ask(t.Context(), b, payments.LaneFresh)
			if err != nil {
				t.Fatal(err)
			}
			if got := b.usage().Rate; status != statuses[i] || got < want-0.001 || got > want+0.001 {
				t.Errorf("after %d the rate is %v, want %v", status, got, want)
			}
		}
		if u := b.usage(); u.Refused != 2 || u.Sent[payments.LaneFresh] != 5 || u.Ceiling != 80 {
			t.Errorf("usage = %+v", u)
		}
		for range 500 { // it takes a while, and ends at the ceiling
			b.adapt(false, b.refusals)
		}
		if got := b.usage().Rate; got != 80 {
			t.Errorf("the rate comes back to %v, want the ceiling of 80", got)
		}
		for range 20 {
			b.adapt(true, b.refusals)
		}
		if got := b.usage().Rate; got != 1 {
			t.Errorf("the rate falls to %v, want 1 at the least", got)
		}
	})
}

func TestACrowdThatIsRefusedHalvesTheRateOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(&slow{&wire{status: func(int) int { return 429 }}}, 80)
		var crowd sync.WaitGroup
		for range 12 {
			crowd.Go(func() { _, _ = ask(t.Context(), b, payments.LaneFresh) })
		}
		crowd.Wait()
		if u := b.usage(); u.Rate != 40 || u.Refused != 12 {
			t.Errorf("after twelve refusals of one burst: %+v, want 40 a second", u)
		}
	})
}

// slow answers after a second.
type slow struct{ next http.RoundTripper }

func (s *slow) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-time.After(time.Second):
		return s.next.RoundTrip(r)
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

func TestReplicasDivideTheCeiling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		out := &wire{}
		b := newBudget(out, 80)
		start := time.Now()
		flood(ctx, b, payments.LanePeople, 50)
		time.Sleep(5 * time.Second)
		b.share(4)
		time.Sleep(5 * time.Second)
		b.share(0) // nobody is counted, not even we: we are there all the same
		time.Sleep(5 * time.Second)
		for _, tt := range []struct {
			from time.Duration
			want int
		}{{time.Second, 320}, {6 * time.Second, 80}, {11 * time.Second, 320}} {
			if n := out.within(payments.LanePeople, start, tt.from, tt.from+4*time.Second); n < tt.want-2 || n > tt.want+2 {
				t.Errorf("in four seconds from %v: %d requests, want %d", tt.from, n, tt.want)
			}
		}
		b.adapt(true, b.refusals)
		b.share(2)
		if u := b.usage(); u.Ceiling != 40 || u.Rate < 19 || u.Rate > 21 || u.Replicas != 2 {
			t.Errorf("halved and then shared by two: %+v, want about 20 of 40", u)
		}
	})
}

func TestASmallShareStillLetsWorkersPass(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		out := &wire{}
		b := newBudget(out, 2)
		b.share(4)
		start := time.Now()
		flood(ctx, b, payments.LaneBacklog, 3)
		time.Sleep(100 * time.Second)
		if n := out.within(payments.LaneBacklog, start, 0, 100*time.Second); n < 29 || n > 32 {
			t.Errorf("%d requests in a hundred seconds at half a request a second, want 60 %% of 50", n)
		}
	})
}

func TestWhoLeavesWhileWaitingHasSpentNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &wire{}
		b := newBudget(out, 4) // one at once, then one each quarter of a second
		start := time.Now()
		if _, err := ask(t.Context(), b, payments.LanePeople); err != nil {
			t.Fatal(err)
		}
		impatient, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		var crowd sync.WaitGroup
		for range 20 {
			crowd.Go(func() {
				if _, err := ask(impatient, b, payments.LanePeople); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("who leaves hears %v", err)
				}
			})
		}
		crowd.Wait()
		if _, err := ask(t.Context(), b, payments.LanePeople); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(start); waited > 251*time.Millisecond {
			t.Errorf("behind twenty who left, the next one waited %v, want a quarter of a second", waited)
		}
		if u := b.usage(); u.Sent[payments.LanePeople] != 2 || u.Waiting[payments.LanePeople] != 0 {
			t.Errorf("usage = %+v, want two sent and nobody waiting", u)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		time.Sleep(time.Second)
		if _, err := ask(gone, b, payments.LanePeople); !errors.Is(err, context.Canceled) || b.usage().Sent[payments.LanePeople] != 2 {
			t.Errorf("who had left before asking hears %v", err)
		}
	})
}

func TestAGrantThatNobodyTakesIsGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, lane := range payments.Lanes() {
			b := newBudget(nil, 1)
			granted := &ticket{lane: lane, granted: make(chan struct{})}
			b.mu.Lock()
			b.waiting[lane] = append(b.waiting[lane], granted)
			b.serve()
			<-granted.granted
			b.leave(granted) // it left in the moment in which it was let go
			all, workers := b.all, b.workers
			b.mu.Unlock()
			if all != 1 || workers != 1 {
				t.Errorf("in lane %v %v and %v are left, want 1 and 1", lane, all, workers)
			}
		}
	})
}

func TestARequestIsTimedFromWhenItIsSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(&slow{&wire{}}, 1)
		var crowd sync.WaitGroup
		for range 30 { // the last one waits longer than a request may take
			crowd.Go(func() {
				if _, err := ask(t.Context(), b, payments.LanePeople); err != nil {
					t.Error(err)
				}
			})
		}
		crowd.Wait()
		start := time.Now()
		if _, err := ask(t.Context(), newBudget(never{}, 1), payments.LanePeople); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != requestTimeout {
			t.Errorf("a request that nobody answers ends after %v with %v", time.Since(start), err)
		}
	})
}

// never answers nothing.
type never struct{}

func (never) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

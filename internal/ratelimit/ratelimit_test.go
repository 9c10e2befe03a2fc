package ratelimit_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/promptforge/payments/db/dbtest"
	"github.com/promptforge/payments/internal/ratelimit"
)

var noon = time.Date(2026, 3, 10, 12, 0, 10, 0, time.UTC)

func TestParseRate(t *testing.T) {
	if r, err := ratelimit.ParseRate("10/m"); err != nil || r != (ratelimit.Rate{N: 10, Per: time.Minute}) {
		t.Errorf("rate = %v, %v", r, err)
	}
	for _, bad := range []string{"", "10", "10/", "/m", "0/m", "-1/m", "ten/m", "10/d", "1.5/m", "10/m/m"} {
		if _, err := ratelimit.ParseRate(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// limiters are both kinds on a clock that the test turns.
func limiters(t *testing.T) (map[string]ratelimit.Limiter, *time.Time) {
	now := noon
	clock := func() time.Time { return now }
	return map[string]ratelimit.Limiter{
		"shared": &ratelimit.Shared{Pool: dbtest.New(t), Now: clock},
		"local":  &ratelimit.Local{Now: clock},
	}, &now
}

func TestAllowCountsByKeyAndWindow(t *testing.T) {
	t.Parallel()
	all, now := limiters(t)
	rate := ratelimit.Rate{N: 3, Per: time.Minute}
	for name, l := range all {
		*now = noon
		for i, want := range []bool{true, true, true, false, false} {
			ok, retry, err := l.Allow(t.Context(), "ada", rate)
			if err != nil || ok != want {
				t.Errorf("%s: request %d allowed = %v, %v; want %v", name, i+1, ok, err, want)
			}
			if retry != 50*time.Second {
				t.Errorf("%s: retry after %v, want the 50 s until the next minute", name, retry)
			}
		}
		if ok, _, _ := l.Allow(t.Context(), "grace", rate); !ok {
			t.Errorf("%s: one key's requests count for another", name)
		}
		*now = noon.Add(time.Minute)
		if ok, _, _ := l.Allow(t.Context(), "ada", rate); !ok {
			t.Errorf("%s: the next minute does not begin anew", name)
		}
	}
}

func TestSharedLetsExactlyTheRatePassAtOnce(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	replicas := []*ratelimit.Shared{
		{Pool: pool, Now: func() time.Time { return noon }},
		{Pool: pool, Now: func() time.Time { return noon }},
	}
	var passed atomic.Int64
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			ok, _, err := replicas[i%2].Allow(t.Context(), "ada", ratelimit.Rate{N: 10, Per: time.Minute})
			if err != nil {
				t.Error(err)
			}
			if ok {
				passed.Add(1)
			}
		})
	}
	all.Wait()
	if passed.Load() != 10 {
		t.Errorf("%d of 100 passed, want 10", passed.Load())
	}
}

func TestAReplicaWhoseClockIsBehindDoesNotReopenAWindow(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	ahead := &ratelimit.Shared{Pool: pool, Now: func() time.Time { return noon.Add(time.Minute) }}
	behind := &ratelimit.Shared{Pool: pool, Now: func() time.Time { return noon }}
	rate := ratelimit.Rate{N: 1, Per: time.Minute}
	if ok, _, _ := ahead.Allow(t.Context(), "ada", rate); !ok {
		t.Fatal("the first request is refused")
	}
	if ok, _, _ := behind.Allow(t.Context(), "ada", rate); ok {
		t.Error("a clock that is behind opened the window again")
	}
}

func TestSharedSaysWhenItCannotCount(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	s := &ratelimit.Shared{Pool: pool, Now: func() time.Time { return noon }}
	pool.Close()
	if ok, _, err := s.Allow(t.Context(), "ada", ratelimit.Rate{N: 1, Per: time.Minute}); ok || err == nil {
		t.Errorf("allowed = %v, error = %v; want a refusal with an error", ok, err)
	}
}

func TestCleanupForgetsOnlyWhatIsLongPast(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	now := noon
	s := &ratelimit.Shared{Pool: pool, Now: func() time.Time { return now }}
	rate := ratelimit.Rate{N: 1, Per: time.Hour}
	_, _, _ = s.Allow(t.Context(), "old", rate)
	now = noon.Add(4 * time.Hour)
	_, _, _ = s.Allow(t.Context(), "new", rate)
	if err := s.Cleanup(t.Context()); err != nil {
		t.Fatal(err)
	}
	var left int
	if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM rate_limits`).Scan(&left); err != nil || left != 1 {
		t.Errorf("%d windows are left (%v), want the new one", left, err)
	}
}

func TestLocalForgetsRatherThanFillTheMemory(t *testing.T) {
	t.Parallel()
	now := noon
	l := &ratelimit.Local{Now: func() time.Time { return now }}
	rate := ratelimit.Rate{N: 1, Per: time.Hour}
	for i := range ratelimit.MaxWindows + 1000 {
		if ok, _, _ := l.Allow(t.Context(), strconv.Itoa(i), rate); !ok {
			t.Fatalf("the first request of key %d is refused", i)
		}
	}
	if n := l.Windows(); n != ratelimit.MaxWindows {
		t.Errorf("%d windows are remembered, want %d", n, ratelimit.MaxWindows)
	}
	_, _, _ = l.Allow(t.Context(), "ada", rate)
	if ok, _, _ := l.Allow(t.Context(), "ada", rate); ok {
		t.Error("in a flood, nobody is limited any more")
	}
	now = noon.Add(time.Hour)
	_, _, _ = l.Allow(t.Context(), "ada", rate)
	if n := l.Windows(); n != 1 {
		t.Errorf("after the hour %d windows are remembered, want the new one", n)
	}
}

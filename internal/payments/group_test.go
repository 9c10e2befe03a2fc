package payments

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// ledgerOf is a write that remembers its batches and can be held up.
type ledgerOf struct {
	mu      sync.Mutex
	batches [][]int
	// isHeld makes each write wait for one value of gate.
	isHeld bool
	gate   chan struct{}
	fail   func([]int) error
}

func (l *ledgerOf) write(ctx context.Context, items []int) error {
	if l.isHeld {
		select {
		case <-l.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.batches = append(l.batches, slices.Clone(items))
	if l.fail != nil {
		return l.fail(items)
	}
	return nil
}

var errBad = errors.New("seven is refused")

// refuseSeven is a database that one item spoils the batch for.
func refuseSeven(items []int) error {
	if slices.Contains(items, 7) {
		return errBad
	}
	return nil
}

func newGroup(l *ledgerOf) *group[int] {
	l.gate = make(chan struct{})
	return &group[int]{
		write: l.write, flushers: 2, maxItems: 10, patience: time.Minute, isolates: func(err error) bool { return errors.Is(err, errBad) },
	}
}

// start calls do for each item, in order, and answers their errors later.
func start(t *testing.T, g *group[int], items ...int) (wait func() []error) {
	t.Helper()
	errs := make([]error, len(items))
	var all sync.WaitGroup
	for i, item := range items {
		all.Go(func() { errs[i] = g.do(t.Context(), item) })
		synctest.Wait()
	}
	return func() []error { all.Wait(); return errs }
}

func upTo(first, last int) []int {
	var out []int
	for i := first; i <= last; i++ {
		out = append(out, i)
	}
	return out
}

func wantBatches(t *testing.T, l *ledgerOf, want string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if got := fmt.Sprint(l.batches); got != want {
		t.Errorf("batches = %s, want %s", got, want)
	}
}

func TestAloneAnItemIsWrittenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledgerOf{}
		g := newGroup(l)
		began := time.Now()
		for i := range 3 {
			if err := g.do(t.Context(), i); err != nil {
				t.Fatal(err)
			}
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("three items waited %s", waited)
		}
		wantBatches(t, l, "[[0] [1] [2]]")
	})
}

func TestWhoArrivesDuringAWriteGoesWithTheNextInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledgerOf{isHeld: true}
		g := newGroup(l)
		wait := start(t, g, upTo(1, 18)...)
		// 1 and 2 are being written by the two flushers, ten go with the next.
		for range 4 {
			l.gate <- struct{}{}
			synctest.Wait()
		}
		for _, err := range wait() {
			if err != nil {
				t.Error(err)
			}
		}
		var sizes []string
		var written []int
		for _, batch := range l.batches {
			sizes = append(sizes, fmt.Sprint(len(batch)))
			written = append(written, batch...)
			if !slices.IsSorted(batch) {
				t.Errorf("batch %v is out of order", batch)
			}
		}
		if got := strings.Join(sizes, " "); got != "1 1 10 6" {
			t.Errorf("batches of %s, want 1 1 10 6", got)
		}
		if slices.Sort(written); !slices.Equal(written, upTo(1, 18)) {
			t.Errorf("written %v", written)
		}
	})
}

func TestOneBadItemFailsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledgerOf{isHeld: true, fail: refuseSeven}
		g := newGroup(l)
		g.flushers = 1
		wait := start(t, g, upTo(5, 9)...) // 5 alone, then 6 to 9 together
		close(l.gate)
		errs := wait()
		for i, err := range errs {
			if item := i + 5; errors.Is(err, errBad) != (item == 7) {
				t.Errorf("item %d: %v", item, err)
			}
		}
		wantBatches(t, l, "[[5] [6 7 8 9] [6] [7] [8] [9]]")
	})
}

func TestAFailureThatIsNobodysIsEverybodys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := errors.New("the database is away")
		l := &ledgerOf{isHeld: true, fail: func([]int) error { return away }}
		g := newGroup(l)
		g.flushers = 1
		wait := start(t, g, 1, 2, 3)
		close(l.gate)
		for i, err := range wait() {
			if !errors.Is(err, away) {
				t.Errorf("item %d: %v", i+1, err)
			}
		}
		wantBatches(t, l, "[[1] [2 3]]")
	})
}

func TestWhoHangsUpTakesNobodyWithHim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledgerOf{isHeld: true}
		g := newGroup(l)
		g.flushers = 1
		ctx, hangUp := context.WithCancel(t.Context())
		left := make(chan error, 2)
		go func() { left <- g.do(ctx, 1) }()
		synctest.Wait()
		go func() { left <- g.do(ctx, 2) }()
		synctest.Wait()
		wait := start(t, g, 3)
		hangUp()
		for range 2 {
			if err := <-left; !errors.Is(err, context.Canceled) {
				t.Errorf("who hung up hears %v", err)
			}
		}
		close(l.gate)
		if err := wait()[0]; err != nil {
			t.Errorf("who stayed hears %v", err)
		}
		wantBatches(t, l, "[[1] [2 3]]")
		if err := g.do(ctx, 4); !errors.Is(err, context.Canceled) {
			t.Errorf("who had left before is taken in: %v", err)
		}
		g.drain()
		wantBatches(t, l, "[[1] [2 3]]")
	})
}

func TestAWriteIsCutByBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledgerOf{isHeld: true}
		g := newGroup(l)
		g.flushers, g.maxBytes, g.size = 1, 100, func(item int) int64 { return int64(item) }
		wait := start(t, g, 1, 60, 40, 1, 300, 2)
		close(l.gate)
		wait()
		// 300 is more than a write may have, and goes alone.
		wantBatches(t, l, "[[1] [60 40] [1] [300] [2]]")
	})
}

func TestWhatWaitsIsBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledgerOf{isHeld: true}
		g := newGroup(l)
		g.flushers, g.maxHeld, g.size = 1, 100, func(item int) int64 { return int64(item) }
		wait := start(t, g, 50, 30, 20)
		if err := g.do(t.Context(), 1); !errors.Is(err, errFull) {
			t.Errorf("beyond the bound: %v, want errFull", err)
		}
		close(l.gate)
		for _, err := range wait() {
			if err != nil {
				t.Error(err)
			}
		}
		g.drain()
		if err := g.do(t.Context(), 100); err != nil {
			t.Errorf("once all is written: %v", err)
		}
	})
}

func TestAWriteEndsWithItsPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledgerOf{isHeld: true}
		g := newGroup(l)
		began := time.Now()
		if err := g.do(t.Context(), 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error = %v", err)
		}
		if took := time.Since(began); took != time.Minute {
			t.Errorf("it took %s, want the patience", took)
		}
	})
}

func TestAPanicIsTheFailureOfItsWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledgerOf{isHeld: true, fail: func(items []int) error {
			if slices.Contains(items, 7) {
				panic("seven")
			}
			return nil
		}}
		g := newGroup(l)
		g.flushers, g.isolates = 1, func(error) bool { return true }
		wait := start(t, g, 6, 7, 8)
		close(l.gate)
		errs := wait()
		if errs[0] != nil || errs[2] != nil || errs[1] == nil || !strings.Contains(errs[1].Error(), "panic while writing: seven") {
			t.Errorf("errors = %v", errs)
		}
	})
}

func TestDrainWaitsForAllThatCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledgerOf{isHeld: true}
		g := newGroup(l)
		g.drain() // nothing has come
		ctx, hangUp := context.WithCancel(t.Context())
		for i := range 15 {
			go func() { _ = g.do(ctx, i) }()
			synctest.Wait()
		}
		hangUp() // nobody waits for them any more
		var drained atomic.Int64
		for range 3 {
			go func() { g.drain(); drained.Add(1) }()
		}
		synctest.Wait()
		if drained.Load() != 0 {
			t.Fatal("drained before anything was written")
		}
		close(l.gate)
		synctest.Wait()
		n := 0
		for _, batch := range l.batches {
			n += len(batch)
		}
		if drained.Load() != 3 || n != 15 {
			t.Errorf("%d of 3 drained with %d of 15 written", drained.Load(), n)
		}
	})
}

// TestAGroupUnderLoad: many callers, some of whom leave, some of whose items
// are bad; each hears of its own item and every item is written as often as its
// callers think.
func TestAGroupUnderLoad(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	stored := map[int]int{}
	var writing, most atomic.Int64
	g := &group[int]{
		flushers: 2, maxItems: 32, maxBytes: 400, size: func(int) int64 { return 20 }, patience: time.Minute,
		isolates: func(err error) bool { return errors.Is(err, errBad) },
		write: func(_ context.Context, items []int) error {
			if n := writing.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer writing.Add(-1)
			if len(items) > 20 {
				t.Errorf("a write of %d items is over its bytes", len(items))
			}
			time.Sleep(time.Duration(len(items)) * 10 * time.Microsecond)
			if slices.ContainsFunc(items, func(i int) bool { return i%100 == 7 }) {
				return errBad
			}
			mu.Lock()
			defer mu.Unlock()
			for _, item := range items {
				stored[item]++
			}
			return nil
		},
	}
	const callers, each = 64, 100
	var all sync.WaitGroup
	var unknown sync.Map // items whose caller left
	for caller := range callers {
		all.Go(func() {
			for i := range each {
				item := caller*each + i
				ctx, cancel := context.WithCancel(t.Context())
				if item%13 == 0 {
					time.AfterFunc(50*time.Microsecond, cancel)
				}
				err := g.do(ctx, item)
				cancel()
				switch isBad := item%100 == 7; {
				case errors.Is(err, context.Canceled):
					unknown.Store(item, true)
				case isBad != errors.Is(err, errBad), !isBad && err != nil:
					t.Errorf("item %d: %v", item, err)
				}
			}
		})
	}
	all.Wait()
	g.drain()
	mu.Lock()
	defer mu.Unlock()
	for item := range callers * each {
		_, isUnknown := unknown.Load(item)
		switch n := stored[item]; {
		case item%100 == 7 && n != 0:
			t.Errorf("bad item %d is stored", item)
		case item%100 != 7 && n != 1 && (!isUnknown || n > 1):
			t.Errorf("item %d is stored %d times", item, n)
		}
	}
	if most.Load() != 2 || g.held != 0 || g.flushing != 0 || len(g.waiting) != 0 {
		t.Errorf("%d writes at once, %d bytes held, %d flushers, %d waiting at the end", most.Load(), g.held, g.flushing, len(g.waiting))
	}
}

package payments

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// group gathers what concurrent callers want written into few writes. Whoever
// arrives while a write is under way goes with the next one; alone, an item is
// written at once. No timer takes part, so that nobody waits for company.
//
// The fields above the lock are set before first use.
type group[T any] struct {
	// write writes all items or none; it runs in at most flushers goroutines at
	// once, its context is nobody's but its own, and it may reorder its slice.
	write    func(context.Context, []T) error
	flushers int
	// maxItems and maxBytes bound one write, which has one item at least; size
	// is what an item counts for. Zero bytes are no bound.
	maxItems int
	maxBytes int64
	size     func(T) int64
	// maxHeld bounds the bytes of all items that are not written yet, so that a
	// database that is slow or away does not fill the memory. Zero is no bound.
	maxHeld int64
	// patience is how long one write may take.
	patience time.Duration
	// isolates reports whether a write of several may have failed for the sake
	// of one: then each is tried by itself.
	isolates func(error) bool

	mu       sync.Mutex
	waiting  []*waiter[T]
	held     int64         // bytes of what waits or is being written
	flushing int           // goroutines that write
	idle     chan struct{} // closed once nobody writes; nil while nobody waits for that
}

// waiter is an item on its way.
type waiter[T any] struct {
	item T
	done chan error // has room for the one answer: the caller may be gone
}

// errFull says that more is waiting to be written than may.
var errFull = errors.New("too much is waiting to be written")

// do returns once the item is written or cannot be. A caller whose context ends
// gets its error at once, and the item is written all the same.
func (g *group[T]) do(ctx context.Context, item T) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &waiter[T]{item: item, done: make(chan error, 1)}
	if !g.join(w) {
		return errFull
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *group[T]) join(w *waiter[T]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	bytes := g.sizeOf(w)
	if g.maxHeld > 0 && g.held+bytes > g.maxHeld {
		return false
	}
	g.held += bytes
	g.waiting = append(g.waiting, w)
	if g.flushing < g.flushers {
		g.flushing++
		go g.flush()
	}
	return true
}

func (g *group[T]) sizeOf(w *waiter[T]) int64 {
	if g.size == nil {
		return 0
	}
	return g.size(w.item)
}

// flush writes until nothing waits any more.
func (g *group[T]) flush() {
	for batch := g.next(); batch != nil; batch = g.next() {
		g.settle(batch)
		g.release(batch)
	}
}

// next takes what goes with one write, in order of arrival; nil ends the
// flusher.
func (g *group[T]) next() []*waiter[T] {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		g.flushing--
		if g.flushing == 0 && g.idle != nil {
			close(g.idle)
			g.idle = nil
		}
		return nil
	}
	var bytes int64
	n := 0
	for n < len(g.waiting) && n < max(g.maxItems, 1) {
		bytes += g.sizeOf(g.waiting[n])
		if n > 0 && g.maxBytes > 0 && bytes > g.maxBytes {
			break
		}
		n++
	}
	batch := append([]*waiter[T](nil), g.waiting[:n]...)
	rest := copy(g.waiting, g.waiting[n:])
	clear(g.waiting[rest:])
	g.waiting = g.waiting[:rest]
	return batch
}

func (g *group[T]) release(batch []*waiter[T]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, w := range batch {
		g.held -= g.sizeOf(w)
	}
}

// settle writes a batch and tells each caller what became of its item.
func (g *group[T]) settle(batch []*waiter[T]) {
	items := make([]T, len(batch))
	for i, w := range batch {
		items[i] = w.item
	}
	err := g.attempt(items)
	isOnesFault := err != nil && len(batch) > 1 && g.isolates != nil && g.isolates(err)
	for _, w := range batch {
		if isOnesFault {
			err = g.attempt([]T{w.item})
		}
		w.done <- err
	}
}

// attempt is one write. A panic in it is its failure: the goroutine is nobody's
// request, and one item must not end the process.
func (g *group[T]) attempt(items []T) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), g.patience)
	defer cancel()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic while writing: %v\n%s", r, debug.Stack())
		}
	}()
	return g.write(ctx, items)
}

// drain returns once all that has come is written or has failed. It is for who
// has seen to it that nothing more comes.
func (g *group[T]) drain() {
	g.mu.Lock()
	if g.flushing == 0 {
		g.mu.Unlock()
		return
	}
	if g.idle == nil {
		g.idle = make(chan struct{})
	}
	idle := g.idle
	g.mu.Unlock()
	<-idle
}

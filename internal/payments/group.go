package payments

import (
	"context"
	"sync"
	"time"
)

// group lets concurrent callers share a write: who comes while one is under way
// goes with the next. There is no timer; alone, an item is written at once.
type group[T any] struct {
	// write writes all items or none.
	write func(context.Context, []T) error
	// flushers is how many writes may be under way at once, maxItems and
	// maxBytes how much one of them takes; an item larger than maxBytes goes
	// alone. A maxBytes of 0 is no limit.
	flushers, maxItems int
	maxBytes           int64
	size               func(T) int64
	// patience is how long a write may take. Its context is its own: who hangs
	// up takes nobody with them.
	patience time.Duration
	// isolates says of a failed write of several items that one of them may be
	// the reason, so that each is tried by itself.
	isolates func(error) bool

	mu      sync.Mutex
	waiting []*member[T]
	writing int
}

type member[T any] struct {
	item T
	done chan error // holds one
}

// do writes an item and waits for the end. A caller whose context ends leaves,
// and the item is written all the same.
func (g *group[T]) do(ctx context.Context, item T) error {
	m := &member[T]{item: item, done: make(chan error, 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, m)
	starts := g.writing < g.flushers
	if starts {
		g.writing++
	}
	g.mu.Unlock()
	if starts {
		go g.flush(context.WithoutCancel(ctx))
	}
	select {
	case err := <-m.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// flush writes until nobody waits.
func (g *group[T]) flush(ctx context.Context) {
	for {
		members := g.next()
		if len(members) == 0 {
			return
		}
		g.writeAll(ctx, members)
	}
}

// next takes what goes together; with nothing to take, the flusher ends.
func (g *group[T]) next() []*member[T] {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, bytes := 0, int64(0)
	for n < len(g.waiting) && n < g.maxItems {
		if g.size != nil {
			bytes += g.size(g.waiting[n].item)
		}
		if n > 0 && g.maxBytes > 0 && bytes > g.maxBytes {
			break
		}
		n++
	}
	members := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	if n == 0 {
		g.writing--
		g.waiting = nil // lets go of what it held
	}
	return members
}

func (g *group[T]) writeAll(ctx context.Context, members []*member[T]) {
	items := make([]T, len(members))
	for i, m := range members {
		items[i] = m.item
	}
	err := g.writeOnce(ctx, items)
	if err == nil || len(members) == 1 || !g.isolates(err) {
		for _, m := range members {
			m.done <- err
		}
		return
	}
	for i, m := range members {
		m.done <- g.writeOnce(ctx, items[i:i+1])
	}
}

func (g *group[T]) writeOnce(ctx context.Context, items []T) error {
	ctx, cancel := context.WithTimeout(ctx, g.patience)
	defer cancel()
	return g.write(ctx, items)
}

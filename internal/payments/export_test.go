package payments

import (
	"context"
	"sync/atomic"
)

// WriteOneByOne gives each subject a transaction of its own, as many at once as
// there are workers.
func (p *Payments) WriteOneByOne() { p.writes.maxItems, p.writes.flushers = 1, workers }

// StoreOneByOne gives each delivery a commit of its own, as many at once as the
// pool has connections.
func (p *Payments) StoreOneByOne() { p.arrivals.maxItems, p.arrivals.flushers = 1, 1<<20 }

// CountCommits counts those of the intake from now on.
func (p *Payments) CountCommits() *atomic.Int64 {
	var n atomic.Int64
	write := p.arrivals.write
	p.arrivals.write = func(ctx context.Context, batch []incoming) error {
		n.Add(1)
		return write(ctx, batch)
	}
	return &n
}

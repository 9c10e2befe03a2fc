package payments

import (
	"context"
	"time"
)

type group[T any] struct {
	write              func(context.Context, []T) error
	flushers, maxItems int
	patience           time.Duration
	isolates           func(error) bool
}

func (g *group[T]) do(ctx context.Context, item T) error { return g.write(ctx, []T{item}) }

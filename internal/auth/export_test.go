package auth

import "context"

// Occupy takes every core's turn to hash until release is called.
func (a *Auth) Occupy(ctx context.Context) (release func(), err error) {
	n := int64(0)
	for a.hasher.cores.TryAcquire(1) {
		n++
	}
	return func() { a.hasher.cores.Release(n) }, ctx.Err()
}

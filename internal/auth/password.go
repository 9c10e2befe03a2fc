package auth

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/alexedwards/argon2id"
	"golang.org/x/sync/semaphore"
)

// ErrBusy says that too many passwords are being checked; the caller answers
// 503 and asks to try again in a moment.
var ErrBusy = errors.New("too many passwords are being checked")

// params follow OWASP's second recommendation for argon2id. More memory would
// let a crowd of log-ins exhaust the machine: 500 at once at 64 MiB are 32 GiB.
var params = &argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

const hashPatience = 5 * time.Second

// hasher lets one hash a core be made at a time.
type hasher struct {
	cores *semaphore.Weighted
	// nobody is the hash that an unknown address is checked against, so that
	// it takes as long as a known one.
	nobody string
}

func newHasher() *hasher {
	nobody, err := argon2id.CreateHash("nobody has this password", params)
	if err != nil {
		panic(err) // no randomness: nothing is safe
	}
	return &hasher{cores: semaphore.NewWeighted(int64(runtime.GOMAXPROCS(0))), nobody: nobody}
}

func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	if err := h.wait(ctx); err != nil {
		return "", err
	}
	defer h.cores.Release(1)
	hash, err := argon2id.CreateHash(password, params)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return hash, nil
}

// matches compares with a hash; with none it does the same work and says no.
func (h *hasher) matches(ctx context.Context, password, hash string) (bool, error) {
	known := hash != ""
	if !known {
		hash = h.nobody
	}
	if err := h.wait(ctx); err != nil {
		return false, err
	}
	defer h.cores.Release(1)
	matches, err := argon2id.ComparePasswordAndHash(password, hash)
	if err != nil {
		return false, fmt.Errorf("compare password: %w", err)
	}
	return matches && known, nil
}

func (h *hasher) wait(ctx context.Context) error {
	patient, cancel := context.WithTimeout(ctx, hashPatience)
	defer cancel()
	if h.cores.Acquire(patient, 1) == nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err // the one who asked has gone
	}
	return ErrBusy
}

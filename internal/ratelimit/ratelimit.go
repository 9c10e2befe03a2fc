// Package ratelimit counts requests: in Postgres what replicas must share, in
// memory what each may count for itself.
//
// Windows are fixed: a rate of 10/m allows ten requests in each minute of the
// clock, so at worst twice that across the turn of a minute.
package ratelimit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/db"
)

// Rate is a number of requests in a window.
type Rate struct {
	N   int
	Per time.Duration
}

var units = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}

// ParseRate reads "10/m": a whole number above 0 and s, m or h.
func ParseRate(s string) (Rate, error) {
	number, unit, _ := strings.Cut(s, "/")
	n, err := strconv.Atoi(number)
	per, ok := units[unit]
	if err != nil || n < 1 || !ok {
		return Rate{}, errors.New("a rate is a number above 0, a slash, and s, m or h: 10/m")
	}
	return Rate{N: n, Per: per}, nil
}

// Limiter is a Shared or a Local.
type Limiter interface {
	// Allow counts a request of the key. Where it is one too many, retryAfter
	// is how long until the next window. An error means that nothing was
	// counted: what guards log-ins and payments then refuses with 503, because
	// an attacker who can bring the store down must not be let through.
	Allow(ctx context.Context, key string, r Rate) (ok bool, retryAfter time.Duration, err error)
}

// Shared counts in Postgres, for all replicas together.
type Shared struct {
	Pool *pgxpool.Pool
	// Now is the machine's clock.
	Now func() time.Time
}

// Allow counts in one statement, so two replicas never let the same one by.
func (s *Shared) Allow(ctx context.Context, key string, r Rate) (bool, time.Duration, error) {
	now := s.Now()
	row, err := db.New(s.Pool).CountRequest(ctx, db.CountRequestParams{Key: digest(key, r), WindowStart: now.Truncate(r.Per)})
	if err != nil {
		return false, 0, fmt.Errorf("count request: %w", err)
	}
	return int(row.Count) <= r.N, row.WindowStart.Add(r.Per).Sub(now), nil
}

// Cleanup forgets windows long past.
func (s *Shared) Cleanup(ctx context.Context) error {
	if err := db.New(s.Pool).ForgetRequests(ctx, s.Now().Add(-2*time.Hour)); err != nil {
		return fmt.Errorf("forget old requests: %w", err)
	}
	return nil
}

// digest bounds the key's length and keeps addresses out of the table.
func digest(key string, r Rate) string {
	sum := sha256.Sum256([]byte(key))
	return fmt.Sprintf("%s:%d/%s", hex.EncodeToString(sum[:16]), r.N, r.Per)
}

// maxWindows bounds what Local remembers, to some 15 MB: an hour's window of a
// crowd that changes its address all the time must not fill the memory.
const maxWindows = 100_000

// Local counts in memory, for this process alone. The zero value needs Now.
type Local struct {
	Now func() time.Time

	mu      sync.Mutex
	windows map[string]window
	swept   time.Time
}

type window struct {
	start time.Time
	per   time.Duration
	count int
}

// Allow never fails.
func (l *Local) Allow(_ context.Context, key string, r Rate) (bool, time.Duration, error) {
	now := l.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(now)
	key = digest(key, r)
	w, known := l.windows[key]
	if !known && len(l.windows) >= maxWindows {
		l.evict()
	}
	if start := now.Truncate(r.Per); !w.start.Equal(start) {
		w = window{start: start, per: r.Per}
	}
	w.count++
	l.windows[key] = w
	return w.count <= r.N, w.start.Add(r.Per).Sub(now), nil
}

// sweep drops windows that are over, once a minute, so that memory follows the
// number of callers of the last window and not of all time.
func (l *Local) sweep(now time.Time) {
	if l.windows == nil {
		l.windows = map[string]window{}
	}
	if now.Sub(l.swept) < time.Minute {
		return
	}
	l.swept = now
	for key, w := range l.windows {
		if now.Sub(w.start) >= w.per {
			delete(l.windows, key)
		}
	}
}

// evict drops any one window. Whose it was is forgiven what it counted, which a
// limit on reading can bear; looking for the oldest would take time in a flood.
func (l *Local) evict() {
	for key := range l.windows {
		delete(l.windows, key)
		return
	}
}

// Package stripesim is the Stripe stand-in: an HTTP server with state that
// speaks Stripe's API of 2023-10-16, shows a hosted checkout page and delivers
// signed webhooks, so that the product can be run and proved without an account
// anywhere.
//
// It judges our payment code and must not mirror it: it imports nothing of
// ours and no Stripe library, checks parameters against its own list and signs
// with its own HMAC. What it answers is held to Stripe's OpenAPI document and
// what it accepts to stripe-mock, in the tests.
//
// It lives in a time of its own, which passes like any other and can be moved
// ahead: what falls due on the way happens, each at its own moment.
//
// It plays the part of Stripe that this product uses. A parameter that Stripe
// knows and the stand-in does not is refused, never ignored.
package stripesim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// APIVersion is the one version of Stripe's API that is spoken here.
const APIVersion = "2023-10-16"

// Config is what a Server needs to know.
type Config struct {
	// Dir is the folder that the state is kept in; it is created. Empty means
	// in memory only.
	Dir string
	// SecretKey is the test key (sk_test_…) that every API request must show.
	SecretKey string
	// PublicURL is the base of the hosted pages' addresses, such as
	// http://127.0.0.1:8081.
	PublicURL string
	// DashboardURL is where the product shows its figures: the home page, on which
	// the clock is moved, links to it. Empty: nowhere.
	DashboardURL string
	// Now is what the business clock runs by: what objects and events are dated
	// by is this and what the clock was moved by, see Server.Now. The default is
	// the machine's clock.
	Now func() time.Time
	// Start is the business time at which an empty state begins. The default is
	// Now.
	Start time.Time
	// MachineNow is the clock of signatures, retries and idempotency keys. The
	// default is the machine's clock, and only tests have a reason to say
	// otherwise.
	MachineNow func() time.Time
	// Logger is told about deliveries that fail and faults of the stand-in
	// itself. The default is silence.
	Logger *slog.Logger
	// RetrySchedule is how long a delivery waits after its first, second, …
	// failure before it is tried again. The default stretches over three days.
	RetrySchedule []time.Duration
	// DunningRetries is how long an invoice waits after its first, second, …
	// failed payment before it is tried again. The default is 3, 5 and 7 days.
	DunningRetries []time.Duration
	// AfterRetries is what becomes of the subscription when the last of them
	// has failed. The default is that it is canceled.
	AfterRetries AfterRetries
}

// Server is the stand-in. Its Handler may be served by any number of listeners.
type Server struct {
	cfg       Config
	publicURL string

	offset    atomic.Int64           // of the business clock in nanoseconds, written under mu
	advancing chan struct{}          // holds one element while the clock is moved
	held      atomic.Pointer[string] // why requests cannot move the clock, nil while they can

	mu       sync.Mutex // guards everything below
	store    *store
	journal  *journal
	inflight map[string]bool // idempotency keys of requests under way
	closed   bool
	lived    time.Time      // the business time of the latest change
	rounds   map[string]int // how many times in a row a record has stayed due, by its key
	swept    int64          // the day on which old events were last forgotten
	passage  *passage       // what happens while the clock is moved, else nil

	deliveries *deliverer
	background sync.WaitGroup
	stop       context.CancelFunc
}

var errClosed = errors.New("stripe stand-in is closed")

// Open loads the state of cfg.Dir and takes up the deliveries that were due.
// It fails when the folder is in use by another process, and on a key that is
// not a test key.
func Open(cfg Config) (*Server, error) {
	cfg = withDefaults(cfg)
	if err := checkConfig(cfg); err != nil {
		return nil, err
	}
	s := &Server{
		cfg:       cfg,
		publicURL: strings.TrimRight(cfg.PublicURL, "/"),
		store:     newStore(),
		inflight:  map[string]bool{},
		rounds:    map[string]int{},
		advancing: make(chan struct{}, 1),
	}
	var err error
	s.journal, err = openJournal(cfg.Dir, func(line journalLine) {
		for _, r := range line.Writes {
			s.apply(r)
		}
	})
	if err != nil {
		return nil, err
	}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(err, s.journal.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.deliveries = newDeliverer(ctx, s)
	s.deliveries.resume()
	s.background.Go(func() { s.tickTock(ctx) })
	return s, nil
}

func withDefaults(cfg Config) Config {
	machine := time.Now //nolint:forbidigo // the default of the clock fields
	if cfg.Now == nil {
		cfg.Now = machine
	}
	if cfg.MachineNow == nil {
		cfg.MachineNow = machine
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.RetrySchedule == nil {
		cfg.RetrySchedule = defaultRetries
	}
	if cfg.DunningRetries == nil {
		cfg.DunningRetries = defaultDunning
	}
	if cfg.AfterRetries == "" {
		cfg.AfterRetries = CancelAfterRetries
	}
	return cfg
}

func checkConfig(cfg Config) error {
	if strings.HasPrefix(cfg.SecretKey, "sk_live_") {
		return errors.New("stripe stand-in: a live key has no place here, no money moves; use an sk_test_ key")
	}
	if !strings.HasPrefix(cfg.SecretKey, "sk_test_") || len(cfg.SecretKey) <= len("sk_test_") {
		return errors.New("stripe stand-in: the secret key must begin with sk_test_ and go on")
	}
	switch cfg.AfterRetries {
	case CancelAfterRetries, UnpaidAfterRetries, PastDueAfterRetries:
	default:
		return fmt.Errorf("stripe stand-in: after the retries a subscription may become cancel, unpaid or past_due, not %q", cfg.AfterRetries)
	}
	for _, wait := range cfg.DunningRetries {
		if wait < time.Hour {
			return fmt.Errorf("stripe stand-in: an invoice is tried again after an hour at the earliest, not after %s", wait)
		}
	}
	u, err := url.Parse(cfg.PublicURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("stripe stand-in: public URL %q is not an http address", cfg.PublicURL)
	}
	return nil
}

// prepare brings the loaded state up to date: nothing outdated, each record
// once in the journal, an account to belong to.
func (s *Server) prepare() error {
	s.forgetOldKeys()
	if err := s.journal.compact(s.store.records()); err != nil {
		return err
	}
	s.lived = s.latestEvent()
	t := s.begin(s.Now(), cause{})
	s.startClock(t)
	t.ensureAccount()
	t.postMissing()
	return s.commit(t)
}

// latestEvent is when there was last something to tell: what was due before is
// going to be dated by then.
func (s *Server) latestEvent() time.Time {
	events := s.store.table(kindEvent).order
	if len(events) == 0 {
		return time.Time{}
	}
	return time.Unix(events[len(events)-1].Object.int("created"), 0).UTC()
}

// Close stops the deliveries, waits for those under way to be cut off, and
// flushes the state. Undelivered events are delivered after the next Open.
func (s *Server) Close() error {
	s.mu.Lock()
	already := s.closed
	s.closed = true
	s.mu.Unlock()
	if already {
		return nil
	}
	s.stop()
	s.background.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.journal.Close()
}

// update runs a change under the lock, after what is due by now: fn's writes are
// stored together or, when it answers an error, not at all.
func (s *Server) update(c cause, fn func(t *tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	now := s.Now()
	if err := s.catchUp(now); err != nil {
		return err
	}
	t := s.begin(now, c)
	if err := fn(t); err != nil {
		return err
	}
	return s.commit(t)
}

// begin makes an empty change. The caller holds the lock.
func (s *Server) begin(now time.Time, c cause) *tx {
	return &tx{server: s, now: now, cause: c, index: map[string]*record{}}
}

func (s *Server) commit(t *tx) error {
	if len(t.writes) == 0 {
		return nil
	}
	if err := s.journal.append(t.writes); err != nil {
		return err
	}
	for _, r := range t.writes {
		s.apply(r)
	}
	s.lived = t.now
	for _, id := range t.deliveries {
		s.deliveries.start(id)
	}
	if s.passage != nil {
		s.passage.events += t.events
		s.passage.deliveries = append(s.passage.deliveries, t.deliveries...)
	}
	if s.journal.overgrown() {
		return s.journal.compact(s.store.records())
	}
	return nil
}

// apply makes a written record the current one.
func (s *Server) apply(r *record) {
	s.store.apply(r)
	if r.Kind == kindClock {
		s.offset.Store(r.Object.int("offset"))
	}
}

// Handler answers the API under /v1, the hosted pages under /c, and the
// control routes under /sim.
func (s *Server) Handler() http.Handler {
	return s.routes()
}

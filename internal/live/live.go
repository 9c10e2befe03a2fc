// Package live tells everybody who looks at figures, in every process, that they
// have changed. What it says is a hint and never a figure: who hears it reads.
//
// A process that changed figures notes it, and tells all processes by NOTIFY, at
// most once in 100 ms; each of them listens on a connection of its own. A word
// that is lost costs no more than the time to the next poll.
package live

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/db"
)

const (
	// hush is the least time between two words of a process, so that a thousand
	// changes are ten words and not a thousand.
	hush = 100 * time.Millisecond
	// pollEvery is how often a process looks for itself, which also finds out
	// that its connection is dead.
	pollEvery = 5 * time.Second
	// patience is how long a statement may take.
	patience = 5 * time.Second
	// shortest and longest are the waits before a connection is tried again.
	shortest, longest = 100 * time.Millisecond, 10 * time.Second
)

// Hub is a process's ear and mouth. Make one with New and run it.
type Hub struct {
	// tellURL and listenURL are addresses of the same database. The second one
	// must lead to Postgres itself: a pooler between forgets who listens.
	tellURL, listenURL string
	log                *slog.Logger

	noted    chan struct{}
	stopping chan struct{}
	stop     sync.Once

	mu      sync.Mutex
	version int64
	changed chan struct{}
}

// New returns a hub on a database, by the address that any statement may go to
// and the one that can be listened at; the second is the first where empty.
func New(tellURL, listenURL string, log *slog.Logger) *Hub {
	if listenURL == "" {
		listenURL = tellURL
	}
	return &Hub{
		tellURL: tellURL, listenURL: listenURL, log: log,
		noted: make(chan struct{}, 1), stopping: make(chan struct{}), changed: make(chan struct{}),
	}
}

// Note says that this process may have changed figures. It never blocks.
func (h *Hub) Note() {
	select {
	case h.noted <- struct{}{}:
	default: // it will be told already
	}
}

// Version is the newest version of the figures that this process has heard of;
// 0: none yet. The channel is closed when there is a newer one. Whoever is slow
// misses the versions between, and nobody waits for them.
func (h *Hub) Version() (int64, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.version, h.changed
}

// Stop ends all streams: they must not keep a server from stopping.
func (h *Hub) Stop() { h.stop.Do(func() { close(h.stopping) }) }

// Stopping is closed once Stop was called.
func (h *Hub) Stopping() <-chan struct{} { return h.stopping }

// Run tells and listens until the context ends, which is no error. A database
// that is away is waited for.
func (h *Hub) Run(ctx context.Context) error {
	var both sync.WaitGroup
	both.Go(func() { h.again(ctx, "promptforge tells", h.tellURL, h.tell) })
	both.Go(func() { h.again(ctx, "promptforge listens", h.listenURL, h.listen) })
	both.Wait()
	return nil
}

// again works on a connection, and on a new one whenever that breaks, after
// longer and longer waits while it does so at once.
func (h *Hub) again(ctx context.Context, name, url string, work func(context.Context, *pgx.Conn) error) {
	wait := shortest
	for {
		err := h.connected(ctx, name, url, func(ctx context.Context, conn *pgx.Conn) error {
			wait = shortest
			return work(ctx, conn)
		})
		if ctx.Err() != nil {
			return
		}
		h.log.WarnContext(ctx, "live updates interrupted", "connection", name, "error", err, "retry_in", wait)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, longest)
	}
}

func (h *Hub) connected(ctx context.Context, name, url string, work func(context.Context, *pgx.Conn) error) error {
	connecting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := connect(connecting, name, url)
	if err != nil {
		return err
	}
	defer func() {
		// It may be broken, and the context over: not waited for longer than a moment.
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing)
	}()
	return work(ctx, conn)
}

// connect opens a connection by an address that may say something of a pool.
func connect(ctx context.Context, name, url string) (*pgx.Conn, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("read database URL: %w", err)
	}
	// Whoever looks at pg_stat_activity sees what the connection is for.
	config.ConnConfig.RuntimeParams["application_name"] = name
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return conn, nil
}

// tell passes on what is noted.
func (h *Hub) tell(ctx context.Context, conn *pgx.Conn) error {
	q := db.New(conn)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-h.noted:
		}
		if err := within(ctx, q.TellFigures); err != nil {
			h.Note() // it has not been told
			return fmt.Errorf("tell: %w", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(hush):
		}
	}
}

// listen hears what processes say, this one too. It reads the version once it
// listens, since words may have been lost before.
func (h *Hub) listen(ctx context.Context, conn *pgx.Conn) error {
	q := db.New(conn)
	if err := within(ctx, q.ListenFigures); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	for {
		if err := h.look(ctx, q); err != nil {
			return err
		}
		for heard := true; heard; {
			var err error
			if heard, err = h.hear(ctx, conn); err != nil {
				return err
			}
		}
	}
}

// look reads the version.
func (h *Hub) look(ctx context.Context, q *db.Queries) error {
	return within(ctx, func(ctx context.Context) error {
		version, err := q.FiguresVersion(ctx)
		if err != nil {
			return fmt.Errorf("read the version of figures: %w", err)
		}
		h.learn(version)
		return nil
	})
}

// hear waits for a word, or for the time to look; false: nobody said anything.
func (h *Hub) hear(ctx context.Context, conn *pgx.Conn) (bool, error) {
	waiting, cancel := context.WithTimeout(ctx, pollEvery)
	defer cancel()
	word, err := conn.WaitForNotification(waiting)
	switch {
	case err == nil:
	case ctx.Err() == nil && waiting.Err() != nil && !conn.IsClosed():
		return false, nil
	default:
		return false, fmt.Errorf("wait for a word: %w", err)
	}
	version, err := strconv.ParseInt(word.Payload, 10, 64)
	if err != nil { // somebody else's; what is true is looked up
		return false, nil //nolint:nilerr // whatever it was, looking is right
	}
	h.learn(version)
	return true, nil
}

// learn takes a version up and wakes whoever waits for one. Versions only rise;
// words may come late.
func (h *Hub) learn(version int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if version <= h.version {
		return
	}
	h.version = version
	close(h.changed)
	h.changed = make(chan struct{})
}

func within(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return do(ctx)
}

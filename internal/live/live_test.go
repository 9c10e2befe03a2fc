package live_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/db/dbtest"
	"github.com/promptforge/payments/internal/live"
)

// patience is far more than anything here takes, on a busy machine too.
const patience = 30 * time.Second

type hubs struct {
	t    *testing.T
	pool *pgxpool.Pool
	url  string
}

func setup(t *testing.T) hubs {
	t.Helper()
	t.Parallel()
	url := dbtest.URL(t)
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return hubs{t, pool, url}
}

// start runs a hub as one process would, until the test ends.
func (h hubs) start() *live.Hub {
	h.t.Helper()
	hub := live.New(h.url, "", slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- hub.Run(ctx) }()
	h.t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				h.t.Errorf("run: %v", err)
			}
		case <-time.After(patience):
			h.t.Error("the hub goes on after its context ended")
		}
	})
	h.until("the hub listens", func() bool { return h.listeners() > 0 })
	return hub
}

// change is what a transaction of the ledger does to the version.
func (h hubs) change() int64 {
	h.t.Helper()
	var version int64
	if err := h.pool.QueryRow(h.t.Context(), "UPDATE metric_state SET version = version + 1 RETURNING version").Scan(&version); err != nil {
		h.t.Fatal(err)
	}
	return version
}

const listening = "datname = current_database() AND application_name = 'promptforge listens'"

func (h hubs) listeners() int {
	h.t.Helper()
	var n int
	if err := h.pool.QueryRow(h.t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE "+listening).Scan(&n); err != nil {
		h.t.Fatal(err)
	}
	return n
}

func (h hubs) until(what string, isSo func() bool) {
	h.t.Helper()
	for end := time.Now().Add(patience); !isSo(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			h.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// await waits until a hub knows a version, and says how long that took.
func (h hubs) await(hub *live.Hub, version int64) time.Duration {
	h.t.Helper()
	began := time.Now()
	for {
		known, changed := hub.Version()
		if known >= version {
			return time.Since(began)
		}
		select {
		case <-changed:
		case <-time.After(patience):
			h.t.Fatalf("the hub knows of version %d and never heard of %d", known, version)
		}
	}
}

func TestWhatOneProcessNotesAllHear(t *testing.T) {
	h := setup(t)
	one, two := h.start(), h.start()
	version := h.change()
	one.Note()
	t.Logf("the process itself heard it after %v, another one after %v", h.await(one, version), h.await(two, version))
}

func TestAHubThatStartsKnowsWhatIsThere(t *testing.T) {
	h := setup(t)
	version := h.change()
	h.await(h.start(), version)
}

func TestAListenerWhoseConnectionIsCutReadsWhatItMissed(t *testing.T) {
	h := setup(t)
	hub := h.start()
	h.await(hub, h.change()-1)
	var cut int
	if err := h.pool.QueryRow(t.Context(), "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE "+listening).Scan(&cut); err != nil {
		t.Fatal(err)
	}
	if cut == 0 {
		t.Fatal("nothing was cut")
	}
	took := h.await(hub, h.change()) // and nobody tells
	t.Logf("heard after %v", took)
	version := h.change()
	hub.Note() // over the connection that tells, which may have been cut as well
	h.await(hub, version)
}

func TestAWordThatNobodySaidIsFoundByLooking(t *testing.T) {
	h := setup(t)
	hub := h.start()
	took := h.await(hub, h.change())
	t.Logf("found after %v", took)
}

func TestManyChangesAreFewWords(t *testing.T) {
	h := setup(t)
	hub := h.start()
	ear, err := pgx.Connect(t.Context(), h.url)
	if err != nil {
		t.Fatal(err)
	}
	defer ear.Close(context.Background())
	if _, err := ear.Exec(t.Context(), "LISTEN figures"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var version int64
	for range 1000 {
		version = h.change()
		hub.Note()
	}
	h.await(hub, version)
	took := time.Since(began)
	words := 0
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		_, err := ear.WaitForNotification(ctx)
		cancel()
		if err != nil {
			break
		}
		words++
	}
	if most := int(took/(100*time.Millisecond)) + 2; words == 0 || words > most {
		t.Errorf("1000 changes within %v were %d words, more than %d", took, words, most)
	}
	t.Logf("1000 changes within %v were %d words", took, words)
}

func TestWhoLooksAwayFindsTheNewestAlone(t *testing.T) {
	h := setup(t)
	hub := h.start()
	before, changed := hub.Version()
	var version int64
	for range 3 {
		version = h.change()
		hub.Note()
		h.await(hub, version)
	}
	select {
	case <-changed:
	default:
		t.Error("nothing seems to have changed")
	}
	if now, _ := hub.Version(); now != version || now <= before {
		t.Errorf("the version is %d, want %d", now, version)
	}
}

func TestNotingNeverWaits(t *testing.T) {
	t.Parallel()
	hub := live.New("postgres://127.0.0.1:1/nothing", "", slog.New(slog.DiscardHandler)) // and nobody runs it
	for range 100 {
		hub.Note()
	}
	hub.Stop()
	hub.Stop()
	<-hub.Stopping()
}

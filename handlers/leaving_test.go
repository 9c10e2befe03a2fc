package handlers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/promptforge/payments/handlers"
)

// TestWhoLeavesBeforeTheAnswerIsNoFaultOfOurs: a closed tab must not wake
// whoever watches for errors.
func TestWhoLeavesBeforeTheAnswerIsNoFaultOfOurs(t *testing.T) {
	var lines bytes.Buffer
	b := setup(t, func(d *handlers.Deps) { d.Log = slog.New(slog.NewJSONHandler(&lines, nil)) })
	v := b.signUp("ada@example.com", "Engines")
	lock, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Rollback(t.Context())
	if _, err := lock.Exec(t.Context(), `LOCK TABLE subscriptions IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	for name, isWaiting := range map[string]bool{"before the session is read": false, "while the page is made": true} {
		lines.Reset()
		ctx, leave := context.WithCancel(t.Context())
		if !isWaiting {
			leave()
		}
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			r := httptest.NewRequest(http.MethodGet, "/billing", nil).WithContext(ctx)
			r.AddCookie(v.cookies["session"])
			b.app.ServeHTTP(httptest.NewRecorder(), r)
		}()
		for isWaiting && len(b.rows(`SELECT 'waits' FROM pg_locks WHERE NOT granted AND relation = 'subscriptions'::regclass`)) == 0 {
			time.Sleep(5 * time.Millisecond)
		}
		leave()
		<-answered
		var line struct {
			Level, Error string
			Status       int
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil { // two lines are no JSON
			t.Fatalf("%s: %v in %s", name, err, lines.String())
		}
		if line.Level != "INFO" || line.Status != 499 || line.Error == "" {
			t.Errorf("%s: line = %s", name, lines.String())
		}
	}
	if err := lock.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	v.get("/billing").want(200)
}

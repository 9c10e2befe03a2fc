package main

import (
	"context"
	"crypto/subtle"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/promptforge/payments/db"
)

// settlePatience is how long POST /sim/settle waits.
const settlePatience = time.Minute

// settling adds POST /sim/settle to the stand-in of a demo: it waits until
// everything that Stripe has to say is delivered, processed and counted, what moved
// the balance is read, and the mails about it have left or are kept. The product it waits for is assembled
// after the stand-in, which it needs.
type settling struct {
	next      http.Handler
	secretKey string
	// pending is how many deliveries are on their way.
	pending func() int
	app     atomic.Pointer[app]
}

func (s *settling) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/sim/settle" {
		s.next.ServeHTTP(w, r)
		return
	}
	switch {
	case subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+s.secretKey)) != 1:
		answer(w, http.StatusUnauthorized, `{"error":{"type":"invalid_request_error","message":"Send the stand-in's secret key as a bearer token."}}`)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		answer(w, http.StatusMethodNotAllowed, `{"error":{"type":"invalid_request_error","message":"Post to this address."}}`)
	default:
		ctx, cancel := context.WithTimeout(r.Context(), settlePatience)
		defer cancel()
		if err := s.waitForAll(ctx); err != nil {
			answer(w, http.StatusServiceUnavailable, `{"error":{"type":"api_error","message":"Not settled within a minute: look at the product's log."}}`)
			return
		}
		answer(w, http.StatusOK, `{"settled":true}`)
	}
}

// wait is for everything that figures follow.
func (s *settling) wait(ctx context.Context) error { return s.until(ctx, (*app).isSettled) }

// waitForAll is for what moved the balance, too, of which no event tells, and for
// what people are told. What is read once all events are processed is whole.
func (s *settling) waitForAll(ctx context.Context) error {
	if err := s.wait(ctx); err != nil {
		return err
	}
	if err := s.app.Load().payments.SyncCash(ctx); err != nil {
		return err
	}
	return s.waitForMails(ctx)
}

// waitForMails is wait, and for what people are told.
func (s *settling) waitForMails(ctx context.Context) error {
	return s.until(ctx, func(a *app, ctx context.Context) (bool, error) {
		settled, err := a.isSettled(ctx)
		if err != nil || !settled {
			return false, err
		}
		queued, err := db.New(a.pool).MailsQueued(ctx)
		return queued == 0, err
	})
}

func (s *settling) until(ctx context.Context, isSo func(*app, context.Context) (bool, error)) error {
	for {
		if a := s.app.Load(); a != nil && s.pending() == 0 {
			if settled, err := isSo(a, ctx); err != nil || settled {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// isSettled reports whether nothing that Stripe said waits to be processed or
// counted.
func (a *app) isSettled(ctx context.Context) (bool, error) {
	if err := a.payments.FlushViews(ctx); err != nil {
		return false, err
	}
	backlog, err := db.New(a.pool).QueueBacklog(ctx)
	if err != nil || backlog > 0 {
		return false, err
	}
	return a.ledger.Settled(ctx)
}

func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body+"\n") // whoever asked may have gone
}

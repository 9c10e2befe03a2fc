package handlers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/static"
)

const (
	// maxUnverified bounds, over all requests, the memory for bodies that anyone
	// may have sent.
	maxUnverified = 32 << 20
	// firstRead is how much of it a body has before anything has come: whoever
	// promises much and sends nothing must not keep others out.
	firstRead = 8 << 10
	// storePatience is how long a delivery may take to be stored; Stripe tries
	// again when it takes longer.
	storePatience = 3 * time.Second
)

// stored is all that Stripe is told.
var stored = []byte(`{"received":true}`)

// webhook takes a delivery in. 200 means that it is stored; only a signature
// that is not Stripe's is 400, and only a body over 1 MiB 413.
func (s *server) webhook(c echo.Context) error {
	r := c.Request()
	header := r.Header.Get("Stripe-Signature")
	if err := s.Payments.CheckSignature(header); err != nil {
		return err // before a byte of the body is read
	}
	ctx, cancel := context.WithTimeout(r.Context(), storePatience)
	defer cancel()
	body, err := s.readUnverified(ctx, c)
	if err != nil {
		return err
	}
	defer s.unverified.Release(int64(cap(body)))
	err = s.Payments.Receive(ctx, header, body)
	switch {
	case err == nil:
		return c.JSONBlob(http.StatusOK, stored)
	case errors.Is(err, payments.ErrSignature):
		return err
	case r.Context().Err() != nil: // the sender has gone, and what it sent may be stored
		return r.Context().Err()
	default:
		return fmt.Errorf("%w: %w", errNotStored, err)
	}
}

// readUnverified reads a body that anyone may have sent. As much memory as it
// takes is taken from the unverified bytes, and the caller gives it back. Nobody
// waits for room: Stripe comes again. Nor may somebody send a byte at a time.
func (s *server) readUnverified(ctx context.Context, c echo.Context) (body []byte, err error) {
	r := c.Request()
	wire := http.NewResponseController(c.Response())
	deadline, _ := ctx.Deadline()
	_ = wire.SetReadDeadline(deadline)
	defer func() {
		if err != nil {
			s.unverified.Release(int64(cap(body)))
			body = nil
			return
		}
		_ = wire.SetReadDeadline(time.Time{})
	}()
	most := int64(hookBytes) + 1 // one more, so that the end is met without growing
	if r.ContentLength >= 0 {
		most = r.ContentLength + 1
	}
	for size := int64(firstRead); ; size *= 4 {
		if body, err = s.grow(body, min(size, most)); err != nil {
			return body, err
		}
		for len(body) < cap(body) {
			n, err := r.Body.Read(body[len(body):cap(body)])
			body = body[:len(body)+n]
			var tooLarge *http.MaxBytesError
			switch {
			case errors.Is(err, io.EOF):
				return body, nil
			case errors.As(err, &tooLarge):
				return body, err
			case err != nil:
				s.Payments.CountRefusal(payments.RefusedNotRead)
				return body, fmt.Errorf("%w: read body: %w", errNotStored, err)
			}
		}
	}
}

// grow moves a body to where it has room up to size bytes.
func (s *server) grow(body []byte, size int64) ([]byte, error) {
	if !s.unverified.TryAcquire(size) {
		s.Payments.CountRefusal(payments.RefusedNotRead)
		return body, fmt.Errorf("%w: too many bodies at once", errNotStored)
	}
	larger := make([]byte, len(body), size)
	copy(larger, body)
	s.unverified.Release(int64(cap(body)))
	return larger, nil
}

// countTooLarge counts a body that is over its route's limit, wherever that is
// found.
func (s *server) countTooLarge(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		err := next(c)
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			s.Payments.CountRefusal(payments.RefusedTooLarge)
		}
		return err
	}
}

// healthz: the process runs.
func (s *server) healthz(c echo.Context) error {
	return c.String(http.StatusOK, "ok\n")
}

// readyz: the database can be reached and has the schema we need.
func (s *server) readyz(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), 2*time.Second)
	defer cancel()
	if err := s.Ready(ctx); err != nil {
		c.Set(keyFailure, err)
		return c.String(http.StatusServiceUnavailable, "not ready\n")
	}
	return c.String(http.StatusOK, "ready\n")
}

func (s *server) static(c echo.Context) error {
	static.Handler().ServeHTTP(c.Response(), c.Request())
	return nil
}

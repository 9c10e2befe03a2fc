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
	// maxUnverified bounds, over all requests, the bytes of bodies that anyone
	// may have sent.
	maxUnverified = 32 << 20
	// storePatience is how long a delivery may take to be stored; Stripe tries
	// again when it takes longer.
	storePatience = 3 * time.Second
)

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
	weight := int64(hookBytes)
	if r.ContentLength > 0 {
		weight = r.ContentLength
	}
	if err := s.unverified.Acquire(ctx, weight); err != nil {
		return fmt.Errorf("%w: too many bodies at once", errNotStored)
	}
	defer s.unverified.Release(weight)
	deadline, _ := ctx.Deadline()
	body, err := readBefore(c, deadline)
	if err != nil {
		return err
	}
	switch err := s.Payments.Receive(ctx, header, body); {
	case errors.Is(err, payments.ErrSignature):
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", errNotStored, err)
	}
	return c.JSON(http.StatusOK, map[string]bool{"received": true})
}

// readBefore reads the body, which somebody may send a byte at a time to keep
// others out.
func readBefore(c echo.Context, deadline time.Time) ([]byte, error) {
	wire := http.NewResponseController(c.Response())
	_ = wire.SetReadDeadline(deadline)
	body, err := io.ReadAll(c.Request().Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: read body: %w", errNotStored, err)
	}
	_ = wire.SetReadDeadline(time.Time{})
	return body, nil
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

// Package handlers is HTTP: it parses, asks a door, maps the answer to a view's
// model, and renders. Every URL stands in routes.go, every error ends in
// errors.go, and only render.go knows htmx's headers.
package handlers

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"
	"golang.org/x/sync/semaphore"

	"github.com/promptforge/payments/internal/auth"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/live"
	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/internal/ratelimit"
	"github.com/promptforge/payments/internal/reports"
)

// Deps are the doors that handlers go through, and what they have to know.
type Deps struct {
	Pool     *pgxpool.Pool
	Auth     *auth.Auth
	Sessions *auth.Sessions
	Keys     *auth.Keys
	Payments *payments.Payments
	Reports  *reports.Reports
	// Live says that figures have changed; nil: pages do not hear of it.
	Live *live.Hub

	// Shared counts log-ins and payment writes for all replicas, Local reads
	// for this one.
	Shared, Local ratelimit.Limiter
	RateCheckout  ratelimit.Rate
	RateRead      ratelimit.Rate

	Plans    billing.Plans
	Livemode bool
	// BaseURL is where browsers reach us; the origin of every form must be it.
	BaseURL string
	// FormOrigins are where a form may lead by redirect: Stripe's hosts, or the
	// stand-in. Browsers apply form-action to redirects too.
	FormOrigins []string
	// SimulatorURL is the stand-in's own page, where its clock is moved; empty
	// where Stripe itself answers.
	SimulatorURL string
	// Support is the address that customers write to; empty: pages name none.
	Support string
	// TrustedProxies may say in X-Forwarded-For whom they speak for.
	TrustedProxies []netip.Prefix

	// Ready says why the server cannot work just now; nil: it can.
	Ready func(context.Context) error
	// Now is the business clock, which dates what a page shows; Clock the
	// machine's.
	Now, Clock func() time.Time
	Log        *slog.Logger
}

// server is Deps and what handlers share beside them.
type server struct {
	Deps
	// unverified bounds the bytes of webhook bodies whose signature is not
	// known yet.
	unverified *semaphore.Weighted
	// files bounds how many are sent at a time.
	files *semaphore.Weighted
	// streams bounds those that are open; watching are their sessions, answers
	// what those were answered with.
	streams  *semaphore.Weighted
	pace     pace
	watching watchers
	answers  answers
}

// New returns the router with every route on it.
func New(deps Deps) *echo.Echo {
	return newServer(deps).router()
}

func newServer(deps Deps) *server {
	return &server{
		Deps: deps, unverified: semaphore.NewWeighted(maxUnverified), files: semaphore.NewWeighted(filesAtOnce),
		streams: semaphore.NewWeighted(maxStreams), pace: usualPace,
	}
}

func (s *server) router() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.fail
	e.IPExtractor = extractor(s.TrustedProxies)
	e.Pre(s.request, s.secureHeaders)
	e.Use(s.astray)
	s.Sessions.ErrorFunc = s.failSession
	for _, r := range routes {
		e.Add(r.method, r.path, r.handler(s), s.chain(r)...)
		if r.method == "GET" {
			e.Add("HEAD", r.path, r.handler(s), s.chain(r)...)
		}
	}
	return e
}

// visitor is who asks; zero: nobody we know.
type visitor struct {
	user auth.User
	// org is the session's current organization and the visitor's role there;
	// zero for somebody without one.
	org auth.Membership
}

func (v visitor) isSignedIn() bool { return v.user.ID != uuid.Nil }

func (v visitor) hasOrganization() bool { return v.org.OrgID != uuid.Nil }

const (
	keyVisitor   = "visitor"
	keyRequestID = "request_id"
)

func visitorOf(c echo.Context) visitor {
	v, _ := c.Get(keyVisitor).(visitor)
	return v
}

func requestID(c echo.Context) string {
	id, _ := c.Get(keyRequestID).(string)
	return id
}

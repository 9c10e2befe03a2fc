package handlers

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/audit"
	"github.com/promptforge/payments/internal/payments"
)

// request gives each request its id and its one line in the log, and turns a
// panic into an error.
func (s *server) request(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		began := s.Clock()
		id := newRequestID()
		c.Set(keyRequestID, id)
		c.Response().Header().Set("X-Request-Id", id)
		err := recovered(next, c)
		if err != nil {
			s.fail(err, c)
		}
		s.logRequest(c, s.Clock().Sub(began), err)
		return nil
	}
}

func newRequestID() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return "req_" + hex.EncodeToString(b[:])
}

func recovered(next echo.HandlerFunc, c echo.Context) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return next(c)
}

// logRequest names the route and not the URL, whose query may hold what must
// not be kept.
func (s *server) logRequest(c echo.Context, took time.Duration, err error) {
	status := c.Response().Status
	attrs := []slog.Attr{
		slog.String("request_id", requestID(c)), slog.String("method", c.Request().Method), slog.String("route", c.Path()),
		slog.Int("status", status), slog.Float64("took_ms", float64(took.Microseconds())/1000), slog.String("address", c.RealIP()),
	}
	if v := visitorOf(c); v.isSignedIn() {
		attrs = append(attrs, slog.String("user", v.user.ID.String()), slog.String("organization", v.org.OrgID.String()))
	}
	if key, ok := keyOf(c); ok {
		attrs = append(attrs, slog.String("key", key.Prefix))
	}
	level := slog.LevelInfo
	if failure, ok := c.Get(keyFailure).(error); ok && err == nil {
		err = failure
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
		switch { // what is refused rightly is no cause for alarm
		case status >= 500:
			level = slog.LevelError
		case errors.Is(err, payments.ErrSignature): // a stranger's, or the secret is not the endpoint's
			level = slog.LevelWarn
		}
	}
	s.Log.LogAttrs(c.Request().Context(), level, "request", attrs...)
}

// secureHeaders stand on every answer, errors included.
func (s *server) secureHeaders(next echo.HandlerFunc) echo.HandlerFunc {
	policy := strings.Join([]string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'", "font-src 'self'",
		"form-action " + strings.Join(append([]string{"'self'"}, s.FormOrigins...), " "),
		"frame-ancestors 'none'", "base-uri 'none'",
	}, "; ")
	isHTTPS := strings.HasPrefix(s.BaseURL, "https:")
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "strict-origin-when-cross-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if isHTTPS {
			h.Set("Strict-Transport-Security", "max-age=63072000; includeSubDomains")
		}
		return next(c)
	}
}

// chain is what stands before a route's handler, by its rule.
func (s *server) chain(r route) []echo.MiddlewareFunc {
	steps := []echo.MiddlewareFunc{bodyLimit(r.body)}
	if r.path == webhookPath {
		steps = append([]echo.MiddlewareFunc{s.countTooLarge}, steps...)
	}
	scope, needsKey := keyScopes[r.who]
	switch {
	case needsKey:
		steps = append(steps, s.needKey(scope))
	case r.who != machine:
		know := []echo.MiddlewareFunc{s.loadSession, echo.WrapMiddleware(s.Sessions.LoadAndSave), s.errorsInside, s.know}
		if r.who == administrator && r.method == http.MethodGet && r.path != streamPath {
			know = []echo.MiddlewareFunc{s.unlessWatching(know...)}
		}
		steps = append(append(append(steps, s.sameOrigin), know...), s.refuse(r.who))
	}
	return append(steps, s.limit(r.limit))
}

// astray takes what no row of the table does through the steps of a public
// page, to the router's own answer: who is logged in stays so on a page that is
// not there, and nobody can tell the dashboard's address from such a page,
// whatever the method.
func (s *server) astray(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		asked, isHidden := c.Request().Method, false
		if asked == http.MethodHead {
			asked = http.MethodGet
		}
		for _, r := range routes {
			if r.path == c.Path() && r.method == asked {
				return next(c)
			}
			isHidden = isHidden || r.path == c.Path() && r.who == administrator
		}
		handle := func(c echo.Context) error {
			if isHidden && !visitorOf(c).user.IsAdmin {
				return errNoSuchPage
			}
			if to, ok := straight(c); ok {
				return c.Redirect(http.StatusMovedPermanently, to)
			}
			return next(c)
		}
		for _, step := range slices.Backward(s.chain(route{who: public, limit: reads})) {
			handle = step(handle)
		}
		return handle(c)
	}
}

// loadSession reads the session before scs would, so that a database that is
// away ends in errors.go like any other failure.
func (s *server) loadSession(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		cookie, err := r.Cookie(s.Sessions.Cookie.Name)
		if err != nil { // there is none
			return next(c)
		}
		ctx, err := s.Sessions.Load(r.Context(), cookie.Value)
		if err != nil {
			return fmt.Errorf("load session: %w", err)
		}
		c.SetRequest(r.WithContext(ctx))
		return next(c)
	}
}

// errorsInside answers errors while the session can still be saved with them.
func (s *server) errorsInside(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := next(c); err != nil {
			c.Set(keyFailure, err)
			s.fail(err, c)
		}
		return nil
	}
}

func bodyLimit(bytes int64) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			if r.ContentLength > bytes && bytes > 0 {
				return &http.MaxBytesError{Limit: bytes}
			}
			r.Body = http.MaxBytesReader(c.Response(), r.Body, bytes)
			return next(c)
		}
	}
}

// sameOrigin refuses what another site makes a browser send. A client that
// sends neither header is no browser and passes: our cookies are SameSite=Lax.
func (s *server) sameOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	base, err := url.Parse(s.BaseURL)
	if err != nil {
		panic(err) // the configuration has been checked
	}
	ours := base.Scheme + "://" + base.Host
	return func(c echo.Context) error {
		r := c.Request()
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			return next(c)
		}
		site, origin := r.Header.Values("Sec-Fetch-Site"), r.Header.Values("Origin")
		switch {
		case len(site) > 1 || len(origin) > 1:
			return errCrossOrigin
		case len(site) == 1:
			if site[0] != "same-origin" && site[0] != "none" {
				return errCrossOrigin
			}
		case len(origin) == 1 && origin[0] != ours:
			return errCrossOrigin
		}
		return next(c)
	}
}

// know finds out whose session it is.
func (s *server) know(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		ctx := c.Request().Context()
		id := s.Sessions.User(ctx)
		s.actAs(c, uuid.Nil)
		if id == uuid.Nil {
			return next(c)
		}
		user, err := s.Auth.UserByID(ctx, id)
		if db.IsNotFound(err) { // the account is gone; so is the session
			if err := s.Sessions.End(ctx); err != nil {
				return err
			}
			return next(c)
		}
		if err != nil {
			return err
		}
		v := visitor{user: user}
		memberships, err := s.Auth.Memberships(ctx, id)
		if err != nil {
			return err
		}
		current := s.Sessions.Organization(ctx)
		for i, m := range memberships {
			if i == 0 || m.OrgID == current {
				v.org = m
			}
		}
		c.Set(keyVisitor, v)
		s.actAs(c, id)
		return next(c)
	}
}

// actAs tells the doors who acts by this request, for the record of acts; nil
// is a visitor whom nobody knows.
func (s *server) actAs(c echo.Context, user uuid.UUID) {
	actor := audit.Actor{RequestID: requestID(c), Address: c.RealIP()}
	if user != uuid.Nil {
		actor.Kind, actor.ID = audit.User, user.String()
	}
	c.SetRequest(c.Request().WithContext(audit.WithActor(c.Request().Context(), actor)))
}

// refuse lets the audience through.
func (s *server) refuse(who audience) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			v := visitorOf(c)
			switch {
			case who == signedIn && !v.isSignedIn():
				if wantsJSON(c) {
					return errUnauthenticated
				}
				return seeOther(c, loginURL(c))
			case who == administrator && !v.user.IsAdmin:
				return errNoSuchPage
			}
			return next(c)
		}
	}
}

// loginURL leads back to the page that was asked for: that of a part or of a
// form, where one of these was.
func loginURL(c echo.Context) string {
	r := c.Request()
	next := r.URL.RequestURI()
	switch {
	case isPartial(r):
		next = pageOf(r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		next = r.URL.Path
	}
	return "/login?next=" + url.QueryEscape(next)
}

// limit counts by account and by address, so that neither many addresses nor
// many accounts get around it.
func (s *server) limit(l limit) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		if l.kind == "none" {
			return next
		}
		limiter := s.Local
		if l.kind == "shared" {
			limiter = s.Shared
		}
		return func(c echo.Context) error {
			l := l
			if l.name == reads.name && isRefresh(c.Request()) && visitorOf(c).user.IsAdmin {
				l = refreshLimit
			}
			keys, err := s.limitKeys(c, l)
			if err != nil {
				return err
			}
			for _, key := range keys {
				ok, retryAfter, err := limiter.Allow(c.Request().Context(), key, l.rate(s))
				if err != nil {
					return fmt.Errorf("%w: %w", errCannotCount, err)
				}
				if !ok {
					return tooMany{retryAfter}
				}
			}
			return next(c)
		}
	}
}

func (s *server) limitKeys(c echo.Context, l limit) ([]string, error) {
	v := visitorOf(c)
	name := cmp.Or(l.name, c.Path()) + " "
	if key, ok := keyOf(c); ok { // wherever the program runs
		return []string{name + key.ID.String()}, nil
	}
	keys := []string{name + network(c.RealIP())}
	if l.kind == "local" && v.isSignedIn() { // many colleagues share an office's address
		keys = nil
	}
	if v.isSignedIn() {
		keys = append(keys, name+v.user.ID.String())
	}
	if l.byEmail { // signed in or not, from whatever address
		form, err := formOf(c)
		if err != nil {
			return nil, err
		}
		if email := strings.ToLower(strings.TrimSpace(form.Get("email"))); email != "" {
			keys = append(keys, name+email)
		}
	}
	return keys, nil
}

// network is what one visitor has of addresses: of IPv6 a whole /64.
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Is4() || ip.Is4In6() {
		return address
	}
	prefix, err := ip.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}

// extractor takes the peer's address, unless the peer is a proxy that we trust
// to say whom it speaks for.
func extractor(trusted []netip.Prefix) echo.IPExtractor {
	if len(trusted) == 0 {
		return echo.ExtractIPDirect()
	}
	options := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, prefix := range trusted {
		_, network, err := net.ParseCIDR(prefix.Masked().String())
		if err != nil {
			panic(err) // a prefix prints as a network
		}
		options = append(options, echo.TrustIPRange(network))
	}
	return echo.ExtractIPFromXFFHeader(options...)
}

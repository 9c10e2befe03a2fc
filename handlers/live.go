package handlers

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/ratelimit"
	"github.com/promptforge/payments/internal/reports"
)

// How a page stays up to date while somebody looks at it: the browser keeps the
// stream below open, which says that figures have changed; static/js/live.js then
// asks for the page's part again and names the version that it was told of. A
// hundred browsers that do so at once get one answer, read once.

const (
	// maxStreams is how many a process keeps open; more are told to come back.
	maxStreams = 1000
	// sendPatience is how long a browser may take to accept what it is sent.
	sendPatience = 10 * time.Second
)

// pace is how a stream spends its time.
type pace struct {
	// heartbeat is how often one that has nothing to say shows that it lives,
	// lookAgain how often it asks whether its session may still see it.
	heartbeat, lookAgain time.Duration
}

var usualPace = pace{heartbeat: 15 * time.Second, lookAgain: 30 * time.Second}

// refreshLimit is for the parts that are asked for again because figures changed:
// whoever looks at several pages in a busy hour must not be locked out of others.
var refreshLimit = limit{kind: "local", name: "refresh", rate: func(*server) ratelimit.Rate { return ratelimit.Rate{N: 600, Per: time.Minute} }}

// versionHeader names the version of the figures that a browser was told of.
const versionHeader = "X-Live-Version"

// isRefresh reports whether a page that is looked at asks for its figures anew,
// by static/js/live.js: its address stays as it is.
func isRefresh(r *http.Request) bool { return r.Header.Get(versionHeader) != "" && isPartial(r) }

// stream says, as server-sent events, that figures have changed, until the
// browser goes, the session ends or is no administrator's any more, or the
// process stops. The id of an event is the version of the figures, so that a
// stream that was cut goes on where it ended.
func (s *server) stream(c echo.Context) error {
	since, err := streamSince(c)
	if err != nil {
		return err
	}
	if s.Live == nil || !s.streams.TryAcquire(1) {
		return errNoStream
	}
	defer s.streams.Release(1)
	h := c.Response().Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	if c.Request().Method == http.MethodHead {
		return c.NoContent(http.StatusOK)
	}
	token := s.sessionToken(c.Request())
	defer s.watching.begin(token, visitorOf(c), s.Clock())()
	out := sender{http.NewResponseController(c.Response()), c.Response(), s.Clock}
	// The server's limit on reading a request would end the stream after a minute.
	if err := out.control.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("keep the stream open: %w", err)
	}
	// A thousand browsers do not come back in the same second.
	if err := out.send(fmt.Sprintf("retry: %d\n\n", 1000+rand.IntN(3000))); err != nil { //nolint:gosec // spreads, hides nothing
		return nil //nolint:nilerr // the browser has gone
	}
	return s.streamTo(c.Request().Context(), out, token, since)
}

func (s *server) streamTo(ctx context.Context, out sender, token string, sent int64) error {
	beat, check := time.NewTicker(s.pace.heartbeat), time.NewTicker(s.pace.lookAgain)
	defer beat.Stop()
	defer check.Stop()
	version, changed := s.Live.Version()
	sent = min(sent, version) // one that we have not heard of was another database's
	for {
		word := ""
		if version > sent {
			sent = version
			word = fmt.Sprintf("id: %[1]d\nevent: figures\ndata: {\"version\":%[1]d}\n\n", version)
		} else {
			select {
			case <-ctx.Done():
				return nil
			case <-s.Live.Stopping():
				return nil
			case <-changed:
				version, changed = s.Live.Version()
			case <-beat.C:
				word = ": still here\n\n"
			case <-check.C:
				v, err := s.watcher(ctx, token)
				switch {
				case err != nil: // nor could anybody be shut out meanwhile
					s.Log.WarnContext(ctx, "session of a stream not looked up", "error", err)
				case !v.user.IsAdmin:
					return nil
				default:
					s.watching.saw(token, v, s.Clock())
				}
			}
		}
		if word == "" {
			continue
		}
		if err := out.send(word); err != nil {
			return nil //nolint:nilerr // the browser has gone
		}
	}
}

// streamSince is the version that a stream goes on from: that of the last event
// that came, or of the figures on the page.
func streamSince(c echo.Context) (int64, error) {
	// A browser repeats the id that we gave it; what is none of ours begins anew.
	if since, err := strconv.ParseInt(c.Request().Header.Get("Last-Event-ID"), 10, 64); err == nil && since >= 0 {
		return since, nil
	}
	text := c.QueryParam("since")
	if text == "" {
		return 0, nil
	}
	since, err := strconv.ParseInt(text, 10, 64)
	if err != nil || since < 0 {
		return 0, badParameter{"since", "A version is a whole number."}
	}
	return since, nil
}

// sender writes a stream.
type sender struct {
	control *http.ResponseController
	out     http.ResponseWriter
	clock   func() time.Time
}

func (s sender) send(text string) error {
	if err := s.control.SetWriteDeadline(s.clock().Add(sendPatience)); err != nil {
		return err
	}
	if _, err := s.out.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}

// sessionToken is that of the request's cookie; empty: it has none.
func (s *server) sessionToken(r *http.Request) string {
	cookie, err := r.Cookie(s.Sessions.Cookie.Name)
	if err != nil {
		return ""
	}
	return cookie.Value
}

// watcher is whose session it is now; nobody's where it has ended. What the
// request's context remembers of it is from when the stream began.
func (s *server) watcher(ctx context.Context, token string) (visitor, error) {
	ctx, cancel := context.WithTimeout(forgetful{ctx}, sendPatience)
	defer cancel()
	ctx, err := s.Sessions.Load(ctx, token)
	if err != nil {
		return visitor{}, fmt.Errorf("load session: %w", err)
	}
	id := s.Sessions.User(ctx)
	if id == uuid.Nil {
		return visitor{}, nil
	}
	user, err := s.Auth.UserByID(ctx, id)
	if db.IsNotFound(err) {
		return visitor{}, nil
	}
	return visitor{user: user}, err
}

// forgetful is a context without what it carries.
type forgetful struct{ context.Context }

// Value is nothing.
func (forgetful) Value(any) any { return nil }

// watchers are the sessions that have a stream open. A refresh of one of them
// needs no look at its session, which its stream has looked at of late:
// otherwise a hundred that are told at once would cost some hundred queries
// before the first figure is read.
type watchers struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte]*watching
}

type watching struct {
	visitor visitor
	seen    time.Time
	streams int
}

// begin notes a stream of a session, and returns what ends it.
func (w *watchers) begin(token string, v visitor, now time.Time) (end func()) {
	key := sha256.Sum256([]byte(token))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == nil {
		w.all = map[[sha256.Size]byte]*watching{}
	}
	one := w.all[key]
	if one == nil {
		one = &watching{}
		w.all[key] = one
	}
	one.visitor, one.seen = v, now
	one.streams++
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if one.streams--; one.streams == 0 && w.all[key] == one {
			delete(w.all, key)
		}
	}
}

// saw notes that a session was looked at.
func (w *watchers) saw(token string, v visitor, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if one := w.all[sha256.Sum256([]byte(token))]; one != nil {
		one.visitor.user, one.seen = v.user, now
	}
}

// forget trusts a session no more, which has ended here.
func (w *watchers) forget(token string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.all, sha256.Sum256([]byte(token)))
}

// find is whose session it is, where a stream has seen it since.
func (w *watchers) find(token string, since time.Time) (visitor, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	one := w.all[sha256.Sum256([]byte(token))]
	if one == nil || !one.visitor.user.IsAdmin || one.seen.Before(since) {
		return visitor{}, false
	}
	return one.visitor, true
}

// unlessWatching spares a refresh the steps that find out whose session it is,
// where its stream did so of late. A stream itself is never spared them, or one
// would vouch for the next without end.
func (s *server) unlessWatching(steps ...echo.MiddlewareFunc) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		full := next
		for i := len(steps) - 1; i >= 0; i-- {
			full = steps[i](full)
		}
		return func(c echo.Context) error {
			if !isRefresh(c.Request()) {
				return full(c)
			}
			v, ok := s.watching.find(s.sessionToken(c.Request()), s.Clock().Add(-s.pace.lookAgain))
			if !ok {
				return full(c)
			}
			c.Set(keyVisitor, v)
			s.actAs(c, v.user.ID)
			return next(c)
		}
	}
}

// answers are the reports that refreshes were answered with of late, by what was
// asked. Nothing about who asked is in them.
type answers struct {
	mu      sync.Mutex
	kept    map[string]kept
	flights map[string]*flight
}

// kept is a report and the version of its figures.
type kept struct {
	report  any
	version int64
	at      time.Time
}

// flight is a report that is being read.
type flight struct {
	kept
	err  error
	done chan struct{}
}

const (
	// keepFor is how long an answer is kept: the same version means the same
	// figures, but the day may end.
	keepFor = 5 * time.Second
	// maxKept bounds how many are kept.
	maxKept = 256
	// readPatience bounds a read that others wait for, whoever began it.
	readPatience = 15 * time.Second
)

// shared reads a report: for a refresh the one that others were answered with,
// where its figures are at least those that the browser was told of, and anew for
// anybody else. Requests that share have the same path and query, so that they
// ask the same. What it returns must not be written to.
func shared[T covering](
	s *server, c echo.Context, query reports.Query, read func(context.Context, reports.Query) (T, error),
) (T, error) {
	ctx := c.Request().Context()
	wanted, err := strconv.ParseInt(c.Request().Header.Get(versionHeader), 10, 64)
	if !isRefresh(c.Request()) || err != nil {
		return read(ctx, query)
	}
	url := c.Request().URL
	report, err := s.answers.get(ctx, url.Path+"?"+url.Query().Encode(), wanted, s.Clock, func(ctx context.Context) (any, int64, error) {
		report, err := read(ctx, query)
		if err != nil {
			return nil, 0, err
		}
		return report, report.Covers().FiguresVersion, nil
	})
	if err != nil {
		var none T
		return none, err
	}
	return report.(T), nil // a path has one kind of report
}

// get returns a report whose version is at least the one wanted or, where there
// is none such, one that was read after it was asked for.
func (a *answers) get(
	ctx context.Context, key string, wanted int64, clock func() time.Time, read func(context.Context) (any, int64, error),
) (any, error) {
	for isSecond := false; ; isSecond = true {
		f, isOurs := a.board(key, wanted, clock())
		if isOurs {
			a.fly(ctx, key, f, clock, read)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-f.done:
		}
		// One that was under way when we came may have begun before the version
		// was there; the next one did not.
		if f.err != nil || f.version >= wanted || isOurs || isSecond {
			return f.report, f.err
		}
	}
}

// board is an answer that will do, or one that will come; isOurs: nobody is
// reading it yet, so whoever asks is to.
func (a *answers) board(key string, wanted int64, now time.Time) (f *flight, isOurs bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if k, ok := a.kept[key]; ok && k.version >= wanted && now.Sub(k.at) < keepFor && !now.Before(k.at) {
		f = &flight{kept: k, done: make(chan struct{})}
		close(f.done)
		return f, false
	}
	if f := a.flights[key]; f != nil {
		return f, false
	}
	f = &flight{done: make(chan struct{})}
	if a.flights == nil {
		a.flights, a.kept = map[string]*flight{}, map[string]kept{}
	}
	a.flights[key] = f
	return f, true
}

// fly reads for all who wait, even if whoever began has gone.
func (a *answers) fly(ctx context.Context, key string, f *flight, clock func() time.Time, read func(context.Context) (any, int64, error)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readPatience)
	defer cancel()
	f.err = errors.New("the report was given up") // a panic, which its own request tells
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.flights, key)
		if f.err == nil {
			a.keep(key, f.kept)
		}
		close(f.done)
	}()
	began := clock()
	f.report, f.version, f.err = read(ctx)
	f.at = began
}

// keep makes room before it takes an answer up.
func (a *answers) keep(key string, k kept) {
	for other, old := range a.kept {
		if k.at.Sub(old.at) >= keepFor || len(a.kept) >= maxKept {
			delete(a.kept, other)
		}
	}
	a.kept[key] = k
}

package handlers_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/promptforge/payments/handlers"
	"github.com/promptforge/payments/internal/auth"
	"github.com/promptforge/payments/internal/live"
	"github.com/promptforge/payments/internal/reports"
)

// revenue is a page of figures, and streamPath what tells of changes.
const (
	revenue    = "/admin/billing/revenue"
	streamPath = "/admin/billing/stream"
	// longest is far more than anything here takes, on a busy machine too.
	longest = 30 * time.Second
)

// counter counts the statements of a pool.
type counter struct{ n atomic.Int64 }

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}

func (*counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// process is one of several that serve the same database over real connections.
type process struct {
	b        *bundle
	hub      *live.Hub
	front    *httptest.Server
	sessions *auth.Sessions
	admin    uuid.UUID
	asked    *counter
}

// process starts one whose streams have the usual pace unless another is given;
// then there are two at most.
func (b *bundle) process(pace ...time.Duration) *process {
	b.t.Helper()
	p := &process{b: b, asked: &counter{}}
	config, err := pgxpool.ParseConfig(b.pool.Config().ConnString())
	if err != nil {
		b.t.Fatal(err)
	}
	config.ConnConfig.Tracer = p.asked
	pool, err := pgxpool.NewWithConfig(b.t.Context(), config)
	if err != nil {
		b.t.Fatal(err)
	}
	p.hub = live.New(config.ConnString(), "", b.deps.Log)
	p.sessions = auth.NewSessions(pool, false)
	deps := b.deps
	deps.Pool, deps.Live, deps.Sessions = pool, p.hub, p.sessions
	deps.Auth, deps.Reports = auth.New(pool, time.Now), &reports.Reports{Pool: pool, Now: deps.Now}
	app := handlers.New(deps)
	if len(pace) == 2 {
		app = handlers.NewWithStreams(deps, 2, pace[0], pace[1])
	}
	p.front = httptest.NewServer(app)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.hub.Run(ctx) }()
	b.t.Cleanup(func() {
		p.hub.Stop()
		p.front.Close()
		cancel()
		<-done
		pool.Close()
	})
	id, err := uuid.Parse(b.rows(`SELECT id::text FROM users WHERE is_admin`)[0])
	if err != nil {
		b.t.Fatal(err)
	}
	p.admin = id
	return p
}

// session logs the administrator in once more, without the form, whose password
// takes its time.
func (p *process) session() *http.Cookie {
	p.b.t.Helper()
	ctx, err := p.sessions.Load(context.Background(), "")
	if err != nil {
		p.b.t.Fatal(err)
	}
	if err := p.sessions.Begin(ctx, p.admin, uuid.Nil); err != nil {
		p.b.t.Fatal(err)
	}
	token, _, err := p.sessions.Commit(ctx)
	if err != nil {
		p.b.t.Fatal(err)
	}
	return &http.Cookie{Name: p.sessions.Cookie.Name, Value: token}
}

func (p *process) ask(ctx context.Context, path string, cookie *http.Cookie, headers ...string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.front.URL+path, nil)
	if err != nil {
		return nil, err
	}
	r.AddCookie(cookie)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return http.DefaultTransport.RoundTrip(r)
}

// refresh is what live.js asks for when it was told of a version.
func (p *process) refresh(ctx context.Context, path string, cookie *http.Cookie, version int64) (string, error) {
	answer, err := p.ask(ctx, path, cookie, "HX-Request", "true", "X-Live-Version", strconv.FormatInt(version, 10))
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("a refresh is answered %d", answer.StatusCode)
	}
	if pushed := answer.Header.Get("HX-Push-Url"); pushed != "" {
		err = fmt.Errorf("a refresh puts %s into the history", pushed)
	}
	return string(body), err
}

// watch is an open stream.
type watch struct {
	t      *testing.T
	lines  chan string
	cancel context.CancelFunc
	header http.Header
}

func (p *process) watch(cookie *http.Cookie, query string, headers ...string) *watch {
	p.b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	answer, err := p.ask(ctx, streamPath+query, cookie, headers...)
	if err != nil || answer.StatusCode != http.StatusOK {
		p.b.t.Fatalf("the stream is answered %v, %v", answer, err)
	}
	w := &watch{p.b.t, make(chan string, 100), cancel, answer.Header}
	go func() {
		defer close(w.lines)
		defer answer.Body.Close()
		lines := bufio.NewScanner(answer.Body)
		for lines.Scan() {
			w.lines <- lines.Text()
		}
	}()
	p.b.t.Cleanup(cancel)
	return w
}

// next is the next line that begins so; empty: the stream has ended.
func (w *watch) next(prefix string) string {
	w.t.Helper()
	end := time.After(longest)
	for {
		select {
		case line, isOpen := <-w.lines:
			if !isOpen || strings.HasPrefix(line, prefix) {
				return line
			}
		case <-end:
			w.t.Fatalf("the stream says nothing that begins with %q", prefix)
		}
	}
}

// version is that of the next event.
func (w *watch) version() int64 {
	w.t.Helper()
	id := w.next("id: ")
	version, err := strconv.ParseInt(strings.TrimPrefix(id, "id: "), 10, 64)
	if err != nil {
		w.t.Fatalf("the stream says %q", id)
	}
	if w.next("event: ") != "event: figures" || w.next("data: ") != fmt.Sprintf(`data: {"version":%d}`, version) {
		w.t.Fatalf("an event of version %d is of another shape", version)
	}
	return version
}

// grow is what the ledger does when somebody buys Pro.
func (s *shop) grow() (version int64) {
	s.t.Helper()
	s.exec(`INSERT INTO flow_monthly (gen, month, currency, plan, kind, amount_micro, customers) VALUES (1, '2026-05-01', 'usd', 'pro', 'new', 9900000000, 1)
		ON CONFLICT (gen, month, currency, plan, kind) DO UPDATE SET amount_micro = flow_monthly.amount_micro + excluded.amount_micro, customers = flow_monthly.customers + 1`)
	if err := s.pool.QueryRow(s.t.Context(), `UPDATE metric_state SET version = version + 1 RETURNING version`).Scan(&version); err != nil {
		s.t.Fatal(err)
	}
	return version
}

func TestAHundredOpenDashboardsCostOneReading(t *testing.T) {
	s := openShop(t).live()
	here, there := s.process(), s.process()
	const dashboards = 100
	type dashboard struct {
		*process
		cookie *http.Cookie
		stream *watch
	}
	var all []dashboard
	for i := range dashboards {
		p := here
		if i%2 == 1 {
			p = there
		}
		cookie := p.session()
		all = append(all, dashboard{p, cookie, p.watch(cookie, "?since=1000000")})
	}
	// What one reading costs, of a process that keeps nothing.
	cold := func(p *process, version int64) int64 {
		before := p.asked.n.Load()
		if _, err := p.refresh(t.Context(), revenue+"?range=24m", all[0].cookie, version); err != nil {
			t.Fatal(err)
		}
		return p.asked.n.Load() - before
	}
	// refreshed waits for the version on every stream, and asks as a browser does.
	refreshed := func(version int64) (bodies map[string]int) {
		bodies = map[string]int{}
		var mu sync.Mutex
		var group errgroup.Group
		for _, d := range all {
			group.Go(func() error {
				for d.stream.version() < version {
				}
				body, err := d.refresh(t.Context(), revenue, d.cookie, version)
				mu.Lock()
				defer mu.Unlock()
				bodies[body]++
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		return bodies
	}
	first := s.grow()
	here.hub.Note()
	refreshed(first)
	one := cold(here, first)

	beforeHere, beforeThere := here.asked.n.Load(), there.asked.n.Load()
	second := s.grow()
	began := time.Now()
	here.hub.Note() // and not there, which hears of it
	bodies := refreshed(second)
	took := time.Since(began)
	inHere, inThere := here.asked.n.Load()-beforeHere, there.asked.n.Load()-beforeThere
	t.Logf("%d dashboards at two processes showed new figures %v after the change, with %d and %d statements; one reading has %d", dashboards, took, inHere, inThere, one)
	if inHere > one || inThere > one || inHere == 0 {
		t.Errorf("%d dashboards cost %d and %d statements, one reading %d", dashboards, inHere, inThere, one)
	}
	if len(bodies) != 1 {
		t.Errorf("they were shown %d different pages", len(bodies))
	}
	for body := range bodies {
		doc, err := goquery.NewDocumentFromReader(strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := doc.Find("[data-live]").Attr("data-live-version"); got != strconv.FormatInt(second, 10) || !strings.Contains(body, "$756.00") {
			t.Errorf("they are shown version %s, want %d with $756.00 in\n%.900s", got, second, body)
		}
	}
}

// TestEveryPageOfFiguresIsShared: whatever a page asks of the database, who
// refreshes it beside others asks nothing more.
func TestEveryPageOfFiguresIsShared(t *testing.T) {
	s := openShop(t).live()
	p := s.process()
	one, other := p.session(), p.session()
	p.watch(one, "")
	p.watch(other, "")
	version := s.grow()
	for _, path := range []string{"", "/revenue", "/customers", "/funnel", "/plans", "/cohorts", "/payments", "/explain/mrr"} {
		path = "/admin/billing" + path
		first, err := p.refresh(t.Context(), path, one, version)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		before := p.asked.n.Load()
		second, err := p.refresh(t.Context(), path, other, version)
		if asked := p.asked.n.Load() - before; err != nil || asked != 0 || second != first {
			t.Errorf("%s: a second refresh asks %d times, %v; the same page: %t", path, asked, err, second == first)
		}
	}
}

func TestNoFirstLoadIsShared(t *testing.T) {
	s := openShop(t).live()
	p := s.processOf(s.admin)
	cookie := p.session()
	version := s.grow()
	if body, err := p.refresh(t.Context(), revenue, cookie, version); err != nil || !strings.Contains(body, "$657.00") {
		t.Fatalf("%v, %.600s", err, body)
	}
	// Figures that changed without a new version, as they never do.
	s.exec(`UPDATE flow_monthly SET amount_micro = amount_micro + 100000000 WHERE kind = 'new' AND month = '2026-05-01'`)
	if body, err := p.refresh(t.Context(), revenue, cookie, version); err != nil || !strings.Contains(body, "$657.00") {
		t.Errorf("a second refresh is read anew: %v, %.600s", err, body)
	}
	for name, headers := range map[string][]string{
		"a first load":            nil,
		"a part without version":  {"HX-Request", "true"},
		"a boosted link":          {"HX-Request", "true", "HX-Boosted", "true", "X-Live-Version", "1"},
		"a restored page":         {"HX-Request", "true", "HX-History-Restore-Request", "true", "X-Live-Version", "1"},
		"a version that is none":  {"HX-Request", "true", "X-Live-Version", "new"},
		"a version to come":       {"HX-Request", "true", "X-Live-Version", "9000000000"},
		"a program with the name": {"X-Live-Version", "1"},
	} {
		answer, err := p.ask(t.Context(), revenue, cookie, headers...)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if !strings.Contains(string(body), "$658.00") {
			t.Errorf("%s is answered %d with what a refresh was answered", name, answer.StatusCode)
		}
	}
	if body, err := p.refresh(t.Context(), revenue+"?compare=year", cookie, version); err != nil || !strings.Contains(body, "$658.00") {
		t.Errorf("another question is answered with that of before: %v", err)
	}
}

// processOf is a process, once there is an administrator.
func (s *shop) processOf(*visitor) *process { return s.process() }

func TestAStreamGoesOnWhereItEnded(t *testing.T) {
	s := openShop(t).live()
	p := s.process()
	cookie := p.session()
	version := s.grow()
	p.hub.Note()
	if got := p.watch(cookie, "").version(); got != version {
		t.Errorf("a first stream says %d at once, want %d", got, version)
	}
	if got := p.watch(cookie, "?since="+strconv.FormatInt(version-1, 10)).version(); got != version {
		t.Errorf("a page of older figures is told %d, want %d", got, version)
	}
	before := strconv.FormatInt(version-1, 10)
	w := p.watch(cookie, "?since=0", "Last-Event-ID", strconv.FormatInt(version, 10))
	if got := p.watch(cookie, "?since=1000000", "Last-Event-ID", before).version(); got != version {
		t.Errorf("one that was cut is told %d, want %d", got, version)
	}
	next := s.grow()
	p.hub.Note()
	if got := w.version(); got != next {
		t.Errorf("who knew the newest is told %d, want only the one after it, %d", got, next)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store", "X-Accel-Buffering": "no", "Content-Encoding": "",
	} {
		if got := w.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if retry := p.watch(cookie, "").next("retry: "); len(retry) < len("retry: 1000") {
		t.Errorf("it says %q about coming back", retry)
	}
	answer, err := p.ask(t.Context(), streamPath+"?since=yesterday", cookie)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusBadRequest {
		t.Errorf("a version that is none is answered %d", answer.StatusCode)
	}
}

func TestAStreamLooksAgainWhoseItIs(t *testing.T) {
	for name, end := range map[string]string{
		"the session has ended":    `UPDATE sessions SET data = NULL`,
		"the role is lost":         `UPDATE users SET is_admin = false`,
		"the account is not there": `DELETE FROM users WHERE is_admin`,
	} {
		t.Run(name, func(t *testing.T) {
			s := openShop(t)
			p := s.process(20*time.Millisecond, 100*time.Millisecond)
			cookie := p.session()
			w := p.watch(cookie, "")
			for range 10 { // it beats, and has looked some times
				if w.next(": ") == "" {
					t.Fatal("the stream ended while its session was good")
				}
			}
			if strings.HasPrefix(end, "UPDATE sessions") {
				s.endSessions()
			} else {
				s.exec(end)
			}
			for w.next("") != "" || w.isOpen() {
			}
			answer, err := p.ask(t.Context(), revenue, cookie, "HX-Request", "true", "X-Live-Version", "1")
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != http.StatusNotFound || answer.Header.Get("HX-Retarget") != "body" {
				t.Errorf("the next refresh is answered %d for %q", answer.StatusCode, answer.Header.Get("HX-Retarget"))
			}
		})
	}
}

// isOpen is false once the stream has ended; an empty line ends an event alone.
func (w *watch) isOpen() bool {
	w.t.Helper()
	select {
	case _, isOpen := <-w.lines:
		return isOpen
	case <-time.After(longest):
		w.t.Fatal("the stream goes on, and says nothing")
		return false
	}
}

// endSessions ends every session, as log-outs do.
func (s *shop) endSessions() {
	s.t.Helper()
	s.exec(`DELETE FROM sessions`)
}

// TestNoStreamVouchesForAnother: whose session has ended cannot stay by opening
// stream after stream as if these were refreshes.
func TestNoStreamVouchesForAnother(t *testing.T) {
	s := openShop(t).live()
	p := s.process()
	cookie := p.session()
	p.watch(cookie, "")
	s.endSessions()
	answer, err := p.ask(t.Context(), streamPath, cookie, "HX-Request", "true", "X-Live-Version", "1")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusNotFound {
		t.Errorf("a second stream is answered %d", answer.StatusCode)
	}
}

func TestOneStreamTooManyIsToldToComeBack(t *testing.T) {
	s := openShop(t)
	p := s.process(20*time.Millisecond, time.Hour)
	cookie := p.session()
	first := p.watch(cookie, "")
	p.watch(cookie, "")
	answer, err := p.ask(t.Context(), streamPath, cookie)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") != "60" {
		t.Errorf("the third is answered %d, %v", answer.StatusCode, answer.Header)
	}
	first.cancel() // which the server notices when it next beats
	for end := time.Now().Add(longest); ; time.Sleep(10 * time.Millisecond) {
		answer, err := p.ask(t.Context(), streamPath, cookie)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			return
		}
		if time.Now().After(end) {
			t.Fatal("a stream that ended makes no room")
		}
	}
}

func TestStreamsEndWithTheServer(t *testing.T) {
	s := openShop(t)
	p := s.process()
	w := p.watch(p.session(), "")
	p.hub.Stop()
	for w.next("") != "" || w.isOpen() {
	}
}

func TestTheStreamIsForAdministrators(t *testing.T) {
	b := setup(t)
	b.admin().get(streamPath).want(503) // this one has nothing to stream
	b.signUp("ada@example.com", "Engines").get(streamPath).want(404)
	b.visitor().get(streamPath).want(404)
	if a := b.logIn("root@example.com").get(streamPath).want(503); a.header.Get("Retry-After") != "60" {
		t.Errorf("headers = %v", a.header)
	}
}

func TestWhoLogsOutIsTrustedNoMore(t *testing.T) {
	s := openShop(t).live()
	p := s.process()
	cookie := p.session()
	w := p.watch(cookie, "")
	before := p.asked.n.Load()
	if _, err := p.refresh(t.Context(), revenue, cookie, 0); err != nil {
		t.Fatal(err)
	}
	warm := p.asked.n.Load()
	if _, err := p.refresh(t.Context(), revenue, cookie, 0); err != nil {
		t.Fatal(err)
	}
	if again := p.asked.n.Load(); again != warm || warm == before {
		t.Errorf("a refresh of a stream costs %d statements, the one before %d", again-warm, warm-before)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.front.URL+"/logout", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(cookie)
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusSeeOther {
		t.Fatalf("logging out is answered %d", answer.StatusCode)
	}
	if _, err := p.refresh(t.Context(), revenue, cookie, 0); err == nil {
		t.Error("a refresh after logging out is answered")
	}
	w.cancel()
}

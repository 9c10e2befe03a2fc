package payments_test

import (
	"bufio"
	"bytes"
	"context"
	"embed"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/handlers"
	"github.com/promptforge/payments/internal/auth"
	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/internal/pgembed"
	"github.com/promptforge/payments/internal/ratelimit"
	"github.com/promptforge/payments/internal/reports"
	"github.com/promptforge/payments/migrations"
)

// intakeChild is set by BenchmarkIntake for the process whose memory it
// measures.
var intakeChild = flag.String("intake.child", "", "serve the webhook on this database, and nothing else")

// BenchmarkIntake measures the way from the wire to durable storage, beside the
// bare insert of the same rows on the same server, which commits to a disk as
// production does. The measures take turns, so that a noisy machine is as noisy
// for each of them. It ends with a table of what is wanted.
func BenchmarkIntake(b *testing.B) {
	if *intakeChild != "" {
		serveIntake(b, *intakeChild)
		return
	}
	r := newIntakeRig(b)
	bare := &measure{name: "bare insert, 16 connections", run: func() result { return r.insert(b, 16) }}
	measures := []*measure{bare}
	door, wire := map[string]*measure{}, map[string]*measure{}
	for _, n := range []int{16, 64} {
		for _, way := range []string{"off", "on"} {
			key := fmt.Sprint(n, way)
			door[key] = &measure{name: fmt.Sprintf("below HTTP, %d callers, group commit %s", n, way), run: func() result { return r.receive(b, n, way == "on") }}
			wire[key] = &measure{name: fmt.Sprintf("through HTTP, %d connections, group commit %s", n, way), run: func() result { return r.post(b, n, way == "on") }}
			measures = append(measures, door[key], wire[key])
		}
	}
	const rounds = 3
	for range rounds {
		for _, m := range measures {
			m.results = append(m.results, m.run())
		}
	}
	open := r.openLoop(b, 1000, 15*time.Second)
	memory := r.memory(b, 100_000)

	var out strings.Builder
	fmt.Fprintf(&out, "\nintake, median of %d turns of %s each, synchronous_commit = on, %d connections in the pool\n", rounds, turn, r.pool.Config().MaxConns)
	fmt.Fprintf(&out, "%53s events/s  events a commit  processor an event: database, both ends\n", "")
	for _, m := range measures {
		fmt.Fprintf(&out, "  %-50s %9.0f  %15.1f  %16.0f µs + %.0f µs\n", m.name, m.rate(), m.perCommit(),
			m.perEvent(func(r result) time.Duration { return r.database }), m.perEvent(func(r result) time.Duration { return r.own }))
	}
	fmt.Fprintf(&out, "  open loop, 1,000 events/s through HTTP: p50 %s, p99 %s, highest %s\n", open.p50, open.p99, open.most)
	fmt.Fprintf(&out, "  100,000 events through HTTP into a process of its own: %.0f MB at most (VmHWM), %.0f events/s\n\n", memory.megabytes, memory.rate)
	for _, wanted := range []struct {
		what         string
		got, atLeast float64
	}{
		{"group commit on ÷ off, below HTTP, 64 callers", door["64on"].rate() / door["64off"].rate(), 2},
		{"group commit on ÷ off, through HTTP, 64 connections", wire["64on"].rate() / wire["64off"].rate(), 2},
		{"through HTTP, 16 connections ÷ bare insert", wire["16on"].rate() / bare.rate(), 0.4},
		{"below HTTP, 64 callers ÷ bare insert", door["64on"].rate() / bare.rate(), 1},
		{"50 ms ÷ p99 at 1,000 events/s", 50 / (open.p99.Seconds() * 1000), 1},
		{"150 MB ÷ memory", 150 / memory.megabytes, 1},
	} {
		verdict := "yes"
		if wanted.got < wanted.atLeast {
			verdict = "NO"
		}
		fmt.Fprintf(&out, "  %-52s %6.2f  wanted ≥ %.1f  %s\n", wanted.what, wanted.got, wanted.atLeast, verdict)
	}
	fmt.Fprint(os.Stdout, out.String()) // b.Log keeps ten lines of it
	b.ReportMetric(wire["64on"].rate(), "events/s")
	b.ReportMetric(float64(open.p99.Microseconds())/1000, "p99-ms")
	b.ReportMetric(memory.megabytes, "MB")
}

// turn is how long each measure runs at a time.
const turn = 1500 * time.Millisecond

type measure struct {
	name    string
	run     func() result
	results []result
}

type result struct {
	events, commits int64
	took            time.Duration
	// database and own are the processor's time of Postgres and of this process,
	// which hardly depend on who else uses the machine.
	database, own time.Duration
}

func (m *measure) perEvent(of func(result) time.Duration) float64 {
	return m.median(func(r result) float64 { return float64(of(r).Microseconds()) / float64(r.events) })
}

func (m *measure) rate() float64 {
	return m.median(func(r result) float64 { return float64(r.events) / r.took.Seconds() })
}

func (m *measure) perCommit() float64 {
	return m.median(func(r result) float64 { return float64(r.events) / float64(r.commits) })
}

func (m *measure) median(of func(result) float64) float64 {
	var all []float64
	for _, r := range m.results {
		all = append(all, of(r))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// purchase are the events of a purchase as the stand-in tells them, with holes
// for what is each one's own.
//
//go:embed testdata/purchase/*.json
var purchase embed.FS

// purchases makes events without end, five of a customer at a time.
type purchases struct {
	shapes []shape
	n      atomic.Int64
}

// shape is an event's text; every other part is the name of a hole.
type shape struct {
	kind  string
	parts []string
}

var holes = regexp.MustCompile(`\{(event|customer|created)\}`)

func newPurchases(tb testing.TB) *purchases {
	tb.Helper()
	p := &purchases{}
	for _, kind := range []string{
		"customer.subscription.created", "charge.succeeded", "invoice.payment_succeeded", "payment_method.attached", "checkout.session.completed",
	} {
		body, err := purchase.ReadFile("testdata/purchase/" + kind + ".json")
		if err != nil {
			tb.Fatal(err)
		}
		p.shapes = append(p.shapes, shape{kind, strings.Split(holes.ReplaceAllString(string(body), "\x00$1\x00"), "\x00")})
	}
	return p
}

type purchaseEvent struct {
	id, kind, customer string
	created            time.Time
	body               []byte
}

func (p *purchases) next() purchaseEvent {
	n := p.n.Add(1) - 1
	s := p.shapes[n%int64(len(p.shapes))]
	e := purchaseEvent{
		id: fmt.Sprintf("evt_1TZq%020d", n), kind: s.kind, customer: fmt.Sprintf("cus_%014d", n/int64(len(p.shapes))),
		created: time.Now().Truncate(time.Second),
	}
	values := map[string]string{"event": e.id, "customer": e.customer, "created": strconv.FormatInt(e.created.Unix(), 10)}
	var body bytes.Buffer
	body.Grow(8 << 10)
	for i, part := range s.parts {
		if i%2 == 1 {
			part = values[part]
		}
		body.WriteString(part)
	}
	e.body = body.Bytes()
	return e
}

// intakeRig is a server as production has it, and the events to store.
type intakeRig struct {
	url       string
	pool      *pgxpool.Pool
	purchases *purchases
	postgres  int // its first process
}

func newIntakeRig(b *testing.B) *intakeRig {
	b.Helper()
	ctx := context.Background()
	dir := b.TempDir()
	server, err := pgembed.Start(ctx, pgembed.Config{Dir: dir, Settings: map[string]string{"max_wal_size": "4GB", "synchronous_commit": "on"}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = server.Stop(ctx) })
	r := &intakeRig{url: server.URL("postgres"), purchases: newPurchases(b), postgres: postmaster(b, dir)}
	if _, err := migrations.Up(ctx, r.url); err != nil {
		b.Fatal(err)
	}
	if r.pool, err = db.Open(ctx, r.url); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(r.pool.Close)
	return r
}

// door is a door whose queue nobody works off: only the intake is measured.
func (r *intakeRig) door(isGrouped bool) (*payments.Payments, *atomic.Int64) {
	door := payments.New(payments.Payments{
		Pool: r.pool, Secrets: []string{webhookSecret}, Now: time.Now, Clock: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	if !isGrouped {
		door.StoreOneByOne()
	}
	return door, door.CountCommits()
}

func (r *intakeRig) empty(b *testing.B) {
	b.Helper()
	if _, err := r.pool.Exec(context.Background(), `TRUNCATE webhook_events, sync_queue`); err != nil {
		b.Fatal(err)
	}
}

// during runs f again and again on n goroutines for a turn, on empty tables.
func (r *intakeRig) during(b *testing.B, n int, f func(worker int) error) result {
	b.Helper()
	r.empty(b)
	database, own := r.spent()
	var count atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for worker := range n {
		all.Go(func() {
			for time.Since(began) < turn {
				if err := f(worker); err != nil {
					b.Error(err)
					return
				}
				count.Add(1)
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	databaseThen, ownThen := r.spent()
	return result{events: count.Load(), commits: count.Load(), took: took, database: databaseThen - database, own: ownThen - own}
}

// postmaster is Postgres' first process, which writes its number beside the
// data; 0 where it is not found.
func postmaster(b *testing.B, dir string) (pid int) {
	b.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == "postmaster.pid" {
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			first, _, _ := strings.Cut(string(raw), "\n")
			pid, _ = strconv.Atoi(first)
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return pid
}

// spent is the processor's time of Postgres' processes that live and of this
// one, from /proc; zero elsewhere than on Linux.
func (r *intakeRig) spent() (database, own time.Duration) {
	processes, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range processes {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		// After the name: state, parent, …; the times are the 12th and 13th, in
		// hundredths of a second.
		fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
		parent, _ := strconv.Atoi(fields[1])
		user, _ := strconv.Atoi(fields[11])
		system, _ := strconv.Atoi(fields[12])
		spent := time.Duration(user+system) * 10 * time.Millisecond
		switch pid, _ := strconv.Atoi(strings.Split(path, "/")[2]); {
		case pid == os.Getpid():
			own = spent
		case parent == r.postgres && parent != 0:
			database += spent
		}
	}
	return database, own
}

func (r *intakeRig) insert(b *testing.B, n int) result {
	b.Helper()
	pool, err := db.Open(context.Background(), fmt.Sprintf("%s&pool_max_conns=%d", r.url, n))
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	return r.during(b, n, func(int) error {
		e := r.purchases.next()
		_, err := pool.Exec(context.Background(), `INSERT INTO webhook_events
			(created, id, type, subject, livemode, account, api_version, secret_used, source, state, reason, body)
			VALUES ($1, $2, $3, $4, false, NULL, '2023-10-16', 0, 'delivered', 'pending', NULL, $5)`, e.created, e.id, e.kind, e.customer, e.body)
		return err
	})
}

func (r *intakeRig) receive(b *testing.B, n int, isGrouped bool) result {
	b.Helper()
	door, commits := r.door(isGrouped)
	out := r.during(b, n, func(int) error {
		body := r.purchases.next().body
		return door.Receive(context.Background(), sign(webhookSecret, time.Now(), body), body)
	})
	out.commits = commits.Load()
	return out
}

func (r *intakeRig) post(b *testing.B, n int, isGrouped bool) result {
	b.Helper()
	door, commits := r.door(isGrouped)
	address, stop := serveDoor(b, door)
	defer stop()
	senders := make([]*sender, n)
	for i := range senders {
		senders[i] = dial(b, address)
		defer senders[i].Close()
	}
	out := r.during(b, n, func(worker int) error { return senders[worker].deliver(r.purchases.next().body) })
	out.commits = commits.Load()
	return out
}

// serveDoor is the product's own router, of which only the webhook is asked.
func serveDoor(tb testing.TB, door *payments.Payments) (address string, stop func()) {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	log := slog.New(slog.NewJSONHandler(io.Discard, nil))
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, Handler: handlers.New(handlers.Deps{
		Pool: door.Pool, Auth: auth.New(door.Pool, time.Now), Sessions: auth.NewSessions(door.Pool, false), Reports: &reports.Reports{Pool: door.Pool, Now: time.Now},
		Payments: door, Shared: &ratelimit.Local{Now: time.Now}, Local: &ratelimit.Local{Now: time.Now},
		BaseURL: "http://" + listener.Addr().String(), Now: time.Now, Clock: time.Now, Log: log,
	})}
	go func() { _ = server.Serve(listener) }()
	return listener.Addr().String(), func() { _ = server.Close() }
}

// sender is a connection that is kept alive. It is not net/http's client: both
// ends share the machine, and what the sender spends the server has not.
type sender struct {
	net.Conn
	in  *bufio.Reader
	out bytes.Buffer
}

func dial(tb testing.TB, address string) *sender {
	tb.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	return &sender{Conn: conn, in: bufio.NewReader(conn)}
}

func (s *sender) deliver(body []byte) error {
	s.out.Reset()
	fmt.Fprintf(&s.out, "POST /api/webhooks/stripe HTTP/1.1\r\nHost: %s\r\nUser-Agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)\r\n"+
		"Content-Type: application/json; charset=utf-8\r\nStripe-Signature: %s\r\nContent-Length: %d\r\n\r\n",
		s.RemoteAddr(), sign(webhookSecret, time.Now(), body), len(body))
	s.out.Write(body)
	if _, err := s.Write(s.out.Bytes()); err != nil {
		return err
	}
	response, err := http.ReadResponse(s.in, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %d %s", response.StatusCode, answer)
	}
	return nil
}

type latencies struct{ p50, p99, most time.Duration }

// openLoop sends at moments that do not depend on the answers, and measures
// from these moments: who is slow makes the next ones look slow too.
func (r *intakeRig) openLoop(b *testing.B, perSecond int, length time.Duration) latencies {
	b.Helper()
	r.empty(b)
	door, _ := r.door(true)
	address, stop := serveDoor(b, door)
	defer stop()
	n := int(length.Seconds()) * perSecond
	due := make(chan time.Time, n)
	took := make(chan time.Duration, n)
	var senders sync.WaitGroup
	for range 128 {
		sender := dial(b, address)
		senders.Go(func() {
			defer sender.Close()
			for at := range due {
				if err := sender.deliver(r.purchases.next().body); err != nil {
					b.Error(err)
					return
				}
				took <- time.Since(at)
			}
		})
	}
	began := time.Now()
	for i := range n {
		at := began.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
		time.Sleep(time.Until(at))
		due <- at
	}
	close(due)
	senders.Wait()
	close(took)
	var all []time.Duration
	for d := range took {
		all = append(all, d.Round(100*time.Microsecond))
	}
	if len(all) < n {
		b.Fatalf("%d of %d deliveries were answered", len(all), n)
	}
	slices.Sort(all)
	return latencies{all[n/2], all[n*99/100], all[n-1]}
}

type usage struct{ megabytes, rate float64 }

var vmHWM = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// memory is that of a process which does nothing but take events in.
func (r *intakeRig) memory(b *testing.B, n int64) usage {
	b.Helper()
	r.empty(b)
	child := exec.Command(os.Args[0], "-test.run=^$", "-test.bench=^BenchmarkIntake$", "-test.benchtime=1x", "-intake.child="+r.url)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	done, err := child.StdinPipe() // the child ends with it
	if err != nil {
		b.Fatal(err)
	}
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { done.Close(); _ = child.Wait() }()
	lines := bufio.NewScanner(out)
	address := ""
	for address == "" && lines.Scan() {
		_, address, _ = strings.Cut(lines.Text(), "serving at ")
	}
	if address == "" {
		b.Fatal("the process that serves did not start")
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	var left atomic.Int64
	left.Store(n)
	var senders sync.WaitGroup
	began := time.Now()
	for range 64 {
		sender := dial(b, address)
		senders.Go(func() {
			defer sender.Close()
			for left.Add(-1) >= 0 {
				if err := sender.deliver(r.purchases.next().body); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	senders.Wait()
	u := usage{rate: float64(n) / time.Since(began).Seconds()}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", child.Process.Pid))
	if err != nil {
		b.Logf("no memory is known on this system: %v", err)
		return u
	}
	high := vmHWM.FindSubmatch(status)
	if high == nil {
		b.Fatalf("no VmHWM in %s", status)
	}
	kilobytes, err := strconv.ParseFloat(string(high[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	u.megabytes = kilobytes / 1000
	return u
}

// serveIntake is the process whose memory is measured. It ends when its parent
// closes its input or dies.
func serveIntake(b *testing.B, url string) {
	b.Helper()
	pool, err := db.Open(context.Background(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	r := &intakeRig{pool: pool}
	door, _ := r.door(true)
	address, stop := serveDoor(b, door)
	defer stop()
	fmt.Fprintf(os.Stdout, "\nserving at %s\n", address)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

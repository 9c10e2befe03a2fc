package payments_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/db/dbtest"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/internal/stripeapi"
	"github.com/promptforge/payments/internal/stripesim/simtest"
)

// What a process is told.
const (
	processDatabase = "PAYMENTS_TEST_DATABASE"
	processStripe   = "PAYMENTS_TEST_STRIPE"
	processSold     = "PAYMENTS_TEST_SOLD"
	// businessTime is the header with the second at which a delivery is made.
	businessTime = "X-Business-Time"
	// processListens begins the line that a process says once it listens.
	processListens = "listening on "
)

// TestMain lets the test binary be a process of its own, which takes deliveries
// on a port and works until it is killed.
func TestMain(m *testing.M) {
	if os.Getenv(processDatabase) == "" {
		os.Exit(m.Run())
	}
	fmt.Fprintln(os.Stderr, beProcess(context.Background()))
	os.Exit(1)
}

func beProcess(ctx context.Context) error {
	pool, err := pgxpool.New(ctx, os.Getenv(processDatabase))
	if err != nil {
		return err
	}
	sold := map[payments.Offer]string{}
	for line := range strings.FieldsSeq(os.Getenv(processSold)) {
		offer := strings.Split(line, ",")
		sold[payments.Offer{Plan: offer[0], Interval: billing.Interval(offer[1])}] = offer[2]
	}
	var ahead atomic.Int64 // of the business clock, in seconds
	door := payments.New(payments.Payments{
		Pool: pool, Plans: billing.DefaultPlans(), Sold: sold, Secrets: []string{webhookSecret}, BaseURL: "http://127.0.0.1:8080",
		Stripe: stripeapi.New(stripeapi.Config{Key: simtest.SecretKey, Base: os.Getenv(processStripe), MaxRPS: 1000}),
		Now:    func() time.Time { return time.Now().Add(time.Duration(ahead.Load()) * time.Second) },
		Clock:  time.Now, Log: slog.New(slog.DiscardHandler),
	})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if now, err := strconv.ParseInt(r.Header.Get(businessTime), 10, 64); err == nil {
			ahead.Store(now - time.Now().Unix())
		}
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = door.Receive(r.Context(), r.Header.Get("Stripe-Signature"), body)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	}))
	fmt.Println(processListens + front.URL)
	return door.Run(ctx)
}

// process is one that was started.
type process struct {
	url     string
	command *exec.Cmd
}

func startProcess(t *testing.T, w *world, database string) *process {
	t.Helper()
	var sold []string
	for offer, price := range w.set.Sold {
		sold = append(sold, offer.Plan+","+string(offer.Interval)+","+price)
	}
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), processDatabase+"="+database, processStripe+"="+w.url, processSold+"="+strings.Join(sold, " "))
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill() // it may have been killed already
		_ = command.Wait()
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if url, ok := strings.CutPrefix(lines.Text(), processListens); ok {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return &process{url, command}
		}
	}
	t.Fatal("the process never listened")
	return nil
}

// kill is kill -9.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := p.command.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("killed, it ended with %v", err)
	}
}

// deliver posts an event and reports whether the process said that it has it.
func (p *process) deliver(t *testing.T, w *world, e json.RawMessage) bool {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url, bytes.NewReader(e))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Stripe-Signature", sign(webhookSecret, time.Now(), e))
	request.Header.Set(businessTime, strconv.FormatInt(w.clock.Load(), 10))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// TestTwoProcessesOnOneDatabase: deliveries reach either of two processes by
// chance, and both work; one is killed in the middle of it and another takes its
// place. What was answered 200 is stored, each change has one effect, and in the
// end the rows are those of a shop that heard of everything on time.
func TestTwoProcessesOnOneDatabase(t *testing.T) {
	t.Parallel()
	w, done := newWorld(t, t.Context(), aNoon)
	defer done()
	url := dbtest.URL(t)
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	onTime, both := w.shop("on time", dbtest.New(t)), w.shop("both", pool)
	processes := []*process{startProcess(t, w, url), startProcess(t, w, url)}

	chance := rand.New(rand.NewPCG(3, 4))
	var buyers []buyer
	for i := range 8 {
		buyers = append(buyers, w.sell([]string{"pilot", "pro", "enterprise"}[i%3], "4242424242424242", onTime, both))
	}
	var accepted []string
	var unanswered []json.RawMessage
	const steps = 12
	for step := range steps {
		events := w.news()
		for _, e := range events {
			onTime.deliver(e)
			onTime.settle()
		}
		deliveries := shuffledTwice(chance, events)
		for i, e := range deliveries {
			if step == steps/2 && i == len(deliveries)/2 { // while it has work
				processes[0].kill(t)
			}
			if processes[chance.IntN(2)].deliver(t, w, e) {
				accepted = append(accepted, id(e))
			} else {
				unanswered = append(unanswered, e)
			}
		}
		if step == steps/2 {
			processes[0] = startProcess(t, w, url)
		}
		if step == steps-1 {
			break
		}
		for i, b := range buyers {
			w.pass(time.Duration(20+i) * time.Minute)
			switch s := w.only(b.customer); {
			case s.Status == "canceled":
			case (step+i)%5 == 4:
				w.update(b.customer, "cancel_at_period_end", fmt.Sprint(step%2 == 0))
			case step == 8 && i == 3:
				w.must(http.MethodDelete, "/v1/subscriptions/"+s.ID, "")
			case (step+i)%3 == 0:
				w.move(b.customer, []string{"pilot", "pro", "enterprise"}[chance.IntN(3)])
			default:
				w.update(b.customer, "items[0][id]", s.Items.Data[0].ID, "items[0][quantity]", fmt.Sprint(1+chance.IntN(5)))
			}
		}
	}
	stored := both.rows(`SELECT id FROM webhook_events`)
	for _, event := range accepted {
		if !slices.Contains(stored, event) {
			t.Errorf("%s was answered 200 and is not stored", event)
		}
	}
	if len(unanswered) == 0 {
		t.Error("nobody noticed that a process was killed")
	}
	for _, e := range unanswered { // as Stripe would
		if !processes[1].deliver(t, w, e) {
			t.Errorf("%s is not taken on its second delivery", id(e))
		}
	}
	// A minute of waiting is spared: what the dead process held ends now.
	held := both.rows(`UPDATE sync_queue SET lease_until = '-infinity' WHERE lease_until > now() AND wanted > done RETURNING subject`)
	deadline := time.Now().Add(3 * time.Minute) // nobody waits for it but where something is stuck
	for len(both.rows(`SELECT subject FROM sync_queue WHERE wanted > done`)) > 0 && time.Now().Before(deadline) {
		both.exec(`UPDATE sync_queue SET due_at = '-infinity' WHERE wanted > done AND lease_until < now()`)
		time.Sleep(20 * time.Millisecond)
	}
	for _, p := range processes {
		p.kill(t)
	}
	w.pass(2 * time.Minute)
	for _, s := range []*shop{onTime, both} {
		s.ask()
		s.derive()
		if err := s.ledger.Verify(t.Context()); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
	}
	t.Logf("%d deliveries accepted, %d unanswered, %d subjects were held", len(accepted), len(unanswered), len(held))
	if diff := differences(onTime.state(), both.state()); diff != "" {
		t.Errorf("the rows differ (-on time +both):\n%s", diff)
	}
	const mails = `SELECT concat_ws(' ', kind, natural_key, to_address) FROM outbox ORDER BY kind, natural_key, to_address`
	if got, want := both.rows(mails), onTime.rows(mails); !slices.Equal(got, want) {
		t.Errorf("mails %q, want %q", got, want)
	}
}

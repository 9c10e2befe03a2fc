package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/db/dbtest"
	"github.com/promptforge/payments/internal/auth"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/payments"
	"github.com/promptforge/payments/internal/ratelimit"
	"github.com/promptforge/payments/internal/stripeapi"
	"github.com/promptforge/payments/internal/stripesim/simtest"
)

// company is the product in two processes on one database, before a stand-in that
// delivers its webhooks to the first of them.
type company struct {
	t        *testing.T
	sim      *simtest.Sim
	pool     *pgxpool.Pool
	replicas [2]*replicaServer
}

type replicaServer struct {
	*app
	base string
	stop func() error
}

func openCompany(t *testing.T) *company {
	t.Helper()
	c := &company{t: t, sim: simtest.Start(t)}
	database := dbtest.URL(t)
	var err error
	if c.pool, err = pgxpool.New(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.pool.Close)
	var listeners [2]net.Listener
	for i := range listeners {
		if listeners[i], err = listen("127.0.0.1:0", "ADDR"); err != nil {
			t.Fatal(err)
		}
	}
	client := stripeapi.New(stripeapi.Config{Key: c.sim.SecretKey, Base: c.sim.URL, MaxRPS: 1000})
	set, err := payments.SetUp(t.Context(), client, billing.DefaultPlans(), payments.SetupOptions{WebhookURL: "http://" + listeners[0].Addr().String() + webhookPath})
	if err != nil {
		t.Fatal(err)
	}
	for i, listener := range listeners {
		r := &replicaServer{base: "http://" + listener.Addr().String()}
		r.app, err = assemble(t.Context(), settings{
			databaseURL: database, baseURL: r.base, stripeKey: c.sim.SecretKey, stripeBase: c.sim.URL, maxRPS: 1000,
			webhookSecrets: []string{set.Endpoint.Secret}, plans: billing.DefaultPlans(), sold: set.Sold,
			rateCheckout: ratelimit.Rate{N: 100, Per: time.Minute}, rateRead: ratelimit.Rate{N: 1000, Per: time.Minute}, now: time.Now,
		}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- r.run(ctx, listener) }()
		stopped := false
		r.stop = func() error {
			if stopped {
				return nil
			}
			stopped = true
			cancel()
			select {
			case err := <-done:
				return err
			case <-time.After(time.Minute):
				return fmt.Errorf("replica %d does not stop", i+1)
			}
		}
		t.Cleanup(func() {
			if err := r.stop(); err != nil {
				t.Errorf("stop replica %d: %v", i+1, err)
			}
		})
		c.replicas[i] = r
		waitFor(t, r.base+"/readyz")
	}
	if _, err := c.replicas[0].auth.CreateUser(t.Context(), auth.NewUser{Name: "Root", Email: "root@example.com", Password: "correct horse battery", IsAdmin: true}); err != nil {
		t.Fatal(err)
	}
	return c
}

// browser keeps its cookies and follows nothing by itself.
func browser() *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err) // it cannot
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// send returns the body of an answer of that status.
func (c *company) send(client *http.Client, want int, method, address, kind, body string, headers ...string) string {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != want {
		c.t.Fatalf("%s %s: %s, %v\n%.600s", method, address, response.Status, err, answer)
	}
	return string(answer)
}

const formType = "application/x-www-form-urlencoded"

// buys lets somebody new sign up and buy Pro; what follows comes by webhook.
func (c *company) buys(name string) {
	c.t.Helper()
	client, base := browser(), c.replicas[0].base
	form := url.Values{"email": {name + "@example.com"}, "password": {"correct horse battery"}, "name": {name}, "organization": {name + "'s"}}
	c.send(client, http.StatusSeeOther, http.MethodPost, base+"/signup", formType, form.Encode())
	var session struct{ SessionID string }
	if err := json.Unmarshal([]byte(c.send(client, http.StatusOK, http.MethodPost, base+"/api/checkout", "application/json", `{"planId":"pro","isAnnual":false}`)), &session); err != nil {
		c.t.Fatal(err)
	}
	if status, _ := c.sim.Complete(c.t, session.SessionID, goodCard); status != http.StatusOK {
		c.t.Fatalf("paying answers %d", status)
	}
}

// looking is an administrator who has the revenue page open.
type looking struct {
	c       *company
	client  *http.Client
	base    string
	version int64
	events  chan int64
}

const revenuePath = "/admin/billing/revenue"

func (c *company) look(r *replicaServer) *looking {
	c.t.Helper()
	l := &looking{c: c, client: browser(), base: r.base, events: make(chan int64, 100)}
	c.send(l.client, http.StatusSeeOther, http.MethodPost, l.base+"/login", formType, url.Values{"email": {"root@example.com"}, "password": {"correct horse battery"}}.Encode())
	c.send(l.client, http.StatusOK, http.MethodGet, l.base+revenuePath, "", "")
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, l.base+"/admin/billing/stream", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	response, err := l.client.Do(request)
	if err != nil || response.StatusCode != http.StatusOK {
		c.t.Fatalf("the stream answers %v, %v", response, err)
	}
	c.t.Cleanup(func() { response.Body.Close() })
	go func() {
		defer close(l.events)
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			if id, isID := strings.CutPrefix(lines.Text(), "id: "); isID {
				version, _ := strconv.ParseInt(id, 10, 64) // 0 is no version
				l.events <- version
			}
		}
	}()
	return l
}

// sees refreshes whenever the stream says so, until the page shows the figure.
func (l *looking) sees(figure string) {
	l.c.t.Helper()
	end := time.After(time.Minute)
	for {
		select {
		case version, isOpen := <-l.events:
			if !isOpen {
				l.c.t.Fatal("the stream has ended")
			}
			if version <= l.version {
				l.c.t.Errorf("version %d comes after %d", version, l.version)
			}
			l.version = version
			part := l.c.send(l.client, http.StatusOK, http.MethodGet, l.base+revenuePath, "", "", "HX-Request", "true", "X-Live-Version", strconv.FormatInt(version, 10))
			if strings.Contains(part, figure) {
				return
			}
		case <-end:
			l.c.t.Fatalf("%s is not seen", figure)
		}
	}
}

// TestFiguresFollowAWebhook from a payment at Stripe to the page of whoever looks,
// at the process that got the webhook and at another one, and after the
// connections that listen were cut.
func TestFiguresFollowAWebhook(t *testing.T) {
	t.Parallel()
	c := openCompany(t)
	here, there := c.look(c.replicas[0]), c.look(c.replicas[1])

	began := time.Now()
	c.buys("ada")
	paid := time.Now()
	here.sees("$99.00")
	first := time.Since(paid)
	there.sees("$99.00")
	t.Logf("signed up and paid within %v; the figures were seen %v after the payment, elsewhere %v", paid.Sub(began), first, time.Since(paid))

	var cut int
	if err := c.pool.QueryRow(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name IN ('promptforge listens', 'promptforge tells')`).Scan(&cut); err != nil || cut < 3 {
		t.Fatalf("%d connections were cut, %v", cut, err)
	}
	c.buys("bob")
	paid = time.Now()
	here.sees("$198.00")
	there.sees("$198.00")
	t.Logf("with connections cut, the figures were seen %v after the payment", time.Since(paid))

	// A stop does not wait for whoever looks.
	began = time.Now()
	if err := c.replicas[1].stop(); err != nil {
		t.Fatal(err)
	}
	for range there.events {
	}
	if took := time.Since(began); took > drainTimeout {
		t.Errorf("the stop took %v", took)
	}
	c.buys("eve")
	here.sees("$297.00")
}

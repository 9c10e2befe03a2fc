// Package simtest starts the Stripe stand-in for a test and holds both sides to
// Stripe's contract: each request that reaches the stand-in is also put to the
// official stripe-mock, and the test fails when that refuses what the stand-in
// accepted. Only tests import it.
package simtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/promptforge/payments/internal/stripesim"
)

// SecretKey is the key that every stand-in of a test takes.
const SecretKey = "sk_test_simtest0123456789"

// Sim is a stand-in that runs until its test ends.
type Sim struct {
	// URL is the address of the API (without /v1) and of the hosted pages.
	URL string
	// SecretKey is what a request must show.
	SecretKey string
	// Server is the stand-in itself, closed when the test ends.
	Server *stripesim.Server
}

// Option changes how a stand-in is started.
type Option func(*options)

type options struct {
	config  stripesim.Config
	mirror  bool
	schemas bool
}

// WithConfig lets the test set what it needs of the stand-in's configuration.
// The key and the public address are set already.
func WithConfig(set func(*stripesim.Config)) Option {
	return func(o *options) { set(&o.config) }
}

// WithSchemas also validates each answer of the API against Stripe's OpenAPI
// document. Reading that takes about a second, once a test binary.
func WithSchemas() Option {
	return func(o *options) { o.schemas = true }
}

// WithoutMirror leaves stripe-mock out, for tests about the stand-in that ask
// for what only it knows.
func WithoutMirror() Option {
	return func(o *options) { o.mirror = false }
}

// Start runs a stand-in for the test, in memory unless WithConfig names a
// folder.
func Start(t testing.TB, with ...Option) *Sim {
	t.Helper()
	front := httptest.NewUnstartedServer(nil)
	o := options{mirror: true, config: stripesim.Config{
		SecretKey: SecretKey,
		PublicURL: "http://" + front.Listener.Addr().String(),
	}}
	for _, set := range with {
		set(&o)
	}
	server, err := stripesim.Open(o.config)
	if err != nil {
		front.Close()
		t.Fatalf("open stand-in: %v", err)
	}
	front.Config.Handler = watch(t, server.Handler(), o)
	front.Start()
	t.Cleanup(func() {
		front.Close()
		if err := server.Close(); err != nil {
			t.Errorf("close stand-in: %v", err)
		}
	})
	return &Sim{URL: front.URL, SecretKey: o.config.SecretKey, Server: server}
}

// Complete pays for a checkout session with the card, as a buyer would on the
// hosted page, and answers the status and where the buyer is sent.
func (s *Sim) Complete(t testing.TB, sessionID, card string) (status int, redirectURL string) {
	t.Helper()
	status, body := s.Do(t, http.MethodPost, "/sim/checkout/"+sessionID+"/complete", fmt.Sprintf(`{"card":%q}`, card))
	var answer struct {
		RedirectURL string `json:"redirect_url"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("complete %s: %v in %s", sessionID, err, body)
	}
	return status, answer.RedirectURL
}

// Populate makes so many customers who pay the price by its id, each with an
// active subscription, an invoice that is paid and what metadata answers of
// their number; it may be nil. A hundred thousand take ten seconds and two
// gigabytes; start the stand-in WithoutMirror for them.
func (s *Sim) Populate(t testing.TB, customers int, price string, metadata func(i int) map[string]string) []stripesim.Populated {
	t.Helper()
	crowd, err := s.Server.Populate(stripesim.Population{Customers: customers, Price: price, Metadata: metadata})
	if err != nil {
		t.Fatal(err)
	}
	return crowd
}

// State answers every object of the stand-in by kind, oldest first.
func (s *Sim) State(t testing.TB) map[string][]map[string]any {
	t.Helper()
	status, body := s.Do(t, http.MethodGet, "/sim/state", "")
	if status != http.StatusOK {
		t.Fatalf("state: %d %s", status, body)
	}
	var state map[string][]map[string]any
	if err := json.Unmarshal(body, &state); err != nil {
		t.Fatalf("state: %v", err)
	}
	return state
}

// Do sends a request with the secret key: JSON to a control route, a form to
// the API.
func (s *Sim) Do(t testing.TB, method, path, body string) (status int, answer []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+s.SecretKey)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if strings.HasPrefix(path, "/sim/") {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, answer
}

// watch lets the stand-in answer and then asks the judges about it.
func watch(t testing.TB, standIn http.Handler, o options) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/v1/") {
			standIn.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("%s %s: read body: %v", r.Method, r.URL.Path, err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		recorded := &recorder{ResponseWriter: w, status: http.StatusOK}
		standIn.ServeHTTP(recorded, r)
		if recorded.status >= http.StatusBadRequest {
			return // refused, so that there is nothing that stripe-mock could object to
		}
		if o.mirror {
			if refusal := Refusal(t, r.Method, r.URL.RequestURI(), string(body)); refusal != "" {
				t.Errorf("stripe-mock refuses %s %s %s: %s", r.Method, r.URL.RequestURI(), body, refusal)
			}
		}
		if o.schemas {
			if err := CheckAnswer(t, r.Method, r.URL.Path, recorded.body.Bytes()); err != nil {
				t.Errorf("answer of %s %s: %v\n%s", r.Method, r.URL.RequestURI(), err, recorded.body.Bytes())
			}
		}
	})
}

// recorder remembers what it passes on.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	r.body.Write(p)
	return r.ResponseWriter.Write(p)
}

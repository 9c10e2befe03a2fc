package payments_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/promptforge/payments/internal/stripesim"
)

type tsim struct {
	URL, SecretKey string
	mu             sync.Mutex
	reqs           []string
	srv            *httptest.Server
	Sim            *stripesim.Server
}

func (s *tsim) Requests() []string { s.mu.Lock(); defer s.mu.Unlock(); return s.reqs }
func (s *tsim) Close()             { s.srv.Close() }

func startSim(t *testing.T) *tsim {
	s := &tsim{SecretKey: "sk_test_abcdefghijklmnop"}
	sim, err := stripesim.Open(stripesim.Config{SecretKey: s.SecretKey, PublicURL: "http://127.0.0.1:9"})
	if err != nil {
		t.Fatal(err)
	}
	s.Sim = sim
	h := sim.Handler()
	s.srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.reqs = append(s.reqs, r.URL.Path)
		s.mu.Unlock()
		h.ServeHTTP(w, r)
	}))
	s.URL = s.srv.URL
	t.Cleanup(func() { s.srv.Close(); sim.Close() })
	return s
}

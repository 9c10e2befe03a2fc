package handlers_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/promptforge/payments/handlers"
)

// TestWhatIsTakenAwayIsGoneAtOnce: rights are read with each request, not kept
// in the session.
func TestWhatIsTakenAwayIsGoneAtOnce(t *testing.T) {
	b := setup(t)
	admin := b.admin()
	admin.get("/admin/billing").want(200)
	b.exec(`UPDATE users SET is_admin = false`)
	admin.get("/admin/billing").want(404)

	v := b.signUp("ada@example.com", "Engines")
	b.exec(`DELETE FROM memberships`)
	b.unchanged("who has left", func() { v.json("/api/checkout", `{"planId":"pro","isAnnual":false}`).want(404) })
}

func TestNobodyLogsOutInPeace(t *testing.T) {
	b := setup(t)
	if a := b.visitor().post("/logout", nil).want(303); a.location() != "/" {
		t.Errorf("logging out leads to %s", a.location())
	}
}

// TestStripeLeadsBackToOurOwnAddress: requests of tests name another host, as a
// forged Host header would.
func TestStripeLeadsBackToOurOwnAddress(t *testing.T) {
	b := setup(t)
	v := b.signUp("ada@example.com", "Engines").with("X-Forwarded-Host", "evil.example").with("Forwarded", "host=evil.example")
	v.do(http.MethodPost, "/api/checkout", "application/json; charset=utf-8", strings.NewReader(`{"planId":"pro","isAnnual":false,"orgId":null}`)).want(200)
	for _, session := range b.sim.State(t)["checkout.session"] {
		for _, field := range []string{"success_url", "cancel_url"} {
			if got, _ := session[field].(string); !strings.HasPrefix(got, baseURL+"/checkout/") {
				t.Errorf("%s = %q", field, got)
			}
		}
	}
	for _, path := range []string{"/billing", "/checkout?plan=pro"} {
		if a := b.visitor().with("X-Forwarded-Host", "evil.example").get(path).want(303); !strings.HasPrefix(a.location(), "/login?") {
			t.Errorf("%s leads to %s", path, a.location())
		}
	}
}

// TestADatabaseThatHangsIsNotReady within the time that a supervisor waits.
func TestADatabaseThatHangsIsNotReady(t *testing.T) {
	b := setup(t, func(d *handlers.Deps) {
		d.Ready = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	})
	began := time.Now()
	b.visitor().get("/readyz").want(503)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

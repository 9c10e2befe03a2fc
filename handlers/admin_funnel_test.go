package handlers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

const (
	funnelPath = "/admin/billing/funnel"
	// acme is the organization of the autumn.
	acme = "7b0f2f8e-54b4-4a3c-9d1f-2d7f0d5d3a10"
)

// looked records a look at the prices on a day of 2026, at noon.
func (a *autumn) looked(visitor uuid.UUID, day string) {
	a.t.Helper()
	a.exec(`INSERT INTO payment_events (kind, natural_key, at, visitor_id, livemode) VALUES ('pricing_viewed', $1 || ':2026-' || $2, ($3 || 'T12:00:00Z')::timestamptz, $4, false)`,
		visitor.String(), day, "2026-"+day, visitor)
	a.exec(`INSERT INTO metric_dirty (customer_id) VALUES ('visit:' || $1::text)`, visitor.String())
}

// checkedOut records a checkout of a visitor, or with uuid.Nil of nobody, that
// began at noon, and what came of it so many hours later: completed, activated,
// paid.
func (a *autumn) checkedOut(visitor uuid.UUID, session, plan, day string, trialDays int, hours ...float64) {
	a.t.Helper()
	at, err := time.Parse(time.DateOnly, "2026-"+day)
	if err != nil {
		a.t.Fatal(err)
	}
	at = at.Add(12 * time.Hour)
	state := "expired"
	var subscription, who any
	if len(hours) > 0 {
		state, subscription = "complete", "sub_"+session
	}
	mark := "org:" + acme
	if visitor != uuid.Nil {
		who, mark = visitor, visitor.String()
	}
	a.exec(`INSERT INTO checkout_attempts (id, org_id, user_id, plan, "interval", price_id, params, state, session_id, subscription_id, created_at, ended_at, visitor_id)
		VALUES (gen_random_uuid(), $1, (SELECT id FROM users ORDER BY created_at LIMIT 1), $2, 'month', 'price', jsonb_build_object('customer', 'cus_' || $3, 'trial_days', $4::int), $5, $3, $6, $7, $7, $8)`,
		acme, plan, session, trialDays, state, subscription, at, who)
	tell := func(kind, key string, after float64, amount any) {
		a.exec(`INSERT INTO payment_events (kind, natural_key, at, stripe_customer_id, subscription_id, amount_minor, livemode) VALUES ($1, $2, $3, 'cus_' || $4, $5, $6, false)`,
			kind, key, at.Add(time.Duration(after*float64(time.Hour))), session, subscription, amount)
	}
	tell("checkout_started", session, 0, nil)
	for i, after := range hours {
		switch i {
		case 0:
			tell("checkout_completed", session, after, nil)
		case 1:
			tell("subscription_activated", "sub_"+session, after, nil)
		case 2:
			tell("payment_succeeded", "in_"+session, after, 9900)
		}
	}
	a.exec(`INSERT INTO metric_dirty (customer_id) VALUES ('visit:' || $1)`, mark)
}

// openFunnel is October with twelve visitors, of whom ten began a checkout, eight
// completed one and six paid, and with one who came without a look; and the last
// days of the year, which are not over.
func openFunnel(t *testing.T) *autumn {
	t.Helper()
	a := openAutumn(t)
	for i := range 12 {
		visitor := uuid.New()
		a.looked(visitor, "10-05")
		session := "s" + string(rune('a'+i))
		switch {
		case i < 6:
			a.checkedOut(visitor, session, "pro", "10-06", 0, 1, 1, 3)
		case i < 8:
			a.checkedOut(visitor, session, "pilot", "10-06", 14, 1, 1)
		case i < 10:
			a.checkedOut(visitor, session, "pro", "10-06", 0)
		}
	}
	a.checkedOut(uuid.Nil, "direct", "pilot", "10-20", 0, 2, 2, 2)
	late := uuid.New()
	a.looked(late, "12-29")
	a.checkedOut(late, "late", "pilot", "12-29", 14, 1, 1)
	a.settle()
	return a
}

func TestThePageOfTheFunnelAddsUp(t *testing.T) {
	a := openFunnel(t)
	page := a.admin.get(funnelPath + "?from=2026-10-01&interval=month&range=custom&to=2026-10-31").want(200)
	page.wantFigure("Visitors", "12").wantFigure("Began a checkout", "83.3%").wantFigure("Became paying", "50.0%").wantFigure("Became paying", "6 of 12 visitors.")
	page.wantFigure("From the look to the payment", "27 h")
	page.wantRows("#steps", "Looked at the prices | 12 | ", "Began a checkout Half took up to 25 h | 10 83.3% of visitors | 83.3%",
		"Completed it Half took up to 58 min | 8 80.0% of those begun | 66.7%", "On trial or active Half of them at once | 8 100.0% of completed | 66.7%",
		"Paid Half took up to 2 h 5 min | 6 75.0% of active | 50.0%")
	page.wantText("#steps figcaption", "Of 12 visitors who looked at the prices, 6 paid: 50.0%.")
	page.wantText("#steps", "A checkout counts that is completed within seven days of the look")
	page.wantText("#direct figcaption", "1 checkout was begun without a look at the prices, and 1 paid: 100.0%.")
	page.wantRows("#plans", "Pilot | 3 | 3 100.0% | 3 100.0% | 1 33.3%", "Pro | 8 | 6 75.0% | 6 100.0% | 6 100.0%")
	page.wantText("#figures-table", "Not over yet0")

	// Days of October alone, and those around whole months, have the same medians.
	for _, days := range []string{"from=2026-10-05&range=custom&to=2026-10-20", "from=2026-10-03&range=custom&to=2026-11-20", "from=2026-09-20&range=custom&to=2026-12-10"} {
		a.admin.get(funnelPath+"?"+days).want(200).wantFigure("Visitors", "12").wantFigure("From the look to the payment", "27 h")
	}

	// What is not over is provisional.
	late := a.admin.get(funnelPath + "?from=2026-12&range=custom").want(200)
	late.wantFigure("Became paying", "0.0%").wantFigure("Became paying", "Provisional: 1 still has time left.")
	late.wantText("#rates details", "0.0%, provisional")

	// Of a plan nobody knows who looked at it.
	pro := a.admin.get(funnelPath + "?from=2026-10-01&interval=month&plan=pro&range=custom&to=2026-10-31").want(200)
	pro.wantFigure("Visitors", "n/a").wantFigure("Became paying", "Nobody knows which plan a look at the prices was for.")
	pro.wantText("#steps figcaption", "Of 8 visitors who began a checkout for Pro, 6 paid: 75.0%.")

	file := a.admin.get("/admin/billing/export/funnel.csv?from=2026-10-01&interval=month&range=custom&to=2026-10-31").want(200)
	lines := strings.Split(strings.TrimSpace(file.body), "\n")
	if want := "2026-10-01,2026-10-31,false,,12,10,8,8,6,1,1,1,1,0,0,0.833333"; len(lines) != 2 || !strings.HasPrefix(lines[1], want) {
		t.Errorf("the file is %q, want its row to begin with %s", lines, want)
	}
}

func TestAnEmptyFunnelSaysWhy(t *testing.T) {
	b := setup(t)
	b.admin().get(funnelPath).want(200).wantText("#figures", "Nobody has looked at the prices yet").wantText("#figures", "Global Privacy Control")
}

package handlers

import (
	"time"

	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/internal/auth"
	"github.com/promptforge/payments/internal/ratelimit"
	"github.com/promptforge/payments/static"
)

// audience is who may ask; anyone else gets what refuse in middleware.go says.
type audience string

const (
	public        audience = "anyone, with or without a session"
	signedIn      audience = "whoever has a session"
	administrator audience = "administrators; for anyone else there is no such page"
	machine       audience = "programs: no session, no cookie, no origin"
	// The scope of the key stands in keyScopes.
	readsEntitlements audience = "programs with a key that may read entitlements: no session, no cookie, no origin"
	readsMetrics      audience = "programs with a key that may read figures: no session, no cookie, no origin"
)

// keyScopes are what a program's key must be for.
var keyScopes = map[audience]auth.Scope{readsEntitlements: auth.ReadEntitlements, readsMetrics: auth.ReadMetrics}

// limit is how often one may ask.
type limit struct {
	// kind is shared between replicas, local to this one, or none.
	kind string
	rate func(*server) ratelimit.Rate
	// name is what is counted together; empty: each path by itself.
	name string
	// byEmail also counts for the account whose address the form names.
	byEmail bool
	// why is the reason where there is no limit.
	why string
}

var (
	reads   = limit{kind: "local", name: "read", rate: func(s *server) ratelimit.Rate { return s.RateRead }}
	payment = limit{kind: "shared", name: "payment", rate: func(s *server) ratelimit.Rate { return s.RateCheckout }}
	byKey   = limit{kind: "local", name: "api", rate: func(*server) ratelimit.Rate { return ratelimit.Rate{N: 6000, Per: time.Minute} }}
	// How many are open at a time is bounded in live.go.
	streamOpenings = limit{kind: "local", name: "stream", rate: func(*server) ratelimit.Rate { return ratelimit.Rate{N: 120, Per: time.Minute} }}

	attempts = limit{kind: "shared", byEmail: true, rate: func(*server) ratelimit.Rate { return ratelimit.Rate{N: 10, Per: time.Minute} }}
)

func unlimited(why string) limit { return limit{kind: "none", why: why} }

// route is one URL and its rule.
type route struct {
	method, path string
	who          audience
	limit        limit
	// body is how many bytes the request may carry; 0: none is read.
	body   int64
	handle func(*server, echo.Context) error
}

func (r route) handler(s *server) echo.HandlerFunc {
	return func(c echo.Context) error { return r.handle(s, c) }
}

// webhookPath is the address that Stripe delivers to.
const webhookPath = "/api/webhooks/stripe"

// streamPath is the address of live updates.
const streamPath = "/admin/billing/stream"

const (
	formBytes = 64 << 10
	hookBytes = 1 << 20
)

// routes are all there are.
var routes = []route{
	{"GET", "/", public, reads, 0, (*server).pricing},
	{"GET", "/pricing", public, reads, 0, (*server).pricing},

	{"GET", "/signup", public, reads, 0, (*server).signUpForm},
	{"POST", "/signup", public, attempts, formBytes, (*server).signUp},
	{"GET", "/login", public, reads, 0, (*server).loginForm},
	{"POST", "/login", public, attempts, formBytes, (*server).login},
	{"POST", "/logout", public, reads, formBytes, (*server).logout},

	{"GET", "/checkout", signedIn, reads, 0, (*server).checkoutReview},
	{"POST", "/checkout", signedIn, payment, formBytes, (*server).checkoutForm},
	{"POST", "/api/checkout", signedIn, payment, formBytes, (*server).checkoutJSON},
	{"GET", "/checkout/success", signedIn, reads, 0, (*server).checkoutSuccess},
	{"GET", "/checkout/cancel", signedIn, reads, 0, (*server).checkoutCancel},
	{"GET", "/billing", signedIn, reads, 0, (*server).billing},

	{"GET", "/demo/mailbox", public, reads, 0, (*server).mailbox},
	{"GET", "/demo/mailbox/:id", public, reads, 0, (*server).mailboxMail},

	{"GET", "/admin", administrator, reads, 0, (*server).adminStart},
	{"GET", "/admin/billing", administrator, reads, 0, (*server).adminOverview},
	{"GET", "/admin/billing/revenue", administrator, reads, 0, (*server).adminRevenue},
	{"GET", "/admin/billing/cohorts", administrator, reads, 0, (*server).adminCohorts},
	{"GET", "/admin/billing/cohorts/:month", administrator, reads, 0, (*server).adminCohort},
	{"GET", "/admin/billing/plans", administrator, reads, 0, (*server).adminPlans},
	{"GET", "/admin/billing/customers", administrator, reads, 0, (*server).adminCustomers},
	{"GET", "/admin/billing/funnel", administrator, reads, 0, (*server).adminFunnel},
	{"GET", "/admin/billing/payments", administrator, reads, 0, (*server).adminPayments},
	{"GET", "/admin/billing/subscriptions", administrator, reads, 0, (*server).adminSubscriptions},
	{"GET", "/admin/billing/organizations/:id", administrator, reads, 0, (*server).adminOrganization},
	{"GET", "/admin/billing/explain", administrator, reads, 0, (*server).adminDefinitions},
	{"GET", "/admin/billing/explain/:metric", administrator, reads, 0, (*server).adminExplain},
	{"GET", "/admin/billing/export/subscriptions.csv", administrator, reads, 0, (*server).exportSubscriptions},
	{"GET", streamPath, administrator, streamOpenings, 0, (*server).stream},
	{"GET", "/admin/billing/export/:file", administrator, reads, 0, (*server).exportFigures},

	{"GET", "/api/v1/orgs/:orgId/entitlements", readsEntitlements, byKey, 0, (*server).entitlements},
	{"GET", "/api/v1/metrics", readsMetrics, byKey, 0, (*server).metrics},

	{"POST", webhookPath, machine, unlimited("what Stripe signs is never turned away; what it does not sign is cheap to refuse"), hookBytes, (*server).webhook},
	{"GET", "/healthz", machine, unlimited("a supervisor asks as often as it likes, and nothing is read"), 0, (*server).healthz},
	{"GET", "/readyz", machine, unlimited("a supervisor asks as often as it likes, one short query"), 0, (*server).readyz},
	{"GET", "/favicon.ico", machine, unlimited("a redirect"), 0, (*server).favicon},
	{"GET", "/robots.txt", machine, unlimited("four lines from memory"), 0, (*server).robots},
	{"GET", static.Prefix + "*", machine, unlimited("files from memory that browsers keep for a year"), 0, (*server).static},
}

package handlers

import (
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/semaphore"

	"github.com/promptforge/payments/internal/auth"
)

// NewWithStreams is New with so many streams at most, which beat and look again at
// another pace.
func NewWithStreams(deps Deps, atMost int64, heartbeat, lookAgain time.Duration) *echo.Echo {
	s := newServer(deps)
	s.streams, s.pace = semaphore.NewWeighted(atMost), pace{heartbeat, lookAgain}
	return s.router()
}

// Rule is a row of the route table, as tests see it.
type Rule struct{ Method, Path, Audience, Limit, Why string }

// Rules are the rows.
func Rules() []Rule {
	out := make([]Rule, 0, len(routes))
	for _, r := range routes {
		out = append(out, Rule{r.method, r.path, string(r.who), r.limit.kind, r.limit.why})
	}
	return out
}

// Harmless is harmless.
var Harmless = harmless

// LocalPath is localPath.
var LocalPath = localPath

// KeyScopes are what the audiences of programs need.
func KeyScopes() map[string]auth.Scope {
	out := map[string]auth.Scope{}
	for who, scope := range keyScopes {
		out[string(who)] = scope
	}
	return out
}

// Files are the columns of every file, by its name.
func Files() map[string][]string {
	out := map[string][]string{"subscriptions": subscriptionColumns}
	for _, e := range exports {
		out[e.name] = e.columns
	}
	return out
}

package main

import (
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/promptforge/payments/internal/seed"
)

// curtain hides the product while its history is made: a visitor who acted in
// the middle of a simulated year would become a part of it. What Stripe and the
// operator ask passes.
type curtain struct {
	next   http.Handler
	isOpen atomic.Bool
	told   atomic.Pointer[string]
}

func (c *curtain) tell(p seed.Progress) {
	text := fmt.Sprintf("%d %%, %s", percent(p), p.Act.At.Format("January 2006"))
	c.told.Store(&text)
}

func (c *curtain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c.isOpen.Load() || r.URL.Path == "/api/webhooks/stripe" || r.URL.Path == "/healthz" {
		c.next.ServeHTTP(w, r)
		return
	}
	progress := "0 %"
	if told := c.told.Load(); told != nil {
		progress = *told
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Retry-After", "2")
	w.WriteHeader(http.StatusServiceUnavailable)
	if r.Method != http.MethodHead {
		_, _ = fmt.Fprintf(w, curtainPage, progress) // whoever asked may have gone
	}
}

// curtainPage needs no style sheet and no script, and asks again by itself.
const curtainPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="refresh" content="2">
<title>Living through a year</title>
<h1>The demo is living through its history: %s</h1>
<p>Its customers sign up, pay, fail and leave, so that there is something to look at. This page
opens by itself when it is done, after a minute at most for the usual sixty organizations.</p>
`

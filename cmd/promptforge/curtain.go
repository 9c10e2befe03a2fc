package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/promptforge/payments/internal/seed"
	"github.com/promptforge/payments/static"
)

// curtain hides the product while its history is made: a visitor who acted in
// the middle of a simulated year would become a part of it. What Stripe and the
// operator ask passes, and what the page that says so looks like.
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
	if c.isOpen.Load() || r.URL.Path == webhookPath || r.URL.Path == "/healthz" || strings.HasPrefix(r.URL.Path, static.Prefix) {
		c.next.ServeHTTP(w, r)
		return
	}
	progress := "0 %"
	if told := c.told.Load(); told != nil {
		progress = *told
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; font-src 'self'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Retry-After", "2")
	w.WriteHeader(http.StatusServiceUnavailable)
	if r.Method != http.MethodHead {
		_, _ = fmt.Fprintf(w, curtainPage, static.URL(static.Stylesheet), progress) // whoever asked may have gone
	}
}

// heldClock is what the stand-in says meanwhile to whoever wants to move its
// clock: all that the history still holds would happen later for it.
const heldClock = "The demo's history is being made, which moves the clock itself. Try again when the product has opened."

// curtainPage needs no script: it asks again by itself.
const curtainPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="refresh" content="2">
<title>Living through a year · PromptForge</title>
<link rel="stylesheet" href="%s">
<main>
<div class="narrow problem">
<h1>The demo is living through its year</h1>
<p>Its customers sign up, pay, fail and leave, so that there is something to look at.</p>
<p><strong>%s</strong></p>
<p>This page opens by itself when that is done, which takes less than a minute for the usual sixty organizations.</p>
</div>
</main>
`

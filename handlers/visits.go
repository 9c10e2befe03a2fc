package handlers

import (
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/internal/payments"
)

const (
	// visitorCookie holds a random number and nothing else: looks at the prices
	// are counted by it, and a checkout in the same browser follows the look.
	visitorCookie = "visitor"
	// visitorLifetime is thirteen months from the first look; a later one does not
	// renew it.
	visitorLifetime = 395 * 24 * time.Hour
)

// countVisit counts a look at the prices, and gives the browser a number where it
// has none. It must come before the page is written.
func (s *server) countVisit(c echo.Context) {
	if !mayCount(c.Request()) {
		s.forgetVisitor(c)
		return
	}
	if !isLook(c.Request()) || visitorOf(c).user.IsAdmin {
		return
	}
	id := s.visitorID(c)
	if id == uuid.Nil {
		id = uuid.New()
		s.setVisitor(c, id.String(), int(visitorLifetime/time.Second))
	}
	s.Payments.ViewPricing(payments.PricingView{Visitor: id, At: s.Now()})
}

// visitorID is the number that the browser was given; uuid.Nil where it has none,
// or where it says that it is not to be counted.
func (s *server) visitorID(c echo.Context) uuid.UUID {
	cookie, err := c.Request().Cookie(visitorCookie)
	if err != nil || !mayCount(c.Request()) {
		return uuid.Nil
	}
	id, err := parseUUID(cookie.Value)
	if err != nil {
		return uuid.Nil
	}
	return id
}

// forgetVisitor takes the number away again from a browser that does not want to
// be counted any more.
func (s *server) forgetVisitor(c echo.Context) {
	if _, err := c.Request().Cookie(visitorCookie); err == nil {
		s.setVisitor(c, "", -1)
	}
}

func (s *server) setVisitor(c echo.Context, value string, maxAge int) {
	c.SetCookie(&http.Cookie{
		Name: visitorCookie, Value: value, Path: "/", MaxAge: maxAge, Secure: s.Sessions.Cookie.Secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// mayCount is false of a browser whose owner has said, by either of two signals,
// that they are not to be followed.
// https://www.w3.org/TR/gpc/ and https://www.w3.org/TR/tracking-dnt/
func mayCount(r *http.Request) bool {
	return r.Header.Get("Sec-GPC") != "1" && r.Header.Get("DNT") != "1"
}

// isLook reports whether somebody looks: a person's browser that shows a whole
// page.
func isLook(r *http.Request) bool {
	return r.Method == http.MethodGet && !isPartial(r) && !isAhead(r) && !isBot(r.UserAgent())
}

// isAhead reports whether a browser fetches a page that nobody may ever see.
func isAhead(r *http.Request) bool {
	for _, header := range []string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
		purpose := strings.ToLower(r.Header.Get(header))
		if strings.Contains(purpose, "prefetch") || strings.Contains(purpose, "prerender") || strings.Contains(purpose, "preview") {
			return true
		}
	}
	return false
}

// robots are the words by which programs name themselves. All browsers of today
// call themselves Mozilla.
var robots = regexp.MustCompile(`(?i)bot\b|bot[/_-]|crawl|spider|slurp|scrape|headless|lighthouse|monitor|uptime|pingdom|preview|facebookexternalhit|embedly|validator|feed`)

func isBot(userAgent string) bool {
	return !strings.HasPrefix(userAgent, "Mozilla/") && !strings.HasPrefix(userAgent, "Opera/") || robots.MatchString(userAgent)
}

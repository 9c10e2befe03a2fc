package handlers

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/static"
	"github.com/promptforge/payments/views"
)

// render answers with the whole page, or with the part that htmx asked for. A
// boosted link and a restored history entry want the whole page.
func (s *server) render(c echo.Context, page, part templ.Component) error {
	return s.renderStatus(c, http.StatusOK, page, part)
}

// renderStatus is render with another status.
func (s *server) renderStatus(c echo.Context, status int, page, part templ.Component) error {
	c.Response().Header().Add("Vary", "HX-Request")
	if isPartial(c.Request()) {
		return s.page(c, status, part)
	}
	return s.page(c, status, page)
}

// pushURL tells htmx which address the part has that it asked for: that of a
// form has every empty field in it.
func pushURL(c echo.Context, address string) {
	if isPartial(c.Request()) {
		c.Response().Header().Set("HX-Push-Url", address)
	}
}

func isPartial(r *http.Request) bool {
	return r.Header.Get("HX-Request") == "true" && r.Header.Get("HX-Boosted") != "true" &&
		r.Header.Get("HX-History-Restore-Request") != "true"
}

// pageOf is the page whose part htmx asks for.
func pageOf(r *http.Request) string {
	page, err := url.Parse(r.Header.Get("HX-Current-URL"))
	if err != nil || page.Path == "" {
		return r.URL.RequestURI()
	}
	return localPath(page.RequestURI(), r.URL.RequestURI())
}

// page renders to memory first, so that a fault in a view is an error page and
// not half a page.
func (s *server) page(c echo.Context, status int, page templ.Component) error {
	var body bytes.Buffer
	if err := page.Render(c.Request().Context(), &body); err != nil {
		return fmt.Errorf("render: %w", err)
	}
	const html = "text/html; charset=utf-8"
	c.Response().Header().Add("Vary", "Accept-Encoding")
	if body.Len() < packAbove || !static.Accepts(c.Request().Header.Get("Accept-Encoding"), "gzip") {
		return c.Blob(status, html, body.Bytes())
	}
	var packed bytes.Buffer
	pack, _ := packers.Get().(*gzip.Writer)
	defer packers.Put(pack)
	pack.Reset(&packed)
	if _, err := pack.Write(body.Bytes()); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	if err := pack.Close(); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	c.Response().Header().Set("Content-Encoding", "gzip")
	return c.Blob(status, html, packed.Bytes())
}

// packers are used again: each holds most of a megabyte.
var packers = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

// packAbove is from how many bytes on a page is compressed: below, it fits the
// first packets anyway. The length of a compressed page tells about its content
// to whoever can put words of his own beside a secret; our pages hold no secret,
// and another site's requests bring no cookie of ours.
const packAbove = 2 << 10

// wholeInstead makes an answer that is a whole page replace the page, where
// htmx asked for a part of it.
func wholeInstead(c echo.Context) {
	if isPartial(c.Request()) {
		c.Response().Header().Set("HX-Retarget", "body")
		c.Response().Header().Set("HX-Reswap", "innerHTML")
	}
}

// seeOther redirects after a form, or to a page that must come first. htmx
// follows a redirect by itself and would put the page where a part was to be.
func seeOther(c echo.Context, to string) error {
	if isPartial(c.Request()) {
		c.Response().Header().Set("HX-Redirect", to)
		return c.NoContent(http.StatusOK)
	}
	return c.Redirect(http.StatusSeeOther, to)
}

// frame is what every page shows around its content.
func (s *server) frame(c echo.Context) views.Frame {
	v := visitorOf(c)
	f := views.Frame{Path: c.Request().URL.Path, TestMode: !s.Livemode, Support: s.Support}
	if s.SimulatorURL != "" {
		f.Simulator = views.Simulator{URL: s.SimulatorURL, Today: instant(s.Now(), "2 Jan 2006")}
	}
	if rail, err := c.Cookie(views.RailCookie); err == nil {
		f.FoldRail = rail.Value == views.RailFolded
	}
	if v.isSignedIn() {
		f.Account = views.Account{Name: v.user.Name, Email: v.user.Email, Organization: v.org.OrgName, IsAdmin: v.user.IsAdmin}
	}
	if v.user.IsAdmin && strings.HasPrefix(f.Path, "/admin/") && !isPartial(c.Request()) {
		n, err := s.Reports.OpenAlerts(c.Request().Context())
		if err != nil { // a page does without the count, an error page above all
			s.Log.WarnContext(c.Request().Context(), "count open alerts", "request_id", requestID(c), "error", err)
		}
		f.OpenAlerts = n
	}
	return f
}

package handlers

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/promptforge/payments/static"
)

// favicon is for whoever asks for it by its old name, without having read a page
// that names the real one.
func (s *server) favicon(c echo.Context) error {
	return c.Redirect(http.StatusFound, static.URL(static.Favicon))
}

// robots keeps search engines from pages that have nothing for them. It names
// no page that not everyone may know of.
func (s *server) robots(c echo.Context) error {
	return c.String(http.StatusOK, "User-agent: *\nDisallow: /api/\nDisallow: /billing\nDisallow: /checkout\n")
}

// adminStart is what an administrator types from memory.
func (s *server) adminStart(c echo.Context) error {
	return seeOther(c, "/admin/billing")
}

// straight is the address of the page that was asked for with a slash too many;
// false where there is no such page for this visitor.
func straight(c echo.Context) (string, bool) {
	r := c.Request()
	path, found := strings.CutSuffix(r.URL.Path, "/")
	if !found || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return "", false
	}
	for _, row := range routes {
		if row.method != http.MethodGet || row.path != path || row.who == machine || row.who == administrator && !visitorOf(c).user.IsAdmin {
			continue
		}
		if r.URL.RawQuery != "" {
			path += "?" + r.URL.RawQuery
		}
		return path, true
	}
	return "", false
}

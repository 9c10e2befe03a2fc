package handlers

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
)

const keyForm = "form"

// formOf reads a form's body once; a query never fills a field. Another type is
// errMediaType, and what is too large stays too large.
func formOf(c echo.Context) (url.Values, error) {
	if form, ok := c.Get(keyForm).(url.Values); ok {
		return form, nil
	}
	r := c.Request()
	if kind := r.Header.Get("Content-Type"); kind != "" || r.ContentLength != 0 {
		media, _, err := mime.ParseMediaType(kind)
		if err != nil || media != "application/x-www-form-urlencoded" {
			return nil, errMediaType
		}
	}
	if err := r.ParseForm(); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, err
		}
		return nil, echo.NewHTTPError(http.StatusBadRequest).SetInternal(fmt.Errorf("read form: %w", err))
	}
	c.Set(keyForm, r.PostForm)
	return r.PostForm, nil
}

// localPath is where to go after signing in: a path of ours, or the fallback.
// Browsers read "//host", "/\host" and control characters as other hosts.
func localPath(next, fallback string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || !strings.HasPrefix(next, "/") ||
		strings.HasPrefix(next, "//") || strings.ContainsFunc(next, func(r rune) bool { return r < ' ' || r == '\\' || r == 0x7f }) {
		return fallback
	}
	return next
}

package handlers

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

const (
	// fileTime bounds how long a file may take: it is read from one snapshot of
	// the database, on a connection of its own, and a snapshot that lives on keeps
	// the database from tidying up.
	fileTime = 10 * time.Minute
	// filesAtOnce is how many this process sends at a time. The rest of the
	// connections are for pages.
	filesAtOnce = 4
	// nextFile is when to ask again where that many are under way.
	nextFile = 5 * time.Second
)

// file answers with a table of comma-separated values (RFC 4180, UTF-8, its heads
// in the first line), which rows writes as it reads them. Nothing is kept: whoever
// reads slowly makes rows wait, and whoever goes away ends it. An error before the
// first kilobytes are out is an error page; after that the connection breaks, which
// is how a reader learns that the file is not whole.
func (s *server) file(c echo.Context, name string, columns []string, rows func(ctx context.Context, write func(record []string) error) error) error {
	response := c.Response()
	header := response.Header()
	header.Set(echo.HeaderContentType, "text/csv; charset=utf-8; header=present")
	header.Set(echo.HeaderContentDisposition, fmt.Sprintf(`attachment; filename="%s-%s.csv"`, name, s.Now().UTC().Format(time.DateOnly)))
	if c.Request().Method == http.MethodHead {
		return c.NoContent(http.StatusOK)
	}
	if !s.files.TryAcquire(1) {
		header.Del(echo.HeaderContentDisposition)
		return tooMany{nextFile}
	}
	defer s.files.Release(1)
	connection := http.NewResponseController(response)
	_ = connection.SetWriteDeadline(s.Clock().Add(fileTime)) // what cannot be timed is no connection
	ctx, cancel := context.WithTimeout(c.Request().Context(), fileTime)
	defer cancel()
	out := csv.NewWriter(response)
	out.UseCRLF = true
	err := out.Write(columns)
	if err == nil {
		err = rows(ctx, func(record []string) error {
			for i := range record {
				record[i] = harmless(record[i])
			}
			return out.Write(record)
		})
	}
	if err == nil {
		out.Flush()
		err = out.Error()
	}
	switch {
	case err == nil:
		return nil
	case response.Committed: // the status is out already
		_ = connection.SetWriteDeadline(time.Unix(1, 0))
	default:
		header.Del(echo.HeaderContentDisposition)
	}
	if errors.Is(err, context.DeadlineExceeded) && c.Request().Context().Err() == nil {
		return fmt.Errorf("%s took more than %s: %w", name, fileTime, err)
	}
	return err
}

// plainNumber is a decimal number as files have them.
var plainNumber = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)

// harmless is a field that no spreadsheet takes for a formula: one that begins
// like one gets an apostrophe before it, as OWASP advises. A number below nought
// begins like one too, and stays a number: there is nothing in it to evaluate.
// https://owasp.org/www-community/attacks/CSV_Injection
func harmless(field string) string {
	if field == "" || !strings.ContainsRune("=+-@\t\r\n＝＋－＠", []rune(field)[0]) || plainNumber.MatchString(field) {
		return field
	}
	return "'" + field
}

// isoOrEmpty is a moment in a file; empty where there is none.
func isoOrEmpty(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

package handlers_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAPageIsCompressedWhereTheBrowserTakesIt(t *testing.T) {
	b := setup(t)
	for accept, want := range map[string]string{"gzip, deflate, br": "gzip", "": "", "br": "", "gzip;q=0": ""} {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/pricing", nil)
		request.Header.Set("Accept-Encoding", accept)
		response := httptest.NewRecorder()
		b.app.ServeHTTP(response, request)
		raw := response.Body.String()
		if got := response.Header().Get("Content-Encoding"); got != want {
			t.Errorf("to %q the page is coded %q, want %q", accept, got, want)
		}
		if !strings.Contains(strings.Join(response.Header().Values("Vary"), ","), "Accept-Encoding") {
			t.Errorf("to %q Vary = %q", accept, response.Header().Values("Vary"))
		}
		page := raw
		if want == "gzip" {
			unpacked, err := gzip.NewReader(strings.NewReader(page))
			if err != nil {
				t.Fatal(err)
			}
			whole, err := io.ReadAll(unpacked)
			if err != nil {
				t.Fatal(err)
			}
			if len(whole) < 2*len(raw) {
				t.Errorf("%d bytes became %d", len(whole), len(raw))
			}
			page = string(whole)
		}
		if !strings.HasPrefix(page, "<!doctype html>") || !strings.HasSuffix(strings.TrimSpace(page), "</html>") {
			t.Errorf("to %q the page is not whole", accept)
		}
	}
}

package static

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// built fails where the front end has not been built: what cannot be tested has
// not passed.
func built(t *testing.T) {
	t.Helper()
	if err := Check(); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, path, acceptEncoding string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Accept-Encoding", acceptEncoding)
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w.Result()
}

func TestFilesAreServedUnderTheirHashForAYear(t *testing.T) {
	built(t)
	for name, contentType := range map[string]string{
		Stylesheet: "text/css; charset=utf-8", Script: "text/javascript; charset=utf-8", Favicon: "image/svg+xml",
	} {
		url := URL(name)
		if url == Prefix+name {
			t.Errorf("%s has no fingerprint", name)
		}
		plain, packed := get(t, url, ""), get(t, url, "gzip, deflate")
		if plain.StatusCode != http.StatusOK || packed.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s: %d, packed as %q", url, plain.StatusCode, packed.Header.Get("Content-Encoding"))
		}
		if got := plain.Header.Get("Content-Type"); got != contentType {
			t.Errorf("%s is %q, want %q", url, got, contentType)
		}
		if got := plain.Header.Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
			t.Errorf("%s is kept %q", url, got)
		}
		unpacked, err := gzip.NewReader(packed.Body)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := io.ReadAll(plain.Body)
		if got, err := io.ReadAll(unpacked); err != nil || string(got) != string(want) {
			t.Errorf("%s differs when packed: %v", url, err)
		}
	}
}

func TestOnlyBuiltFilesAreServed(t *testing.T) {
	for _, path := range []string{"/static/", "/static/manifest.json", "/static/app.css", "/static/.gitkeep", "/static/../static.go", "/static/dist"} {
		if got := get(t, path, "").StatusCode; got != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", path, got)
		}
	}
}

func TestAFirstViewIsSmall(t *testing.T) {
	built(t)
	var size int64
	for _, name := range []string{Stylesheet, Script, Favicon} {
		size += get(t, URL(name), "gzip").ContentLength
	}
	// The page itself, compressed, is under 10 kB; the promise is 60 kB in all.
	if size > 45_000 {
		t.Errorf("style sheet, script and favicon are %d bytes, want at most 45,000", size)
	}
}

func TestTheStylesheetAndScriptNeedNoOtherHost(t *testing.T) {
	built(t)
	for _, name := range []string{Stylesheet, Script} {
		body, _ := io.ReadAll(get(t, URL(name), "").Body)
		for _, part := range []string{"@import", "url(http", "url(//", "sourceMappingURL"} {
			if strings.Contains(string(body), part) {
				t.Errorf("%s contains %q", name, part)
			}
		}
	}
}

func TestCodingsAreChosenByWhatTheBrowserTakes(t *testing.T) {
	for header, want := range map[string]bool{
		"gzip": true, "br, gzip": true, "GZIP;q=0.5": true, "gzip;q=0": false, "gzip;q=0.000": false, "br": false, "": false, "gzipped": false,
	} {
		if got := Accepts(header, "gzip"); got != want {
			t.Errorf("%q takes gzip: %t, want %t", header, got, want)
		}
	}
}

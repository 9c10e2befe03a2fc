// Package static embeds, fingerprints and serves the style sheet, the script
// and the pictures. `npm run build` makes them from css, js and img; their names
// hold the hash of their content, so a browser may keep them for ever.
package static

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

// Prefix is the path under which Handler is to be mounted.
const Prefix = "/static/"

// The names that URL knows.
const (
	Stylesheet = "app.css"
	Script     = "app.js"
	Favicon    = "favicon.svg"
)

// The folder holds .gitkeep alone until the build has run, so that a fresh
// checkout compiles.
//
//go:embed all:dist
var dist embed.FS

// Check reports whether the build has run and made everything that pages refer
// to. A server asks before it listens.
func Check() error {
	manifest, err := manifest()
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("the binary was built without its style sheet and script: run `npm ci && npm run build`, then build again")
	}
	if err != nil {
		return err
	}
	for _, name := range []string{Stylesheet, Script, Favicon} {
		if _, err := fs.Stat(dist, "dist/"+manifest[name]); manifest[name] == "" || err != nil {
			return fmt.Errorf("static files: %s is missing from the build: run `npm run build`, then build again", name)
		}
	}
	return nil
}

// URL is the path of a file by its plain name, fingerprint included:
// "/static/app-3FQ7KX2A.css" for Stylesheet. A name that the build did not make
// gives a path that Handler does not know; Check finds that at start.
func URL(name string) string {
	manifest, err := manifest()
	if err != nil || manifest[name] == "" {
		return Prefix + name
	}
	return Prefix + manifest[name]
}

// Handler serves the files under Prefix, compressed where the browser takes it,
// and to be kept for a year: another content has another name.
func Handler() http.Handler {
	served := map[string]bool{}
	if manifest, err := manifest(); err == nil {
		for _, file := range manifest {
			served[file] = true
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file := strings.TrimPrefix(r.URL.Path, Prefix)
		if !served[file] {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
			return
		}
		body, coding := read(file, r.Header.Get("Accept-Encoding"))
		header := w.Header()
		header.Set("Content-Type", contentTypes[path.Ext(file)])
		header.Set("Content-Length", strconv.Itoa(len(body)))
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
		header.Set("Vary", "Accept-Encoding")
		header.Set("X-Content-Type-Options", "nosniff")
		if coding != "" {
			header.Set("Content-Encoding", coding)
		}
		if r.Method == http.MethodHead {
			return
		}
		_, _ = w.Write(body) // a reader who left is nobody's fault
	})
}

// contentTypes are our own, because package mime asks the machine for its.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// read gives the best twin of a file that the browser takes, and its coding.
func read(file, acceptEncoding string) (body []byte, coding string) {
	for _, twin := range []struct{ coding, suffix string }{{"br", ".br"}, {"gzip", ".gz"}} {
		if !Accepts(acceptEncoding, twin.coding) {
			continue
		}
		if body, err := dist.ReadFile("dist/" + file + twin.suffix); err == nil {
			return body, twin.coding
		}
	}
	body, _ = dist.ReadFile("dist/" + file) // named by the manifest; Check has seen it
	return body, ""
}

// Accepts reports whether an Accept-Encoding header names a coding and does not
// rule it out with a weight of nought.
func Accepts(header, coding string) bool {
	for offer := range strings.SplitSeq(header, ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(offer), ";")
		if !strings.EqualFold(strings.TrimSpace(name), coding) {
			continue
		}
		_, q, found := strings.Cut(weight, "=")
		value, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
		return !found || err == nil && value > 0
	}
	return false
}

// manifest maps plain names to fingerprinted ones, as the build wrote them.
var manifest = sync.OnceValues(func() (map[string]string, error) {
	bytes, err := dist.ReadFile("dist/manifest.json")
	if err != nil {
		return nil, fmt.Errorf("static files: %w", err)
	}
	files := map[string]string{}
	if err := json.Unmarshal(bytes, &files); err != nil {
		return nil, fmt.Errorf("static files: read manifest.json: %w", err)
	}
	return files, nil
})

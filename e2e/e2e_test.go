// Package e2e drives the whole binary in a real browser, as a stranger would.
package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/playwright-community/playwright-go"
)

// screenshots is where TestScreenshots puts its pictures; without it there are
// none to make.
var screenshots = flag.String("screenshots", "", "folder for a picture of every page")

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if builtIn != "" {
		_ = os.RemoveAll(builtIn)
	}
	os.Exit(code)
}

// demo is a running demo, as its demo.json describes it.
type demo struct {
	App      string `json:"app"`
	Stripe   string `json:"stripe"`
	Secret   string `json:"secret_key"`
	Database string `json:"database_url"`
	Admin    login  `json:"admin"`
	Customer login  `json:"customer"`
}

type login struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	OrgID    string `json:"org_id"`
}

// builtIn is the folder of the binary, once there is one.
var builtIn string

// binary builds the product once for all tests of a run.
var binary = sync.OnceValues(func() (path string, err error) {
	if builtIn, err = os.MkdirTemp("", "promptforge-e2e-"); err != nil {
		return "", err
	}
	path = filepath.Join(builtIn, "promptforge")
	build := exec.Command("go", "build", "-o", path, "./cmd/promptforge")
	build.Dir = projectRoot()
	if out, err := build.CombinedOutput(); err != nil {
		return path, fmt.Errorf("build: %w\n%s", err, out)
	}
	return path, nil
})

// startDemo runs the binary on a data directory of its own.
func startDemo(t *testing.T, args ...string) demo {
	t.Helper()
	program, err := binary()
	must(t, err, "build the binary")
	data := t.TempDir()
	args = append([]string{"demo", "--data", data, "--addr", freeAddr(t), "--stripe-addr", freeAddr(t)}, args...)
	cmd := exec.Command(program, args...)
	cmd.Dir = projectRoot() // where node_modules has Postgres
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	printed := make(chan string, 1)
	go func() {
		var all strings.Builder
		for lines := bufio.NewScanner(output); lines.Scan(); {
			all.WriteString(lines.Text() + "\n")
		}
		printed <- all.String()
	}()
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("stop the demo: %v", err)
		}
		all := <-printed
		if err := cmd.Wait(); err != nil {
			t.Errorf("the demo did not stop cleanly: %v", err)
		}
		if t.Failed() {
			t.Logf("the demo printed:\n%s", all)
		}
		if _, err := os.Stat(filepath.Join(data, "demo.json")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("demo.json is still there after the stop (%v)", err)
		}
	})
	return waitForDemo(t, filepath.Join(data, "demo.json"), printed)
}

func waitForDemo(t *testing.T, path string, printed chan string) demo {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		select {
		case all := <-printed:
			printed <- all
			t.Fatalf("the demo ended early:\n%s", all)
		default:
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		var d demo
		if err := json.Unmarshal(raw, &d); err != nil {
			t.Fatalf("read demo.json: %v", err)
		}
		return d
	}
	t.Fatal("the demo was not ready within three minutes")
	return demo{}
}

// openBrowser starts Debian's Chromium under npm's playwright-core.
func openBrowser(t *testing.T) playwright.Browser {
	t.Helper()
	chromium := findChromium(t)
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("node is needed: %v", err)
	}
	driver := t.TempDir()
	for link, target := range map[string]string{
		"node": node, "package": filepath.Join(projectRoot(), "node_modules", "playwright-core"),
	} {
		if err := os.Symlink(target, filepath.Join(driver, link)); err != nil {
			t.Fatal(err)
		}
	}
	pw, err := playwright.Run(&playwright.RunOptions{DriverDirectory: driver, SkipInstallBrowsers: true})
	if err != nil {
		t.Fatalf("start playwright: %v", err)
	}
	t.Cleanup(func() { _ = pw.Stop() })
	browser, err := pw.Chromium.Launch(playwright.BrowserTypeLaunchOptions{
		ExecutablePath: playwright.String(chromium),
		Args: []string{
			"--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
			"--disable-background-networking", "--disable-component-update", "--disable-sync",
		},
	})
	if err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	t.Cleanup(func() { _ = browser.Close() })
	return browser
}

// findChromium skips the test where there is no browser, unless
// REQUIRE_BROWSER says that there has to be one, as CI does.
func findChromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("REQUIRE_BROWSER") != "" {
		t.Fatal("no Chromium found, and REQUIRE_BROWSER is set")
	}
	t.Skip("no Chromium found: install one to run the browser tests")
	return ""
}

// page opens a page that fails the test on a JavaScript error or a breach of
// the Content-Security-Policy.
func openPage(t *testing.T, browser playwright.Browser) playwright.Page {
	t.Helper()
	browserContext, err := browser.NewContext(playwright.BrowserNewContextOptions{
		Viewport: &playwright.Size{Width: 1280, Height: 800},
	})
	if err != nil {
		t.Fatal(err)
	}
	page, err := browserContext.NewPage()
	if err != nil {
		t.Fatal(err)
	}
	page.SetDefaultTimeout(20_000)
	page.OnPageError(func(err error) { t.Errorf("JavaScript error: %v", err) })
	page.OnConsole(func(m playwright.ConsoleMessage) {
		if m.Type() == "error" && !strings.Contains(m.Text(), "status of 4") {
			t.Errorf("console: %s", m.Text())
		}
	})
	return page
}

// projectRoot: a test runs in the folder of its package.
func projectRoot() string {
	root, err := filepath.Abs("..")
	if err != nil {
		panic(err) // the working directory is gone
	}
	return root
}

func freeAddr(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

var amount = regexp.MustCompile(`\$([\d,]+)\.(\d\d)`)

// cents reads the first dollar amount of a text.
func cents(t *testing.T, text string) int64 {
	t.Helper()
	m := amount.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("%q holds no amount", text)
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(m[1], ",", "")+m[2], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func must(t *testing.T, err error, what string, args ...any) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", fmt.Sprintf(what, args...), err)
	}
}

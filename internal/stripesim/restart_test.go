package stripesim_test

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/promptforge/payments/internal/stripesim"
	"github.com/promptforge/payments/internal/stripesim/simtest"
)

// helperVar makes the test binary a stand-in that runs until it is killed.
const helperVar = "STRIPESIM_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperVar); dir != "" {
		serveForever(dir)
	}
	os.Exit(m.Run())
}

func serveForever(dir string) {
	front := httptest.NewUnstartedServer(nil)
	server, err := stripesim.Open(stripesim.Config{
		Dir: dir, SecretKey: simtest.SecretKey, PublicURL: "http://" + front.Listener.Addr().String(),
	})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	front.Config.Handler = server.Handler()
	front.Start()
	fmt.Println(front.URL)
	select {}
}

func inFolder(dir string) simtest.Option {
	return simtest.WithConfig(func(c *stripesim.Config) { c.Dir = dir })
}

func TestStateSurvivesKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	endpoint := newReceiver(t, always(http.StatusServiceUnavailable))
	process, sim := startProcess(t, dir)
	shop := stock(t, sim)
	shop.addEndpoint(t, endpoint.URL, "customer.subscription.created")
	params := shop.sessionParams()
	params.SetIdempotencyKey("attempt-1")
	session, err := shop.api.CheckoutSessions.New(params)
	must(t, err)
	shop.buy(t)
	eventually(t, "a delivery that failed once", func() bool {
		deliveries := shop.State(t)["sim.delivery"]
		return len(deliveries) == 1 && deliveries[0]["attempts"] == 1.0
	})
	before := shop.State(t)

	must(t, process.Process.Kill()) // SIGKILL: nothing is written after the last answer
	_ = process.Wait()

	// What a death in the middle of a write leaves behind is not taken for data.
	journal, err := os.OpenFile(filepath.Join(dir, "journal.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = journal.WriteString(`{"writes":[{"kind":"customer","id":"cus_torn","seq":99`)
	must(t, err)
	must(t, journal.Close())

	shop.Sim = simtest.Start(t, inFolder(dir), withRetries(time.Millisecond))
	shop.api = clientOf(shop.Sim, 0)
	after := shop.State(t)
	for kind := range before {
		if kind != "sim.delivery" && !reflect.DeepEqual(before[kind], after[kind]) {
			t.Errorf("%s differ:\n%v\n%v", kind, before[kind], after[kind])
		}
	}
	again, err := shop.api.CheckoutSessions.New(params)
	must(t, err)
	equal(t, "the key's session", again.ID, session.ID)

	equal(t, "pending deliveries", len(after["sim.delivery"]), 1)
}

func startProcess(t *testing.T, dir string) (*exec.Cmd, *simtest.Sim) {
	t.Helper()
	process := exec.Command(os.Args[0])
	process.Env = append(os.Environ(), helperVar+"="+dir)
	out, err := process.StdoutPipe()
	must(t, err)
	must(t, process.Start())
	t.Cleanup(func() { _ = process.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "http") {
		t.Fatalf("stand-in did not start: %v %s", err, line)
	}
	return process, &simtest.Sim{URL: strings.TrimSpace(line), SecretKey: simtest.SecretKey}
}

func TestPendingDeliveriesSurviveARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := stripesim.Config{Dir: dir, SecretKey: simtest.SecretKey, PublicURL: "http://127.0.0.1:1", RetrySchedule: []time.Duration{time.Millisecond, time.Hour}}
	status := http.StatusServiceUnavailable
	endpoint := newReceiver(t, func(int) int { return status })

	first, err := stripesim.Open(config)
	must(t, err)
	front := httptest.NewServer(first.Handler())
	shop := stock(t, &simtest.Sim{URL: front.URL, SecretKey: simtest.SecretKey})
	shop.addEndpoint(t, endpoint.URL, "customer.subscription.created")
	shop.buy(t)
	eventually(t, "two attempts", func() bool { return len(endpoint.all()) == 2 })
	eventually(t, "the second one recorded", func() bool { return shop.State(t)["sim.delivery"][0]["attempts"] == 2.0 })
	front.Close()
	must(t, first.Close())

	endpoint.mu.Lock()
	status = http.StatusOK
	endpoint.mu.Unlock()
	config.MachineNow = func() time.Time { return time.Now().Add(time.Hour) }
	second, err := stripesim.Open(config)
	must(t, err)
	t.Cleanup(func() { must(t, second.Close()) })
	eventually(t, "delivered after the restart", func() bool { return len(endpoint.all()) == 3 })
	equal(t, "the same event", endpoint.all()[2].event["id"], endpoint.all()[0].event["id"])
}

func TestAFolderHasOneOwner(t *testing.T) {
	t.Parallel()
	config := stripesim.Config{Dir: t.TempDir(), SecretKey: simtest.SecretKey, PublicURL: "http://127.0.0.1:1"}
	first, err := stripesim.Open(config)
	must(t, err)
	_, err = stripesim.Open(config)
	if err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("second owner: %v", err)
	}
	must(t, first.Close())
	must(t, first.Close()) // a second time does nothing
	again, err := stripesim.Open(config)
	must(t, err)
	must(t, again.Close())
}

func TestADamagedJournalIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "journal.jsonl"), []byte("{\"writes\":[]}\nnonsense\n{\"writes\":[]}\n"), 0o600))
	_, err := stripesim.Open(stripesim.Config{Dir: dir, SecretKey: simtest.SecretKey, PublicURL: "http://127.0.0.1:1"})
	if err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("want the line named, got %v", err)
	}
}

func TestAWrongConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	for sentence, config := range map[string]stripesim.Config{
		"a live key":           {SecretKey: "sk_live_abc", PublicURL: "http://127.0.0.1:1"},
		"no key":               {PublicURL: "http://127.0.0.1:1"},
		"a key without a body": {SecretKey: "sk_test_", PublicURL: "http://127.0.0.1:1"},
		"no public address":    {SecretKey: simtest.SecretKey},
		"an address in words":  {SecretKey: simtest.SecretKey, PublicURL: "localhost"},
		"an unknown ending":    {SecretKey: simtest.SecretKey, PublicURL: "http://127.0.0.1:1", AfterRetries: "refund"},
		"a retry at once":      {SecretKey: simtest.SecretKey, PublicURL: "http://127.0.0.1:1", DunningRetries: []time.Duration{0}},
	} {
		if server, err := stripesim.Open(config); err == nil {
			t.Errorf("%s is accepted", sentence)
			must(t, server.Close())
		}
	}
}

// TestWhatWaitsForItsMomentSurvivesARestart: a refund, a dispute, a debit, a
// pending update and a schedule all remember what is to become of them.
func TestWhatWaitsForItsMomentSurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := openEra(t, spring, inFolder(dir))
	refunded := e.charged(t, "pm_card_refundFail")
	_, err := e.api.Refunds.New(&stripe.RefundParams{Charge: stripe.String(refunded.ID)})
	must(t, err)
	_, dispute := e.disputed(t, "pm_card_createDispute")
	session := e.newSession(t)
	e.Complete(t, session.ID, "bank_debit_succeeds")
	subscription, schedule := e.scheduled(t)
	e.card(t, "pm_card_chargeCustomerFail")
	waiting := e.upgradeIfPaid(t, subscription, e.dearer(t))
	if waiting.PendingUpdate == nil {
		t.Fatal("no pending update")
	}
	must(t, e.Server.Close())

	e.Sim = simtest.Start(t, inFolder(dir), simtest.WithConfig(func(c *stripesim.Config) { c.Now = func() time.Time { return spring } }))
	e.api = clientOf(e.Sim, 0)
	e.after(t, 10*day)
	failed := e.api.Refunds.List(&stripe.RefundListParams{Charge: stripe.String(refunded.ID)})
	if !failed.Next() || failed.Refund().Status != "failed" {
		t.Errorf("refund %+v, %v", failed.Refund(), failed.Err())
	}
	dispute, err = e.api.Disputes.Get(dispute.ID, nil)
	must(t, err)
	equal(t, "dispute", dispute.Status, "lost")
	session, err = e.api.CheckoutSessions.Get(session.ID, nil)
	must(t, err)
	equal(t, "debit", session.PaymentStatus, "paid")
	if now := e.subscription(t, subscription.ID); now.PendingUpdate != nil || now.Items.Data[0].Price.ID != e.price.ID {
		t.Errorf("the update is still pending, or was made: %+v", now)
	}
	e.after(t, 40*day)
	schedule, err = e.api.SubscriptionSchedules.Get(schedule.ID, nil)
	must(t, err)
	equal(t, "schedule", schedule.Status, "released")
}

package payments_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/payments"
)

const (
	outbox = `SELECT concat_ws(' ', kind, state, payload ->> 'plan', payload ->> 'amount_minor', payload ->> 'organization') FROM outbox ORDER BY id`
	alerts = `SELECT concat_ws(' ', rule, severity, state, seen) FROM payment_alerts ORDER BY id`
	record = `SELECT concat_ws(' ', actor_kind, act) FROM audit_log ORDER BY 1`
)

// enqueued counts the jobs that a door wants, and can fail.
type enqueued struct {
	mu    sync.Mutex
	ids   []int64
	fault error
}

func (e *enqueued) enqueue(_ context.Context, _ pgx.Tx, ids []int64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fault != nil {
		return e.fault
	}
	e.ids = append(e.ids, ids...)
	return nil
}

// member gives the organization one more person.
func (b *bundle) member(org uuid.UUID, role billing.Role) string {
	b.t.Helper()
	user := b.user()
	b.exec(`INSERT INTO memberships (org_id, user_id, role, created_at) VALUES ($1, $2, $3, now())`, org, user, string(role))
	return user.String() + "@example.com"
}

// TestAChangeIsToldOnce in whatever order its events come, how often, and to
// however many processes.
func TestAChangeIsToldOnce(t *testing.T) {
	b := setup(t)
	jobs := &enqueued{}
	b.Enqueue = jobs.enqueue
	other := b.replica()
	other.Enqueue = jobs.enqueue
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	events := b.ours()
	events = slices.Concat(events, events, events)
	rand.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	var both sync.WaitGroup
	for i, p := range []*payments.Payments{b.Payments, other} {
		both.Go(func() {
			for j, e := range events {
				if j%2 == i {
					if err := p.Receive(b.ctx, sign(webhookSecret, time.Now(), e), e); err != nil {
						t.Error(err)
					}
				}
				if _, err := p.Work(b.ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	both.Wait()
	b.settle()
	b.want("mails", []string{"receipt queued pro 9900 Acme"}, outbox)
	if len(jobs.ids) != 1 {
		t.Errorf("%d jobs, want one", len(jobs.ids))
	}
	b.want("acts", []string{
		"stripe checkout_completed", "stripe subscription_created", "system access_changed", "user checkout_started", "user customer_linked",
	}, record)
	b.want("alerts", []string{}, alerts)
}

func TestMailsGoToWhoeverPays(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	pays := b.member(org, billing.RoleBilling)
	b.member(org, billing.RoleMember)
	b.member(org, billing.RoleAdmin)
	stranger, _ := b.org(billing.RoleOwner)
	_ = stranger
	b.buy(org, user, "pro")
	b.deliverAll()
	want := []string{user.String() + "@example.com", pays}
	slices.Sort(want)
	b.want("recipients", want, `SELECT to_address FROM outbox ORDER BY to_address`)
}

// TestWhatIsNoNewsIsNotMailed: a backlog of days is worked off without a word.
func TestWhatIsNoNewsIsNotMailed(t *testing.T) {
	for name, change := range map[string]func(*bundle){
		"a payment of the day before yesterday": func(b *bundle) { b.Now = func() time.Time { return time.Now().Add(48 * time.Hour) } },
		"a customer whom nobody owns":           func(b *bundle) { b.exec(`UPDATE customers SET org_id = NULL`) },
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			org, user := b.org(billing.RoleOwner)
			b.buy(org, user, "pro")
			change(b)
			b.deliverAll()
			b.want("paid", []string{"payment_succeeded"}, `SELECT kind FROM payment_events WHERE kind = 'payment_succeeded'`)
			b.want("mails", []string{}, outbox)
		})
	}
}

func TestATrialThatCostsNothingIsNotMailed(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pilot")
	b.deliverAll()
	b.want("mails", []string{}, outbox)
}

// TestAMailIsThereWithItsJobOrNotAtAll: whoever dies in between leaves neither,
// and the next one writes both.
func TestAMailIsThereWithItsJobOrNotAtAll(t *testing.T) {
	b := setup(t)
	jobs := &enqueued{fault: errors.New("the process dies")}
	b.Enqueue = jobs.enqueue
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	for _, e := range b.ours() {
		b.deliver(e)
	}
	if _, err := b.Work(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.want("mails", []string{}, outbox)
	b.want("payments", []string{}, `SELECT kind FROM payment_events WHERE kind = 'payment_succeeded'`)
	jobs.fault = nil
	b.settle()
	b.want("mails", []string{"receipt queued pro 9900 Acme"}, outbox)
	if len(jobs.ids) != 1 {
		t.Errorf("%d jobs, want one", len(jobs.ids))
	}
}

func TestAFailedPaymentIsMailedUnlessItIsPaidByNow(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	b.deliverAll()
	var invoice map[string]any
	if err := json.Unmarshal(b.object("/v1/invoices"), &invoice); err != nil {
		t.Fatal(err)
	}
	told := func(event, typ, id string, attempt int) json.RawMessage {
		invoice["id"], invoice["attempt_count"], invoice["amount_due"], invoice["amount_paid"] = id, attempt, 9900, 9900
		raw, err := json.Marshal(invoice)
		if err != nil {
			t.Fatal(err)
		}
		return b.event(event, typ, time.Now(), raw)
	}
	b.exec(`DELETE FROM outbox`)
	// One is paid before we hear that it had failed.
	b.deliver(told("evt_failed_a", "invoice.payment_failed", "in_a", 1))
	b.deliver(told("evt_paid_a", "invoice.payment_succeeded", "in_a", 2))
	b.settle()
	b.want("mails", []string{"receipt queued pro 9900 Acme"}, outbox)
	// Another one fails twice, and is told twice each time.
	for _, attempt := range []int{1, 1, 2, 2} {
		b.deliver(told(fmt.Sprintf("evt_failed_b_%d_%d", attempt, rand.Int()), "invoice.payment_failed", "in_b", attempt))
		b.settle()
	}
	b.want("failures", []string{"in_b:1", "in_b:2"}, `SELECT natural_key FROM outbox WHERE kind = 'payment_failed' ORDER BY 1`)
}

// TestEachTransitionIsRecordedOnce with how it stood before and after.
func TestEachTransitionIsRecordedOnce(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	b.deliverAll()
	subscription := field(b.object("/v1/subscriptions"), "id")
	b.call(http.MethodPost, "/v1/subscriptions/"+subscription, strings.NewReader("cancel_at_period_end=true"), nil)
	b.deliverAll()
	b.deliverAll()
	b.call(http.MethodDelete, "/v1/subscriptions/"+subscription, nil, nil)
	b.deliverAll()
	b.deliverAll()
	b.want("transitions", []string{
		"subscription_created  active f t", "subscription_changed active active t t", "subscription_ended active canceled f t",
	}, `SELECT concat_ws(' ', act, coalesce(before ->> 'status', ''), after ->> 'status', after ? 'ends_at', source_event_id IS NOT NULL)
		FROM audit_log WHERE object_kind = 'subscription' ORDER BY id`)
	b.want("access", []string{"none full", "full none"},
		`SELECT concat_ws(' ', coalesce(before ->> 'access', ''), after ->> 'access') FROM audit_log WHERE act = 'access_changed' ORDER BY id`)
}

// TestASecondSubscriptionIsFoundAndEndsByItself: it is made in Stripe's
// dashboard, as ours sells none.
func TestASecondSubscriptionIsFoundAndEndsByItself(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	b.deliverAll()
	first, customer := field(b.object("/v1/subscriptions"), "id"), b.customer()
	time.Sleep(1100 * time.Millisecond) // Stripe dates by the second
	var made, card struct{ ID string }
	b.call(http.MethodPost, "/v1/payment_methods/pm_card_visa/attach", strings.NewReader("customer="+customer), &card)
	price := b.Sold[payments.Offer{Plan: "enterprise", Interval: billing.Month}]
	b.call(http.MethodPost, "/v1/subscriptions", strings.NewReader("customer="+customer+"&items[0][price]="+price+"&default_payment_method="+card.ID), &made)
	b.deliverAll()
	b.want("alert", []string{"second_subscription critical firing " + made.ID + " " + org.String()},
		`SELECT concat_ws(' ', rule, severity, state, object_id, org_id) FROM payment_alerts`)
	said := strings.Join(b.rows(`SELECT message || proposal FROM payment_alerts`), "")
	for _, words := range []string{"Acme has 2 live subscriptions", first + " (Pro, active", made.ID + " (Enterprise, active", "cancel the newest, " + made.ID, "keep " + first} {
		if !strings.Contains(said, words) {
			t.Errorf("the alert does not say %q: %s", words, said)
		}
	}
	if err := b.SyncCustomer(b.ctx, customer); err != nil { // still so
		t.Fatal(err)
	}
	b.want("open alerts", []string{"1"}, `SELECT count(*)::text FROM payment_alerts WHERE state = 'firing' AND seen > 1`)
	b.call(http.MethodDelete, "/v1/subscriptions/"+made.ID, nil, nil)
	b.deliverAll()
	b.want("alert", []string{"resolved t"}, `SELECT concat_ws(' ', state, resolved_at >= last_seen_at) FROM payment_alerts`)
}

func TestAnUnknownPriceIsRaisedUntilItIsKnown(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	b.deliverAll()
	price := b.bespoke()
	b.reprice(price)
	b.deliverAll()
	b.want("alert", []string{"unknown_price warning firing"}, `SELECT concat_ws(' ', rule, severity, state) FROM payment_alerts`)
	said := strings.Join(b.rows(`SELECT message || proposal FROM payment_alerts`), "")
	for _, words := range []string{"of Acme", price, "keeps the access of Pro", "metadata \"plan\"", "promptforge_pro_month"} {
		if !strings.Contains(said, words) {
			t.Errorf("the alert does not say %q: %s", words, said)
		}
	}
	// Somebody does what the alert proposes.
	product := b.rows(`SELECT product FROM prices WHERE stripe_price_id = $1`, price)[0]
	b.call(http.MethodPost, "/v1/products/"+product, strings.NewReader("metadata[plan]=enterprise"), nil)
	if err := b.SyncCustomer(b.ctx, b.customer()); err != nil {
		t.Fatal(err)
	}
	b.want("alert", []string{"resolved"}, `SELECT state FROM payment_alerts`)
	b.want("plan", []string{"enterprise"}, `SELECT plan FROM subscriptions`)
}

// TestWhatIsSoldBesideAPlanIsAskedForOnce: many may have it, and a request more
// for each of their syncs would be twice the budget.
func TestWhatIsSoldBesideAPlanIsAskedForOnce(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	b.deliverAll()
	price := b.bespoke()
	b.call(http.MethodPost, "/v1/subscriptions/"+field(b.object("/v1/subscriptions"), "id"), strings.NewReader("items[0][price]="+price), nil)
	for range 3 {
		if err := b.SyncCustomer(b.ctx, b.customer()); err != nil {
			t.Fatal(err)
		}
	}
	b.want("plan and items", []string{"pro 2"}, `SELECT concat_ws(' ', plan, jsonb_array_length(facts -> 'items')) FROM subscriptions`)
	asked := slices.DeleteFunc(b.wire.seen(), func(line string) bool { return line != "GET /v1/prices/"+price })
	if len(asked) != 1 {
		t.Errorf("the price was asked for %d times", len(asked))
	}
}

// TestManyCustomersThatVanishAreNotBelieved: the key is wrong, more likely than
// that all of them are gone.
func TestManyCustomersThatVanishAreNotBelieved(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	b.deliverAll()
	b.exec(`INSERT INTO customers (stripe_customer_id, livemode, created_at, vanished_at)
		SELECT 'cus_gone_' || i, false, now(), now() FROM generate_series(1, 20) i`)
	b.Stripe = forgetful{b.client}
	b.exec(`UPDATE sync_queue SET due_at = now() - interval '1 hour'`)
	if _, err := b.Work(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.want("alerts", []string{"customers_vanished critical firing 1"}, alerts)
	b.want("believed", []string{"active t f"},
		`SELECT concat_ws(' ', s.status, s.is_verified, c.vanished_at IS NOT NULL) FROM subscriptions s JOIN customers c USING (stripe_customer_id)`)

	// Nor are they a few at a time, until Stripe knows somebody again.
	b.exec(`UPDATE customers SET vanished_at = vanished_at - interval '1 hour'`)
	b.exec(`UPDATE sync_queue SET due_at = now() - interval '1 hour'`)
	if _, err := b.Work(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.want("believed an hour later", []string{"t"}, `SELECT is_verified::text::char(1)::text FROM subscriptions`)
	b.Stripe = b.client
	b.exec(`UPDATE sync_queue SET due_at = now() - interval '1 hour'`)
	if _, err := b.Work(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.want("alerts once Stripe knows a customer", []string{"customers_vanished critical resolved 2"}, alerts)
}

// forgetful is a Stripe that knows no customer.
type forgetful struct{ payments.Stripe }

func (forgetful) Subscriptions(context.Context, string) (payments.Answer, error) {
	return payments.Answer{At: time.Now()}, fmt.Errorf("%w: customer", payments.ErrNoSuchObject)
}

// TestWhatIntakeNoticesIsTold once an hour, and is over after a day of silence.
func TestWhatIntakeNoticesIsTold(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	subscription := b.object("/v1/subscriptions")
	change := func(id string, to map[string]any) json.RawMessage {
		var e map[string]any
		if err := json.Unmarshal(b.event(id, "customer.subscription.updated", time.Now(), subscription), &e); err != nil {
			t.Fatal(err)
		}
		for k, v := range to {
			e[k] = v
		}
		raw, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	b.deliver(change("evt_live_1", map[string]any{"livemode": true}))
	b.deliver(change("evt_live_2", map[string]any{"livemode": true, "api_version": "2025-03-31.basil"}))
	b.deliver(change("evt_drift", map[string]any{"api_version": "2025-03-31.basil"}))
	b.deliver(change("evt_nobody", map[string]any{"data": map[string]any{"object": map[string]any{"id": "sub_1", "object": "subscription"}}}))
	for range 2 {
		if err := b.KeepAlerts(b.ctx); err != nil {
			t.Fatal(err)
		}
	}
	b.want("alerts", []string{"event_parked firing 1", "other_mode firing 2", "version_drift firing 1"},
		`SELECT concat_ws(' ', rule, state, seen) FROM payment_alerts ORDER BY rule`)
	b.Now = func() time.Time { return time.Now().Add(25 * time.Hour) }
	if err := b.KeepAlerts(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.want("alerts", []string{"event_parked firing", "other_mode resolved", "version_drift resolved"},
		`SELECT concat_ws(' ', rule, state) FROM payment_alerts ORDER BY rule`)
}

func TestEventsThatCannotBeReadAreOneAlertAType(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	var bad map[string]any
	if err := json.Unmarshal(b.object("/v1/subscriptions"), &bad); err != nil {
		t.Fatal(err)
	}
	bad["status"] = "hibernating"
	raw, err := json.Marshal(bad)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		b.deliver(b.event(fmt.Sprintf("evt_bad_%d", i), "customer.subscription.updated", time.Now().Add(time.Duration(i)*time.Second), raw))
	}
	b.settle()
	b.want("alerts", []string{"event_parked warning firing 3"}, alerts)
	b.want("newest", []string{"evt_bad_2"}, `SELECT object_id FROM payment_alerts`)
}

// TestAnHourWithoutStripeCallsSomebody, and each failing customer does not.
func TestAnHourWithoutStripeCallsSomebody(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	for _, e := range b.ours() {
		b.deliver(e)
	}
	fail := func(times int) {
		for range times {
			b.exec(`UPDATE sync_queue SET due_at = now() - interval '1 hour'`)
			if _, err := b.Work(b.ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.wire.isCut.Store(true)
	fail(7)
	b.want("alerts", []string{"stripe_unreachable critical pending"}, `SELECT concat_ws(' ', rule, severity, state) FROM payment_alerts`)
	b.Now = func() time.Time { return time.Now().Add(61 * time.Minute) }
	fail(1)
	b.want("alerts", []string{"stripe_unreachable critical firing"}, `SELECT concat_ws(' ', rule, severity, state) FROM payment_alerts`)
	b.wire.isCut.Store(false)
	fail(1)
	b.want("alerts", []string{"stripe_unreachable critical resolved"}, `SELECT concat_ws(' ', rule, severity, state) FROM payment_alerts`)
	b.wire.isCut.Store(true)
	fail(1)
	b.wire.isCut.Store(false)
	fail(1)
	b.want("one that never fired", []string{"resolved"}, `SELECT state FROM payment_alerts`)
}

// refusing is a Stripe that says no about one customer.
type refusing struct {
	payments.Stripe
	isWell *bool
}

func (s refusing) Subscriptions(ctx context.Context, customer string) (payments.Answer, error) {
	if !*s.isWell {
		return payments.Answer{}, fmt.Errorf("%w: this customer is not to be asked about", payments.ErrRefused)
	}
	return s.Stripe.Subscriptions(ctx, customer)
}

func TestFiveFailuresOfACustomerCallSomebodyUntilItSucceeds(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	for _, e := range b.ours() {
		b.deliver(e)
	}
	isWell := false
	b.Stripe = refusing{b.client, &isWell}
	for try := 1; try <= 6; try++ {
		b.exec(`UPDATE sync_queue SET due_at = now() - interval '1 hour'`)
		if _, err := b.Work(b.ctx); err != nil {
			t.Fatal(err)
		}
		if got := b.rows(alerts); (len(got) == 1) != (try >= 5) {
			t.Errorf("after %d tries: %q", try, got)
		}
	}
	b.want("alerts", []string{"sync_failing warning firing 2"}, alerts)
	isWell = true
	b.settle()
	b.want("alerts", []string{"sync_failing warning resolved 2"}, alerts)
}

// TestADisputeIsRaisedUntilItIsClosed, and one that is heard of when it is over
// is not.
func TestADisputeIsRaisedUntilItIsClosed(t *testing.T) {
	b := setup(t)
	org, user := b.org(billing.RoleOwner)
	b.buy(org, user, "pro")
	b.deliverAll()
	charge := field(b.object("/v1/charges"), "id")
	dispute := func(event, typ, id, status string) {
		raw, err := json.Marshal(map[string]any{
			"id": id, "object": "dispute", "amount": 9900, "currency": "usd", "charge": charge, "created": time.Now().Unix(), "livemode": false,
			"reason": "product_not_received", "status": status, "evidence_details": map[string]any{"due_by": time.Date(2027, 3, 3, 0, 0, 0, 0, time.UTC).Unix()},
		})
		if err != nil {
			t.Fatal(err)
		}
		b.deliver(b.event(event, typ, time.Now(), raw))
		b.settle()
	}
	dispute("evt_opened", "charge.dispute.created", "dp_1", "needs_response")
	b.want("alerts", []string{"dispute_opened critical firing 1"}, alerts)
	said := strings.Join(b.rows(`SELECT message || proposal FROM payment_alerts`), "")
	for _, words := range []string{"Acme disputes a payment of $99.00", "product not received", "by 3 Mar 2027"} {
		if !strings.Contains(said, words) {
			t.Errorf("the alert does not say %q: %s", words, said)
		}
	}
	dispute("evt_updated", "charge.dispute.updated", "dp_1", "under_review") // nothing new
	b.want("alerts", []string{"dispute_opened critical firing 1"}, alerts)
	dispute("evt_closed", "charge.dispute.closed", "dp_1", "lost")
	b.want("alerts", []string{"dispute_opened critical resolved 1"}, alerts)
	dispute("evt_late", "charge.dispute.closed", "dp_2", "won")
	b.want("open alerts", []string{}, `SELECT rule FROM payment_alerts WHERE state <> 'resolved'`)
}

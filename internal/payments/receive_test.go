package payments_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/promptforge/payments/internal/payments"
)

func TestReceiveStoresWhateverIsProperlySigned(t *testing.T) {
	b := setup(t)
	const (
		envelope = `"object":"event","created":1700000000,"livemode":false`
		failed   = `"type":"invoice.payment_failed",` + envelope
		data     = `"data":{"object":{"object":"invoice","customer":"cus_1"}}`
	)
	longest := strings.Repeat("e", 255)
	for name, tt := range map[string]struct{ body, want string }{
		"an event of ours waits for its sync": {`{"id":"evt_1",` + failed + `,` + data + `}`, "evt_1 pending cus_1"},
		"an unknown type is ignored": {
			`{"id":"evt_2","type":"invoice.sent",` + envelope + `,` + data + `}`, "evt_2 ignored cus_1 nothing is done for events of this type",
		},
		"another mode is ignored": {
			`{"id":"evt_3","type":"invoice.payment_failed","created":1700000000,"livemode":true,` + data + `}`, "evt_3 ignored cus_1 it belongs to the other mode",
		},
		"another mode as a text is ignored": {
			`{"id":"evt_4","type":"invoice.payment_failed","created":1700000000,"livemode":"true",` + data + `}`, "evt_4 ignored cus_1 it belongs to the other mode",
		},
		"a connected account is ignored": {
			`{"id":"evt_5",` + failed + `,"account":"acct_1",` + data + `}`, "evt_5 ignored cus_1 it belongs to a connected account",
		},
		"an empty account is none":       {`{"id":"evt_6",` + failed + `,"account":"",` + data + `}`, "evt_6 pending cus_1"},
		"an account of null is none":     {`{"id":"evt_7",` + failed + `,"account":null,` + data + `}`, "evt_7 pending cus_1"},
		"the longest id":                 {`{"id":"` + longest + `",` + failed + `,` + data + `}`, longest + " pending cus_1"},
		"an expanded customer":           {`{"id":"evt_8",` + failed + `,"data":{"object":{"customer":{"id":"cus_1","object":"customer","metadata":[]}}}}`, "evt_8 pending cus_1"},
		"a customer who is deleted":      {`{"id":"evt_9","type":"customer.deleted",` + envelope + `,"data":{"object":{"object":"customer","id":"cus_1","deleted":true}}}`, "evt_9 pending cus_1"},
		"a dispute waits for its charge": {`{"id":"evt_10","type":"charge.dispute.created",` + envelope + `,"data":{"object":{"object":"dispute","id":"dp_1","charge":"ch_1"}}}`, "evt_10 pending charge:ch_1"},
		"a guest's charge":               {`{"id":"evt_11","type":"charge.succeeded",` + envelope + `,"data":{"object":{"object":"charge","id":"ch_1","customer":null}}}`, "evt_11 ignored it names no customer, as that of a guest"},
		"no customer":                    {`{"id":"evt_12",` + failed + `,"data":{"object":{}}}`, "evt_12 parked it names no customer"},
		"a customer with a NUL":          {`{"id":"evt_13",` + failed + `,"data":{"object":{"customer":"cus\u0000"}}}`, "evt_13 parked it names no customer"},
		"a customer without end":         {`{"id":"evt_14",` + failed + `,"data":{"object":{"customer":"` + longest + `x"}}}`, "evt_14 parked it names no customer"},
		"a customer that is a number":    {`{"id":"evt_15",` + failed + `,"data":{"object":{"customer":7}}}`, "evt_15 parked it names no customer"},
		"no data":                        {`{"id":"evt_16",` + failed + `}`, "evt_16 parked it names no customer"},
		"data of null":                   {`{"id":"evt_17",` + failed + `,"data":null}`, "evt_17 parked it names no customer"},
		"data that is a list":            {`{"id":"evt_18",` + failed + `,"data":[]}`, "evt_18 parked it names no customer"},
		"data that is a text":            {`{"id":"evt_19",` + failed + `,"data":"x"}`, "evt_19 parked it names no customer"},
		"an object of null":              {`{"id":"evt_20",` + failed + `,"data":{"object":null}}`, "evt_20 parked it names no customer"},
		"an object that is a list":       {`{"id":"evt_21",` + failed + `,"data":{"object":[1,[2]]}}`, "evt_21 parked it names no customer"},

		"an event of 2016": {
			`{"id":"evt_30","type":"customer.subscription.updated","created":"1700000000","livemode":false,"api_version":"2016-03-07","request":"req_1","pending_webhooks":"1","data":{"object":{"customer":"cus_2","metadata":[]},"previous_attributes":[]}}`,
			"evt_30 pending cus_2",
		},
		"an event of 2026": {
			`{"id":"evt_31","type":"invoice.payment_failed","object":"event","created":1790000000,"livemode":false,"api_version":"2026-09-30.endive","context":null,"request":{"id":null,"idempotency_key":null},"data":{"object":{"customer":"cus_2","parent":{"subscription_details":{"subscription":"sub_1"}}}}}`,
			"evt_31 pending cus_2",
		},
		"a creation with decimals":         {`{"id":"evt_32","type":"invoice.payment_failed","created":1700000000.0,"livemode":false,` + data + `}`, "evt_32 pending cus_1"},
		"a mode that is not said is ours":  {`{"id":"evt_33","type":"invoice.payment_failed","created":1700000000,` + data + `}`, "evt_33 pending cus_1"},
		"a mode that is odd is ours":       {`{"id":"evt_34","type":"invoice.payment_failed","created":1700000000,"livemode":[],` + data + `}`, "evt_34 pending cus_1"},
		"a version that is a number":       {`{"id":"evt_35",` + failed + `,"api_version":20231016,` + data + `}`, "evt_35 pending cus_1"},
		"a version without end":            {`{"id":"evt_36",` + failed + `,"api_version":"` + strings.Repeat("2", 9000) + `",` + data + `}`, "evt_36 pending cus_1"},
		"a key that comes twice":           {`{"id":"evt_x","id":"evt_37",` + failed + `,` + data + `}`, "evt_37 pending cus_1"},
		"white space around it":            {"\n\t {\"id\": \"evt_38\", " + failed + " , " + data + "} \r\n", "evt_38 pending cus_1"},
		"a type that nobody has ever seen": {`{"id":"evt_39","type":"💥.\u2028",` + envelope + `,` + data + `}`, "evt_39 ignored cus_1 nothing is done for events of this type"},

		"no id":                    {`{"hello":"world"}`, "signed_ ignored not an event: it has no usable id"},
		"an id of null":            {`{"id":null,` + failed + `}`, "signed_ ignored not an event: it has no usable id"},
		"an id that is a number":   {`{"id":7,` + failed + `}`, "signed_ ignored not an event: it has no usable id"},
		"an id that is an object":  {`{"id":{"id":"evt_40"},` + failed + `}`, "signed_ ignored not an event: it has no usable id"},
		"an id of blanks":          {`{"id":" ",` + failed + `}`, "signed_ ignored not an event: it has no usable id"},
		"an id without end":        {`{"id":"` + longest + `x",` + failed + `}`, "signed_ ignored not an event: it has no usable id"},
		"an id with a NUL":         {`{"id":"evt\u0000",` + failed + `}`, "signed_ ignored not an event: it has no usable id"},
		"no type":                  {`{"id":"evt_41","created":1700000000}`, "signed_ ignored not an event: it has no usable type"},
		"a type without end":       {`{"id":"evt_42","created":1700000000,"type":"` + longest + `x"}`, "signed_ ignored not an event: it has no usable type"},
		"no creation":              {`{"id":"evt_43","type":"invoice.paid"}`, "signed_ ignored not an event: it has no usable time of creation"},
		"a creation in words":      {`{"id":"evt_44","type":"invoice.paid","created":"2026-01-01T00:00:00Z"}`, "signed_ ignored not an event: it has no usable time of creation"},
		"a creation before 1970":   {`{"id":"evt_45","type":"invoice.paid","created":-1}`, "signed_ ignored not an event: it has no usable time of creation"},
		"a creation beyond years":  {`{"id":"evt_46","type":"invoice.paid","created":253402300800}`, "signed_ ignored not an event: it has no usable time of creation"},
		"a creation beyond digits": {`{"id":"evt_47","type":"invoice.paid","created":1e400}`, "signed_ ignored not an event: it has no usable time of creation"},
		"a thin event": {
			`{"id":"evt_test_48","object":"v2.core.event","type":"v1.billing.meter.error_report_triggered","created":"2026-09-17T06:20:52.246Z","livemode":false,"related_object":{"id":"mtr_1","type":"billing.meter","url":"/v1/billing/meters/mtr_1"}}`,
			"signed_ ignored not an event: it is a thin event, which only says that there is something to ask for",
		},
		"an object of another kind": {
			`{"id":"pm_1","object":"payment_method","type":"card","created":1700000000}`, "signed_ ignored not an event: it is an object of another kind",
		},
		"a list":                      {`[{"id":"evt_49",` + failed + `,` + data + `}]`, "signed_ ignored not an event: it is no JSON object"},
		"PHP's empty object":          {`[]`, "signed_ ignored not an event: it has no usable id"},
		"null":                        {`null`, "signed_ ignored not an event: it is no JSON object"},
		"a number":                    {`17`, "signed_ ignored not an event: it is no JSON object"},
		"a text":                      {`"evt_50"`, "signed_ ignored not an event: it is no JSON object"},
		"nothing":                     {``, "signed_ ignored not an event: it is no JSON object"},
		"no JSON":                     {"\x00\xff", "signed_ ignored not an event: it is no JSON object"},
		"a form":                      {"id=evt_51&type=invoice.paid", "signed_ ignored not an event: it is no JSON object"},
		"JSON that was cut off":       {`{"id":"evt_52",` + failed + `,"data":{"obj`, "signed_ ignored not an event: it is no JSON object"},
		"JSON with something after":   {`{"id":"evt_53",` + failed + `}{}`, "signed_ ignored not an event: it is no JSON object"},
		"a byte order mark before it": {"\ufeff" + `{"id":"evt_54",` + failed + `}`, "signed_ ignored not an event: it is no JSON object"},
		"nesting beyond reason":       {`{"id":"evt_55",` + failed + `,"data":` + strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000) + `}`, "signed_ ignored not an event: it is no JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			body := []byte(tt.body)
			for range 2 { // a duplicate is the same row
				if err := b.Receive(t.Context(), sign(webhookSecret, time.Now(), body), body); err != nil {
					t.Fatal(err)
				}
			}
			got := b.rows(`SELECT concat_ws(' ', CASE WHEN id LIKE 'signed%' THEN 'signed_' ELSE id END, state, subject, reason)
				FROM webhook_events WHERE body = $1`, body)
			if len(got) != 1 || got[0] != tt.want {
				t.Errorf("stored %.300q, want one row %q", got, tt.want)
			}
		})
	}
	b.want("queue", []string{"charge:ch_1 1", "cus_1 13", "cus_2 2"}, `SELECT subject || ' ' || wanted FROM sync_queue ORDER BY subject`)
}

func TestReceiveRefusesWhatIsNotStripes(t *testing.T) {
	b := setup(t)
	b.Secrets = []string{"whsec_old", "", "  ", webhookSecret}
	body := []byte(`{"id":"evt_1","type":"invoice.sent","created":1700000000}`)
	good := sign(webhookSecret, time.Now(), body)
	for name, header := range map[string]string{
		"no header":              "",
		"another secret":         sign("whsec_other", time.Now(), body),
		"an empty secret":        sign("", time.Now(), body),
		"a secret of blanks":     sign("  ", time.Now(), body),
		"a signature of another": sign(webhookSecret, time.Now(), []byte(`{}`)),
		"an old time":            sign(webhookSecret, time.Now().Add(-6*time.Minute), body),
		"a future time":          sign(webhookSecret, time.Now().Add(6*time.Minute), body),
		"another scheme":         strings.Replace(good, "v1=", "v0=", 1),
		"half a signature":       good[:len(good)-32],
		"another time":           "t=" + fmt.Sprint(time.Now().Unix()+1) + good[strings.Index(good, ","):],
	} {
		t.Run(name, func(t *testing.T) {
			if err := b.Receive(t.Context(), header, body); !errors.Is(err, payments.ErrSignature) {
				t.Errorf("error = %v, want ErrSignature", err)
			}
		})
	}
	b.want("stored", []string{}, `SELECT id FROM webhook_events`)
	if err := b.Receive(b.ctx, good, body); err != nil {
		t.Errorf("the fourth secret is refused: %v", err)
	}
	b.want("secret used", []string{"3"}, `SELECT secret_used::text FROM webhook_events`)
}

func TestReceiveFailsWhenItCannotStore(t *testing.T) {
	b := setup(t)
	body := []byte(`{"id":"evt_1","type":"invoice.payment_failed","created":1700000000,"data":{"object":{"customer":"cus_1"}}}`)
	b.exec(`ALTER TABLE sync_queue RENAME TO away`)
	err := b.Receive(b.ctx, sign(webhookSecret, time.Now(), body), body)
	if err == nil || errors.Is(err, payments.ErrSignature) {
		t.Errorf("error = %v, want one of storing", err)
	}
	b.want("stored although its subject could not be raised", []string{}, `SELECT id FROM webhook_events`)
	if n := b.Refusals()[payments.RefusedNotStored]; n != 1 {
		t.Errorf("counted %d times", n)
	}
}

// failure is an event of ours, of a customer.
func failure(id, customer string) []byte {
	return fmt.Appendf(nil, `{"id":%q,"object":"event","type":"invoice.payment_failed","created":1700000000,"livemode":false,"data":{"object":{"customer":%q}}}`, id, customer)
}

// heldUp keeps the database from storing until the returned function is called,
// and waits until the flushers hang there.
func (b *bundle) heldUp() (letGo func()) {
	b.t.Helper()
	tx, err := b.pool.Begin(b.ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := tx.Exec(b.ctx, `LOCK TABLE webhook_events IN ACCESS EXCLUSIVE MODE`); err != nil {
		b.t.Fatal(err)
	}
	// A test that fails before it lets go must not hang on the pool's end.
	b.t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(b.ctx)) })
	return func() {
		b.t.Helper()
		if err := tx.Rollback(context.WithoutCancel(b.ctx)); err != nil {
			b.t.Error(err)
		}
	}
}

// receiveAll delivers bodies at once and answers their errors.
func (b *bundle) receiveAll(bodies ...[]byte) (wait func() []error) {
	errs := make([]error, len(bodies))
	var all sync.WaitGroup
	for i, body := range bodies {
		all.Go(func() { errs[i] = b.Receive(b.ctx, sign(webhookSecret, time.Now(), body), body) })
	}
	return func() []error { all.Wait(); return errs }
}

func TestOneRowThatPostgresRefusesStopsNoOther(t *testing.T) {
	b := setup(t)
	b.exec(`ALTER TABLE webhook_events ADD CONSTRAINT no_sevens CHECK (id NOT LIKE 'evt_%7')`)
	letGo := b.heldUp()
	var bodies [][]byte
	for i := range 40 {
		bodies = append(bodies, failure(fmt.Sprintf("evt_%d", i), fmt.Sprintf("cus_%d", i)))
	}
	wait := b.receiveAll(append(bodies, []byte(`{"id":"evt_47","type":"invoice.sent","created":1700000000}`))...)
	time.Sleep(50 * time.Millisecond) // so that they go together; alone they must end the same
	letGo()
	for i, err := range wait() {
		if err != nil {
			t.Errorf("event %d: %v", i, err)
		}
	}
	b.want("stored as they are", []string{"36"}, `SELECT count(*)::text FROM webhook_events WHERE state = 'pending' AND id LIKE 'evt_%'`)
	b.want("raised", []string{"36"}, `SELECT count(*)::text FROM sync_queue`)
	b.want("stored by their hash", []string{"ignored 1", "parked 4"}, `SELECT state || ' ' || count(*) FROM webhook_events
		WHERE id LIKE 'signed_%' AND type = 'unknown' AND reason LIKE 'the database refuses it as it is: %no_sevens%' GROUP BY state ORDER BY state`)
	b.want("their bytes", []string{"true"}, `SELECT bool_or(body = $1)::text FROM webhook_events WHERE state = 'parked'`, bodies[7])
}

func TestABatchRaisesEachSubjectOnceForWhatIsNew(t *testing.T) {
	b := setup(t)
	commits := b.CountCommits()
	letGo := b.heldUp()
	// Two flushers hang with one event each; what follows goes together.
	var first []func() []error
	for i := range 2 {
		first = append(first, b.receiveAll(failure(fmt.Sprintf("evt_first_%d", i), fmt.Sprintf("cus_first_%d", i))))
		for commits.Load() <= int64(i) {
			time.Sleep(time.Millisecond)
		}
	}
	var bodies [][]byte
	for i := range 60 {
		bodies = append(bodies, failure(fmt.Sprintf("evt_%d", i%20), fmt.Sprintf("cus_%d", i%20/5))) // each three times
	}
	wait := b.receiveAll(bodies...)
	time.Sleep(100 * time.Millisecond)
	letGo()
	for _, err := range slices.Concat(wait(), first[0](), first[1]()) {
		if err != nil {
			t.Error(err)
		}
	}
	if n := commits.Load(); n > 20 {
		t.Errorf("62 events at once took %d commits", n)
	}
	b.want("stored", []string{"22"}, `SELECT count(*)::text FROM webhook_events`)
	raised := b.rows(`SELECT subject || ' ' || wanted FROM sync_queue WHERE subject ~ '^cus_[0-9]$' ORDER BY subject`)
	if len(raised) != 4 {
		t.Errorf("raised %q", raised)
	}
	before := b.rows(`SELECT subject || ' ' || wanted FROM sync_queue ORDER BY subject`)
	for _, err := range b.receiveAll(bodies...)() {
		if err != nil {
			t.Error(err)
		}
	}
	b.want("raised for nothing new", before, `SELECT subject || ' ' || wanted FROM sync_queue ORDER BY subject`)
}

// TestReplicasThatStoreTheSameNeverWaitInACircle delivers the same events to
// three processes at once, each in an order of its own.
func TestReplicasThatStoreTheSameNeverWaitInACircle(t *testing.T) {
	b := setup(t)
	doors := []*payments.Payments{b.Payments, b.replica(), b.replica()}
	const rounds, each = 15, 60
	var all sync.WaitGroup
	for round := range rounds {
		for _, door := range doors {
			for _, i := range rand.Perm(each) {
				body := failure(fmt.Sprintf("evt_%d_%d", round, i), fmt.Sprintf("cus_%d", i%17))
				all.Go(func() {
					if err := door.Receive(b.ctx, sign(webhookSecret, time.Now(), body), body); err != nil {
						t.Error(err)
					}
				})
			}
		}
		all.Wait()
	}
	b.want("stored", []string{fmt.Sprint(rounds * each)}, `SELECT count(*)::text FROM webhook_events`)
	b.want("deadlocks", []string{"0"}, `SELECT deadlocks::text FROM pg_stat_database WHERE datname = current_database()`)
	b.want("subjects", []string{"17"}, `SELECT count(*)::text FROM sync_queue`)
}

func TestStoppingStoresWhatHasComeAndTellsWhatWasNoticed(t *testing.T) {
	b := setup(t)
	letGo := b.heldUp()
	working, stop := context.WithCancel(b.ctx)
	ended := make(chan error, 1)
	go func() { ended <- b.Run(working) }()
	sending, hangUp := context.WithCancel(b.ctx)
	var all sync.WaitGroup
	for i := range 50 {
		body := failure(fmt.Sprintf("evt_%d", i), "") // names nobody, so that no worker takes it up
		header := sign(webhookSecret, time.Now(), body)
		all.Go(func() {
			if err := b.Receive(sending, header, body); !errors.Is(err, context.Canceled) {
				t.Errorf("who hung up hears %v", err)
			}
		})
	}
	time.Sleep(100 * time.Millisecond)
	hangUp()
	all.Wait()
	stop()
	select {
	case err := <-ended:
		t.Fatalf("it stopped with deliveries under way: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	letGo()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	b.want("stored", []string{"50"}, `SELECT count(*)::text FROM webhook_events WHERE state = 'parked'`)
	if n := b.Refusals()[payments.RefusedNotStored]; n != 0 {
		t.Errorf("%d that hung up are counted as refused", n)
	}
}

func TestANewBuyerGoesBeforeWhatIsFreshAndThatBeforeTheBacklog(t *testing.T) {
	b := setup(t)
	ahead := 90 * 24 * time.Hour // a simulated year: its own clock says what is fresh
	b.Now = func() time.Time { return time.Now().Add(ahead) }
	lane := func(typ string, age time.Duration, customer string) {
		body := fmt.Appendf(nil, `{"id":"evt_%s_%s","type":%q,"created":%d,"livemode":false,"data":{"object":{"customer":%q}}}`,
			customer, typ, typ, b.Now().Add(-age).Unix(), customer)
		b.deliver(body)
	}
	lane("checkout.session.completed", time.Minute, "cus_1")
	lane("customer.subscription.created", 4*time.Minute, "cus_2")
	lane("customer.subscription.updated", time.Minute, "cus_3")
	lane("customer.subscription.created", 6*time.Minute, "cus_4")
	lane("invoice.payment_failed", 24*time.Hour, "cus_5")
	lane("invoice.payment_failed", 24*time.Hour, "cus_6")
	lane("checkout.session.completed", 0, "cus_6")
	lane("invoice.payment_failed", -time.Minute, "cus_7") // clocks differ a little
	b.want("lanes", []string{"cus_1 0", "cus_2 0", "cus_3 1", "cus_4 2", "cus_5 2", "cus_6 0", "cus_7 1"},
		`SELECT subject || ' ' || lane FROM sync_queue ORDER BY subject`)
}

func TestWhatIntakeNoticesIsToldOnceAnHour(t *testing.T) {
	b := setup(t)
	var skip time.Duration
	b.Clock = func() time.Time { return time.Now().Add(skip) }
	signed := func(body string) {
		t.Helper()
		if err := b.Receive(b.ctx, sign(webhookSecret, b.Clock(), []byte(body)), []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	notice := func() {
		n++
		signed(fmt.Sprintf(`{"id":"evt_a%d","type":"invoice.sent","created":1700000000,"livemode":true,"api_version":"2016-03-07"}`, n))
		signed(fmt.Sprintf(`{"id":"evt_b%d","type":"invoice.sent","created":1700000000,"livemode":false,"api_version":"2016-03-07"}`, n))
		signed(fmt.Sprintf(`{"id":"evt_c%d","type":"invoice.sent","created":1700000000,"livemode":false,"api_version":"2026-09-30.endive"}`, n))
		signed(fmt.Sprintf(`{"id":"evt_d%d","type":"invoice.paid","created":1700000000,"livemode":false,"api_version":"2023-10-16"}`, n))
		signed(fmt.Sprintf(`{"id":"evt_e%d","type":"invoice.voided","created":1700000000,"livemode":false,"data":null}`, n))
		signed(fmt.Sprintf(`{"id":"evt_f%d","type":"invoice.paid","created":1700000000,"account":"acct_1","api_version":"2016-03-07"}`, n))
		signed(fmt.Sprintf(`[%d]`, n))
	}
	tell := func() {
		t.Helper()
		if err := b.KeepAlerts(b.ctx); err != nil {
			t.Fatal(err)
		}
	}
	want := func(what string, seen int) {
		t.Helper()
		b.want(what, []string{
			fmt.Sprintf("event_parked:invoice.voided %d", seen), fmt.Sprintf("other_mode %d", seen),
			fmt.Sprintf("version_drift:2016-03-07 %d", seen), fmt.Sprintf("version_drift:2026-09-30.endive %d", seen),
		}, `SELECT fingerprint || ' ' || seen FROM payment_alerts ORDER BY 1`)
	}
	notice()
	tell()
	want("told at first", 1)
	notice()
	notice()
	tell()
	want("told again within the hour", 1)
	skip = time.Hour + time.Minute
	b.exec(`ALTER TABLE payment_alerts RENAME TO away`)
	if err := b.KeepAlerts(b.ctx); err == nil {
		t.Error("what could not be told is no error")
	}
	b.exec(`ALTER TABLE away RENAME TO payment_alerts`)
	tell()
	want("told after an hour", 3)
}

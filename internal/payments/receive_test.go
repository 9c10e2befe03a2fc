package payments_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/promptforge/payments/internal/payments"
)

func TestReceiveStoresWhateverIsProperlySigned(t *testing.T) {
	b := setup(t)
	const envelope = `"object":"event","created":1700000000,"livemode":false`
	for name, tt := range map[string]struct{ body, want string }{
		"an event of ours waits for its sync": {
			`{"id":"evt_1","type":"invoice.payment_failed",` + envelope + `,"data":{"object":{"customer":"cus_1"}}}`,
			"evt_1 pending cus_1",
		},
		"an unknown type is ignored": {
			`{"id":"evt_2","type":"invoice.sent",` + envelope + `,"data":{"object":{"customer":"cus_1"}}}`,
			"evt_2 ignored cus_1 nothing is done for events of this type",
		},
		"another mode is ignored": {
			`{"id":"evt_3","type":"invoice.payment_failed","created":1700000000,"livemode":true,"data":{"object":{"customer":"cus_1"}}}`,
			"evt_3 ignored cus_1 it belongs to the other mode",
		},
		"a connected account is ignored": {
			`{"id":"evt_4","type":"invoice.payment_failed",` + envelope + `,"account":"acct_1","data":{"object":{"customer":"cus_1"}}}`,
			"evt_4 ignored cus_1 it belongs to a connected account",
		},
		"an event without a customer is parked": {
			`{"id":"evt_5","type":"invoice.payment_failed",` + envelope + `,"data":{"object":{}}}`,
			"evt_5 parked it names no customer",
		},
		"what is no event is ignored": {`{"hello":"world"}`, "signed_ ignored not an event: it has no usable id"},
		"what is no JSON is ignored":  {"\x00\xff", "signed_ ignored not an event:"},
		"an event of 2016 is stored": {
			`{"id":"evt_6","type":"customer.subscription.updated","created":"1700000000","livemode":false,"api_version":"2016-03-07","request":"req_1","data":{"object":{"customer":"cus_2","metadata":[]}}}`,
			"evt_6 pending cus_2",
		},
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
			if len(got) != 1 || !strings.HasPrefix(got[0], tt.want) {
				t.Errorf("stored %q, want one row %q", got, tt.want)
			}
		})
	}
	b.want("queue", []string{"cus_1 1", "cus_2 1"}, `SELECT subject || ' ' || wanted FROM sync_queue ORDER BY subject`)
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
	} {
		t.Run(name, func(t *testing.T) {
			if err := b.Receive(t.Context(), header, body); !errors.Is(err, payments.ErrSignature) {
				t.Errorf("error = %v, want ErrSignature", err)
			}
		})
	}
	b.want("stored", []string{}, `SELECT id FROM webhook_events`)
	if err := b.Receive(b.ctx, good, body); err != nil {
		t.Errorf("the second secret is refused: %v", err)
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
}

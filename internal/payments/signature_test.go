package payments_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/promptforge/payments/internal/payments"
)

var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// sign makes a header as Stripe documents it, from the documentation alone.
func sign(secret string, at time.Time, body []byte) string {
	t := fmt.Sprint(at.Unix())
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(t))
	mac.Write([]byte("."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

func TestCheckSignatureRefusesWhatNoBodyCouldMakeGood(t *testing.T) {
	p := payments.New(payments.Payments{Clock: func() time.Time { return noon }})
	good := sign("whsec_a", noon, nil)
	mac := good[strings.Index(good, "v1="):]
	for name, header := range map[string]string{
		"a missing header":              "",
		"a header without pairs":        "nonsense",
		"a header without time":         mac,
		"a time that is no number":      "t=soon," + mac,
		"two times":                     good + ",t=1",
		"no signature":                  fmt.Sprintf("t=%d", noon.Unix()),
		"another scheme alone":          fmt.Sprintf("t=%d,v0=abcd", noon.Unix()),
		"a signature that is no hex":    fmt.Sprintf("t=%d,v1=xyz", noon.Unix()),
		"more than five minutes before": sign("whsec_a", noon.Add(-5*time.Minute-time.Second), nil),
		"more than five minutes ahead":  sign("whsec_a", noon.Add(5*time.Minute+time.Second), nil),
		"ten thousand signatures":       good + strings.Repeat(","+mac, 10_000),
		"half a signature":              good[:len(good)-32],
		"a time beyond all clocks":      "t=9223372036854775807," + mac,
	} {
		t.Run(name, func(t *testing.T) {
			if err := p.CheckSignature(header); !errors.Is(err, payments.ErrSignature) {
				t.Errorf("CheckSignature(%q) = %v, want ErrSignature", header, err)
			}
		})
	}
	for name, header := range map[string]string{
		"now":                   good,
		"five minutes before":   sign("whsec_a", noon.Add(-5*time.Minute), nil),
		"five minutes ahead":    sign("whsec_a", noon.Add(5*time.Minute), nil),
		"beside another scheme": good + ",v0=abcd",
		"with spaces":           strings.ReplaceAll(good, ",", ", "),
	} {
		t.Run(name, func(t *testing.T) {
			if err := p.CheckSignature(header); err != nil {
				t.Errorf("CheckSignature(%q) = %v", header, err)
			}
		})
	}
}

// FuzzCheckSignature: nothing that somebody writes into a header is more than
// refused, and what no secret of ours made is never taken.
func FuzzCheckSignature(f *testing.F) {
	good := sign("whsec_a", noon, []byte("{}"))
	for _, seed := range []string{
		"", "t", "t=", "t=,v1=", good, good + ",v0=ab", "v1=ab," + good, strings.ReplaceAll(good, ",", " , "), "t=1e9,v1=00", "t=0x65,v1=00",
		fmt.Sprintf("t=+%d,v1=%s", noon.Unix(), strings.Repeat("00", 32)), good + "," + good, strings.Repeat(",", 5000), "t=\x00,v1=\xff",
	} {
		f.Add(seed)
	}
	p := payments.New(payments.Payments{Clock: func() time.Time { return noon }, Secrets: []string{"whsec_b", "", " "}})
	f.Fuzz(func(t *testing.T, header string) {
		if err := p.CheckSignature(header); err != nil && !errors.Is(err, payments.ErrSignature) {
			t.Errorf("CheckSignature(%q) = %v", header, err)
		}
		if err := p.Receive(t.Context(), header, []byte("{}")); !errors.Is(err, payments.ErrSignature) {
			t.Errorf("Receive with %q = %v", header, err)
		}
	})
}

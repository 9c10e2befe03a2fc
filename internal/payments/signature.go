package payments

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Tolerance is how far a signature's time may be from ours, into the past and
// into the future alike.
const Tolerance = 5 * time.Minute

// maxSignature bounds the header. Stripe's has a time and one signature of 67
// characters for each secret that is valid, of which there are two at most; a
// longer one is nobody's but an attacker's, and is not even looked at.
const maxSignature = 4 << 10

// ErrSignature says that a delivery is not Stripe's; its message never shows
// what was expected.
var ErrSignature = errors.New("signature")

// signature is a Stripe-Signature header: "t=1700000000,v1=ab…,v1=cd…,v0=…".
// https://docs.stripe.com/webhooks#verify-manually
type signature struct {
	timestamp string
	v1        [][]byte
}

// CheckSignature refuses a header that no body could make good: one that is
// missing, malformed or out of time. It is asked before the body is read.
func (p *Payments) CheckSignature(header string) error {
	_, err := p.parseSignature(header)
	return err
}

func (p *Payments) parseSignature(header string) (signature, error) {
	sig, reason, err := parseSignature(header, p.Clock())
	if err != nil {
		p.refused.add(reason)
	}
	return sig, err
}

func parseSignature(header string, now time.Time) (signature, Refusal, error) {
	refuse := func(reason Refusal, why string) (signature, Refusal, error) {
		return signature{}, reason, fmt.Errorf("%w: %s", ErrSignature, why)
	}
	switch {
	case header == "":
		return refuse(RefusedUnsigned, "the header is missing")
	case len(header) > maxSignature:
		return refuse(RefusedMalformed, "the header is too long")
	}
	var sig signature
	for pair := range strings.SplitSeq(header, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
		switch {
		case !ok:
			return refuse(RefusedMalformed, "the header is malformed")
		case key == "t" && sig.timestamp != "":
			return refuse(RefusedMalformed, "the header has two times")
		case key == "t":
			sig.timestamp = value
		case key == "v1" && len(value) == 2*sha256.Size: // every other scheme is ignored
			if mac, err := hex.DecodeString(value); err == nil {
				sig.v1 = append(sig.v1, mac)
			}
		}
	}
	seconds, err := strconv.ParseInt(sig.timestamp, 10, 64)
	if err != nil {
		return refuse(RefusedMalformed, "the header has no time")
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > Tolerance || age < -Tolerance {
		return refuse(RefusedOutOfTime, "its time is more than "+Tolerance.String()+" from ours")
	}
	if len(sig.v1) == 0 {
		return refuse(RefusedUnsigned, "the header has no v1 signature")
	}
	return sig, "", nil
}

// verify finds the secret that signed the body and returns its position.
func (p *Payments) verify(header string, body []byte) (int16, error) {
	sig, err := p.parseSignature(header)
	if err != nil {
		return 0, err
	}
	for i, secret := range p.Secrets {
		if strings.TrimSpace(secret) == "" {
			continue // anyone can sign with nothing
		}
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(sig.timestamp + "."))
		mac.Write(body)
		want := mac.Sum(nil)
		for _, got := range sig.v1 {
			if hmac.Equal(got, want) {
				return int16(i), nil //nolint:gosec // a handful of secrets
			}
		}
	}
	p.refused.add(RefusedForged)
	return 0, fmt.Errorf("%w: no configured secret made it", ErrSignature)
}

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
	_, err := parseSignature(header, p.Clock())
	return err
}

func parseSignature(header string, now time.Time) (signature, error) {
	if header == "" {
		return signature{}, fmt.Errorf("%w: the header is missing", ErrSignature)
	}
	var sig signature
	for pair := range strings.SplitSeq(header, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
		switch {
		case !ok:
			return signature{}, fmt.Errorf("%w: the header is malformed", ErrSignature)
		case key == "t" && sig.timestamp != "":
			return signature{}, fmt.Errorf("%w: the header has two times", ErrSignature)
		case key == "t":
			sig.timestamp = value
		case key == "v1": // every other scheme is ignored
			if mac, err := hex.DecodeString(value); err == nil {
				sig.v1 = append(sig.v1, mac)
			}
		}
	}
	seconds, err := strconv.ParseInt(sig.timestamp, 10, 64)
	if err != nil {
		return signature{}, fmt.Errorf("%w: the header has no time", ErrSignature)
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > Tolerance || age < -Tolerance {
		return signature{}, fmt.Errorf("%w: its time is more than %s from ours", ErrSignature, Tolerance)
	}
	if len(sig.v1) == 0 {
		return signature{}, fmt.Errorf("%w: the header has no v1 signature", ErrSignature)
	}
	return sig, nil
}

// verify finds the secret that signed the body and returns its position.
func (p *Payments) verify(header string, body []byte) (int16, error) {
	sig, err := parseSignature(header, p.Clock())
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
	return 0, fmt.Errorf("%w: no configured secret made it", ErrSignature)
}

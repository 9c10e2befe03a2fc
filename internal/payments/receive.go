package payments

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/stripeshape"
)

// The states of a stored event.
const (
	eventPending   = "pending"
	eventProcessed = "processed"
	eventIgnored   = "ignored"
	eventParked    = "parked"
)

// Receive verifies a delivery and stores it, with its subject raised in the
// same statement; when it returns nil, the event survives whatever dies
// afterwards. An error wraps ErrSignature when the delivery is not Stripe's;
// any other means that nothing was stored and Stripe must try again.
//
// Whatever is properly signed is stored, even what is no event at all: a
// refusal would only make Stripe repeat it for days and then give us up.
func (p *Payments) Receive(ctx context.Context, header string, body []byte) error {
	secret, err := p.verify(header, body)
	if err != nil {
		return err
	}
	event := p.classify(body)
	err = db.New(p.Pool).StoreEvents(ctx, db.StoreEventsParams{
		Created:     []time.Time{event.created},
		Ids:         []string{event.id},
		Types:       []string{event.kind},
		Subjects:    []string{event.subject},
		Livemodes:   []bool{event.livemode},
		Accounts:    []string{event.account},
		ApiVersions: []string{event.apiVersion},
		SecretsUsed: []int16{secret},
		Sources:     []string{"delivered"},
		States:      []string{event.state},
		Reasons:     []string{event.reason},
		Bodies:      [][]byte{body},
		FreshSince:  p.Now().Add(-fresh),
		Ahead:       p.ahead(),
	})
	if err != nil {
		return fmt.Errorf("store event %s: %w", event.id, err)
	}
	if event.state == eventPending {
		p.Wake()
	}
	return nil
}

// fresh is how old an event may be to go before the backlog.
const fresh = 5 * time.Minute

// incoming is an event as it will be stored.
type incoming struct {
	id, kind, subject, account, apiVersion string
	created                                time.Time
	livemode                               bool
	state, reason                          string
}

// classify decides what becomes of a signed body: pending, ignored or parked,
// the latter two with the reason.
func (p *Payments) classify(body []byte) incoming {
	event, err := stripeshape.DecodeEvent(body)
	if err != nil {
		// The hash makes a repeated delivery the same row.
		hash := sha256.Sum256(body)
		return incoming{
			id: "signed_" + hex.EncodeToString(hash[:]), kind: "unknown", created: time.Unix(0, 0), livemode: p.Livemode,
			state: eventIgnored, reason: clean(err.Error()),
		}
	}
	in := incoming{
		id: event.ID, kind: event.Type, created: event.Created, livemode: event.Livemode,
		account: clean(event.Account), apiVersion: clean(event.APIVersion), subject: event.Subject(),
		state: eventPending,
	}
	switch {
	case event.Account != "":
		in.state, in.reason = eventIgnored, "it belongs to a connected account"
	case event.Livemode != p.Livemode:
		in.state, in.reason = eventIgnored, "it belongs to the other mode"
	case !slices.Contains(EventTypes, event.Type):
		in.state, in.reason = eventIgnored, "nothing is done for events of this type"
	case in.subject == "" && !stripeshape.NeedsCustomer(event.Type):
		in.state, in.reason = eventIgnored, "it names no customer, as that of a guest"
	case in.subject == "":
		in.state, in.reason = eventParked, "it names no customer"
	}
	if in.state == eventIgnored {
		in.subject = clean(in.subject)
	}
	return in
}

// clean makes a text storable: valid UTF-8 without NUL, at most 500 bytes.
func clean(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "�"), "\x00", "")
	if len(s) > 500 {
		s = strings.ToValidUTF8(s[:500], "")
	}
	return s
}

// Wake tells this process's workers that something is due; other processes
// find it by polling.
func (p *Payments) Wake() {
	select {
	case p.wake <- struct{}{}:
	default: // a wake-up is already waiting
	}
}

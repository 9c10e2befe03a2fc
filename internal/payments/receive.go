package payments

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

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
// any other means that it may not have been stored and Stripe must try again.
// The body is kept until it is written and must not change.
//
// Whatever is properly signed is stored, even what is no event at all: a
// refusal would only make Stripe repeat it for days and then give us up.
func (p *Payments) Receive(ctx context.Context, header string, body []byte) error {
	secret, err := p.verify(header, body)
	if err != nil {
		return err
	}
	event := p.classifySafely(ctx, body)
	event.body, event.secret = body, secret
	err = p.arrivals.do(ctx, event)
	if isRowsFault(err) {
		// Even alone it is refused, and would be whenever Stripe repeats it.
		event = event.unstorable(err)
		err = p.arrivals.do(ctx, event)
	}
	if err != nil {
		if !errors.Is(err, context.Canceled) { // that one has hung up
			p.refused.add(RefusedNotStored)
		}
		return fmt.Errorf("store event %s: %w", event.id, err)
	}
	if event.state == eventPending {
		p.Wake()
	}
	p.notice(event)
	return nil
}

// fresh is how old an event may be to go before the backlog.
const fresh = 5 * time.Minute

// incoming is an event as it will be stored.
type incoming struct {
	id, kind, subject, account, apiVersion string
	created                                time.Time
	livemode                               bool
	state                                  string
	cause                                  cause
	reason                                 string
	secret                                 int16 // position of the one that signed it
	body                                   []byte
}

// cause is why an event does not wait for a sync.
type cause string

const (
	causeNoEvent    cause = "no_event"
	causeConnected  cause = "connected_account"
	causeOtherMode  cause = "other_mode"
	causeOtherType  cause = "other_type"
	causeGuest      cause = "guest"
	causeNobody     cause = "nobody"
	causeUnstorable cause = "unstorable"
)

// reasons are what a row says of a cause.
var reasons = map[cause]string{
	causeConnected:  "it belongs to a connected account",
	causeOtherMode:  "it belongs to the other mode",
	causeOtherType:  "nothing is done for events of this type",
	causeGuest:      "it names no customer, as that of a guest",
	causeNobody:     "it names no customer",
	causeUnstorable: "the database refuses it as it is",
}

// classifySafely is classify for whatever may come: a body that we fall over is
// parked like one that cannot be read, instead of being refused for days.
func (p *Payments) classifySafely(ctx context.Context, body []byte) (in incoming) {
	defer func() {
		if r := recover(); r != nil {
			in = incoming{kind: "unknown", livemode: p.Livemode, state: eventParked, cause: causeNoEvent, reason: "reading it ended in a panic"}
			in.nameByHash(body)
			p.Log.ErrorContext(ctx, "panic while reading an event", "event", in.id, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
		}
	}()
	return p.classify(body)
}

// classify decides what becomes of a signed body: pending, ignored or parked,
// the latter two with the reason.
func (p *Payments) classify(body []byte) incoming {
	event, err := stripeshape.DecodeEvent(body)
	if err != nil {
		in := incoming{kind: "unknown", livemode: p.Livemode, state: eventIgnored, cause: causeNoEvent, reason: clean(err.Error())}
		in.nameByHash(body)
		return in
	}
	in := incoming{
		id: event.ID, kind: event.Type, created: event.Created, livemode: event.Livemode,
		account: clean(event.Account), apiVersion: clean(event.APIVersion), subject: event.Subject(),
		state: eventPending,
	}
	if !event.SaysMode { // the secret that signed it is of our mode
		in.livemode = p.Livemode
	}
	switch {
	case event.Account != "":
		in.state, in.cause = eventIgnored, causeConnected
	case in.livemode != p.Livemode:
		in.state, in.cause = eventIgnored, causeOtherMode
	case !isListenedTo(event.Type):
		in.state, in.cause = eventIgnored, causeOtherType
	case in.subject == "" && !stripeshape.NeedsCustomer(event.Type):
		in.state, in.cause = eventIgnored, causeGuest
	case in.subject == "":
		in.state, in.cause = eventParked, causeNobody
	}
	in.reason = reasons[in.cause]
	return in
}

func isListenedTo(eventType string) bool {
	_, found := slices.BinarySearch(EventTypes, eventType)
	return found
}

// nameByHash gives a body that has no usable id one, so that a repeated
// delivery is the same row.
func (in *incoming) nameByHash(body []byte) {
	hash := sha256.Sum256(body)
	in.id, in.created = "signed_"+hex.EncodeToString(hash[:]), time.Unix(0, 0)
}

// unstorable is the event with nothing of Stripe's in its row but the body.
func (in incoming) unstorable(cause error) incoming {
	out := incoming{
		kind: "unknown", livemode: in.livemode, state: eventIgnored, cause: causeUnstorable, secret: in.secret, body: in.body,
		reason: clean(reasons[causeUnstorable] + ": " + cause.Error()),
	}
	if in.state != eventIgnored { // somebody waits for it
		out.state = eventParked
	}
	out.nameByHash(in.body)
	return out
}

// isRowsFault reports whether Postgres refused a value and will do so again:
// class 22, data exceptions, 23, constraints, or 54, limits such as that of an
// index.
func isRowsFault(err error) bool {
	var fault *pgconn.PgError
	return isDataFault(err) || errors.As(err, &fault) && strings.HasPrefix(fault.Code, "54")
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

// Package stripeshape reads Stripe's JSON into billing's words. One decoder
// serves events and answers, so that the same state always gives equal facts,
// and it is tolerant: an event keeps the shape of the API version it was made
// with, which need not be ours.
package stripeshape

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Event is the envelope of a Stripe event.
// https://docs.stripe.com/api/events/object
type Event struct {
	ID         string
	Type       string
	Created    time.Time
	Livemode   bool
	Account    string // a Connect account; empty for our own
	APIVersion string
	// Object is data.object, Previous data.previous_attributes; Previous is
	// nil where the event carries none.
	Object   json.RawMessage
	Previous json.RawMessage
}

// ErrNotAnEvent says that a body is no event: nothing can come of it.
var ErrNotAnEvent = errors.New("not an event")

// DecodeEvent reads an envelope. The error wraps ErrNotAnEvent.
func DecodeEvent(body []byte) (Event, error) {
	var raw struct {
		ID         string  `json:"id"`
		Object     string  `json:"object"`
		Type       string  `json:"type"`
		Created    number  `json:"created"`
		Livemode   bool    `json:"livemode"`
		Account    *string `json:"account"`
		APIVersion *string `json:"api_version"`
		Data       struct {
			Object   json.RawMessage `json:"object"`
			Previous json.RawMessage `json:"previous_attributes"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &raw); err != nil {
		return Event{}, fmt.Errorf("%w: %w", ErrNotAnEvent, err)
	}
	switch {
	case raw.ID == "" || len(raw.ID) > 255 || strings.ContainsRune(raw.ID, 0):
		return Event{}, fmt.Errorf("%w: it has no usable id", ErrNotAnEvent)
	case raw.Type == "" || len(raw.Type) > 255 || strings.ContainsRune(raw.Type, 0):
		return Event{}, fmt.Errorf("%w: it has no usable type", ErrNotAnEvent)
	case raw.Created <= 0 || raw.Created > maxUnix:
		return Event{}, fmt.Errorf("%w: it has no usable time of creation", ErrNotAnEvent)
	}
	event := Event{
		ID: raw.ID, Type: raw.Type, Created: time.Unix(int64(raw.Created), 0).UTC(), Livemode: raw.Livemode,
		Object: raw.Data.Object,
	}
	if raw.Account != nil {
		event.Account = *raw.Account
	}
	if raw.APIVersion != nil {
		event.APIVersion = *raw.APIVersion
	}
	if present(raw.Data.Previous) {
		event.Previous = raw.Data.Previous
	}
	return event, nil
}

// maxUnix is the last second of the year 9999; Postgres goes further, RFC 3339
// does not.
const maxUnix = 253402300799

// Customer is the id of the customer that the event's object names, plain or
// expanded; empty where it names none.
func (e Event) Customer() string {
	var object struct {
		Customer reference `json:"customer"`
	}
	if json.Unmarshal(e.Object, &object) != nil {
		return ""
	}
	return string(object.Customer)
}

// number is an integer that may come as a string.
type number int64

func (n *number) UnmarshalJSON(b []byte) error {
	s := strings.Trim(string(b), `"`)
	if s == "null" || s == "" {
		return nil
	}
	var i int64
	if _, err := fmt.Sscan(s, &i); err != nil {
		return fmt.Errorf("number %s: %w", b, err)
	}
	*n = number(i)
	return nil
}

// reference is an id, or an expanded object that has one.
type reference string

func (r *reference) UnmarshalJSON(b []byte) error {
	if !present(b) {
		return nil
	}
	if b[0] == '"' {
		return json.Unmarshal(b, (*string)(r))
	}
	var object struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(b, &object); err != nil {
		return fmt.Errorf("reference: %w", err)
	}
	*r = reference(object.ID)
	return nil
}

// present reports whether a value is there and not null.
func present(b json.RawMessage) bool { return len(b) > 0 && string(b) != "null" }

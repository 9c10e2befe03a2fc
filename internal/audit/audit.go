// Package audit keeps the record of acts: who did what to what, and how it
// stood before and after. An entry is written in the transaction of the act, so
// that neither is there without the other.
//
// Who acts travels in the context: handlers put the visitor there, a command
// itself; what nobody did is the system's.
package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/promptforge/payments/db"
)

// Kind is what kind of actor acts.
type Kind string

// The kinds of actors.
const (
	User          Kind = "user"
	Administrator Kind = "administrator"
	Stripe        Kind = "stripe"
	System        Kind = "system"
	Command       Kind = "command"
)

// Actor is who acts, and by which request.
type Actor struct {
	Kind Kind
	// ID is the user's, or the name of the command; empty for Stripe and the
	// system.
	ID string
	// RequestID and Address are those of the request; empty where there is none.
	RequestID, Address string
}

type key struct{}

// WithActor returns a context in which the actor acts.
func WithActor(ctx context.Context, a Actor) context.Context { return context.WithValue(ctx, key{}, a) }

// ActorOf is who acts in a context; the system, if nobody does.
func ActorOf(ctx context.Context) Actor {
	a, _ := ctx.Value(key{}).(Actor)
	if a.Kind == "" { // a request whose visitor nobody knows
		a.Kind = System
	}
	return a
}

// Entry is one act. Before and After are structs or maps of what the act
// changed, without secrets; nil where there was nothing.
type Entry struct {
	// At is by the business clock.
	At time.Time
	// Act is what was done, as "checkout_started"; Object what it was done to.
	Act                  string
	ObjectKind, ObjectID string
	// Actor is the context's, unless the entry names one.
	Actor      Actor
	OrgID      *uuid.UUID
	CustomerID string
	// EventID is the event of Stripe that told it.
	EventID       string
	Before, After any
}

// Write records acts with the queries of the transaction that does them.
func Write(ctx context.Context, q *db.Queries, entries ...Entry) error {
	rows := make([]db.AuditLog, len(entries))
	for i, e := range entries {
		var err error
		if rows[i], err = e.row(ActorOf(ctx)); err != nil {
			return fmt.Errorf("record %s of %s: %w", e.Act, e.ObjectID, err)
		}
	}
	raw, err := json.Marshal(rows)
	if err != nil {
		return fmt.Errorf("write acts as JSON: %w", err)
	}
	if err := q.RecordActs(ctx, raw); err != nil {
		return fmt.Errorf("record acts: %w", err)
	}
	return nil
}

func (e Entry) row(actor Actor) (db.AuditLog, error) {
	if e.Actor.Kind != "" {
		actor = e.Actor
	}
	before, err := object(e.Before)
	if err != nil {
		return db.AuditLog{}, fmt.Errorf("what was before: %w", err)
	}
	after, err := object(e.After)
	if err != nil {
		return db.AuditLog{}, fmt.Errorf("what is after: %w", err)
	}
	return db.AuditLog{
		At: e.At, ActorKind: string(actor.Kind), ActorID: optional(actor.ID), Act: e.Act, ObjectKind: e.ObjectKind, ObjectID: e.ObjectID,
		OrgID: e.OrgID, StripeCustomerID: optional(e.CustomerID), Before: before, After: after, SourceEventID: optional(e.EventID),
		RequestID: optional(actor.RequestID), Address: optional(actor.Address),
	}, nil
}

func object(v any) (json.RawMessage, error) {
	if v == nil {
		return nil, nil //nolint:nilnil // nothing was there
	}
	return json.Marshal(v)
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

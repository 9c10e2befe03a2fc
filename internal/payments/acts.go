package payments

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/audit"
)

// actingAs makes a person who presses a button the one who acts, where whoever
// called has not said who does.
func actingAs(ctx context.Context, user uuid.UUID) context.Context {
	a := audit.ActorOf(ctx)
	if a.Kind != audit.System {
		return ctx
	}
	a.Kind, a.ID = audit.User, user.String()
	return audit.WithActor(ctx, a)
}

// checkoutAct is what was done to a checkout.
func checkoutAct(act string, a db.CheckoutAttempt, at time.Time) audit.Entry {
	return audit.Entry{
		At: at, Act: act, ObjectKind: "checkout", ObjectID: a.ID.String(), OrgID: &a.OrgID,
		After: map[string]any{"plan": a.Plan, "interval": a.Interval, "price": a.PriceID, "session": deref(a.SessionID)},
	}
}

// checkoutEnds are the acts by the state in which they leave a checkout.
var checkoutEnds = map[string]string{attemptComplete: "checkout_completed", attemptExpired: "checkout_expired"}

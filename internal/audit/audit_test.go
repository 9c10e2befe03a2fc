package audit_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/db/dbtest"
	"github.com/promptforge/payments/internal/audit"
)

var at = time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)

func TestTheRecordTakesEntriesAndNothingElse(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	org := uuid.New()
	entry := audit.Entry{
		At: at, Act: "checkout_started", ObjectKind: "checkout", ObjectID: "cs_1", OrgID: &org, CustomerID: "cus_1",
		After: map[string]string{"plan": "pro"},
	}
	ctx := audit.WithActor(t.Context(), audit.Actor{Kind: audit.User, ID: "ada", RequestID: "req_1", Address: "192.0.2.1"})
	if err := audit.Write(ctx, db.New(pool), entry); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		"UPDATE audit_log SET act = 'nothing'", "UPDATE audit_log SET act = 'nothing' WHERE false",
		"DELETE FROM audit_log", "TRUNCATE audit_log",
	} {
		if _, err := pool.Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: %v, want it refused", sql, err)
		}
	}
	var row db.AuditLog
	err := pool.QueryRow(t.Context(), "SELECT actor_kind, actor_id, act, request_id, address, before, after FROM audit_log").
		Scan(&row.ActorKind, &row.ActorID, &row.Act, &row.RequestID, &row.Address, &row.Before, &row.After)
	if err != nil {
		t.Fatal(err)
	}
	if row.ActorKind != "user" || *row.ActorID != "ada" || *row.RequestID != "req_1" || *row.Address != "192.0.2.1" || row.Before != nil ||
		string(row.After) != `{"plan": "pro"}` {
		t.Errorf("row = %+v (after %s)", row, row.After)
	}
}

func TestAPersonWithoutANameIsRefused(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	for name, actor := range map[string]audit.Actor{"a user": {Kind: audit.User}, "nobody's kind": {Kind: "ghost"}} {
		err := audit.Write(t.Context(), db.New(pool), audit.Entry{At: at, Act: "a", ObjectKind: "o", ObjectID: "1", Actor: actor})
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestWhoActsIsTheSystemUnlessTheContextSays(t *testing.T) {
	if got := audit.ActorOf(context.Background()).Kind; got != audit.System {
		t.Errorf("actor = %q", got)
	}
	ctx := audit.WithActor(context.Background(), audit.Actor{Kind: audit.Command, ID: "user create"})
	if got := audit.ActorOf(ctx); got.Kind != audit.Command || got.ID != "user create" {
		t.Errorf("actor = %+v", got)
	}
}

package auth_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/promptforge/payments/db/dbtest"
	"github.com/promptforge/payments/internal/audit"
	"github.com/promptforge/payments/internal/auth"
	"github.com/promptforge/payments/internal/billing"
)

func keysOf(t *testing.T) (*auth.Keys, *time.Time) {
	t.Helper()
	t.Parallel()
	now := time.Now()
	return &auth.Keys{Pool: dbtest.New(t), Clock: func() time.Time { return now }}, &now
}

func TestAKeyOpensWhatItIsForUntilItIsRevoked(t *testing.T) {
	keys, now := keysOf(t)
	ctx := audit.WithActor(t.Context(), audit.Actor{Kind: audit.Command, ID: "api-key create"})
	secret, err := keys.Create(ctx, auth.NewKey{Name: "wiki", Scopes: []auth.Scope{auth.ReadEntitlements}, By: "command", At: *now})
	if err != nil {
		t.Fatal(err)
	}
	key, ok, err := keys.Find(ctx, secret)
	if err != nil || !ok || key.Name != "wiki" || !key.May(auth.ReadEntitlements) || key.May(auth.ReadMetrics) || !strings.HasPrefix(secret, key.Prefix) {
		t.Fatalf("found %+v, %t, %v", key, ok, err)
	}
	if _, err := keys.Revoke(ctx, key.Prefix, *now); err != nil {
		t.Fatal(err)
	}
	*now = now.Add(auth.KeyTrust)
	if _, ok, err := keys.Find(ctx, secret); ok || err != nil {
		t.Errorf("a revoked key is still good after %s, %v", auth.KeyTrust, err)
	}
	other := &auth.Keys{Pool: keys.Pool, Clock: keys.Clock}
	if _, ok, _ := other.Find(ctx, secret); ok {
		t.Error("a process that never saw the key takes it though it is revoked")
	}
	var refusal *billing.Refusal
	if _, err := keys.Revoke(ctx, "wiki", *now); !errors.As(err, &refusal) || refusal.Code != billing.CodeNotFound {
		t.Errorf("revoked twice: %v", err)
	}
	// The name is free again, and both acts are on record without the key.
	if _, err := keys.Create(ctx, auth.NewKey{Name: "wiki", Scopes: auth.Scopes(), By: "command", At: *now}); err != nil {
		t.Error(err)
	}
	var acts, leaks int
	if err := keys.Pool.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE a::text LIKE '%' || $1 || '%') FROM audit_log a WHERE actor_kind = 'command' AND object_kind = 'api_key'`,
		secret[len(key.Prefix):]).Scan(&acts, &leaks); err != nil || acts != 3 || leaks != 0 {
		t.Errorf("%d acts on record, %d of them with the key, %v", acts, leaks, err)
	}
}

func TestAKeyIsBelievedForAMomentWithoutTheDatabase(t *testing.T) {
	keys, now := keysOf(t)
	secret, err := keys.Create(t.Context(), auth.NewKey{Name: "wiki", Scopes: auth.Scopes(), By: "command", At: *now})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := keys.Find(t.Context(), secret); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if _, err := keys.Pool.Exec(t.Context(), "ALTER TABLE api_keys RENAME TO away"); err != nil {
		t.Fatal(err)
	}
	*now = now.Add(auth.KeyTrust - time.Millisecond)
	if _, ok, err := keys.Find(t.Context(), secret); !ok || err != nil {
		t.Errorf("just before it is looked up again: %t, %v", ok, err)
	}
	*now = now.Add(time.Millisecond)
	if _, ok, err := keys.Find(t.Context(), secret); ok || err == nil {
		t.Errorf("a key that cannot be looked up is taken: %t, %v", ok, err)
	}
	if _, ok, err := keys.Find(t.Context(), secret[:len(secret)-5]+"aaaaa"); ok || err != nil {
		t.Errorf("a mistyped key is looked up: %t, %v", ok, err)
	}
}

func TestWhatIsNoKeyOpensNothing(t *testing.T) {
	keys, now := keysOf(t)
	secret, err := keys.Create(t.Context(), auth.NewKey{Name: "wiki", Scopes: auth.Scopes(), By: "command", At: *now})
	if err != nil {
		t.Fatal(err)
	}
	if other := auth.NewSecret(); other == secret || len(other) != len(secret) {
		t.Errorf("two keys are %s and %s", secret, other)
	}
	for name, s := range map[string]string{
		"nothing": "", "the beginning": "pf_", "a cut one": secret[:30], "one too long": secret + "a", "upper case": strings.ToUpper(secret),
		"without its beginning": secret[3:], "another's": auth.NewSecret(), "a blank": " " + secret, "a mistyped one": secret[:10] + "zz" + secret[12:],
		"what is no letter": "pf_" + strings.Repeat("!", len(secret)-3), "a NUL": secret[:len(secret)-1] + "\x00",
	} {
		if _, ok, err := keys.Find(t.Context(), s); ok || err != nil {
			t.Errorf("%s: %t, %v", name, ok, err)
		}
	}
}

func TestAKeyNeedsANameAndAScope(t *testing.T) {
	keys, now := keysOf(t)
	good := auth.NewKey{Name: "wiki", Scopes: auth.Scopes(), By: "command", At: *now}
	if _, err := keys.Create(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		change func(*auth.NewKey)
		field  string
	}{
		"no name":              {func(n *auth.NewKey) { n.Name = " " }, "name"},
		"a name in use":        {func(*auth.NewKey) {}, "name"},
		"a name like a key":    {func(n *auth.NewKey) { n.Name = "pf_x" }, "name"},
		"a long name":          {func(n *auth.NewKey) { n.Name = strings.Repeat("x", 101) }, "name"},
		"no scope":             {func(n *auth.NewKey) { n.Name, n.Scopes = "b", nil }, "scope"},
		"a scope that is none": {func(n *auth.NewKey) { n.Name, n.Scopes = "b", []auth.Scope{"entitlements:write"} }, "scope"},
	} {
		n := good
		tt.change(&n)
		var refusal *billing.Refusal
		if _, err := keys.Create(t.Context(), n); !errors.As(err, &refusal) || refusal.Fields[tt.field] == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	all, err := keys.List(t.Context())
	if err != nil || len(all) != 1 {
		t.Errorf("keys = %+v, %v", all, err)
	}
}

func TestTheUseOfAKeyIsNotedOnceAnHour(t *testing.T) {
	keys, now := keysOf(t)
	secret, err := keys.Create(t.Context(), auth.NewKey{Name: "wiki", Scopes: auth.Scopes(), By: "command", At: *now})
	if err != nil {
		t.Fatal(err)
	}
	use := func() {
		t.Helper()
		key, ok, err := keys.Find(t.Context(), secret)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		if err := keys.Used(t.Context(), key); err != nil {
			t.Error(err)
		}
	}
	writes := func() (n int) {
		t.Helper()
		if err := keys.Pool.QueryRow(t.Context(), "SELECT count(last_used_at) FROM api_keys").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	use()
	if writes() != 1 {
		t.Fatal("the first use is not noted")
	}
	if _, err := keys.Pool.Exec(t.Context(), "UPDATE api_keys SET last_used_at = NULL"); err != nil {
		t.Fatal(err)
	}
	use()
	if writes() != 0 {
		t.Error("a second use within the hour is noted again")
	}
	*now = now.Add(time.Hour)
	use()
	if writes() != 1 {
		t.Error("the first use of the next hour is not noted")
	}
}

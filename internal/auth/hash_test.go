package auth_test

import (
	"errors"
	"testing"

	"github.com/promptforge/payments/internal/auth"
	"github.com/promptforge/payments/internal/billing"
)

func TestPeopleWithOneHashHaveOnePassword(t *testing.T) {
	a, _ := setup(t)
	hash, err := a.HashPassword(t.Context(), "shared by all of them")
	if err != nil {
		t.Fatal(err)
	}
	for _, email := range []string{"ada@example.com", "grace@example.com"} {
		if _, _, err := a.SignUp(t.Context(), auth.SignUp{Name: "A", Email: email, Hash: hash, Organization: "Engines"}); err != nil {
			t.Fatalf("sign %s up: %v", email, err)
		}
		if user, err := a.LogIn(t.Context(), email, "shared by all of them"); err != nil || user.Email != email {
			t.Errorf("log %s in: %+v, %v", email, user, err)
		}
		if _, err := a.LogIn(t.Context(), email, string(hash)); err == nil {
			t.Errorf("%s logs in with the hash itself", email)
		}
	}
	// A hash spares nothing but the password.
	var refusal *billing.Refusal
	_, _, err = a.SignUp(t.Context(), auth.SignUp{Name: "A", Email: "nowhere", Hash: hash, Organization: "Engines"})
	if !errors.As(err, &refusal) || refusal.Fields["email"] == "" || refusal.Fields["password"] != "" {
		t.Errorf("a wrong address: %v", err)
	}
}

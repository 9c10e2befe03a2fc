package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/promptforge/payments/db/dbtest"
)

func TestAKeyIsMadeShownOnceAndRevoked(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": dbtest.URL(t)}
	out, errOut, code := call(t, env, "", "api-key", "create", "--name", "wiki", "--scope", "entitlements:read, metrics:read")
	key := strings.TrimSpace(out)
	if code != 0 || !regexp.MustCompile(`^pf_[a-z2-7]{58}$`).MatchString(key) || strings.Contains(errOut, key) {
		t.Fatalf("create: exit %d, %q, %q", code, out, errOut)
	}
	list, _, code := call(t, env, "", "api-key", "list")
	if code != 0 || strings.Contains(list, key) || !strings.Contains(list, key[:11]) || !strings.Contains(list, "wiki") || !strings.Contains(list, "entitlements:read,metrics:read") {
		t.Errorf("list: exit %d, %s", code, list)
	}
	if out, errOut, code := call(t, env, "", "api-key", "revoke", "--key", key[:11]+"…"); code != 0 || !strings.Contains(out, "wiki") {
		t.Errorf("revoke: exit %d, %s%s", code, out, errOut)
	}
	for name, tt := range map[string]struct {
		args []string
		code int
		says string
	}{
		"an act that is none":  {[]string{"api-key", "make"}, 2, "Usage:"},
		"no act":               {[]string{"api-key"}, 2, "Usage:"},
		"help":                 {[]string{"api-key", "-h"}, 0, "Usage:"},
		"no name and no scope": {[]string{"api-key", "create"}, 1, "--name: Name the program"},
		"no scope":             {[]string{"api-key", "create", "--name", "b"}, 1, "--scope: Say what"},
		"a scope that is none": {[]string{"api-key", "create", "--name", "b", "--scope", "all"}, 1, `There is no "all"`},
		"an unknown key":       {[]string{"api-key", "revoke", "--key", "wiki"}, 1, `No key in use is called "wiki"`},
		"no key":               {[]string{"api-key", "revoke"}, 2, "--key is missing"},
		"something left over":  {[]string{"api-key", "list", "all"}, 2, "unexpected"},
	} {
		_, errOut, code := call(t, env, "", tt.args...)
		if code != tt.code || !strings.Contains(errOut, tt.says) {
			t.Errorf("%s: exit %d, %q; want %d and %q", name, code, errOut, tt.code, tt.says)
		}
	}
}

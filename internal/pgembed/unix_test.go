//go:build unix

package pgembed

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestRootWithoutUserNamespaces proves the last resort, which most machines never need.
func TestRootWithoutUserNamespaces(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root has to become someone else")
	}
	asNobody := func(string, string) (identity, error) { return identity{uid: nobody, gid: nobody}, nil }

	for name, private := range map[string]bool{"in a directory that everyone may enter": false, "below a private directory": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent, err := os.MkdirTemp("/var/tmp", "pgembed-test-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(parent) })
			if !private {
				if err := os.Chmod(parent, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			cfg := Config{Dir: filepath.Join(parent, "pg"), NoSync: true}

			first, err := startAs(t.Context(), cfg, asNobody)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { stop(t, first) })
			exec1(t, first.URL("postgres"), "CREATE TABLE kept AS SELECT 42 AS answer")
			real, err := filepath.EvalSymlinks(filepath.Join(cfg.Dir, "data"))
			if err != nil {
				t.Fatal(err)
			}
			if moved := filepath.Dir(real) != cfg.Dir; moved != private {
				t.Errorf("data is in %s, moved away: %v, want %v", real, moved, private)
			} else if moved {
				t.Cleanup(func() { _ = os.RemoveAll(filepath.Dir(real)) })
			}
			info, err := os.Stat(real)
			if err != nil {
				t.Fatal(err)
			}
			if uid := info.Sys().(*syscall.Stat_t).Uid; uid != nobody {
				t.Errorf("data belongs to %d, want nobody", uid)
			}
			stop(t, first)

			// The choice is not written down anywhere but in the owner of the data.
			second := start(t, cfg)
			if got := query[int](t, second.URL("postgres"), "SELECT answer FROM kept"); got != 42 {
				t.Errorf("answer = %d, want 42", got)
			}
		})
	}
}

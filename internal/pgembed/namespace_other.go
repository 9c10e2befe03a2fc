//go:build unix && (!linux || supervised)

package pgembed

import (
	"fmt"
	"syscall"
)

// namespaces tells whether this system has user namespaces that Postgres can be started in.
const namespaces = false

func enterNamespace(*syscall.SysProcAttr) {}

// String and parseIdentity carry an identity over a command line.
func (id identity) String() string { return fmt.Sprintf("%d:%d", id.uid, id.gid) }

func parseIdentity(s string) (id identity, err error) {
	if _, err := fmt.Sscanf(s, "%d:%d", &id.uid, &id.gid); err != nil {
		return identity{}, fmt.Errorf("read identity %q: %w", s, err)
	}
	return id, nil
}

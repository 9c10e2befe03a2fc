//go:build unix && (!linux || supervised)

package pgembed

import "syscall"

// namespaces tells whether this system has user namespaces that Postgres can be started in.
const namespaces = false

func enterNamespace(*syscall.SysProcAttr) {}

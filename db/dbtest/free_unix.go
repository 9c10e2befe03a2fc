//go:build unix

package dbtest

import "golang.org/x/sys/unix"

// free is the space left in a folder in bytes; 0 when it is not there.
func free(folder string) uint64 {
	var s unix.Statfs_t
	if unix.Statfs(folder, &s) != nil {
		return 0
	}
	return s.Bavail * uint64(s.Bsize) //nolint:gosec,unconvert // never negative; its type differs by system
}

//go:build unix

package dbtest

import (
	"errors"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// free is the space left in a folder in bytes; 0 when it is not there.
func free(folder string) uint64 {
	var s unix.Statfs_t
	if unix.Statfs(folder, &s) != nil {
		return 0
	}
	return s.Bavail * uint64(s.Bsize) //nolint:gosec,unconvert // never negative; its type differs by system
}

// alive tells whether a process lives, whoever owns it.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// removeAfterwards leaves a shell behind that waits for this process to end,
// however it ends, and for its server after it, and removes the folder. A test
// binary has no other moment at which it could: TestMain belongs to its package.
func removeAfterwards(folder string) {
	read, write, err := os.Pipe()
	if err != nil {
		return // the next sweep does it
	}
	defer read.Close()
	untilTheEnd = append(untilTheEnd, write)
	const script = `cat
n=0
while [ -e "$1/data/postmaster.pid" ] && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
rm -rf "$1"`
	cmd := exec.Command("/bin/sh", "-c", script, "sh", folder)
	cmd.Dir = "/"
	cmd.Stdin = read
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt at the terminal is not for it
	_ = cmd.Start()                                       // the next sweep does it
}

//go:build unix

package stripesim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lockFolder takes the folder for this process. The kernel lets go of the lock
// when the process dies, however it dies.
func lockFolder(dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errors.Join(
			fmt.Errorf("state folder %s is in use by another stripe-sim; stop it or choose another folder", dir),
			file.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock state folder %s: %w", dir, err), file.Close())
	}
	return file, nil
}

// unlockFolder gives the folder free. The lock is given back by name, and not
// only with the file: a process that is being forked at this moment may hold a
// copy of that for a while.
func unlockFolder(file *os.File) error {
	return errors.Join(syscall.Flock(int(file.Fd()), syscall.LOCK_UN), file.Close())
}

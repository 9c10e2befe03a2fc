//go:build !unix

package stripesim

import (
	"fmt"
	"os"
	"path/filepath"
)

// lockFolder holds the lock file open. Where there is no flock, a second
// process is stopped only by the address that the first one listens on.
func lockFolder(dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	return file, nil
}

func unlockFolder(file *os.File) error { return file.Close() }

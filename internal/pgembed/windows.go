//go:build windows

package pgembed

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// identity has nothing to choose on Windows: initdb and pg_ctl drop privileges by themselves.
type identity struct{}

func chooseIdentity(_, _ string) (identity, error) { return identity{}, nil }

func (identity) String() string { return "" }

func parseIdentity(string) (identity, error) { return identity{}, nil }

func (identity) apply(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

func (identity) settle(dir, bin string) (home, usable string, err error) { return dir, bin, nil }

func (identity) own(...string) error { return nil }

// lockFile opens the file without sharing it; Windows closes it with this process.
func lockFile(path string) (*os.File, error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	h, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil, syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	const sharingViolation = syscall.Errno(32)
	if errors.Is(err, sharingViolation) {
		return nil, ErrInUse
	}
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	return os.NewFile(uintptr(h), path), nil
}

func unlock(f *os.File) error { return f.Close() }

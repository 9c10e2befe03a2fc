//go:build unix

package pgembed

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// nobody is the user that Postgres runs as when we are root and user namespaces are forbidden.
const nobody = 65534

// identity is the operating system's user that Postgres's programs run as. They refuse root.
type identity struct {
	namespace bool // root, shown to Postgres as an ordinary user by a user namespace
	uid, gid  int  // the user to become, 0 for our own
}

// chooseIdentity picks the user for the server in dir. Root first tries a user namespace, in which
// nothing has to be copied or given away; data that already belongs to another user is served as
// that user; the last resort is nobody.
func chooseIdentity(dir, bin string) (identity, error) {
	euid := os.Geteuid()
	owner, ownerGroup := euid, os.Getegid()
	info, err := os.Stat(filepath.Join(dir, "data"))
	exists := err == nil
	if exists {
		st := info.Sys().(*syscall.Stat_t)
		owner, ownerGroup = int(st.Uid), int(st.Gid)
	} else if !errors.Is(err, os.ErrNotExist) {
		return identity{}, fmt.Errorf("look for a database: %w", err)
	}
	switch {
	case owner != euid && euid != 0:
		return identity{}, fmt.Errorf("the database in %s belongs to another user (uid %d): run as that user, or use another directory", dir, owner)
	case owner != euid:
		return identity{uid: owner, gid: ownerGroup}, nil
	case euid != 0:
		return identity{}, nil
	}
	if id := (identity{namespace: true}); namespaces && id.canRun(bin, dir) {
		return id, nil
	}
	id := identity{uid: nobody, gid: nobody}
	if exists {
		if !id.canRun("", filepath.Dir(dir)) {
			return identity{}, fmt.Errorf("postgres cannot run as root here, and no other user can reach the database in %s: move it to a directory that everyone may enter", dir)
		}
		if err := id.own(filepath.Join(dir, "data")); err != nil {
			return identity{}, fmt.Errorf("give the database to an unprivileged user: %w", err)
		}
	}
	return id, nil
}

// canRun tells whether a program can be run from bin with dir as its working directory. An empty
// bin asks about the directory alone.
func (id identity) canRun(bin, dir string) bool {
	probe := "/bin/sh"
	args := []string{"-c", ":"}
	if bin != "" {
		probe, args = filepath.Join(bin, program("postgres")), []string{"--version"}
	}
	cmd := exec.Command(probe, args...)
	cmd.Dir = dir
	cmd.Env = environment
	id.apply(cmd)
	return cmd.Run() == nil
}

// apply makes cmd run as this user, in a process group of its own: an interrupt typed at the
// terminal is for us, and we stop Postgres in our own time.
func (id identity) apply(cmd *exec.Cmd) {
	attr := &syscall.SysProcAttr{Setpgid: true}
	switch {
	case id.namespace:
		enterNamespace(attr)
	case id.uid != 0:
		attr.Credential = &syscall.Credential{Uid: uint32(id.uid), Gid: uint32(id.gid)}
	}
	cmd.SysProcAttr = attr
}

// settle returns where the data directory is or goes, and binaries that this user can run.
func (id identity) settle(dir, bin string) (home, usable string, err error) {
	home = dir
	if real, err := filepath.EvalSymlinks(filepath.Join(dir, "data")); err == nil {
		home = filepath.Dir(real)
	} else if id.uid != 0 && !id.canRun("", filepath.Dir(dir)) {
		// Nobody may not enter a checkout below a private home directory. This one is remembered by
		// the link that ensureCluster leaves.
		if home, err = os.MkdirTemp("/var/tmp", "promptforge-postgres-"); err != nil {
			return "", "", fmt.Errorf("make a place for the database: %w", err)
		}
	}
	if id.uid == 0 {
		return home, bin, nil
	}
	if err := os.Chmod(home, 0o711); err != nil {
		return "", "", fmt.Errorf("open the database directory: %w", err)
	}
	if id.canRun(bin, "/") {
		return home, bin, nil
	}
	copied := filepath.Join(home, "native")
	if err := os.RemoveAll(copied); err != nil {
		return "", "", fmt.Errorf("remove old copy of the binaries: %w", err)
	}
	if err := os.CopyFS(copied, os.DirFS(filepath.Dir(bin))); err != nil {
		return "", "", fmt.Errorf("copy the binaries to where postgres's user can run them: %w", err)
	}
	err = filepath.WalkDir(copied, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if d.IsDir() {
			mode |= 0o111
		} else if mode&0o100 != 0 {
			mode |= 0o111
		}
		return os.Chmod(path, mode)
	})
	if err != nil {
		return "", "", fmt.Errorf("open the copied binaries: %w", err)
	}
	return home, filepath.Join(copied, filepath.Base(bin)), nil
}

// own gives files, and everything in directories, to this user.
func (id identity) own(paths ...string) error {
	if id.uid == 0 {
		return nil
	}
	for _, root := range paths {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(path, id.uid, id.gid)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lockFile takes a lock that ends with this process, however it ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrInUse
		}
		return nil, fmt.Errorf("lock: %w", err)
	}
	return f, nil
}

// unlock gives the lock back at once. Closing alone would not: a program that another goroutine is
// starting has a copy of the file until it is loaded.
func unlock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

//go:build linux && !supervised

package pgembed

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
)

// child is a postgres that the kernel stops when we die.
type child struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// startPostgres starts the server with its output in the file at logPath.
func startPostgres(bin, data, logPath string, options []string, id identity) (process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(filepath.Join(bin, "postgres"), append([]string{"-D", data}, options...)...)
	cmd.Dir = data
	cmd.Env = environment
	cmd.Stdout, cmd.Stderr = log, log
	id.apply(cmd)
	cmd.SysProcAttr.Pdeathsig = syscall.SIGINT // fast shutdown

	c := &child{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The kernel's "parent" is the thread, not the process: Go may end an idle thread, and
		// Postgres would stop in the middle of the day. So this one waits for it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		_ = cmd.Wait() // how it ended is in the log
		close(c.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

func (c *child) exited() <-chan struct{} { return c.done }

func (c *child) stop() error { return c.signal(syscall.SIGINT) }

// kill asks for an immediate shutdown: the postmaster takes its children with it, which SIGKILL
// would leave behind for a moment.
func (c *child) kill() error { return c.signal(syscall.SIGQUIT) }

func (c *child) signal(sig os.Signal) error {
	select {
	case <-c.done:
		return nil
	default:
	}
	if err := c.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// namespaces tells whether this system has user namespaces that Postgres can be started in; it may
// still forbid them, so that they are tried first.
const namespaces = true

// enterNamespace shows Postgres an ordinary user where the rest of the machine sees root, so that
// files need no other owner. Ambient capabilities would not do: Postgres looks at the number.
func enterNamespace(attr *syscall.SysProcAttr) {
	const ordinary = 1000
	attr.Cloneflags |= syscall.CLONE_NEWUSER
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: ordinary, HostID: os.Geteuid(), Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: ordinary, HostID: os.Getegid(), Size: 1}}
}

// isPostmaster tells whether the process is a postgres that works in this data directory, and not
// one that has inherited its number.
func isPostmaster(pid int, data string) bool {
	cwd, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "cwd"))
	return err == nil && cwd == data
}

//go:build !linux || supervised

package pgembed

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// superviseArg as first argument makes this program a supervisor instead of what it is otherwise.
const superviseArg = "pgembed-supervise"

// Where the kernel does not stop a child when its parent dies, this program starts a second time
// as the server's supervisor: it starts Postgres, waits until its standard input ends, which it
// does when the parent closes it or dies, and stops Postgres. It must come before main, because
// main may be anyone's, a test binary's too.
func init() {
	if len(os.Args) > 4 && os.Args[1] == superviseArg {
		if err := supervise(os.Args[2], os.Args[3], os.Args[4], os.Args[5:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// supervise runs the server until standard input ends. It returns at once when Postgres does not
// come up; one that fails later ends by itself.
func supervise(identityArg, pgCtl, data string, options []string) error {
	id, err := parseIdentity(identityArg)
	if err != nil {
		return err
	}
	run := func(args ...string) error {
		cmd := exec.Command(pgCtl, append(args, "-D", data)...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		id.apply(cmd)
		return cmd.Run()
	}
	quoted := make([]string, len(options))
	for i, o := range options {
		quoted[i] = `"` + strings.ReplaceAll(o, `"`, `\"`) + `"`
	}
	if err := run("start", "-w", "-t", "600", "-o", strings.Join(quoted, " ")); err != nil {
		_ = run("stop", "-m", "fast", "-w") // it may still be recovering
		return fmt.Errorf("pg_ctl start: %w", err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := run("stop", "-m", "fast", "-w"); err != nil {
		return fmt.Errorf("pg_ctl stop: %w", err)
	}
	return nil
}

// supervisor is the process that starts and stops Postgres for us.
type supervisor struct {
	cmd       *exec.Cmd
	stdin     io.Closer
	closeOnce sync.Once
	bin, data string
	id        identity
	done      chan struct{}
}

// startPostgres starts a supervisor and through it the server, with its output in the file at
// logPath.
func startPostgres(bin, data, logPath string, options []string, id identity) (process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	args := append([]string{superviseArg, id.String(), filepath.Join(bin, program("pg_ctl")), data}, options...)
	cmd := exec.Command(self, args...)
	cmd.Dir = data
	cmd.Env = environment
	cmd.Stdout, cmd.Stderr = log, log
	identity{}.apply(cmd)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &supervisor{cmd: cmd, stdin: stdin, bin: bin, data: data, id: id, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in the log
		close(s.done)
	}()
	return s, nil
}

func (s *supervisor) exited() <-chan struct{} { return s.done }

func (s *supervisor) stop() error {
	s.closeOnce.Do(func() { _ = s.stdin.Close() })
	return nil
}

// kill needs nothing from the supervisor, which would only get in the way.
func (s *supervisor) kill() error {
	_ = s.cmd.Process.Kill()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, program("pg_ctl")), "stop", "-D", s.data, "-m", "immediate", "-w")
	cmd.Env = environment
	s.id.apply(cmd)
	_ = cmd.Run() // it fails when there is nothing left to stop
	return nil
}

// isPostmaster tells whether a postgres is at work in this data directory: what its postmaster.pid
// says of a port must be true.
func isPostmaster(_ int, data string) bool {
	b, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return false
	}
	lines := strings.Split(string(b), "\n")
	if len(lines) < 4 {
		return false
	}
	conn, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strings.TrimSpace(lines[3])), time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

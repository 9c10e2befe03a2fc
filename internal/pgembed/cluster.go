package pgembed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// environment is all that Postgres's programs see of ours: a PGDATA or a locale set in a shell
// must not change what they do.
var environment = []string{"LC_ALL=C", "TZ=UTC"}

// cluster is what initdb has to know.
type cluster struct {
	dir      string // where the caller looks for it
	home     string // where it is; differs from dir only where dir cannot be entered by Postgres's user
	bin      string
	password string
	noSync   bool
}

// ensureCluster returns the real path of the data directory, after running initdb if there is
// none. It appears by a rename, so that an interrupted initdb is never mistaken for a database.
func ensureCluster(ctx context.Context, c cluster, id identity) (string, error) {
	data := filepath.Join(c.dir, "data")
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err == nil {
		return filepath.EvalSymlinks(data)
	} else if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("look for a database: %w", err)
	}

	fresh := filepath.Join(c.home, "data.new")
	if err := os.RemoveAll(fresh); err != nil {
		return "", fmt.Errorf("remove an unfinished database: %w", err)
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return "", fmt.Errorf("create data directory: %w", err)
	}
	pwfile := filepath.Join(c.home, "pwfile")
	if err := os.WriteFile(pwfile, []byte(c.password+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("hand the password to initdb: %w", err)
	}
	defer func() { _ = os.Remove(pwfile) }()
	if err := id.own(fresh, pwfile); err != nil {
		return "", fmt.Errorf("give the data directory to postgres: %w", err)
	}

	args := []string{
		"-D", fresh, "-U", user, "-A", "scram-sha-256", "--pwfile=" + pwfile,
		"-E", "UTF8", // without it, SQL_ASCII
		"--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--lc-collate=C", "--lc-ctype=C",
		"--wal-segsize=1", "--no-instructions",
	}
	if c.noSync {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, program("initdb")), args...)
	cmd.Dir = c.home
	cmd.Env = environment
	id.apply(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("create database with initdb: %w\n%s", err, strings.TrimSpace(string(out)))
	}

	real := filepath.Join(c.home, "data")
	if err := os.Rename(fresh, real); err != nil {
		return "", fmt.Errorf("put database into place: %w", err)
	}
	if real != data {
		if err := os.Symlink(real, data); err != nil {
			return "", fmt.Errorf("link database into place: %w", err)
		}
	}
	return filepath.EvalSymlinks(real)
}

// clearPredecessor stops a server that is still at work on our data. We hold the directory's lock,
// so whoever started it is gone; usually it is already shutting down.
func clearPredecessor(ctx context.Context, data, bin string, id identity) error {
	if pid, err := readPID(filepath.Join(data, "postmaster.pid")); err != nil {
		return err
	} else if pid != 0 && isPostmaster(pid, data) {
		// The outcome is seen by waiting; that it cannot be asked any more is what we want.
		_ = pgCtlStop(ctx, data, bin, id)
	}
	return awaitGone(ctx, data)
}

// awaitGone returns once no server is at work on the data.
func awaitGone(ctx context.Context, data string) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	pidFile := filepath.Join(data, "postmaster.pid")
	for {
		pid, err := readPID(pidFile)
		if err != nil {
			return err
		}
		if pid == 0 {
			return nil
		}
		if !isPostmaster(pid, data) {
			// Postgres itself refuses to start when another process has come to this number.
			if err := os.Remove(pidFile); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("remove stale postmaster.pid: %w", err)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("a postgres with pid %d is still at work in %s: %w", pid, data, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// pgCtlStop stops the server of a data directory, whoever started it.
func pgCtlStop(ctx context.Context, data, bin string, id identity) error {
	cmd := exec.CommandContext(ctx, filepath.Join(bin, program("pg_ctl")), "stop", "-D", data, "-m", "fast", "-w")
	cmd.Dir = data
	cmd.Env = environment
	id.apply(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_ctl stop: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// readPID returns the number in the first line of postmaster.pid, 0 when there is no such file.
func readPID(path string) (int, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read postmaster.pid: %w", err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || pid == 0 {
		return 0, fmt.Errorf("read postmaster.pid: %q is no process id", line)
	}
	if pid < 0 { // a server in single-user mode
		pid = -pid
	}
	return pid, nil
}

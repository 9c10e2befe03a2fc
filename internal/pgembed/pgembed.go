// Package pgembed runs a real Postgres as a child of this process, for the demo and for tests.
//
// The binaries come from npm's @embedded-postgres packages, because Node is there anyway and
// because they are to be had where no Docker and no system package is. A server lives in one
// directory (data, password, log), survives restarts there, listens on loopback alone, and never
// outlives the process that started it, even if that one is killed.
package pgembed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// user is the superuser that initdb creates and every URL names.
const user = "app"

// stopTimeout bounds how long a clean shutdown may take before Postgres is made to stop at once.
const stopTimeout = 30 * time.Second

// Config says where a server lives and how it runs.
type Config struct {
	// Dir holds everything of the server: data, password, log and lock. It is created with mode
	// 0700 and must not be shared with anything else.
	Dir string
	// Binaries is a directory with initdb, postgres and pg_ctl, or with a bin directory of them
	// (PostgreSQL 17 or newer). Empty searches node_modules, see [FindBinaries].
	Binaries string
	// Settings are server parameters, as in postgresql.conf; they win over our defaults.
	Settings map[string]string
	// NoSync skips the flush to disk after initdb. For data that nobody will miss.
	NoSync bool
}

// Server is a running Postgres. It must be stopped.
type Server struct {
	port     int
	password string
	process  process
	lock     *os.File

	unlockOnce sync.Once
}

// process is a started postgres, watched over in the manner of the platform.
type process interface {
	// exited is closed once Postgres has ended.
	exited() <-chan struct{}
	// stop asks for a fast shutdown (open transactions are rolled back) and returns at once.
	stop() error
	// kill ends Postgres without a shutdown; the next start recovers.
	kill() error
}

// Start runs the server in cfg.Dir, creating its data on the first call, and returns once it
// accepts connections. Data that is there is found again. A server that a killed predecessor left
// behind is stopped first; a directory that a living process uses is refused.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	return startAs(ctx, cfg, chooseIdentity)
}

// ErrInUse is returned when a living process already runs a server in the directory.
var ErrInUse = errors.New("another process is using it")

// startAs is Start with the choice of the operating system's user left open, for tests.
func startAs(ctx context.Context, cfg Config, choose func(dir, bin string) (identity, error)) (_ *Server, err error) {
	bin, err := FindBinaries(cfg.Binaries)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("resolve database directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create database directory: %w", err)
	}
	lock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("use database directory %s: %w", dir, err)
	}
	defer func() {
		if err != nil {
			_ = unlock(lock)
		}
	}()

	id, err := choose(dir, bin)
	if err != nil {
		return nil, err
	}
	home, bin, err := id.settle(dir, bin)
	if err != nil {
		return nil, err
	}
	password, err := readOrMakePassword(filepath.Join(dir, "password"))
	if err != nil {
		return nil, err
	}
	data, err := ensureCluster(ctx, cluster{dir: dir, home: home, bin: bin, password: password, noSync: cfg.NoSync}, id)
	if err != nil {
		return nil, err
	}
	if err := clearPredecessor(ctx, data, bin, id); err != nil {
		return nil, err
	}

	srv := &Server{password: password, lock: lock}
	logPath := filepath.Join(dir, "postgres.log")
	// There is no port 0 in Postgres: between our looking for a free one and its binding, another
	// process may take it. That is rare, and tried again.
	for attempt := 1; ; attempt++ {
		if srv.port, err = freePort(); err != nil {
			return nil, err
		}
		srv.process, err = startPostgres(bin, data, logPath, options(srv.port, cfg.Settings), id)
		if err != nil {
			return nil, fmt.Errorf("start postgres: %w", err)
		}
		err = srv.awaitReady(ctx)
		if err == nil {
			return srv, nil
		}
		_ = srv.halt(context.WithoutCancel(ctx))
		log := tail(logPath)
		if attempt < 3 && strings.Contains(log, "Address already in use") {
			continue
		}
		return nil, fmt.Errorf("start postgres: %w\n%s", err, log)
	}
}

// URL returns the address of the named database, with the password.
func (s *Server) URL(database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(user, s.password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// EnsureDatabase creates the named database if it is not there.
func (s *Server) EnsureDatabase(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return fmt.Errorf("connect to postgres: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == "42P04" { // duplicate_database
		return nil
	}
	if err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

// Stop shuts the server down and returns once it is gone and its directory free. Clients are
// disconnected, their open transactions rolled back. When ctx ends first, Postgres is ended
// without a shutdown, which loses nothing: the next start recovers.
func (s *Server) Stop(ctx context.Context) error {
	err := s.halt(ctx)
	s.unlockOnce.Do(func() {
		if uerr := unlock(s.lock); uerr != nil {
			err = errors.Join(err, fmt.Errorf("release database directory: %w", uerr))
		}
	})
	return err
}

// Remove deletes the server in dir with all its data. One that a killed process left behind is given
// the time to shut down; one that a living process runs is [ErrInUse].
func Remove(ctx context.Context, dir string) error {
	lock, err := lockFile(filepath.Join(dir, "lock"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove database directory %s: %w", dir, err)
	}
	defer func() { _ = unlock(lock) }()
	if data, err := filepath.EvalSymlinks(filepath.Join(dir, "data")); err == nil {
		if err := awaitGone(ctx, data); err != nil {
			return err
		}
		if home := filepath.Dir(data); home != dir {
			if err := os.RemoveAll(home); err != nil {
				return fmt.Errorf("remove database: %w", err)
			}
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove database directory: %w", err)
	}
	return nil
}

func (s *Server) halt(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if err := s.process.stop(); err != nil {
		return fmt.Errorf("stop postgres: %w", err)
	}
	select {
	case <-s.process.exited():
		return nil
	case <-ctx.Done():
	}
	if err := s.process.kill(); err != nil {
		return fmt.Errorf("kill postgres: %w", err)
	}
	<-s.process.exited()
	return fmt.Errorf("stop postgres: ended without a shutdown: %w", ctx.Err())
}

// awaitReady returns once a connection succeeds. It believes no log line: the one about being
// ready comes in the language of the machine, and before recovery is over.
func (s *Server) awaitReady(ctx context.Context) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		var pgErr *pgconn.PgError
		if errors.As(err, &pgErr) && pgErr.Code == "28P01" { // invalid_password
			return fmt.Errorf("the password file does not belong to this data: %w", err)
		}
		select {
		case <-s.process.exited():
			return errors.New("postgres ended before it was ready")
		case <-ctx.Done():
			return fmt.Errorf("await readiness: %w (%w)", ctx.Err(), err)
		case <-ticker.C:
		}
	}
}

// options are the arguments of postgres after the data directory.
func options(port int, settings map[string]string) []string {
	all := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"unix_socket_directories": "",
		// initdb's small WAL segments would also leave this at 64 MB, and checkpoint all the time.
		"max_wal_size": "1GB",
	}
	maps.Copy(all, settings)
	args := []string{"-p", strconv.Itoa(port)}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		args = append(args, "-c", name+"="+all[name])
	}
	return args
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func readOrMakePassword(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err == nil {
		if password := strings.TrimSpace(string(b)); password != "" {
			return password, nil
		}
		return "", fmt.Errorf("password file %s is empty", path)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read database password: %w", err)
	}
	password := rand.Text()
	if err := os.WriteFile(path, []byte(password+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write database password: %w", err)
	}
	return password, nil
}

// tail returns the end of the server's log, for an error that has to explain itself.
func tail(path string) string {
	const limit = 2000
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	if len(b) > limit {
		b = b[len(b)-limit:]
	}
	return strings.TrimSpace(string(b))
}

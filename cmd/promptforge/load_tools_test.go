package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// latencies are how long things took from when they were due: what waits behind
// something slow is late as well, and says so.
type latencies struct {
	mu     sync.Mutex
	all    []time.Duration
	failed int
	fault  error // the last one
	// again is how often something had to be tried again, which counts as one.
	again atomic.Int64
}

func (l *latencies) add(d time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed, l.fault = l.failed+1, err
		return
	}
	l.all = append(l.all, max(d, 0))
}

// String is "p50 1.2ms p99 …" of all.
func (l *latencies) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 {
		return fmt.Sprintf("none (%d failed, %v)", l.failed, l.fault)
	}
	sorted := slices.Sorted(slices.Values(l.all))
	at := func(share float64) time.Duration {
		return sorted[min(int(float64(len(sorted))*share), len(sorted)-1)].Round(10 * time.Microsecond)
	}
	out := fmt.Sprintf("p50 %v  p90 %v  p99 %v  max %v  of %d", at(.5), at(.9), at(.99), at(1), len(sorted))
	if n := l.again.Load(); n > 0 {
		out += fmt.Sprintf(", %d tried again", n)
	}
	if l.failed > 0 {
		out += fmt.Sprintf(", %d FAILED, the last one by %v", l.failed, l.fault)
	}
	return out
}

// openLoop does n things, one each interval, whether or not those before are
// done, and waits for all. do is told when it was due.
func openLoop(ctx context.Context, n int, interval time.Duration, do func(i int, due time.Time)) {
	var running sync.WaitGroup
	defer running.Wait()
	start := time.Now()
	for i := range n {
		due := start.Add(time.Duration(i) * interval)
		if wait := time.Until(due); wait > 0 {
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
		}
		running.Go(func() { do(i, due) })
	}
}

// every calls f each interval until stop is called, which waits for the last.
func every(interval time.Duration, f func(passed time.Duration)) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		start, tick := time.Now(), time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				f(time.Since(start))
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// processors says on what a figure was measured.
func processors() string {
	model := runtime.GOARCH
	raw, _ := os.ReadFile("/proc/cpuinfo") // not everywhere
	for line := range strings.Lines(string(raw)) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
		}
	}
	busy, _ := os.ReadFile("/proc/loadavg")
	load, _, _ := strings.Cut(string(busy), " ")
	return fmt.Sprintf("%d × %s; load before the start %s", runtime.NumCPU(), model, load)
}

// process is what Linux says of one.
type process struct {
	pid, parent   int
	own, children time.Duration // processor time
}

// processes are all that run; none where there is no /proc.
func processes() (all []process) {
	paths, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is good
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // it has just ended
		}
		// The name in brackets may hold anything.
		number, rest, _ := strings.Cut(string(raw), " ")
		fields := strings.Fields(rest[strings.LastIndexByte(rest, ')')+1:])
		if len(fields) < 15 {
			continue
		}
		ticks := func(a, b int) time.Duration {
			x, _ := strconv.Atoi(fields[a])
			y, _ := strconv.Atoi(fields[b])
			return time.Duration(x+y) * 10 * time.Millisecond // a hundred a second, whatever the kernel's own rate
		}
		var p process
		p.pid, _ = strconv.Atoi(number)
		p.parent, _ = strconv.Atoi(fields[1])
		p.own, p.children = ticks(11, 12), ticks(13, 14)
		all = append(all, p)
	}
	return all
}

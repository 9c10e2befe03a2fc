package ratelimit

// MaxWindows is how many windows a Local remembers at most.
const MaxWindows = maxWindows

// Windows is how many windows are remembered.
func (l *Local) Windows() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.windows)
}

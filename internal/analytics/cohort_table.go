package analytics

import (
	"slices"
	"time"
)

// CohortMeasure is what a table of cohorts tells of them (metrics.md 1.12).
type CohortMeasure string

// The measures: the share of the customers who have MRR, of the MRR they began
// with, and of that without what any of them has gained since.
const (
	CohortLogos CohortMeasure = "logos"
	CohortNet   CohortMeasure = "net"
	CohortGross CohortMeasure = "gross"
)

// CohortMeasures are all of them, in the order in which they are offered.
var CohortMeasures = []CohortMeasure{CohortLogos, CohortNet, CohortGross}

// CohortLevel is the state of a cohort at the end of a month.
type CohortLevel struct {
	// MRRMicro is the MRR of all, GrossMicro that where nobody counts with more
	// than they began with, Active how many have any.
	MRRMicro, GrossMicro, Active int64
	// InitialMicro and Customers are what the cohort began with, as far as it had
	// begun by then: who has a further currency later begins there later, so that
	// what is said of a month that is over never changes.
	InitialMicro, Customers int64
}

// Part is what a measure counts, Whole what that is a share of.
func (l CohortLevel) Part(m CohortMeasure) int64 {
	switch m {
	case CohortNet:
		return l.MRRMicro
	case CohortGross:
		return l.GrossMicro
	case CohortLogos:
	}
	return l.Active
}

// Whole is what Part is a share of.
func (l CohortLevel) Whole(m CohortMeasure) int64 {
	if m == CohortLogos {
		return l.Customers
	}
	return l.InitialMicro
}

// Share is how much of the cohort is left. That of net revenue may exceed 1.
func (l CohortLevel) Share(m CohortMeasure) Value {
	return over(l.Part(m), l.Whole(m), "nobody was in the cohort")
}

// Cohort is everyone whose first MRR lies in one month.
type Cohort struct {
	// Month is the first of that month.
	Month time.Time
	// Levels are the states at the end of that month, which is M0, of the one
	// after, M1, and so on, up to that of the running month, which is not over.
	Levels []CohortLevel
}

// Began is what the cohort began with, as far as is known now.
func (c Cohort) Began() CohortLevel {
	if len(c.Levels) == 0 {
		return CohortLevel{}
	}
	return c.Levels[len(c.Levels)-1]
}

// IsRunning reports whether the month of a level is not over.
func (c Cohort) IsRunning(k int, running time.Time) bool {
	return !c.Month.AddDate(0, k, 0).Before(running)
}

// Cohorts turns changes, in any order, into the states of each cohort, oldest
// first, up to the running month. A month in which nobody began has no cohort.
func Cohorts(changes []CohortChange, running time.Time) []Cohort {
	var out []Cohort
	at := map[time.Time]int{}
	sorted := slices.SortedFunc(slices.Values(changes), func(a, b CohortChange) int { return a.Cohort.Compare(b.Cohort) })
	for _, c := range sorted {
		k := monthsBetween(c.Cohort, c.Month)
		if c.Month.After(running) || k < 0 {
			continue
		}
		i, ok := at[c.Cohort]
		if !ok {
			i = len(out)
			at[c.Cohort] = i
			out = append(out, Cohort{Month: c.Cohort, Levels: make([]CohortLevel, monthsBetween(c.Cohort, running)+1)})
		}
		out[i].Levels[k] = out[i].Levels[k].plus(CohortLevel{
			MRRMicro: c.MRRMicro, GrossMicro: c.GrossMicro, Active: c.Active, InitialMicro: c.InitialMicro, Customers: c.Customers,
		})
	}
	for _, cohort := range out {
		for k := 1; k < len(cohort.Levels); k++ {
			cohort.Levels[k] = cohort.Levels[k].plus(cohort.Levels[k-1])
		}
	}
	return out
}

func (l CohortLevel) plus(m CohortLevel) CohortLevel {
	return CohortLevel{
		MRRMicro: l.MRRMicro + m.MRRMicro, GrossMicro: l.GrossMicro + m.GrossMicro, Active: l.Active + m.Active,
		InitialMicro: l.InitialMicro + m.InitialMicro, Customers: l.Customers + m.Customers,
	}
}

// CohortAverages are the sums over all cohorts that are old enough, for M0, M1
// and so on: a share of them is an average in which each cohort weighs as much
// as it began with. A month that is not over is in none of them.
func CohortAverages(cohorts []Cohort, running time.Time) []CohortLevel {
	var out []CohortLevel
	for _, c := range cohorts {
		for k, level := range c.Levels {
			if c.IsRunning(k, running) {
				break
			}
			if k == len(out) {
				out = append(out, CohortLevel{})
			}
			out[k] = out[k].plus(level)
		}
	}
	return out
}

// monthsBetween is how many months lie between two firsts of a month.
func monthsBetween(a, b time.Time) int {
	return 12*(b.Year()-a.Year()) + int(b.Month()) - int(a.Month())
}

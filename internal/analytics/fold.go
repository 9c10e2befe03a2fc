// Package analytics holds the rules by which observations become history and
// history becomes revenue figures. It is pure: no clock, no context, no I/O.
// The definitions are those of metrics.md.
package analytics

import (
	"cmp"
	"slices"
	"time"

	"github.com/promptforge/payments/internal/billing"
)

// Source says how something was observed.
type Source string

// An observation is an event that Stripe made, or an answer to our asking.
const (
	SourceEvent Source = "event"
	SourceRead  Source = "read"
)

// Kind is what an observation tells of.
type Kind string

// The kinds of observation. Every event that neither creates nor deletes
// (paused, resumed, trial_will_end) is an update.
const (
	Created Kind = "created"
	Updated Kind = "updated"
	Deleted Kind = "deleted"
	Read    Kind = "read"
)

// Observation is what was seen of one subscription at one moment. Observations
// are the permanent record; everything else is derived from them.
type Observation struct {
	SubscriptionID string
	Source         Source
	// SourceID is unique among the observations of a subscription and source.
	SourceID string
	Kind     Kind
	// At is event.created or the Date header of an answer: whole seconds, UTC.
	At            time.Time
	ObjectCreated time.Time
	After         billing.Facts
	// Before is the state that the event ended; nil where it is unknown. It is
	// not looked at for Created, before which there was nothing.
	Before *billing.Facts
	// Complete is false where the shape lacked something that could not be
	// looked up: such an observation dates nothing.
	Complete bool
}

// Version is a state of a subscription from At until the next version's At.
type Version struct {
	SubscriptionID string
	At             time.Time
	Facts          billing.Facts
	// Source and SourceID name the observation that dates the version. One
	// dated by a read is provisional: it moves when the missing event arrives.
	Source   Source
	SourceID string
}

// settle is how far a read must be from an event to be believed between
// events: Stripe's answers may be a moment old, and its clocks differ a little.
const settle = 15 * time.Second

// Versions folds the observations of one subscription, in any order and with
// any duplicates, into its history in ascending order. Two versions never have
// the same second, and no version repeats the facts of the one before.
//
// Events date the history, because each says what it changed: within a second
// they are put into the order in which each begins where the last one ended.
// Reads only fill what events leave open: where the first event of a second
// does not begin at what is known, something is missing, and reads between the
// two are believed; so are reads after the last event.
//
// An event whose before is unknown may follow anything, but proves nothing:
// it does not close the chain, so reads may still speak of what came before
// it. That costs nothing when nothing is missing, for then they agree.
//
// Where the creating event is missing, the first state known is dated back to
// the creation of the object.
func Versions(observations []Observation) []Version {
	events, reads := sift(observations)
	var f fold
	last := time.Time{}
	for len(events) > 0 {
		second := events[0].At
		n := 1
		for n < len(events) && events[n].At.Equal(second) {
			n++
		}
		group := events[:n]
		events = events[n:]

		path, closed := chain(f.current, group)
		if !closed {
			for _, r := range reads {
				if (last.IsZero() || r.At.After(last.Add(settle))) && r.At.Before(second.Add(-settle)) {
					f.step(r)
				}
			}
			path, _ = chain(f.current, group)
		}
		for _, e := range path {
			f.step(e)
		}
		last = second
	}
	for _, r := range reads {
		if last.IsZero() || r.At.After(last.Add(settle)) {
			f.step(r)
		}
	}
	return f.versions
}

// fold is the history so far.
type fold struct {
	current  *billing.Facts // nil: nothing exists yet
	at       time.Time
	ended    bool
	versions []Version
}

// step goes on to the state that an observation ends in.
func (f *fold) step(o Observation) {
	if f.ended || f.current != nil && f.current.Equal(o.After) {
		return
	}
	terminal := o.After.Status.IsTerminal()
	at := o.At
	switch {
	case terminal && o.After.EndedAt != 0:
		at = o.After.EndedAt.Time()
	case f.current == nil:
		at = o.ObjectCreated
	}
	if at.Before(f.at) {
		at = f.at
	}
	after := o.After
	f.current, f.at, f.ended = &after, at, terminal

	if n := len(f.versions); n > 0 && f.versions[n-1].At.Equal(at) {
		f.versions = f.versions[:n-1]
	}
	// A state left and entered again within one second was never left.
	if n := len(f.versions); n > 0 && f.versions[n-1].Facts.Equal(after) {
		f.at = f.versions[n-1].At
		return
	}
	f.versions = append(f.versions, Version{
		SubscriptionID: o.SubscriptionID, At: at, Facts: after, Source: o.Source, SourceID: o.SourceID,
	})
}

// sift returns what may date history: complete events, one per id and one of
// each pair of twins, and complete reads, both in order of time and then of
// kind and id, so that the order of arrival leaves no trace.
func sift(observations []Observation) (events, reads []Observation) {
	seen := make(map[[2]string]bool, len(observations))
	for _, o := range observations {
		key := [2]string{string(o.Source), o.SourceID}
		if !o.Complete || seen[key] {
			continue
		}
		seen[key] = true
		if o.Source == SourceRead {
			reads = append(reads, o)
		} else {
			events = append(events, o)
		}
	}
	slices.SortFunc(events, inOrder)
	slices.SortFunc(reads, inOrder)

	// Stripe now and then makes two event objects of one change.
	kept := events[:0]
	for _, e := range events {
		if !slices.ContainsFunc(kept, func(k Observation) bool { return twins(k, e) }) {
			kept = append(kept, e)
		}
	}
	return kept, reads
}

func inOrder(a, b Observation) int {
	return cmp.Or(a.At.Compare(b.At), cmp.Compare(rank(a.Kind), rank(b.Kind)), cmp.Compare(a.SourceID, b.SourceID))
}

func rank(k Kind) int {
	switch k {
	case Created:
		return 0
	case Updated, Read:
		return 1
	case Deleted:
		return 2
	}
	return 1
}

// twins reports whether two events tell of one and the same change.
func twins(a, b Observation) bool {
	if !a.At.Equal(b.At) || rank(a.Kind) != rank(b.Kind) || !a.After.Equal(b.After) {
		return false
	}
	if a.Kind == Created {
		return true
	}
	if a.Before == nil || b.Before == nil {
		return a.Before == b.Before
	}
	return a.Before.Equal(*b.Before)
}

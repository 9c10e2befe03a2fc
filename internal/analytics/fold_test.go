package analytics_test

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
)

var birth = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func at(second int) time.Time { return birth.Add(time.Duration(second) * time.Second) }

// seats is an active state that only its number of seats tells from others.
func seats(n int64) billing.Facts {
	return billing.Facts{
		Status: billing.StatusActive, Currency: "usd",
		Items: []billing.Item{{PriceID: "price_pro", Quantity: n}},
	}
}

func ended(second int) billing.Facts {
	f := seats(1)
	f.Status, f.EndedAt = billing.StatusCanceled, billing.At(at(second))
	return f
}

func incomplete() billing.Facts {
	f := seats(1)
	f.Status = billing.StatusIncomplete
	return f
}

func event(id string, kind analytics.Kind, second int, before *billing.Facts, after billing.Facts) analytics.Observation {
	return analytics.Observation{
		SubscriptionID: "sub_1", Source: analytics.SourceEvent, SourceID: id, Kind: kind,
		At: at(second), ObjectCreated: birth, Before: before, After: after, Complete: true,
	}
}

func read(id string, second int, facts billing.Facts) analytics.Observation {
	return analytics.Observation{
		SubscriptionID: "sub_1", Source: analytics.SourceRead, SourceID: id, Kind: analytics.Read,
		At: at(second), ObjectCreated: birth, After: facts, Complete: true,
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	var (
		created   = event("evt_0", analytics.Created, 0, nil, seats(1))
		oneTwo    = event("evt_1", analytics.Updated, 100, new(seats(1)), seats(2))
		twoThree  = event("evt_2", analytics.Updated, 200, new(seats(2)), seats(3))
		deleted   = event("evt_9", analytics.Deleted, 300, nil, ended(290))
		unhealthy = event("evt_5", analytics.Updated, 150, new(seats(2)), seats(9))
	)
	unhealthy.Complete = false

	type version struct {
		Second int
		Facts  billing.Facts
		By     string
	}
	for name, tt := range map[string]struct {
		seen []analytics.Observation
		want []version
	}{
		"nothing seen is no history": {},
		"events in order": {
			[]analytics.Observation{created, oneTwo, twoThree},
			[]version{{0, seats(1), "evt_0"}, {100, seats(2), "evt_1"}, {200, seats(3), "evt_2"}},
		},
		"events backwards and twice": {
			[]analytics.Observation{twoThree, oneTwo, twoThree, created, oneTwo},
			[]version{{0, seats(1), "evt_0"}, {100, seats(2), "evt_1"}, {200, seats(3), "evt_2"}},
		},
		"created and updated of one second chain by their befores, whatever their ids": {
			[]analytics.Observation{
				event("evt_a", analytics.Updated, 0, new(incomplete()), seats(1)),
				event("evt_b", analytics.Created, 0, nil, incomplete()),
			},
			[]version{{0, seats(1), "evt_a"}},
		},
		"two updates of one second chain by their befores": {
			[]analytics.Observation{
				created,
				event("evt_a", analytics.Updated, 50, new(seats(2)), seats(3)),
				event("evt_b", analytics.Updated, 50, new(seats(1)), seats(2)),
			},
			[]version{{0, seats(1), "evt_0"}, {50, seats(3), "evt_a"}},
		},
		"a pair that begins at a lost state still keeps its order": {
			[]analytics.Observation{
				created,
				event("evt_a", analytics.Updated, 50, new(seats(6)), seats(7)),
				event("evt_b", analytics.Updated, 50, new(seats(5)), seats(6)),
			},
			[]version{{0, seats(1), "evt_0"}, {50, seats(7), "evt_a"}},
		},
		"a state left and entered again within a second was never left": {
			[]analytics.Observation{
				created,
				event("evt_a", analytics.Updated, 50, new(seats(2)), seats(1)),
				event("evt_b", analytics.Updated, 50, new(seats(1)), seats(2)),
			},
			[]version{{0, seats(1), "evt_0"}},
		},
		"two event objects of one change count once": {
			[]analytics.Observation{
				created, oneTwo,
				event("evt_twin", analytics.Updated, 100, new(seats(1)), seats(2)),
			},
			[]version{{0, seats(1), "evt_0"}, {100, seats(2), "evt_1"}},
		},
		"twins around a change back do not undo it": {
			[]analytics.Observation{
				created,
				event("evt_a", analytics.Updated, 50, new(seats(1)), seats(2)),
				event("evt_b", analytics.Updated, 50, new(seats(2)), seats(1)),
				event("evt_c", analytics.Updated, 50, new(seats(1)), seats(2)),
			},
			[]version{{0, seats(1), "evt_0"}},
		},
		"an update that changes nothing is no version": {
			[]analytics.Observation{created, event("evt_a", analytics.Updated, 70, new(seats(1)), seats(1))},
			[]version{{0, seats(1), "evt_0"}},
		},
		"an event of the same second that changes nothing stands where it fits": {
			[]analytics.Observation{
				created,
				event("evt_z", analytics.Updated, 100, nil, seats(1)),
				oneTwo,
			},
			[]version{{0, seats(1), "evt_0"}, {100, seats(2), "evt_1"}},
		},
		"the end is dated by ended_at": {
			[]analytics.Observation{created, oneTwo, deleted},
			[]version{{0, seats(1), "evt_0"}, {100, seats(2), "evt_1"}, {290, ended(290), "evt_9"}},
		},
		"nothing follows the end": {
			[]analytics.Observation{
				created, event("evt_1", analytics.Deleted, 60, nil, ended(60)), oneTwo, twoThree, read("r", 900, seats(4)),
			},
			[]version{{0, seats(1), "evt_0"}, {60, ended(60), "evt_1"}},
		},
		"an end dated before the last change is put at the last change": {
			[]analytics.Observation{created, oneTwo, event("evt_2", analytics.Deleted, 100, nil, ended(90))},
			[]version{{0, seats(1), "evt_0"}, {100, ended(90), "evt_2"}},
		},
		"without the creating event the first state is as old as the object": {
			[]analytics.Observation{oneTwo, twoThree},
			[]version{{0, seats(2), "evt_1"}, {200, seats(3), "evt_2"}},
		},
		"an ended subscription known only by asking is dated by its end": {
			[]analytics.Observation{read("r", 900, ended(290))},
			[]version{{290, ended(290), "r"}},
		},
		"a read fills the gap of a lost event": {
			[]analytics.Observation{created, read("r", 150, seats(2)), twoThree},
			[]version{{0, seats(1), "evt_0"}, {150, seats(2), "r"}, {200, seats(3), "evt_2"}},
		},
		"the missing event takes the place of the read": {
			[]analytics.Observation{created, read("r", 150, seats(2)), twoThree, oneTwo},
			[]version{{0, seats(1), "evt_0"}, {100, seats(2), "evt_1"}, {200, seats(3), "evt_2"}},
		},
		"a read between events that follow each other is not needed": {
			[]analytics.Observation{created, read("r", 50, seats(8)), oneTwo},
			[]version{{0, seats(1), "evt_0"}, {100, seats(2), "evt_1"}},
		},
		"a read of what came before an end is believed, for the end does not say": {
			[]analytics.Observation{created, read("r", 150, seats(2)), deleted},
			[]version{{0, seats(1), "evt_0"}, {150, seats(2), "r"}, {290, ended(290), "evt_9"}},
		},
		"a read within fifteen seconds of an event may be stale": {
			[]analytics.Observation{created, oneTwo, read("r", 115, seats(1))},
			[]version{{0, seats(1), "evt_0"}, {100, seats(2), "evt_1"}},
		},
		"a read sixteen seconds after the last event is the open end": {
			[]analytics.Observation{created, oneTwo, read("r", 116, seats(7))},
			[]version{{0, seats(1), "evt_0"}, {100, seats(2), "evt_1"}, {116, seats(7), "r"}},
		},
		"a read within fifteen seconds before an event may already know of it": {
			[]analytics.Observation{created, read("r", 190, seats(3)), twoThree},
			[]version{{0, seats(1), "evt_0"}, {200, seats(3), "evt_2"}},
		},
		"what a read tells also orders the second after it": {
			[]analytics.Observation{
				created, read("r", 150, seats(5)),
				event("evt_b", analytics.Updated, 200, new(seats(5)), seats(7)),
				event("evt_a", analytics.Updated, 200, new(seats(7)), seats(5)),
			},
			[]version{{0, seats(1), "evt_0"}, {150, seats(5), "r"}},
		},
		"an event that does not say what it changed lets a read speak of the time before": {
			[]analytics.Observation{created, read("r", 150, seats(5)), event("evt_a", analytics.Updated, 200, nil, seats(1))},
			[]version{{0, seats(1), "evt_0"}, {150, seats(5), "r"}, {200, seats(1), "evt_a"}},
		},
		"an incomplete event dates nothing": {
			[]analytics.Observation{created, oneTwo, unhealthy},
			[]version{{0, seats(1), "evt_0"}, {100, seats(2), "evt_1"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []version
			for _, v := range analytics.Versions(tt.seen) {
				got = append(got, version{int(v.At.Sub(birth).Seconds()), v.Facts, v.SourceID})
			}
			if diff := gocmp.Diff(tt.want, got); diff != "" {
				t.Errorf("history differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNineEventsOfOneSecondStillChain(t *testing.T) {
	t.Parallel()
	seen := []analytics.Observation{event("evt_0", analytics.Created, 0, nil, seats(1))}
	for i := range int64(9) {
		// Ids run against the order of the changes.
		seen = append(seen, event(fmt.Sprintf("evt_%d", 9-i), analytics.Updated, 10, new(seats(i+1)), seats(i+2)))
	}
	got := analytics.Versions(seen)
	if len(got) != 2 || !got[1].Facts.Equal(seats(10)) {
		t.Errorf("history is %v, want it to end with ten seats", got)
	}
}

// life is a true history and everything that Stripe says of it.
type life struct {
	truth  []analytics.Version // SourceID and Source left empty
	events []analytics.Observation
}

// at returns the true state in a second; none before birth.
func (l life) at(t time.Time) (billing.Facts, bool) {
	for _, v := range slices.Backward(l.truth) {
		if !v.At.After(t) {
			return v.Facts, true
		}
	}
	return billing.Facts{}, false
}

func (l life) end() analytics.Version { return l.truth[len(l.truth)-1] }

// span is how many seconds after birth the last event happened.
func (l life) span() int { return int(l.events[len(l.events)-1].At.Sub(birth).Seconds()) }

// lives draws true lives: changes at seconds near and far, several in one
// second, with or without an end.
func lives() *rapid.Generator[life] {
	return rapid.Custom(func(t *rapid.T) life {
		var l life
		second := 0
		current := seats(rapid.Int64Range(1, 3).Draw(t, "seats"))
		// Within a second each change occurs once: two equal ones are twins.
		edges := map[[2]int64]bool{}
		l.events = append(l.events, event("evt_created", analytics.Created, 0, nil, current))
		l.truth = append(l.truth, analytics.Version{SubscriptionID: "sub_1", At: at(0), Facts: current})
		put := func(facts billing.Facts) {
			if n := len(l.truth); l.truth[n-1].At.Equal(at(second)) {
				l.truth = l.truth[:n-1]
			}
			if n := len(l.truth); n == 0 || !l.truth[n-1].Facts.Equal(facts) {
				l.truth = append(l.truth, analytics.Version{SubscriptionID: "sub_1", At: at(second), Facts: facts})
			}
			current = facts
		}
		for i := range rapid.IntRange(0, 8).Draw(t, "changes") {
			if gap := rapid.SampledFrom([]int{0, 0, 1, 10, 20, 60, 86_400}).Draw(t, "gap"); gap > 0 {
				second += gap
				clear(edges)
			}
			next := seats(rapid.Int64Range(1, 4).Draw(t, "seats"))
			edge := [2]int64{current.Items[0].Quantity, next.Items[0].Quantity}
			if edges[edge] || edge[0] == edge[1] {
				continue
			}
			edges[edge] = true
			// Ids say nothing about order.
			id := fmt.Sprintf("evt_%03d_%d", rapid.IntRange(0, 999).Draw(t, "id"), i)
			l.events = append(l.events, event(id, analytics.Updated, second, new(current), next))
			put(next)
		}
		if rapid.Bool().Draw(t, "ends") {
			second += rapid.SampledFrom([]int{0, 5, 40, 5_000}).Draw(t, "gap")
			over := current
			over.Status, over.EndedAt = billing.StatusCanceled, billing.At(at(second))
			// Stripe does not say what a deletion changed.
			l.events = append(l.events, event("evt_deleted", analytics.Deleted, second, nil, over))
			put(over)
		}
		return l
	})
}

// noise adds what a network and an eventually consistent API add: duplicates,
// twins, and reads that are up to fifteen seconds old.
func noise(t *rapid.T, l life, seen []analytics.Observation) []analytics.Observation {
	for _, e := range seen {
		switch rapid.IntRange(0, 5).Draw(t, "echo") {
		case 0:
			seen = append(seen, e)
		case 1:
			e.SourceID += "_twin"
			seen = append(seen, e)
		}
	}
	for i := range rapid.IntRange(0, 6).Draw(t, "reads") {
		second := rapid.IntRange(0, l.span()+100).Draw(t, "second of read")
		stale := rapid.IntRange(0, 15).Draw(t, "staleness")
		if facts, ok := l.at(at(second - stale)); ok {
			seen = append(seen, read(fmt.Sprintf("read_%d", i), second, facts))
		}
	}
	shuffle(t, seen)
	return seen
}

func shuffle(t *rapid.T, seen []analytics.Observation) {
	r := rand.New(rand.NewSource(rapid.Int64().Draw(t, "shuffle")))
	r.Shuffle(len(seen), func(i, j int) { seen[i], seen[j] = seen[j], seen[i] })
}

func bare(versions []analytics.Version) []analytics.Version {
	out := slices.Clone(versions)
	for i := range out {
		out[i].Source, out[i].SourceID = "", ""
	}
	return out
}

func TestVersionsAreTheTruthHoweverEventsArrive(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := lives().Draw(t, "life")
		seen := noise(t, l, slices.Clone(l.events))
		if diff := gocmp.Diff(l.truth, bare(analytics.Versions(seen))); diff != "" {
			t.Fatalf("history differs from the truth (-truth +fold):\n%s", diff)
		}
	})
}

func TestVersionsLeaveNoTraceOfTheOrderOfArrival(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := lives().Draw(t, "life")
		seen := noise(t, l, slices.Clone(l.events))
		// Whatever is missing: the fold is a function of the set.
		seen = seen[:rapid.IntRange(0, len(seen)).Draw(t, "kept")]
		first := analytics.Versions(slices.Clone(seen))
		shuffle(t, seen)
		if diff := gocmp.Diff(first, analytics.Versions(seen)); diff != "" {
			t.Fatalf("another order gives another history:\n%s", diff)
		}
	})
}

func TestALostEventDoesNotBendTheEndAndHealsWhenItArrives(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := lives().Draw(t, "life")
		lost := rapid.IntRange(0, len(l.events)-1).Draw(t, "lost")
		seen := slices.Delete(slices.Clone(l.events), lost, lost+1)
		// Sooner or later Stripe is asked.
		seen = append(seen, read("read_last", l.span()+60, l.end().Facts))
		seen = noise(t, l, seen)

		versions := analytics.Versions(seen)
		if end := versions[len(versions)-1]; !end.Facts.Equal(l.end().Facts) {
			t.Fatalf("without event %d history ends in %+v, want %+v", lost, end.Facts, l.end().Facts)
		}
		if diff := gocmp.Diff(l.truth, bare(analytics.Versions(append(seen, l.events[lost])))); diff != "" {
			t.Fatalf("the late event does not restore the truth (-truth +fold):\n%s", diff)
		}
	})
}

func TestVersionsAscendNeverRepeatAndNeverLeaveTheEnd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := lives().Draw(t, "life")
		seen := noise(t, l, slices.Clone(l.events))
		versions := analytics.Versions(seen[:rapid.IntRange(0, len(seen)).Draw(t, "kept")])
		for i := 1; i < len(versions); i++ {
			before, v := versions[i-1], versions[i]
			if !before.At.Before(v.At) || before.Facts.Equal(v.Facts) || before.Facts.Status.IsTerminal() {
				t.Fatalf("version %d (%v) cannot follow %v", i, v, before)
			}
		}
	})
}

package payments

import "context"

// Lane says for whom Stripe is asked. Where more is asked than Stripe allows, a
// lower lane goes first. The numbers are those of sync_queue.lane.
type Lane int16

// The lanes of the budget of requests.
const (
	// LanePeople: somebody waits for the answer before a page, or has bought for
	// the first time.
	LanePeople Lane = iota
	// LaneFresh: events of the last minutes.
	LaneFresh
	// LaneBacklog: older events, what is asked on schedule, scans.
	LaneBacklog
)

// Lanes are all of them, those that go first before the others.
func Lanes() []Lane { return []Lane{LanePeople, LaneFresh, LaneBacklog} }

// String names the lane in logs and metrics.
func (l Lane) String() string {
	switch l {
	case LanePeople:
		return "people"
	case LaneFresh:
		return "fresh"
	case LaneBacklog:
		return "backlog"
	default:
		return "unknown"
	}
}

type laneKey struct{}

// WithLane returns a context whose questions to Stripe go in the lane.
func WithLane(ctx context.Context, lane Lane) context.Context {
	return context.WithValue(ctx, laneKey{}, lane)
}

// LaneOf is the lane of a context. One that was never told is a person's: who
// forgets to say so must not make a customer wait behind a backlog. A number
// that is no lane is the last one's.
func LaneOf(ctx context.Context) Lane {
	lane, ok := ctx.Value(laneKey{}).(Lane)
	switch {
	case !ok:
		return LanePeople
	case lane < LanePeople || lane > LaneBacklog:
		return LaneBacklog
	default:
		return lane
	}
}

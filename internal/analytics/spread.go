package analytics

import (
	"cmp"
	"maps"
	"slices"
)

// spread distributes a day's movement over the plans, so that the rows of each
// plan add up to its change and the transfers of all plans to nothing
// (metrics.md 1.11). Only transfers may accompany the kind of the account: a
// switch from one plan to another takes the whole balance of the plan that was
// left to the plan that was entered, where the difference is an expansion or a
// contraction.
//
// Where plans gain and lose without being entered or left, as when seats move
// between two plans, the smaller of both changes is the transfer. An amount
// that could be put to several plans goes to those entered first, then to the
// one that changed most, then by plan code.
func spread(kind MovementKind, opening, closing map[string]int64) []Movement {
	changes := changesOf(opening, closing)
	if kind == New || kind == Reactivation || kind == Churn {
		return outright(kind, changes)
	}

	var gained, lost, left int64
	entered := false
	for _, c := range changes {
		gained += max(c.by, 0)
		lost += max(-c.by, 0)
		if c.isLeft {
			left += -c.by
		}
		entered = entered || c.isEntered
	}
	// What goes over to other plans: as much as both sides have in common, and
	// all of a plan that was left for another.
	transfer := min(gained, lost)
	if entered {
		transfer = max(transfer, left)
	}

	var rows []Movement
	add := func(kind MovementKind, plan string, micro int64) {
		if micro != 0 {
			rows = append(rows, Movement{Kind: kind, Plan: plan, AmountMicro: micro})
		}
	}
	// Those who lose give away first the plans that were left, and what is no
	// transfer is lost.
	rest := transfer
	for _, c := range changes {
		if c.by < 0 {
			out := min(-c.by, rest)
			rest -= out
			add(TransferOut, c.plan, -out)
			add(kind, c.plan, c.by+out)
		}
	}
	// Those who gain take it up. What they gained beyond it is an expansion;
	// what it brings beyond that is a contraction of the first plan entered,
	// which takes it up whole.
	rest = transfer
	over := max(transfer-gained, 0)
	for _, c := range changes {
		if c.by > 0 {
			in := min(c.by+over, rest)
			rest -= in
			add(TransferIn, c.plan, in)
			add(kind, c.plan, c.by-in)
		}
	}
	slices.SortFunc(rows, byKindAndPlan)
	return rows
}

// outright spreads a movement that begins or ends all of a customer's MRR. The
// customer is counted on the row of the plan that matters most.
func outright(kind MovementKind, changes []change) []Movement {
	rows := make([]Movement, 0, len(changes))
	for i, c := range changes {
		row := Movement{Kind: kind, Plan: c.plan, AmountMicro: c.by}
		if i == 0 {
			row.Customers = cmp.Compare(c.by, 0)
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, byKindAndPlan)
	return rows
}

func byKindAndPlan(a, b Movement) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Plan, b.Plan))
}

// change is how the balance of one plan changed in a day.
type change struct {
	plan              string
	by                int64
	isEntered, isLeft bool
}

// changesOf lists the plans that changed: those entered or left first, then by
// the size of the change, then by code.
func changesOf(opening, closing map[string]int64) []change {
	plans := maps.Clone(opening)
	maps.Copy(plans, closing)
	var out []change
	for plan := range plans {
		s, e := opening[plan], closing[plan]
		if s != e {
			out = append(out, change{plan: plan, by: e - s, isEntered: s == 0, isLeft: e == 0})
		}
	}
	slices.SortFunc(out, func(a, b change) int {
		return cmp.Or(
			-compareBool(a.isEntered || a.isLeft, b.isEntered || b.isLeft),
			-cmp.Compare(abs(a.by), abs(b.by)),
			cmp.Compare(a.plan, b.plan),
		)
	})
	return out
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}

func abs(n int64) int64 { return max(n, -n) }

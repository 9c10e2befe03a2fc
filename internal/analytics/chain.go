package analytics

import (
	"slices"

	"github.com/promptforge/payments/internal/billing"
)

// exhaustive is the most events of one second whose orders are all tried:
// 8! is 40,320. Stripe makes two or three at most for one act; beyond, the
// order is found greedily.
const exhaustive = 8

// The costs of letting an event follow a state. The order that costs least is
// the one believed. An unknown before that changes nothing fits as well as a
// known one that matches; an unknown one that changes something is worse than
// a proof and better than a contradiction.
const (
	fits        = 0
	unproven    = 1
	contradicts = 100
)

// chain orders the events of one second, given in tie order, so that each
// begins where the last one ended, starting from current (nil: nothing exists).
// closed reports that every link is proven by a known before.
func chain(current *billing.Facts, group []Observation) (path []Observation, closed bool) {
	n := len(group)
	// cost[i][j] is that of j after i; row n is that of j after current.
	cost := make([][]int, n+1)
	for i := range cost {
		state := current
		if i < n {
			state = &group[i].After
		}
		cost[i] = make([]int, n)
		for j := range group {
			cost[i][j] = linkCost(state, group[j])
		}
	}

	var order []int
	if n <= exhaustive {
		order = cheapestOrder(cost, n)
	} else {
		order = greedyOrder(cost, n)
	}

	closed = true
	previous := n
	for _, i := range order {
		closed = closed && cost[previous][i] == fits && (group[i].Kind == Created || group[i].Before != nil)
		path = append(path, group[i])
		previous = i
	}
	return path, closed
}

func linkCost(state *billing.Facts, next Observation) int {
	switch {
	case next.Kind == Created:
		if state == nil {
			return fits
		}
	case state == nil:
		// Whatever changed something presumes that there was something.
		if next.Before == nil {
			return unproven
		}
	case next.Before == nil:
		if next.After.Equal(*state) {
			return fits
		}
		return unproven
	case next.Before.Equal(*state):
		return fits
	}
	return contradicts
}

// cheapestOrder tries all orders, in tie order, and returns the first of the
// cheapest. Row n of cost is the start.
func cheapestOrder(cost [][]int, n int) []int {
	var best []int
	bestCost := contradicts*(n+1) + 1
	order := make([]int, 0, n)
	used := make([]bool, n)
	var try func(previous, sum int)
	try = func(previous, sum int) {
		if sum >= bestCost {
			return
		}
		if len(order) == n {
			best, bestCost = slices.Clone(order), sum
			return
		}
		for j := range n {
			if used[j] {
				continue
			}
			used[j] = true
			order = append(order, j)
			try(j, sum+cost[previous][j])
			order = order[:len(order)-1]
			used[j] = false
		}
	}
	try(n, 0)
	return best
}

// greedyOrder goes on with the event that fits best, in tie order.
func greedyOrder(cost [][]int, n int) []int {
	order := make([]int, 0, n)
	used := make([]bool, n)
	previous := n
	for range n {
		best := -1
		for j := range n {
			if !used[j] && (best < 0 || cost[previous][j] < cost[previous][best]) {
				best = j
			}
		}
		used[best] = true
		order = append(order, best)
		previous = best
	}
	return order
}

package stripesim

import (
	"cmp"
	"container/heap"
	"slices"
)

// due is the next thing that is to happen to a record by itself.
type due struct {
	at       int64 // unix seconds
	seq      int64
	kind, id string
}

func (d due) key() string { return d.kind + "/" + d.id }

// agenda orders what is due by its moment, and at the same moment by the age of
// the record: the same things happen in the same order however time passes.
//
// An entry that has been overtaken stays until its moment and is passed over
// then.
type agenda struct {
	heap    dueHeap
	current map[string]int64
}

func newAgenda() *agenda { return &agenda{current: map[string]int64{}} }

// note brings the agenda up to date with a record that was written.
func (a *agenda) note(r *record) {
	d := due{seq: r.Seq, kind: r.Kind, id: r.ID}
	if !r.Gone {
		d.at = dueAt(r)
	}
	if d.at == 0 {
		delete(a.current, d.key())
		return
	}
	if a.current[d.key()] != d.at {
		a.current[d.key()] = d.at
		heap.Push(&a.heap, d)
	}
}

// next answers the earliest that is due.
func (a *agenda) next() (due, bool) {
	for len(a.heap) > 0 {
		if d := a.heap[0]; a.current[d.key()] == d.at {
			return d, true
		}
		heap.Pop(&a.heap)
	}
	return due{}, false
}

// takeAt takes everything off that is due at the moment. What is written of it
// is noted anew.
func (a *agenda) takeAt(at int64) []due {
	var taken []due
	for {
		d, any := a.next()
		if !any || d.at != at {
			return taken
		}
		heap.Pop(&a.heap)
		delete(a.current, d.key())
		taken = append(taken, d)
	}
}

// dueAt is the moment at which something is to happen to the record, or zero.
func dueAt(r *record) int64 {
	switch r.Kind {
	case kindCheckoutSession:
		if r.Object.str("status") == "open" {
			return r.Object.int("expires_at")
		}
	case kindSubscription:
		return subscriptionDue(r.Object, r.Hidden)
	case kindInvoice:
		return invoiceDue(r.Object)
	}
	return r.Hidden.int(hiddenDue)
}

// earliest answers the smallest moment that is set.
func earliest(moments ...int64) int64 {
	moments = slices.DeleteFunc(moments, func(m int64) bool { return m == 0 })
	if len(moments) == 0 {
		return 0
	}
	return slices.Min(moments)
}

type dueHeap []due

func (h dueHeap) Len() int      { return len(h) }
func (h dueHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h dueHeap) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[i].at, h[j].at), cmp.Compare(h[i].seq, h[j].seq)) < 0
}
func (h *dueHeap) Push(d any) { *h = append(*h, d.(due)) }
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	d := (*h)[last]
	*h = (*h)[:last]
	return d
}

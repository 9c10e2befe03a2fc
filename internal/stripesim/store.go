package stripesim

import (
	"cmp"
	"slices"
	"time"
)

// What the store keeps. The first ones are Stripe's own words, as in "object";
// the last are the stand-in's book-keeping.
const (
	kindAccount            = "account"
	kindBalanceTransaction = "balance_transaction"
	kindCharge             = "charge"
	kindCheckoutSession    = "checkout.session"
	kindCustomer           = "customer"
	kindDispute            = "dispute"
	kindEvent              = "event"
	kindInvoice            = "invoice"
	kindInvoiceItem        = "invoiceitem"
	kindPaymentIntent      = "payment_intent"
	kindPaymentMethod      = "payment_method"
	kindPrice              = "price"
	kindProduct            = "product"
	kindRefund             = "refund"
	kindSetupIntent        = "setup_intent"
	kindSchedule           = "subscription_schedule"
	kindSubscription       = "subscription"
	kindSubscriptionItem   = "subscription_item"
	kindWebhookEndpoint    = "webhook_endpoint"

	kindDelivery    = "sim.delivery"
	kindIdempotency = "sim.idempotency"
)

// record is an object with what Stripe knows about it and does not show.
type record struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
	// Seq is the order of creation: created counts in seconds, lists must not.
	Seq    int64  `json:"seq"`
	Object object `json:"object,omitempty"`
	Hidden object `json:"hidden,omitempty"`
	Gone   bool   `json:"gone,omitempty"`
}

// customer is the id of the customer that the record's object belongs to.
func (r *record) customer() string { return r.Object.str("customer") }

// table is the records of one kind in order of creation.
type table struct {
	byID  map[string]*record
	order []*record
	// byCustomer are the records of each customer, in order of creation too:
	// what a customer has is asked for far more often than what there is.
	byCustomer map[string][]*record
}

func newTable() *table {
	return &table{byID: map[string]*record{}, byCustomer: map[string][]*record{}}
}

// store is the state in memory; its owner holds the lock.
type store struct {
	tables map[string]*table
	seq    int64
	due    *agenda
	// undelivered are by event the deliveries that no endpoint has acknowledged.
	undelivered map[string][]string
}

func newStore() *store {
	return &store{tables: map[string]*table{}, due: newAgenda(), undelivered: map[string][]string{}}
}

func (s *store) table(kind string) *table {
	t := s.tables[kind]
	if t == nil {
		t = newTable()
		s.tables[kind] = t
	}
	return t
}

// apply makes a written record the current one.
func (s *store) apply(r *record) {
	t := s.table(r.Kind)
	s.seq = max(s.seq, r.Seq)
	s.due.note(r)
	old := t.byID[r.ID]
	if r.Kind == kindDelivery {
		s.noteDelivery(old, r)
	}
	if old != nil && (r.Gone || old.customer() != r.customer()) {
		t.leave(old)
	}
	if r.Gone {
		delete(t.byID, r.ID)
		t.order = withoutRecord(t.order, r)
		return
	}
	t.byID[r.ID] = r
	t.order = withRecord(t.order, r)
	if customer := r.customer(); customer != "" {
		t.byCustomer[customer] = withRecord(t.byCustomer[customer], r)
	}
}

func (s *store) noteDelivery(old, r *record) {
	switch {
	case old == nil && !r.Gone:
		event := r.Object.str("event")
		s.undelivered[event] = append(s.undelivered[event], r.ID)
	case old != nil && r.Gone:
		event := old.Object.str("event")
		left := slices.DeleteFunc(s.undelivered[event], func(id string) bool { return id == r.ID })
		s.undelivered[event] = left
		if len(left) == 0 {
			delete(s.undelivered, event)
		}
	}
}

// pendingDeliveries counts those that are going to be tried again.
func (s *store) pendingDeliveries() (n int) {
	for _, r := range s.table(kindDelivery).order {
		if r.Object.str("state") == "pending" {
			n++
		}
	}
	return n
}

// leave takes a record away from its customer.
func (t *table) leave(r *record) {
	customer := r.customer()
	left := withoutRecord(t.byCustomer[customer], r)
	if len(left) == 0 {
		delete(t.byCustomer, customer)
		return
	}
	t.byCustomer[customer] = left
}

// withRecord puts the record at its place in the order of creation, over its
// former self if that is there.
func withRecord(ordered []*record, r *record) []*record {
	at, known := slices.BinarySearchFunc(ordered, r, bySeq)
	if known {
		ordered[at] = r
		return ordered
	}
	return slices.Insert(ordered, at, r)
}

func withoutRecord(ordered []*record, r *record) []*record {
	at, known := slices.BinarySearchFunc(ordered, r, bySeq)
	if !known {
		return ordered
	}
	return slices.Delete(ordered, at, at+1)
}

func bySeq(a, b *record) int { return cmp.Compare(a.Seq, b.Seq) }

// records are all that there is, oldest first.
func (s *store) records() []*record {
	var all []*record
	for _, t := range s.tables {
		all = append(all, t.order...)
	}
	slices.SortFunc(all, bySeq)
	return all
}

// tx is one change of the state: it sees its own writes, nobody else does
// before it is committed, and a change that ends in an error leaves nothing.
type tx struct {
	server *Server
	now    time.Time // the business clock, the same instant for the whole change
	cause  cause
	writes []*record
	index  map[string]*record
	// deliveries are the ids of those that begin when the change is committed.
	deliveries []string
	events     int
}

// cause is what an event says about the request that made it.
type cause struct {
	requestID      any // string or nil
	idempotencyKey any // string or nil
}

func (t *tx) unix() int64 { return t.now.Unix() }

// find answers the record or nil.
func (t *tx) find(kind, id string) *record {
	if r, written := t.index[kind+"/"+id]; written {
		if r.Gone {
			return nil
		}
		return r
	}
	return t.server.store.table(kind).byID[id]
}

// get answers the object or nil; a nil object reads as empty.
func (t *tx) get(kind, id string) object {
	if r := t.find(kind, id); r != nil {
		return r.Object
	}
	return nil
}

// hidden answers what is kept beside the object.
func (t *tx) hidden(kind, id string) object {
	if r := t.find(kind, id); r != nil {
		return r.Hidden
	}
	return nil
}

// live answers the object, unless there is none or it was deleted: Stripe goes
// on showing a deleted customer as {"id","object","deleted"}.
func (t *tx) live(kind, id string) object {
	o := t.get(kind, id)
	if o.bool("deleted") {
		return nil
	}
	return o
}

// put writes the object and leaves what is hidden beside it as it was.
func (t *tx) put(o object) {
	t.putHidden(o, t.hidden(o.kind(), o.id()))
}

// putHidden writes both. The object must not be changed afterwards.
func (t *tx) putHidden(o, hidden object) {
	t.write(&record{Kind: o.kind(), ID: o.id(), Object: o, Hidden: hidden})
}

// remove forgets the record.
func (t *tx) remove(kind, id string) {
	if t.find(kind, id) != nil {
		t.write(&record{Kind: kind, ID: id, Gone: true})
	}
}

func (t *tx) write(r *record) {
	key := r.Kind + "/" + r.ID
	if old := t.index[key]; old != nil {
		r.Seq = old.Seq
		*old = *r // one write a record and change
		return
	}
	if old := t.server.store.table(r.Kind).byID[r.ID]; old != nil {
		r.Seq = old.Seq
	} else {
		t.server.store.seq++
		r.Seq = t.server.store.seq
	}
	t.index[key] = r
	t.writes = append(t.writes, r)
}

// newestFirst answers the records of a kind in the order of Stripe's lists.
func (t *tx) newestFirst(kind string) []*record {
	stored := t.server.store.table(kind).order
	all := make([]*record, 0, len(stored))
	for _, r := range stored {
		if now := t.find(kind, r.ID); now != nil {
			all = append(all, now)
		}
	}
	for _, w := range t.writes {
		if w.Kind == kind && !w.Gone && t.server.store.table(kind).byID[w.ID] == nil {
			all = append(all, w)
		}
	}
	slices.Reverse(all)
	return all
}

// newestFirstOf is newestFirst for one customer's records.
func (t *tx) newestFirstOf(kind, customer string) []*record {
	var all []*record
	for _, r := range t.server.store.table(kind).byCustomer[customer] {
		if _, written := t.index[r.Kind+"/"+r.ID]; !written {
			all = append(all, r)
		}
	}
	for _, w := range t.writes {
		if w.Kind == kind && !w.Gone && w.customer() == customer {
			all = append(all, w)
		}
	}
	slices.SortFunc(all, func(a, b *record) int { return bySeq(b, a) })
	return all
}

// ofCustomer answers the customer's objects of a kind, newest first.
func (t *tx) ofCustomer(kind, customer string) []object {
	var found []object
	for _, r := range t.newestFirstOf(kind, customer) {
		found = append(found, r.Object)
	}
	return found
}

// where answers the objects of a kind that match, newest first.
func (t *tx) where(kind string, match func(object) bool) []object {
	var found []object
	for _, r := range t.newestFirst(kind) {
		if match(r.Object) {
			found = append(found, r.Object)
		}
	}
	return found
}

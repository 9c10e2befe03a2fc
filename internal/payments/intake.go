package payments

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/promptforge/payments/db"
)

// What one commit of the intake takes, and how much may wait for one.
const (
	arrivalFlushers = 2
	maxArrivals     = 256
	maxArrivalBytes = 4 << 20
	maxWaitingBytes = 32 << 20
	// arrivalPatience is longer than a delivery waits: what a sender has given up
	// on may be stored all the same, and is known when it comes again.
	arrivalPatience = 5 * time.Second
)

// newArrivals gathers concurrent deliveries into one commit.
func (p *Payments) newArrivals() *group[incoming] {
	return &group[incoming]{
		write: p.store, flushers: arrivalFlushers, maxItems: maxArrivals, maxBytes: maxArrivalBytes, maxHeld: maxWaitingBytes,
		size:     func(in incoming) int64 { return int64(len(in.body)) + rowBytes },
		patience: arrivalPatience, isolates: isOneRowsFault,
	}
}

// rowBytes is what a row takes in memory beside its body, about.
const rowBytes = 512

// isOneRowsFault reports whether a batch may have failed for one of its rows:
// Postgres refused a value, or chose this transaction to end a deadlock.
func isOneRowsFault(err error) bool {
	var fault *pgconn.PgError
	return isRowsFault(err) || errors.As(err, &fault) && strings.HasPrefix(fault.Code, "40")
}

// store writes events in one statement, which is a transaction. They go in the
// order of their key, and the statement raises their subjects in order too: two
// replicas that store the same deliveries then wait for each other and never in
// a circle.
func (p *Payments) store(ctx context.Context, batch []incoming) error {
	slices.SortFunc(batch, func(a, b incoming) int {
		return cmp.Or(a.created.Compare(b.created), strings.Compare(a.id, b.id))
	})
	n := len(batch)
	rows := db.StoreEventsParams{
		Created: make([]time.Time, n), Ids: make([]string, n), Types: make([]string, n), Subjects: make([]string, n),
		Livemodes: make([]bool, n), Accounts: make([]string, n), ApiVersions: make([]string, n), SecretsUsed: make([]int16, n),
		Sources: make([]string, n), States: make([]string, n), Reasons: make([]string, n), Bodies: make([][]byte, n),
		FreshSince: p.Now().Add(-fresh), Now: p.Now(),
	}
	for i, in := range batch {
		rows.Created[i], rows.Ids[i], rows.Types[i], rows.Subjects[i] = in.created, in.id, in.kind, in.subject
		rows.Livemodes[i], rows.Accounts[i], rows.ApiVersions[i] = in.livemode, in.account, in.apiVersion
		rows.SecretsUsed[i], rows.Sources[i], rows.States[i], rows.Reasons[i] = in.secret, "delivered", in.state, in.reason
		rows.Bodies[i] = in.body
	}
	return db.New(p.Pool).StoreEvents(ctx, rows)
}

// Refusal is why a delivery was not taken in. A refused one leaves a line in
// the log and a count, and nothing of its body.
type Refusal string

// Why a delivery is refused.
const (
	RefusedUnsigned  Refusal = "unsigned"    // no header, or none of scheme v1
	RefusedMalformed Refusal = "malformed"   // a header that cannot be read
	RefusedOutOfTime Refusal = "out_of_time" // signed too long ago, or in the future
	RefusedForged    Refusal = "forged"      // no configured secret made the signature
	RefusedTooLarge  Refusal = "too_large"   // a body over 1 MiB
	RefusedNotRead   Refusal = "not_read"    // the body did not arrive, or there was no room for it
	RefusedNotStored Refusal = "not_stored"  // the database could not be written in time
)

// refusals counts since the process began.
type refusals struct{ counts map[Refusal]*atomic.Int64 }

func newRefusals() *refusals {
	r := refusals{map[Refusal]*atomic.Int64{}}
	for _, reason := range []Refusal{
		RefusedUnsigned, RefusedMalformed, RefusedOutOfTime, RefusedForged, RefusedTooLarge, RefusedNotRead, RefusedNotStored,
	} {
		r.counts[reason] = new(atomic.Int64)
	}
	return &r
}

func (r *refusals) add(reason Refusal) { r.counts[reason].Add(1) }

// CountRefusal counts a delivery that was refused before this package saw it.
func (p *Payments) CountRefusal(reason Refusal) { p.refused.add(reason) }

// Refusals are the deliveries that this process has refused, by reason; every
// reason is there.
func (p *Payments) Refusals() map[Refusal]int64 {
	out := map[Refusal]int64{}
	for reason, count := range p.refused.counts {
		out[reason] = count.Load()
	}
	return out
}

// notice is something about deliveries that an administrator should know of,
// seen by intake and told by a worker: taking a delivery in must not wait for
// it.
type notice struct {
	rule noticeRule
	// about is the API version, the type of the events that are parked, or empty
	// for the other mode.
	about string
	// event is the newest of those seen, and seen how many there were since it
	// was last told.
	event incoming
	seen  int64
}

// noticeRule is the alert rule that a notice belongs to.
type noticeRule string

const (
	noticeOtherMode noticeRule = "other_mode"
	noticeDrift     noticeRule = "version_drift"
	noticeParked    noticeRule = "event_parked"
)

// expectedAPIVersion is that of the endpoint that setup-stripe makes.
const expectedAPIVersion = "2023-10-16"

// notice remembers what there is to tell of an event that was just stored.
func (p *Payments) notice(in incoming) {
	in.body = nil
	switch {
	case in.cause == causeOtherMode:
		p.notices.add(noticeOtherMode, "", in)
	case in.state == eventParked:
		p.notices.add(noticeParked, in.kind, in)
	}
	isOurs := in.cause != causeNoEvent && in.cause != causeOtherMode && in.cause != causeConnected && in.cause != causeUnstorable
	if isOurs && in.apiVersion != "" && in.apiVersion != expectedAPIVersion {
		p.notices.add(noticeDrift, in.apiVersion, in)
	}
}

// Each process tells of the same thing once an hour, and of so many at most.
const (
	noticeEvery = time.Hour
	maxNotices  = 100
)

// notices are what there is to tell. The zero value is ready.
type notices struct {
	mu    sync.Mutex
	known map[noticeKey]*noticed
}

type noticeKey struct {
	rule  noticeRule
	about string
}

type noticed struct {
	notice
	toldAt time.Time
}

func (n *notices) add(rule noticeRule, about string, in incoming) {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := noticeKey{rule, about}
	known := n.known[key]
	if known == nil {
		if len(n.known) >= maxNotices { // a stream of made-up versions must not fill the memory
			return
		}
		if n.known == nil {
			n.known = map[noticeKey]*noticed{}
		}
		known = &noticed{notice: notice{rule: rule, about: about}}
		n.known[key] = known
	}
	known.event = in
	known.seen++
}

// finishIntake ends what the process has taken in when nothing more comes.
func (p *Payments) finishIntake(ctx context.Context) {
	p.arrivals.drain()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), arrivalPatience)
	defer cancel()
	if err := p.KeepAlerts(ctx); err != nil {
		p.Log.ErrorContext(ctx, "tell what intake noticed", "error", err)
	}
}

// take returns what is to be told now, in order, and takes it as told; giveBack
// undoes that where it could not be.
func (n *notices) take(now time.Time) []notice {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []notice
	for key, known := range n.known {
		switch isDue := now.Sub(known.toldAt) >= noticeEvery; {
		case isDue && known.seen > 0:
			out = append(out, known.notice)
			known.seen, known.toldAt = 0, now
		case isDue: // it has not been seen again
			delete(n.known, key)
		}
	}
	slices.SortFunc(out, func(a, b notice) int {
		return cmp.Or(cmp.Compare(a.rule, b.rule), cmp.Compare(a.about, b.about))
	})
	return out
}

func (n *notices) giveBack(untold []notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, one := range untold {
		if known := n.known[noticeKey{one.rule, one.about}]; known != nil {
			known.seen += one.seen
			known.toldAt = time.Time{}
		}
	}
}

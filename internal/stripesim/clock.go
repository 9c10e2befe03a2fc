package stripesim

import (
	"context"
	"log/slog"
	"time"
)

// The clock is a record like any other, so that it is written in the same
// change as what happened at its time and survives a kill.
const (
	kindClock = "sim.clock"
	clockID   = "clock"
)

const (
	day = 24 * time.Hour
	// maxAdvance is how far the clock moves at once.
	maxAdvance = 400 * day
	// maxRounds is how many times in a row one record may be due at the same
	// moment; a subscription whose pause and period end together is so twice.
	maxRounds = 20
	// tick is how often it is looked whether time alone made something due.
	tick = time.Second
)

// Advanced is what came of moving the clock.
type Advanced struct {
	// Now is the business time that was reached.
	Now time.Time
	// Events is how many were made on the way, and PendingDeliveries how many
	// deliveries no endpoint has acknowledged yet, whatever they are of.
	Events, PendingDeliveries int
}

// Now is the business clock: Config.Now and what the clock was moved by.
func (s *Server) Now() time.Time {
	return s.cfg.Now().Add(time.Duration(s.offset.Load())).UTC()
}

// PendingDeliveries is how many deliveries no endpoint has acknowledged yet and
// are going to be tried again.
func (s *Server) PendingDeliveries() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store.pendingDeliveries()
}

// HoldClock keeps the clock out of everybody's hands but those of the Server's
// owner, who still moves it with Advance: requests to move it are refused with a
// sentence that says why, and the home page shows that in the place of its
// buttons. No reason lets go of it.
func (s *Server) HoldClock(why string) {
	if why == "" {
		s.held.Store(nil)
		return
	}
	s.held.Store(&why)
}

// heldClock is why requests cannot move the clock, or nothing.
func (s *Server) heldClock() string {
	if why := s.held.Load(); why != nil {
		return *why
	}
	return ""
}

// Advance moves the business clock to a moment and lives through everything
// that falls due on the way, in order and each at its own moment, so that it is
// the same whether a year passes in one call or in many. It returns when every
// event has been delivered once, well or badly.
//
// A moment that has passed, or is more than 400 days ahead, is refused and
// nothing changes. When ctx ends on the way, the clock stands at the last moment
// that was lived through.
func (s *Server) Advance(ctx context.Context, to time.Time) (Advanced, error) {
	return s.advance(ctx, func(time.Time) time.Time { return to })
}

// advance is Advance to a moment that is told by the present one. Calls at the
// same time wait for each other, so that two of a day make two days.
func (s *Server) advance(ctx context.Context, target func(now time.Time) time.Time) (Advanced, error) {
	select {
	case s.advancing <- struct{}{}:
		defer func() { <-s.advancing }()
	case <-ctx.Done():
		return Advanced{}, ctx.Err()
	}
	to, err := s.checkTarget(target)
	if err != nil {
		return Advanced{}, err
	}
	passed := &passage{}
	err = s.passTo(ctx, to, passed)
	if err != nil {
		return Advanced{}, err
	}
	s.deliveries.answered(ctx, passed.deliveries)
	if err := ctx.Err(); err != nil {
		return Advanced{}, err
	}
	// What was too young or not yet delivered on the way may be old by now.
	err = s.update(cause{}, func(t *tx) error {
		t.forgetOldEvents()
		return nil
	})
	return Advanced{Now: to, Events: passed.events, PendingDeliveries: s.PendingDeliveries()}, err
}

func (s *Server) checkTarget(target func(now time.Time) time.Time) (time.Time, error) {
	now := s.Now()
	to := target(now).UTC()
	switch {
	case to.Before(now):
		return to, clockRefusal("The clock stands at %s and does not go back to %s.", now.Format(time.RFC3339), to.Format(time.RFC3339))
	case to.Sub(now) > maxAdvance:
		return to, clockRefusal("The clock moves by 400 days at most; %s is further away.", to.Format(time.RFC3339))
	}
	return to, nil
}

// passage is what happened while the clock was moved.
type passage struct {
	events     int
	deliveries []string
}

// passTo lives moment by moment and gives the lock away in between, so that
// requests and deliveries go on meanwhile.
func (s *Server) passTo(ctx context.Context, to time.Time, passed *passage) error {
	s.setPassage(passed)
	defer s.setPassage(nil)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		arrived, err := s.passOne(to)
		if err != nil || arrived {
			return err
		}
	}
}

func (s *Server) setPassage(p *passage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.passage = p
}

// passOne lives through the next moment that something is due at, or moves the
// clock to its goal when nothing is due before.
func (s *Server) passOne(to time.Time) (arrived bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, errClosed
	}
	lived, err := s.liveNext(to)
	if err != nil || lived {
		return false, err
	}
	t := s.begin(to, cause{})
	t.moveClock()
	return true, s.commit(t)
}

// catchUp lives through what is due by now. Every change of the state begins
// with it: nobody sees or changes what should have passed already.
func (s *Server) catchUp(now time.Time) error {
	for {
		lived, err := s.liveNext(now)
		if err != nil || !lived {
			return err
		}
	}
}

// liveNext lives through the earliest moment that something is due at, if that
// is not after until. All of it is one change, dated by that moment however late
// it is looked at.
func (s *Server) liveNext(until time.Time) (lived bool, err error) {
	next, any := s.store.due.next()
	if !any || next.at > until.Unix() {
		return false, nil
	}
	moment := time.Unix(next.at, 0).UTC()
	if moment.Before(s.lived) {
		// It was due before anybody could know of it, as the warning of a trial
		// whose end was just moved near.
		moment = s.lived
	}
	t := s.begin(moment, cause{})
	due := s.store.due.takeAt(next.at)
	for _, d := range due {
		t.befall(d)
	}
	if today := t.unix() / int64(day/time.Second); today != s.swept {
		s.swept = today
		t.forgetOldEvents()
	}
	t.moveClock()
	if err := s.commit(t); err != nil {
		for _, d := range due {
			s.store.due.note(s.store.table(d.kind).byID[d.id])
		}
		return false, err
	}
	for _, d := range due {
		s.giveUpIfStuck(d, t.index[d.key()] != nil)
	}
	return true, nil
}

// giveUpIfStuck takes a record off the agenda that is due at the same moment
// whatever is done about it, and nothing else: time must go on. It is looked at
// again when it is written the next time, or after a restart.
func (s *Server) giveUpIfStuck(lived due, written bool) {
	key := lived.key()
	switch {
	case !written: // and is off the agenda already
	case s.store.due.current[key] != lived.at:
		delete(s.rounds, key)
		return
	default:
		if s.rounds[key]++; s.rounds[key] < maxRounds {
			return
		}
		delete(s.store.due.current, key)
	}
	delete(s.rounds, key)
	s.cfg.Logger.Error("what is due stays due", slog.String("kind", lived.kind), slog.String("id", lived.id),
		slog.Time("moment", time.Unix(lived.at, 0).UTC()))
}

// befall does what is due of one record, unless something else that was due at
// the same moment has changed that: the last retry of an invoice is not made once
// its subscription has ended.
func (t *tx) befall(d due) {
	if r := t.find(d.kind, d.id); r == nil || dueAt(r) != d.at {
		return
	}
	switch d.kind {
	case kindCheckoutSession:
		t.expire(t.get(d.kind, d.id))
	case kindSubscription:
		t.liveSubscription(t.get(d.kind, d.id))
	case kindInvoice:
		t.liveInvoice(t.get(d.kind, d.id))
	case kindCharge:
		t.dispute(t.get(d.kind, d.id))
	case kindPaymentIntent:
		t.answerDebit(t.get(d.kind, d.id))
	case kindSchedule:
		t.liveSchedule(t.get(d.kind, d.id))
	case kindRefund:
		t.liveRefund(t.get(d.kind, d.id))
	case kindDispute:
		t.liveDispute(t.get(d.kind, d.id))
	}
}

// moveClock sets the clock to the change's own moment, unless it is there.
func (t *tx) moveClock() {
	if ahead := t.now.Sub(t.server.Now()); ahead > 0 {
		offset := t.server.offset.Load() + int64(ahead)
		t.put(object{"id": clockID, "object": kindClock, "offset": offset})
	}
}

// startClock lets an empty state begin at Config.Start. One that is older than
// this clock goes on at its own time.
func (s *Server) startClock(t *tx) {
	if t.get(kindClock, clockID) != nil {
		return
	}
	var offset time.Duration
	if empty := s.store.seq == 0; empty && !s.cfg.Start.IsZero() {
		offset = s.cfg.Start.Sub(s.cfg.Now())
	}
	t.now = s.cfg.Now().Add(offset).UTC()
	t.put(object{"id": clockID, "object": kindClock, "offset": int64(offset)})
}

// tickTock lets time pass by itself.
func (s *Server) tickTock(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := s.update(cause{}, func(*tx) error { return nil }); err != nil && ctx.Err() == nil {
			s.cfg.Logger.ErrorContext(ctx, "time did not pass", slog.Any("error", err))
		}
	}
}

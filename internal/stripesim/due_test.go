package stripesim

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

func TestTheAgendaIsInOrderOfMomentAndThenOfAge(t *testing.T) {
	t.Parallel()
	session := func(id string, seq, at int64) *record {
		return &record{Kind: kindCheckoutSession, ID: id, Seq: seq, Object: object{"status": "open", "expires_at": at}}
	}
	records := []*record{
		session("a", 3, 200), session("b", 1, 100), session("c", 2, 100), session("d", 5, 100), session("e", 4, 50), session("f", 6, 70),
	}
	for range 50 {
		a := newAgenda()
		rand.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
		for _, r := range records {
			a.note(r)
			a.note(r) // noted twice is due once
		}
		a.note(session("e", 4, 100))
		a.note(&record{Kind: kindCheckoutSession, ID: "f", Seq: 6, Gone: true})
		var got []string
		for {
			next, any := a.next()
			if !any {
				break
			}
			for _, d := range a.takeAt(next.at) {
				got = append(got, fmt.Sprint(d.id, d.at))
			}
		}
		if want := "[b100 c100 e100 d100 a200]"; fmt.Sprint(got) != want {
			t.Fatalf("got %v, want %s", got, want)
		}
	}
}

// TestTimeGoesOnWhateverIsWrong: something that stays due whatever is done about
// it is given up, and what comes later still happens.
func TestTimeGoesOnWhateverIsWrong(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s, err := Open(Config{SecretKey: "sk_test_x", PublicURL: "http://127.0.0.1:1", Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.cfg.DunningRetries = make([]time.Duration, 1000) // tried again at once, which no configuration may ask for
	if err := s.update(cause{}, func(t *tx) error {
		t.put(object{"id": "in_1", "object": kindInvoice, "status": "open", "auto_advance": true, "next_payment_attempt": t.unix() + 60})
		t.put(object{"id": "cs_later", "object": kindCheckoutSession, "status": "open", "expires_at": t.unix() + 3600})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Advance(t.Context(), now.Add(72*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if status := s.store.table(kindCheckoutSession).byID["cs_later"].Object.str("status"); status != "expired" {
		t.Errorf("the later session is %s", status)
	}
	if n := s.store.table(kindInvoice).byID["in_1"].Object.int("attempt_count"); n != maxRounds {
		t.Errorf("tried %d times", n)
	}
}

// TestManyThatAreDueAtTheSameMomentAllHappen: each of them came to be due at that
// moment by a change of its own, after it had passed.
func TestManyThatAreDueAtTheSameMomentAllHappen(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s, err := Open(Config{SecretKey: "sk_test_x", PublicURL: "http://127.0.0.1:1", Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const sessions = 2*maxRounds + 1
	for i := range sessions {
		if err := s.update(cause{}, func(t *tx) error {
			t.put(object{"id": fmt.Sprint("cs_", i), "object": kindCheckoutSession, "status": "open", "expires_at": now.Unix() - 60})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Advance(t.Context(), now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	for i := range sessions {
		if status := s.store.table(kindCheckoutSession).byID[fmt.Sprint("cs_", i)].Object.str("status"); status != "expired" {
			t.Errorf("session %d is %s", i, status)
		}
	}
}

// TestWhatIsGivenUpIsLookedAtAgain when it is written.
func TestWhatIsGivenUpIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s, err := Open(Config{SecretKey: "sk_test_x", PublicURL: "http://127.0.0.1:1", Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.cfg.DunningRetries = make([]time.Duration, 1000)
	for round := range 2 {
		if err := s.update(cause{}, func(t *tx) error {
			t.put(object{"id": "in_1", "object": kindInvoice, "status": "open", "auto_advance": true, "next_payment_attempt": t.unix() + 60})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Advance(t.Context(), now.Add(time.Duration(round+1)*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if n := s.store.table(kindInvoice).byID["in_1"].Object.int("attempt_count"); n != maxRounds {
			t.Errorf("round %d: tried %d times", round, n)
		}
	}
}

// TestAWarningIsNotOlderThanItsCause moves the end of a trial near and stops the
// stand-in at once: what the change has made due is lived through after the next
// start, and dated by the change.
func TestAWarningIsNotOlderThanItsCause(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now, dir := begin, t.TempDir()
	open := func() *Server {
		s, err := Open(Config{Dir: dir, SecretKey: "sk_test_x", PublicURL: "http://127.0.0.1:1", Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	trial := func(end time.Time) object {
		return object{
			"id": "sub_1", "object": kindSubscription, "status": "trialing", "current_period_start": begin.Unix(),
			"current_period_end": end.Unix(), "trial_end": end.Unix(), "items": listOf("/v1/subscription_items", list{}),
		}
	}
	first := open()
	if err := first.update(cause{}, func(t *tx) error { t.put(trial(begin.Add(14 * day))); return nil }); err != nil {
		t.Fatal(err)
	}
	changed := begin.Add(2 * day)
	if _, err := first.Advance(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	if err := first.update(cause{}, func(t *tx) error {
		near := trial(changed.Add(day))
		t.emitUpdate("customer.subscription.updated", t.get(kindSubscription, "sub_1"), near)
		t.put(near)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Hour)
	second := open()
	defer second.Close()
	if err := second.update(cause{}, func(*tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	events := second.store.table(kindEvent).order
	last := events[len(events)-1].Object
	if last.str("type") != "customer.subscription.trial_will_end" || last.int("created") != changed.Unix() {
		t.Errorf("%s at %s, want the warning at %s", last["type"], time.Unix(last.int("created"), 0).UTC(), changed)
	}
}

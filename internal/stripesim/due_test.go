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

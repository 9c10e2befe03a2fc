package stripesim

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestTheIndexAnswersWhatAScanAnswers lets cards change hands at random and
// compares, inside each change and after it.
func TestTheIndexAnswersWhatAScanAnswers(t *testing.T) {
	t.Parallel()
	s, err := Open(Config{SecretKey: "sk_test_x", PublicURL: "http://127.0.0.1:1", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test that repeats
	customers := []any{nil, "cus_a", "cus_b", "cus_c"}
	compare := func(t *testing.T, tx *tx) {
		t.Helper()
		for _, customer := range customers[1:] {
			var want, got []string
			for _, o := range tx.where("thing", func(o object) bool { return o["customer"] == customer }) {
				want = append(want, o.id())
			}
			for _, o := range tx.ofCustomer("thing", customer.(string)) {
				got = append(got, o.id())
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("%v: got %v, want %v", customer, got, want)
			}
		}
	}
	for range 500 {
		err := s.update(cause{}, func(tx *tx) error {
			for range 1 + random.IntN(4) {
				id := fmt.Sprint(random.IntN(12))
				if random.IntN(5) == 0 {
					tx.remove("thing", id)
				} else {
					tx.put(object{"id": id, "object": "thing", "customer": customers[random.IntN(len(customers))]})
				}
				compare(t, tx)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.update(cause{}, func(tx *tx) error { compare(t, tx); return nil }); err != nil {
			t.Fatal(err)
		}
	}
}

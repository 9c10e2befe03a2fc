package stripesim

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestBracketsBecomeATree(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ sentence, form, want string }{
		{"nothing", "", `{}`},
		{"a text", "a=1", `{"a":"1",}`},
		{"the last one counts", "a=1&a=2", `{"a":"2",}`},
		{"spaces and signs", "a=x+y%26z", `{"a":"x y&z",}`},
		{"no value", "a", `{"a":"",}`},
		{"a hash", "a[b]=1&a[c][d]=2", `{"a":{"b":"1","c":{"d":"2",},},}`},
		{"a numbered list", "a[1]=y&a[0]=x", `{"a":{"0":"x","1":"y",},}`},
		{"a list", "a[]=x&a[]=y", `{"a":{"0":"x","1":"y",},}`},
		{"a list of hashes", "a[][b]=1&a[][c]=2&a[][b]=3", `{"a":{"0":{"b":"1","c":"2",},"1":{"b":"3",},},}`},
		{"encoded brackets", "a%5Bb%5D=1", `{"a":{"b":"1",},}`},
	} {
		root := &node{fields: map[string]*node{}}
		if err := root.addForm(c.form); err != nil || root.canonical() != c.want {
			t.Errorf("%s: got %s, %v, want %s", c.sentence, root.canonical(), err, c.want)
		}
	}
	for sentence, form := range map[string]string{
		"an open bracket": "a[b=1", "brackets in brackets": "a[b[c]]=1", "no name": "[a]=1", "a text and a hash": "a=1&a[b]=2",
		"a hash and a text": "a[b]=2&a=1", "too deep": "a" + strings.Repeat("[a]", 20) + "=1",
	} {
		root := &node{fields: map[string]*node{}}
		if err := root.addForm(form); err == nil {
			t.Errorf("%s is accepted: %s", sentence, root.canonical())
		}
	}
}

func FuzzForm(f *testing.F) {
	for _, seed := range []string{"a=1", "a[b][]=1&a[b][]=2", "a[][b]=1", "a[0][b]=1&a[7]=x", "%", "[]=", "a[]", "a[b]c=1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, form string) {
		root := &node{fields: map[string]*node{}}
		if err := root.addForm(form); err != nil {
			return
		}
		// Whatever tree comes out, the check answers and does not panic.
		_, _ = readFields("", root, sessionCreate)
		_ = root.canonical()
	})
}

func TestAPeriodEndsOnTheSameDayOrTheMonthsLast(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		start, interval string
		count           int64
		end             string
	}{
		{"2026-01-15", "month", 1, "2026-02-15"},
		{"2026-01-31", "month", 1, "2026-02-28"},
		{"2028-01-31", "month", 1, "2028-02-29"},
		{"2026-12-31", "month", 1, "2027-01-31"},
		{"2026-10-31", "month", 1, "2026-11-30"},
		{"2026-01-31", "month", 3, "2026-04-30"},
		{"2028-02-29", "year", 1, "2029-02-28"},
		{"2026-06-01", "year", 1, "2027-06-01"},
		{"2026-12-28", "week", 1, "2027-01-04"},
		{"2026-02-28", "day", 2, "2026-03-02"},
	} {
		start, err := time.Parse(time.DateOnly, c.start)
		if err != nil {
			t.Fatal(err)
		}
		got := periodEnd(start, object{"interval": c.interval, "interval_count": c.count}).Format(time.DateOnly)
		if got != c.end {
			t.Errorf("%s and %d %s: got %s, want %s", c.start, c.count, c.interval, got, c.end)
		}
	}
}

func TestAmountsAreShownInTheirCurrency(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		minor    int64
		currency string
		want     string
	}{
		{0, "usd", "$0.00"},
		{5, "usd", "$0.05"},
		{9900, "usd", "$99.00"},
		{399000, "usd", "$3,990.00"},
		{123456789, "eur", "€1,234,567.89"},
		{1500, "jpy", "¥1,500"},
		{12500, "kwd", "12.500 KWD"},
		{100, "sek", "1.00 SEK"},
	} {
		if got := amountText(c.minor, c.currency); got != c.want {
			t.Errorf("%d %s: got %s, want %s", c.minor, c.currency, got, c.want)
		}
	}
}

func TestFractionsOfACentAreRoundedOncePerLine(t *testing.T) {
	t.Parallel()
	price := object{"unit_amount": nil, "unit_amount_decimal": "0.5"}
	for quantity, want := range map[int64]int64{1: 1, 2: 1, 3: 2, 1000: 500} {
		if got := amountTimes(price, quantity); got != want {
			t.Errorf("%d: got %d, want %d", quantity, got, want)
		}
	}
}

func TestPreviousAttributesSayWhatWasDifferent(t *testing.T) {
	t.Parallel()
	before := object{"status": "incomplete", "same": int64(1), "metadata": object{"a": "1", "gone": "x"}, "items": list{int64(1)}}
	after := object{"status": "active", "same": int64(1), "metadata": object{"a": "2", "new": "y"}, "items": list{int64(2)}}
	want := object{"status": "incomplete", "metadata": object{"a": "1", "new": nil, "gone": "x"}, "items": list{int64(1)}}
	if got := previousAttributes(before, after); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := previousAttributes(before, before.clone()); len(got) != 0 {
		t.Errorf("of nothing changed: %v", got)
	}
}

func TestAnObjectIsTheSameAfterTheJournal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	written := object{"id": "a", "object": "thing", "big": int64(1) << 60, "half": 0.5, "null": nil, "yes": true, "in": object{"l": list{"x", int64(1), object{}}}}
	reopen := func() (*journal, *store) {
		t.Helper()
		s := newStore()
		j, err := openJournal(dir, func(line journalLine) {
			for _, r := range line.Writes {
				s.apply(r)
			}
		})
		if err == nil {
			err = j.compact(s.records())
		}
		if err != nil {
			t.Fatal(err)
		}
		return j, s
	}
	j, _ := reopen()
	for i := range 3 {
		if err := j.append([]*record{{Kind: "thing", ID: "a", Seq: 1, Object: written.clone().set(object{"n": int64(i)})}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, s := reopen()
	if got := s.table("thing").byID["a"].Object; !reflect.DeepEqual(got, written.clone().set(object{"n": int64(2)})) {
		t.Errorf("got %#v", got)
	}
	if err := j.append([]*record{{Kind: "thing", ID: "a", Seq: 1, Gone: true}}); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(dir, journalName))
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(content), "\n"); lines != 2 {
		t.Errorf("lines after compaction and one write: %d\n%s", lines, content)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, s = reopen()
	defer j.Close()
	if left := len(s.records()); left != 0 {
		t.Errorf("%d records are left of what is gone", left)
	}
}

func TestAChangeThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	s, err := Open(Config{SecretKey: "sk_test_x", PublicURL: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	failed := s.update(cause{}, func(t *tx) error {
		customer := newCustomer(t)
		t.put(customer)
		t.emit("customer.created", customer)
		if t.get(kindCustomer, customer.id()) == nil || len(t.newestFirst(kindCustomer)) != 1 {
			return fmt.Errorf("a change does not see its own writes")
		}
		return missingInPath(kindPrice, "price_none")
	})
	if asAPIError(failed).code != "resource_missing" {
		t.Error(failed)
	}
	if got := len(s.store.table(kindCustomer).order) + len(s.store.table(kindEvent).order); got != 0 {
		t.Errorf("%d records are left", got)
	}
}

func TestIDsAreStripesLengths(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		id := newID("cus_", shortID)
		if len(id) != 18 || seen[id] {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
	}
}

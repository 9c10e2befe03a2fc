package stripesim

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheJournalShrinksWhileItIsWritten overwrites one record until the file
// would be many times what is in it, and reads it back.
func TestTheJournalShrinksWhileItIsWritten(t *testing.T) {
	t.Parallel()
	config := Config{SecretKey: "sk_test_x", PublicURL: "http://127.0.0.1:1", Dir: t.TempDir()}
	s, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat("x", 1<<20)
	for n := range int64(40) {
		if err := s.update(cause{}, func(t *tx) error {
			t.put(object{"id": "it", "object": "thing", "n": n, "text": large})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(config.Dir, journalName))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 25<<20 {
		t.Errorf("the file has %d bytes", info.Size())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if n := again.store.table("thing").byID["it"].Object.int("n"); n != 39 {
		t.Errorf("read back: %d", n)
	}
}

package stripesim

import (
	"bytes"
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

// TestAnObjectIsWrittenAsEncodingJSONWritesIt holds the encoder to the one that
// everybody reads with.
func TestAnObjectIsWrittenAsEncodingJSONWritesIt(t *testing.T) {
	t.Parallel()
	leaf := rapid.OneOf(
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.Int64().AsAny(), rapid.Float64Range(-1e9, 1e9).AsAny(),
		rapid.String().AsAny(), rapid.SampledFrom([]any{"<a & b>", "\u2028", "é", `"\`, "a\x00b", "\xff", object(nil), list(nil), object{}, list{}}).AsAny(),
	)
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		if depth == 0 {
			return leaf
		}
		inner := value(depth - 1)
		return rapid.OneOf(leaf, rapid.SliceOfN(inner, 0, 4).AsAny(),
			rapid.Custom(func(t *rapid.T) any { return object(rapid.MapOfN(rapid.String(), inner, 0, 4).Draw(t, "object")) }))
	}
	rapid.Check(t, func(t *rapid.T) {
		o := object{"id": value(3).Draw(t, "first"), "more": value(3).Draw(t, "second")}
		got, err := encodeBody(o)
		if err != nil {
			t.Fatal(err)
		}
		var want bytes.Buffer
		encoder := json.NewEncoder(&want)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(o); err != nil {
			t.Fatal(err)
		}
		if string(got)+"\n" != want.String() {
			t.Fatalf("got %s\nwant %s", got, want.String())
		}
	})
}

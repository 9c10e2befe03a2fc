package stripeshape

import (
	"encoding/json"
	"math/big"
	"strconv"
	"strings"

	"github.com/promptforge/payments/internal/billing"
)

// object is a JSON object that is read field by field, so that what is odd in
// one field spoils no other: ten years of shapes differ in fields that nobody
// here needs. Each reader answers the zero value for a field that is absent,
// null or odd, and notes the odd ones for who cannot do without them.
type object struct {
	fields map[string]json.RawMessage
	odd    *[]string
}

// readObject reads an object. PHP's empty array stands for an empty one.
func readObject(raw json.RawMessage) (object, bool) {
	if !isJSON(raw) {
		return object{odd: new([]string)}, false
	}
	return readInside(raw)
}

// readInside is readObject for a value inside of one that was read, which has
// been found valid with it.
func readInside(raw json.RawMessage) (object, bool) {
	o := object{odd: new([]string)}
	if isEmptyList(raw) {
		return o, true
	}
	var ok bool
	o.fields, ok = fieldsOf(raw)
	return o, ok
}

// present reports whether a value is there and not null.
func present(b json.RawMessage) bool { return len(b) > 0 && string(b) != "null" }

func isObject(b json.RawMessage) bool { return len(b) > 0 && b[0] == '{' }

func isEmptyList(b json.RawMessage) bool {
	return len(b) > 1 && b[0] == '[' && strings.TrimSpace(string(b[1:])) == "]"
}

func (o object) has(name string) bool { return present(o.fields[name]) }

// note remembers a field that is there and cannot be read.
func (o object) note(name string) { *o.odd = append(*o.odd, name) }

// str is a text. One with a NUL is odd: no column takes it.
func (o object) str(name string) string {
	raw := o.fields[name]
	if !present(raw) {
		return ""
	}
	var s string
	if json.Unmarshal(raw, &s) != nil || strings.ContainsRune(s, 0) {
		o.note(name)
		return ""
	}
	return s
}

// longestID is more than any id of Stripe's has; a longer one is no id, and no
// index takes one that is much longer.
const longestID = 255

// ref is an id, or the id of the object that is expanded in its place.
func (o object) ref(name string) string {
	raw := o.fields[name]
	if !present(raw) || isEmptyList(raw) {
		return ""
	}
	if isObject(raw) {
		expanded, ok := readInside(raw)
		id := expanded.str("id")
		if !ok || id == "" || len(id) > longestID {
			o.note(name)
			return ""
		}
		return id
	}
	id := o.str(name)
	if len(id) > longestID {
		o.note(name)
		return ""
	}
	return id
}

// num is an integer. It may come as a text or with decimals, which are rounded,
// halves away from zero.
func (o object) num(name string) int64 {
	raw := o.fields[name]
	if !present(raw) || string(raw) == `""` {
		return 0
	}
	n, ok := integer(raw)
	if !ok {
		o.note(name)
	}
	return n
}

// maxUnix is the last second of the year 9999; Postgres goes further, RFC 3339
// does not.
const maxUnix = 253402300799

// second is a moment; what no calendar holds is odd.
func (o object) second(name string) billing.Second {
	n := o.num(name)
	if n < 0 || n > maxUnix {
		o.note(name)
		return 0
	}
	return billing.Second(n)
}

// flag is a truth, however it is spelt.
func (o object) flag(name string) bool {
	raw := o.fields[name]
	if !present(raw) || string(raw) == `""` {
		return false
	}
	b, err := strconv.ParseBool(strings.Trim(string(raw), `"`))
	if err != nil {
		o.note(name)
	}
	return b
}

// obj is an object within this one; an empty one where there is none.
func (o object) obj(name string) object {
	raw := o.fields[name]
	inner, ok := readInside(raw)
	inner.odd = o.odd
	if !ok && present(raw) {
		o.note(name)
	}
	return inner
}

// list are the elements of a list, plain or in the envelope of Stripe's lists.
// It is not whole where the envelope says that there are more.
func (o object) list(name string) (all []json.RawMessage, isWhole bool) {
	raw := o.fields[name]
	switch {
	case !present(raw):
		return nil, true
	case isObject(raw):
		envelope := o.obj(name)
		all, _ = envelope.list("data")
		return all, !envelope.flag("has_more")
	}
	all, ok := elementsOf(raw)
	if !ok {
		o.note(name)
	}
	return all, true
}

func integer(raw json.RawMessage) (int64, bool) {
	s := strings.Trim(string(raw), `"`)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, true
	}
	r, ok := rational(s)
	if !ok {
		return 0, false
	}
	return rounded(r)
}

// rational reads a decimal as JSON and Stripe write them. big.Rat reads more,
// such as fractions, and takes its time over absurd exponents.
func rational(s string) (*big.Rat, bool) {
	if len(s) > 40 || strings.ContainsAny(s, "/xXbBoOpP_") {
		return nil, false
	}
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		if exponent, err := strconv.Atoi(s[i+1:]); err != nil || exponent < -40 || exponent > 40 {
			return nil, false
		}
	}
	return new(big.Rat).SetString(s)
}

// rounded rounds halves away from zero.
func rounded(r *big.Rat) (int64, bool) {
	n, ok := new(big.Int).SetString(r.FloatString(0), 10)
	if !ok || !n.IsInt64() {
		return 0, false
	}
	return n.Int64(), true
}

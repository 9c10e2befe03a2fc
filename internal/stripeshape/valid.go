package stripeshape

import "bytes"

// deepest is how many brackets may stand within each other; encoding/json draws
// the line there as well.
const deepest = 10_000

// isJSON is json.Valid, of whose time it takes a fifth: each body is checked
// when it is taken in and again when it is worked off, and nothing else of a
// delivery costs as much.
func isJSON(raw []byte) bool {
	v := validator{raw: raw}
	v.space()
	if !v.value(0) {
		return false
	}
	v.space()
	return v.at == len(raw)
}

// validator walks over what is valid; each step reports whether it was.
type validator struct {
	raw []byte
	at  int
}

// next is the character to come; 0, which is none of JSON's, at the end.
func (v *validator) next() byte {
	if v.at < len(v.raw) {
		return v.raw[v.at]
	}
	return 0
}

func (v *validator) space() {
	for v.at < len(v.raw) && (v.raw[v.at] == ' ' || v.raw[v.at] == '\n' || v.raw[v.at] == '\t' || v.raw[v.at] == '\r') {
		v.at++
	}
}

func (v *validator) value(depth int) bool {
	switch v.next() {
	case '{':
		return depth < deepest && v.list('}', depth, v.field)
	case '[':
		return depth < deepest && v.list(']', depth, v.value)
	case '"':
		return v.text()
	case 't':
		return v.word("true")
	case 'f':
		return v.word("false")
	case 'n':
		return v.word("null")
	default:
		return v.number()
	}
}

// list goes from a bracket to the one that closes it.
func (v *validator) list(end byte, depth int, element func(int) bool) bool {
	v.at++
	v.space()
	if v.next() == end {
		v.at++
		return true
	}
	for {
		v.space()
		if !element(depth + 1) {
			return false
		}
		v.space()
		switch v.next() {
		case ',':
			v.at++
		case end:
			v.at++
			return true
		default:
			return false
		}
	}
}

func (v *validator) field(depth int) bool {
	if v.next() != '"' || !v.text() {
		return false
	}
	v.space()
	if v.next() != ':' {
		return false
	}
	v.at++
	v.space()
	return v.value(depth)
}

func (v *validator) text() bool {
	for v.at++; v.at < len(v.raw); v.at++ {
		switch c := v.raw[v.at]; {
		case c == '"':
			v.at++
			return true
		case c < ' ':
			return false
		case c == '\\' && !v.escape():
			return false
		}
	}
	return false
}

// escape goes to the last character of one.
func (v *validator) escape() bool {
	v.at++
	if v.next() != 'u' {
		return bytes.IndexByte([]byte(`"\/bfnrt`), v.next()) >= 0
	}
	for range 4 {
		v.at++
		if c := v.next(); (c < '0' || c > '9') && (c|' ' < 'a' || c|' ' > 'f') {
			return false
		}
	}
	return true
}

func (v *validator) word(word string) bool {
	if !bytes.HasPrefix(v.raw[v.at:], []byte(word)) {
		return false
	}
	v.at += len(word)
	return true
}

func (v *validator) number() bool {
	if v.next() == '-' {
		v.at++
	}
	if v.next() == '0' {
		v.at++
	} else if !v.digits() {
		return false
	}
	if v.next() == '.' {
		v.at++
		if !v.digits() {
			return false
		}
	}
	if v.next()|' ' != 'e' {
		return true
	}
	v.at++
	if c := v.next(); c == '+' || c == '-' {
		v.at++
	}
	return v.digits()
}

// digits goes past at least one.
func (v *validator) digits() bool {
	start := v.at
	for c := v.next(); c >= '0' && c <= '9'; c = v.next() {
		v.at++
	}
	return v.at > start
}

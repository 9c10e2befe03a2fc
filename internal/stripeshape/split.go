package stripeshape

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// fieldsOf splits an object into its fields without looking into them. It is
// meant for JSON that has been found valid, whose levels are split one after the
// other: encoding/json would check and walk each level again with all that is
// in it, which was half of what taking an event in cost. What is not valid is
// split anyhow or refused, and nothing worse.
func fieldsOf(raw []byte) (map[string]json.RawMessage, bool) {
	s := splitter{raw: raw}
	if !s.opens('{') {
		return nil, false
	}
	fields := map[string]json.RawMessage{}
	for !s.closes('}', len(fields) == 0) {
		key, ok := s.value()
		if !ok || key[0] != '"' || !s.opens(':') {
			return nil, false
		}
		value, ok := s.value()
		if !ok {
			return nil, false
		}
		fields[text(key)] = value
	}
	return fields, s.isWhole
}

// elementsOf is fieldsOf for a list.
func elementsOf(raw []byte) ([]json.RawMessage, bool) {
	s := splitter{raw: raw}
	if !s.opens('[') {
		return nil, false
	}
	elements := []json.RawMessage{}
	for !s.closes(']', len(elements) == 0) {
		element, ok := s.value()
		if !ok {
			return nil, false
		}
		elements = append(elements, element)
	}
	return elements, s.isWhole
}

// splitter walks over JSON from value to value.
type splitter struct {
	raw []byte
	at  int
	// isWhole: the bracket was closed, and nothing came behind it.
	isWhole bool
}

// space skips blanks and reports whether anything is left.
func (s *splitter) space() bool {
	for s.at < len(s.raw) {
		switch s.raw[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return true
		}
	}
	return false
}

// opens goes past the character, if that comes next.
func (s *splitter) opens(c byte) bool {
	if !s.space() || s.raw[s.at] != c {
		return false
	}
	s.at++
	return true
}

// closes reports whether there is nothing more up to the bracket: it came, or
// something else than a comma did. Before the first value there is no comma.
func (s *splitter) closes(bracket byte, isFirst bool) bool {
	if s.opens(bracket) {
		s.isWhole = !s.space()
		return true
	}
	return !isFirst && !s.opens(',')
}

// value goes past a value and returns it, at least a byte of it.
func (s *splitter) value() (json.RawMessage, bool) {
	if !s.space() {
		return nil, false
	}
	start := s.at
	switch s.raw[s.at] {
	case '"':
		s.text()
	case '{', '[':
		s.nested()
	default:
		s.scalar()
	}
	if s.at == start || s.at > len(s.raw) {
		return nil, false
	}
	return s.raw[start:s.at:s.at], true
}

// scalar goes past a number or a word.
func (s *splitter) scalar() {
	if end := bytes.IndexAny(s.raw[s.at:], ",:]} \t\r\n"); end >= 0 {
		s.at += end
		return
	}
	s.at = len(s.raw)
}

// nested goes past brackets and what is between them.
func (s *splitter) nested() {
	for depth := 0; s.at < len(s.raw); {
		switch s.raw[s.at] {
		case '"':
			s.text()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		s.at++
		if depth == 0 {
			return
		}
	}
	s.at = len(s.raw) + 1 // it never ends
}

// text goes past a text, whose quotes may be escaped.
func (s *splitter) text() {
	for s.at++; s.at < len(s.raw); s.at++ {
		end := bytes.IndexByte(s.raw[s.at:], '"')
		if end < 0 {
			break
		}
		escapes := 0
		for escapes < end && s.raw[s.at+end-1-escapes] == '\\' {
			escapes++
		}
		s.at += end
		if escapes%2 == 0 {
			s.at++
			return
		}
	}
	s.at = len(s.raw) + 1
}

// text is what a JSON text says.
func text(raw json.RawMessage) string {
	plain := raw[1 : len(raw)-1]
	if bytes.IndexByte(plain, '\\') < 0 && utf8.Valid(plain) {
		return string(plain)
	}
	var s string
	_ = json.Unmarshal(raw, &s) // what is no text has no name, and is asked for by none
	return s
}

package stripesim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
)

// object is one of Stripe's JSON objects, with its fields as they go over the wire.
//
// The stand-in keeps wire objects and no structs of its own: a journal, an
// event's payload, previous_attributes and expand[] all speak of the wire's
// fields by name, and Stripe answers null for what is not set, so that a struct
// would only say everything twice. Numbers are int64 or float64, lists []any.
//
// An object that the store holds is never changed. Who wants to change one
// clones it first and puts the clone.
type object map[string]any

// list is a JSON array on the wire.
type list = []any

func (o object) str(field string) string {
	s, _ := o[field].(string)
	return s
}

func (o object) int(field string) int64 {
	n, _ := o[field].(int64)
	return n
}

func (o object) bool(field string) bool {
	b, _ := o[field].(bool)
	return b
}

func (o object) obj(field string) object {
	return asObject(o[field])
}

func (o object) list(field string) list {
	l, _ := o[field].(list)
	return l
}

// id is the object's id, and kind what it is, in Stripe's own word.
func (o object) id() string   { return o.str("id") }
func (o object) kind() string { return o.str("object") }

// set changes the fields named in changes and answers the receiver.
func (o object) set(changes object) object {
	maps.Copy(o, changes)
	return o
}

// copy copies the object's own fields, and shares what is in them.
func (o object) copy() object {
	return make(object, len(o)).set(o)
}

// clone copies the object and everything in it.
func (o object) clone() object {
	if o == nil {
		return nil
	}
	return cloneValue(o).(object)
}

func asObject(v any) object {
	switch v := v.(type) {
	case object:
		return v
	case map[string]any:
		return v
	}
	return nil
}

func cloneValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return cloneValue(object(v))
	case object:
		c := make(object, len(v))
		for k, e := range v {
			c[k] = cloneValue(e)
		}
		return c
	case list:
		c := make(list, len(v))
		for i, e := range v {
			c[i] = cloneValue(e)
		}
		return c
	}
	return v
}

// previousAttributes is what Stripe puts beside an updated event: of each field
// that differs the former value, hashes field by field, lists as a whole, and
// null for what was not there before.
func previousAttributes(before, after object) object {
	previous := object{}
	for field, now := range after {
		was, had := before[field]
		if reflect.DeepEqual(was, now) {
			continue
		}
		wasHash, nowHash := asObject(was), asObject(now)
		switch {
		case !had:
			previous[field] = nil
		case wasHash != nil && nowHash != nil:
			previous[field] = previousAttributes(wasHash, nowHash)
		default:
			previous[field] = was
		}
	}
	for field, was := range before {
		if _, still := after[field]; !still {
			previous[field] = was
		}
	}
	return previous
}

// listOf is a complete list as it stands inside another object.
func listOf(url string, data list) object {
	return object{"object": "list", "data": data, "has_more": false, "url": url}
}

// decodeObject reads one JSON object. Whole numbers become int64 again, which
// encoding/json alone would make floats and so lose a digit of.
func decodeObject(body []byte) (object, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var raw map[string]any
	if err := decoder.Decode(&raw); err != nil {
		return nil, fmt.Errorf("decode object: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fmt.Errorf("decode object: more than one value")
	}
	return restoreValue(raw).(object), nil
}

func restoreValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		o := make(object, len(v))
		for k, e := range v {
			o[k] = restoreValue(e)
		}
		return o
	case []any:
		l := make(list, len(v))
		for i, e := range v {
			l[i] = restoreValue(e)
		}
		return l
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	}
	return v
}

// UnmarshalJSON keeps whole numbers whole, see decodeObject.
func (o *object) UnmarshalJSON(body []byte) error {
	if string(body) == "null" {
		*o = nil
		return nil
	}
	decoded, err := decodeObject(body)
	*o = decoded
	return err
}

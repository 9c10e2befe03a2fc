package stripeshape

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// FuzzSplit holds what is split to what encoding/json makes of the same.
func FuzzSplit(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { } `, `[]`, `[ ]`, `{"a":1}`, `{"a" : "b" , "c":[1, {"d":"}"}],"e":null}`, `{"a":1,"a":2}`, `{"\u0061\"":"\\"}`, `{"a":"\\\""}`,
		`[1,"a,b",[],{}, true ,-1.5e3]`, `{"":{"":""}}`, "{\"\xff\":1}", `{"a":{"b":[{"c":"\\\\"}]}}`, `null`, `"a"`, `1`, `{"a":1,}`, `[,]`, `[1,]`, `{"a"}`,
		`{"a":}`, `{a:1}`, `{"a":1`, `{"a":"`, `{"a":"\`, `{"a":[`, `{}{}`, `[]]`, `{"a":1 2}`, `{1:2}`, `[1:2]`, ``, ` `, `{"`, "{\"0\xe10", `{"a":1:2}`, `]`, `{]`, `[}`, `{"a":}]`,
	} {
		f.Add([]byte(seed))
	}
	for _, seed := range []string{
		`-`, `-0`, `01`, `1.`, `.5`, `1e`, `1E+5`, `1e-05`, `-0.0e0`, `tru`, `truex`, `nul`, `"\x"`, `"\u12g4"`, `"\u12"`, `"\uD800"`, "\"\t\"", "\"\x00\"", "\x00",
		`{"a":[{"b":[[],{}]}]}`, `{"a":1,,"b":2}`, `{,}`, ` 1 `, "\v1", "\ufeff{}", `"\`, `{"a":tr}`,
		strings.Repeat("[", deepest) + strings.Repeat("]", deepest), strings.Repeat("[", deepest+1) + strings.Repeat("]", deepest+1),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		fields, isObject := fieldsOf(raw)
		elements, isList := elementsOf(raw)
		if !bytes.Equal(raw, before) {
			t.Fatal("splitting has changed what it split")
		}
		if got := isJSON(raw); got != json.Valid(raw) {
			t.Fatalf("%q is found valid: %v, want %v", raw, got, !got)
		}
		if !json.Valid(raw) {
			return // whatever comes out, it came out
		}
		var wantFields map[string]json.RawMessage
		if err := json.Unmarshal(raw, &wantFields); err == nil != isObject && wantFields != nil || isObject && !reflect.DeepEqual(fields, wantFields) {
			t.Errorf("%q has the fields %q (%v), want %q (%v)", raw, fields, isObject, wantFields, err)
		}
		var wantElements []json.RawMessage
		if err := json.Unmarshal(raw, &wantElements); err == nil != isList && wantElements != nil || isList && !reflect.DeepEqual(elements, wantElements) {
			t.Errorf("%q has the elements %q (%v), want %q (%v)", raw, elements, isList, wantElements, err)
		}
	})
}

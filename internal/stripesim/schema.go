package stripesim

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// param says what a parameter must look like: read makes its value of what
// came, or refuses it in Stripe's words.
type param struct {
	required bool
	read     func(path string, n *node) (any, error)
	// inner are a hash's fields, and element what a list or a map consists of.
	inner   fields
	element *param
}

// fields are the parameters of an endpoint or of a hash among them. What is not
// listed is refused.
type fields map[string]param

// must makes the parameter required.
func (p param) must() param {
	p.required = true
	return p
}

// orEmpty lets an empty text stand for "unset", which reads as nil.
func (p param) orEmpty() param {
	read := p.read
	p.read = func(path string, n *node) (any, error) {
		if n.fields == nil && n.value == "" {
			return nil, nil
		}
		return read(path, n)
	}
	return p
}

// orWord also takes one word, which stands for itself.
func (p param) orWord(word string) param {
	read := p.read
	p.read = func(path string, n *node) (any, error) {
		if n.fields == nil && n.value == word {
			return word, nil
		}
		return read(path, n)
	}
	return p
}

var (
	// text is any text; empty it unsets what it names.
	text = param{read: readText}.orEmpty()
	// nonEmpty is a text that cannot be unset.
	nonEmpty     = param{read: readNonEmpty}
	integer      = param{read: readInteger}
	boolean      = param{read: readBoolean}
	metadata     = param{read: readMetadata}.orEmpty()
	expand       = array(text)
	createdRange = param{read: readRange, inner: rangeFields}

	rangeFields = fields{"gt": integer, "gte": integer, "lt": integer, "lte": integer}
)

func readText(path string, n *node) (any, error) {
	if n.fields != nil {
		return nil, badParameter(path, "", "Invalid string: %s", path)
	}
	if utf8.RuneCountInString(n.value) > 5000 {
		return nil, badParameter(path, "", "Invalid string: must be at most 5000 characters")
	}
	return n.value, nil
}

func readNonEmpty(path string, n *node) (any, error) {
	if n.fields == nil && n.value == "" {
		return nil, badParameter(path, "parameter_invalid_empty",
			"You passed an empty string for '%[1]s'. We assume empty values are an attempt to unset a parameter; however '%[1]s' cannot be unset. You should remove '%[1]s' from your request or supply a non-empty value.", path)
	}
	return readText(path, n)
}

func readInteger(path string, n *node) (any, error) {
	number, err := strconv.ParseInt(n.value, 10, 64)
	if n.fields != nil || err != nil {
		return nil, badParameter(path, "parameter_invalid_integer", "Invalid integer: %s", n.value)
	}
	return number, nil
}

func readBoolean(path string, n *node) (any, error) {
	if n.fields != nil || n.value != "true" && n.value != "false" {
		return nil, badParameter(path, "", "Invalid boolean: %s", n.value)
	}
	return n.value == "true", nil
}

// enum is one of a few words.
func enum(words ...string) param {
	return param{read: func(path string, n *node) (any, error) {
		if n.fields != nil || !slices.Contains(words, n.value) {
			return nil, badParameter(path, "", "Invalid %s: must be one of %s", path, sentenceList(words))
		}
		return n.value, nil
	}}
}

// hash is a group of parameters.
func hash(known fields) param {
	return param{inner: known, read: func(path string, n *node) (any, error) {
		if n.fields == nil {
			return nil, badParameter(path, "parameter_invalid_object", "Invalid object")
		}
		return readFields(path, n, known)
	}}
}

// array is a list of what each element must look like.
func array(element param) param {
	return param{element: &element, read: func(path string, n *node) (any, error) {
		nodes, ok := n.elements()
		if n.fields == nil || !ok {
			return nil, badParameter(path, "parameter_invalid_array", "Invalid array")
		}
		values := make(list, len(nodes))
		for i, child := range nodes {
			value, err := element.read(path+"["+strconv.Itoa(i)+"]", child)
			if err != nil {
				return nil, err
			}
			values[i] = value
		}
		return values, nil
	}}
}

// mapOf is a hash with keys of the sender's choice.
func mapOf(element param) param {
	return param{element: &element, read: func(path string, n *node) (any, error) {
		if n.fields == nil {
			return nil, badParameter(path, "parameter_invalid_object", "Invalid object")
		}
		values := object{}
		for _, key := range sortedKeys(n.fields) {
			value, err := element.read(path+"["+key+"]", n.fields[key])
			if err != nil {
				return nil, err
			}
			values[key] = value
		}
		return values, nil
	}}
}

// https://stripe.com/docs/api/metadata
func readMetadata(path string, n *node) (any, error) {
	values, err := mapOf(param{read: readText}).read(path, n)
	if err != nil {
		return nil, err
	}
	for key, value := range values.(object) {
		switch {
		case len(key) > 40:
			return nil, badParameter(path, "", "Metadata keys must have at most 40 characters: %s", key)
		case utf8.RuneCountInString(value.(string)) > 500:
			return nil, badParameter(path, "", "Metadata values must have at most 500 characters: %s", key)
		}
	}
	return values, nil
}

// readRange reads a time, or a hash of gt, gte, lt and lte.
func readRange(path string, n *node) (any, error) {
	if n.fields == nil {
		at, err := readInteger(path, n)
		return object{"gte": at, "lte": at}, err
	}
	return readFields(path, n, rangeFields)
}

func inRange(within object, at int64) bool {
	for field, bound := range within {
		limit := bound.(int64)
		if field == "gt" && at <= limit || field == "gte" && at < limit ||
			field == "lt" && at >= limit || field == "lte" && at > limit {
			return false
		}
	}
	return true
}

// readFields checks a group: first what came, then what is missing.
func readFields(path string, n *node, known fields) (object, error) {
	values := object{}
	for _, key := range sortedKeys(n.fields) {
		at := key
		if path != "" {
			at = path + "[" + key + "]"
		}
		p, ok := known[key]
		if !ok {
			return nil, badParameter(at, "parameter_unknown", "Received unknown parameter: %s", at)
		}
		value, err := p.read(at, n.fields[key])
		if err != nil {
			return nil, err
		}
		values[key] = value
	}
	for _, key := range sortedKeys(known) {
		if _, came := values[key]; known[key].required && !came {
			at := key
			if path != "" {
				at = path + "[" + key + "]"
			}
			return nil, badParameter(at, "parameter_missing", "Missing required param: %s.", at)
		}
	}
	return values, nil
}

// with is a group and more parameters.
func (f fields) with(more fields) fields {
	all := make(fields, len(f)+len(more))
	maps.Copy(all, f)
	maps.Copy(all, more)
	return all
}

// object answers the parameters of an endpoint that answers one object.
func objectParams(known fields) fields {
	return known.with(fields{"expand": expand})
}

// listParams answers the parameters of an endpoint that answers a page.
func listParams(filters fields) fields {
	return filters.with(fields{
		"expand": expand, "limit": integer, "starting_after": text, "ending_before": text,
	})
}

// changes picks the named parameters that came.
func changes(params object, names ...string) object {
	picked := object{}
	for _, name := range names {
		if value, came := params[name]; came {
			picked[name] = value
		}
	}
	return picked
}

// mergedMetadata is what metadata becomes: given keys are set, keys given an
// empty value are removed, and metadata given as an empty text is cleared.
func mergedMetadata(old object, params object) object {
	given, came := params["metadata"]
	if came && given == nil {
		return object{}
	}
	merged := object{}.set(old)
	for key, value := range asObject(given) {
		if value == "" {
			delete(merged, key)
		} else {
			merged[key] = value
		}
	}
	return merged
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}

func sentenceList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + ", or " + words[len(words)-1]
}

package stripesim

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxBody bounds what a request may send.
const maxBody = 1 << 20

// node is a parameter as it came: a text, or a hash of further nodes. A list is
// a hash whose keys are numbers, as Stripe's clients send it.
type node struct {
	value  string
	fields map[string]*node // nil for a text
}

// readTree reads the query and the form body into one tree. Stripe looks at
// both for every method.
func readTree(w http.ResponseWriter, r *http.Request) (*node, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, badParameter("", "", "The request body could not be read: it is cut off or larger than %d bytes.", maxBody)
	}
	if contentType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); len(body) > 0 &&
		!strings.EqualFold(strings.TrimSpace(contentType), "application/x-www-form-urlencoded") {
		return nil, badParameter("", "", "Invalid request: the body must be sent as application/x-www-form-urlencoded, not %q.", contentType)
	}
	root := &node{fields: map[string]*node{}}
	for _, encoded := range []string{r.URL.RawQuery, string(body)} {
		if err := root.addForm(encoded); err != nil {
			return nil, err
		}
	}
	return root, nil
}

func (n *node) addForm(encoded string) error {
	for pair := range strings.SplitSeq(encoded, "&") {
		if pair == "" {
			continue
		}
		rawKey, rawValue, _ := strings.Cut(pair, "=")
		key, keyErr := url.QueryUnescape(rawKey)
		value, valueErr := url.QueryUnescape(rawValue)
		if keyErr != nil || valueErr != nil {
			return badParameter("", "", "Invalid request: the parameters are not form encoded.")
		}
		path, ok := splitKey(key)
		if !ok {
			return badParameter(key, "parameter_unknown", "Received unknown parameter: %s", key)
		}
		if !n.add(path, value) {
			return badParameter(key, "", "Invalid parameter: %s is given both as a value and as a hash or list.", key)
		}
	}
	return nil
}

// splitKey takes a[b][] apart into a, b and the empty text.
func splitKey(key string) ([]string, bool) {
	name, rest, nested := strings.Cut(key, "[")
	if name == "" || !nested {
		return []string{key}, name != ""
	}
	inner, closed := strings.CutSuffix(rest, "]")
	if !closed {
		return nil, false
	}
	path := append([]string{name}, strings.Split(inner, "][")...)
	if len(path) > 10 || slices.ContainsFunc(path[1:], func(part string) bool { return strings.ContainsAny(part, "[]") }) {
		return nil, false
	}
	return path, true
}

// add answers false when the path goes through a text, or ends at a hash.
func (n *node) add(path []string, value string) bool {
	if n.fields == nil {
		return false
	}
	key := path[0]
	if key == "" {
		key = n.nextKey(path[1:])
	}
	child := n.fields[key]
	if len(path) == 1 {
		if child != nil && child.fields != nil {
			return false
		}
		n.fields[key] = &node{value: value}
		return true
	}
	if child == nil {
		child = &node{fields: map[string]*node{}}
		n.fields[key] = child
	}
	return child.add(path[1:], value)
}

// nextKey is the number that an empty pair of brackets means: a[] always begins
// a new element, a[][b] only when the last element has its b already.
func (n *node) nextKey(rest []string) string {
	last := n.fields[strconv.Itoa(len(n.fields)-1)]
	if len(rest) > 0 && last != nil && last.at(rest) == nil {
		return strconv.Itoa(len(n.fields) - 1)
	}
	return strconv.Itoa(len(n.fields))
}

func (n *node) at(path []string) *node {
	for _, part := range path {
		if n = n.fields[part]; n == nil {
			return nil
		}
	}
	return n
}

// elements are the nodes of a list in the order of their numbers.
func (n *node) elements() ([]*node, bool) {
	numbers := make([]int, 0, len(n.fields))
	for key := range n.fields {
		number, err := strconv.Atoi(key)
		if err != nil || number < 0 {
			return nil, false
		}
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)
	elements := make([]*node, len(numbers))
	for i, number := range numbers {
		elements[i] = n.fields[strconv.Itoa(number)]
	}
	return elements, true
}

// canonical is the same for the same parameters in whatever order they came.
func (n *node) canonical() string {
	if n.fields == nil {
		return strconv.Quote(n.value)
	}
	var text strings.Builder
	text.WriteByte('{')
	for _, key := range sortedKeys(n.fields) {
		fmt.Fprintf(&text, "%q:%s,", key, n.fields[key].canonical())
	}
	text.WriteByte('}')
	return text.String()
}

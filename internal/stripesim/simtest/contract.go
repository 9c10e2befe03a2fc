package simtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stripe/stripe-mock/embedded"
	"github.com/stripe/stripe-mock/server"

	"github.com/promptforge/payments/internal/stripesim"
)

// stripeMock is the official mock of Stripe at the version that serves API
// 2023-10-16. It keeps no state and judges requests: any id is found, and
// unknown, missing and mistyped parameters are refused. It prints what it does
// to standard output, which go test shows with -v and for failures.
var stripeMock = sync.OnceValues(func() (http.Handler, error) {
	spec, err := server.LoadSpec(embedded.OpenAPISpec, "")
	if err != nil {
		return nil, err
	}
	if spec.Info.Version != stripesim.APIVersion {
		return nil, fmt.Errorf("stripe-mock serves API %s, not %s", spec.Info.Version, stripesim.APIVersion)
	}
	fixtures, err := server.LoadFixtures(embedded.OpenAPIFixtures, "")
	if err != nil {
		return nil, err
	}
	stub, err := server.NewStubServer(fixtures, spec, true, false)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(stub.HandleRequest), nil
})

// document is Stripe's OpenAPI document, which stripe-mock carries.
var document = sync.OnceValues(func() (*openapi3.T, error) {
	return openapi3.NewLoader().LoadFromData(embedded.OpenAPISpec)
})

// Refusal puts a request to stripe-mock and answers its message when it
// refuses, else nothing. uri is the path with its query; body is form encoded.
func Refusal(t testing.TB, method, uri, body string) string {
	t.Helper()
	mock, err := stripeMock()
	if err != nil {
		t.Fatalf("load stripe-mock: %v", err)
	}
	request := httptest.NewRequest(method, uri, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer sk_test_123")
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Stripe-Version", stripesim.APIVersion)
	answer := httptest.NewRecorder()
	mock.ServeHTTP(answer, request)
	if answer.Code < http.StatusBadRequest {
		return ""
	}
	return fmt.Sprintf("%d %s", answer.Code, answer.Body)
}

// CheckAnswer validates a successful answer of the API against what Stripe's
// OpenAPI document says of that route.
func CheckAnswer(t testing.TB, method, path string, body []byte) error {
	t.Helper()
	doc, err := document()
	if err != nil {
		t.Fatalf("load OpenAPI document: %v", err)
	}
	operation := findOperation(doc, method, path)
	if operation == nil {
		return fmt.Errorf("no such route in Stripe's OpenAPI document: %s %s", method, path)
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return err
	}
	schema := operation.Responses.Status(http.StatusOK).Value.Content["application/json"].Schema.Value
	return schema.VisitJSON(value, openapi3.MultiErrors())
}

// findOperation prefers a path without parameters, as Stripe does.
func findOperation(doc *openapi3.T, method, path string) *openapi3.Operation {
	var found *openapi3.Operation
	for pattern, item := range doc.Paths.Map() {
		operation := item.GetOperation(method)
		if operation == nil || !matches(pattern, path) {
			continue
		}
		if pattern == path {
			return operation
		}
		found = operation
	}
	return found
}

func matches(pattern, path string) bool {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		if want[i] != got[i] && (!strings.HasPrefix(want[i], "{") || got[i] == "") {
			return false
		}
	}
	return true
}

// CheckObject validates one of Stripe's objects, as it stands in an answer or
// an event, against the schema of its kind. Beyond what the schema demands, it
// wants every field of the schema to be there, null or not, but for those named
// in absent: Stripe leaves out only what has to be asked for.
func CheckObject(t testing.TB, object map[string]any, absent ...string) error {
	t.Helper()
	doc, err := document()
	if err != nil {
		t.Fatalf("load OpenAPI document: %v", err)
	}
	kind, _ := object["object"].(string)
	if object["deleted"] == true {
		kind = "deleted_" + kind
	}
	ref := doc.Components.Schemas[kind]
	if ref == nil {
		return fmt.Errorf("no schema for %q", kind)
	}
	return checkAgainst(ref, kind, object, absent)
}

// CheckPart validates a part of an object, which has no "object" of its own, as
// CheckObject does: schema is the name of its schema in Stripe's document.
func CheckPart(t testing.TB, schema string, part map[string]any) error {
	t.Helper()
	doc, err := document()
	if err != nil {
		t.Fatalf("load OpenAPI document: %v", err)
	}
	ref := doc.Components.Schemas[schema]
	if ref == nil {
		return fmt.Errorf("no schema for %q", schema)
	}
	return checkAgainst(ref, schema, part, nil)
}

func checkAgainst(ref *openapi3.SchemaRef, kind string, object map[string]any, absent []string) error {
	err := ref.Value.VisitJSON(object, openapi3.MultiErrors())
	for field := range ref.Value.Properties {
		if _, there := object[field]; !there && !slices.Contains(absent, field) {
			err = errors.Join(err, fmt.Errorf("%s lacks the field %s", kind, field))
		}
	}
	return err
}

// CheckParam says whether the route of Stripe's OpenAPI document knows the
// parameter, which is in bracket notation: line_items[][price].
func CheckParam(t testing.TB, method, path, name string) error {
	t.Helper()
	doc, err := document()
	if err != nil {
		t.Fatalf("load OpenAPI document: %v", err)
	}
	operation := findOperation(doc, method, path)
	if operation == nil {
		return fmt.Errorf("no such route in Stripe's OpenAPI document")
	}
	parts := strings.FieldsFunc(strings.ReplaceAll(name, "[]", "[*]"), func(r rune) bool { return r == '[' || r == ']' })
	var schemas openapi3.SchemaRefs
	if operation.RequestBody != nil {
		schemas = append(schemas, operation.RequestBody.Value.Content["application/x-www-form-urlencoded"].Schema)
	}
	for _, parameter := range operation.Parameters {
		if parameter.Value.In == "query" && parameter.Value.Name == parts[0] {
			schemas, parts = openapi3.SchemaRefs{parameter.Value.Schema}, parts[1:]
			break
		}
	}
	if !knows(schemas, parts) {
		return fmt.Errorf("no parameter %s in Stripe's OpenAPI document", name)
	}
	return nil
}

// knows follows the path through any of the schemas.
func knows(schemas openapi3.SchemaRefs, parts []string) bool {
	for _, ref := range schemas {
		schema := ref.Value
		if len(parts) == 0 || knows(schema.AnyOf, parts) {
			return true
		}
		next := schema.Properties[parts[0]]
		if parts[0] == "*" {
			next = schema.Items
			if next == nil {
				next = schema.AdditionalProperties.Schema
			}
		}
		if next != nil && knows(openapi3.SchemaRefs{next}, parts[1:]) {
			return true
		}
	}
	return false
}

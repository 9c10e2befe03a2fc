package db_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/promptforge/payments/db/dbtest"
)

// TestPostgresAcceptsEveryQuery asks a real server, because sqlc generates code
// for queries that Postgres refuses (42P08, for one).
func TestPostgresAcceptsEveryQuery(t *testing.T) {
	pool := dbtest.New(t)
	files, err := filepath.Glob("*.sql.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			literal, ok := spec.Values[0].(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			query, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			seen++
			connection, err := pool.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer connection.Release()
			if _, err := connection.Conn().Prepare(t.Context(), "", query); err != nil {
				t.Errorf("%s: %s: %v", file, spec.Names[0].Name, err)
			}
			return true
		})
	}
	if seen < 30 {
		t.Errorf("only %d queries were found", seen)
	}
}

package dbtest_test

import (
	"testing"

	"github.com/promptforge/payments/db/dbtest"
)

func TestEachTestHasAFreshMigratedDatabaseOfItsOwn(t *testing.T) {
	for range 3 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			pool := dbtest.New(t)
			var users int
			if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM users").Scan(&users); err != nil || users != 0 {
				t.Errorf("users = %d, %v; want a migrated database with none", users, err)
			}
			if _, err := pool.Exec(t.Context(), `INSERT INTO users (email, name, password_hash, created_at) VALUES ('a@example.com', 'A', 'x', now())`); err != nil {
				t.Error(err)
			}
		})
	}
}

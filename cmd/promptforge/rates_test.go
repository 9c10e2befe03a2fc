package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/db/dbtest"
)

func TestRatesComeFromAFile(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	version := func() (n int64) {
		if err := pool.QueryRow(t.Context(), "SELECT version FROM metric_state").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	env := map[string]string{"DATABASE_URL": url, "BASE_CURRENCY": "USD"}
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "rates.csv")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := write("\ufeffday,currency,rate\r\n2026-03-30,EUR,1.08\r\n2026-03-31, eur, 1.0815\r\n2026-03-31,JPY,0.0067\r\n")
	out, errOut, code := call(t, env, "", "rates", "import", file)
	if code != 0 || out != "Rates into USD: 3 read, 3 new or changed.\n" {
		t.Fatalf("import: exit %d, %q, %q", code, out, errOut)
	}
	if version() == 0 {
		t.Error("whoever looks at figures does not hear of it")
	}
	before := version()
	if out, _, code := call(t, env, "", "rates", "import", file); code != 0 || !strings.Contains(out, "USD: 3 read, 0 new") || version() != before {
		t.Errorf("the same file again: exit %d, %q", code, out)
	}
	if out, _, code := call(t, env, "day,currency,rate\n2026-03-31,EUR,1.09\n", "rates", "import", "-"); code != 0 || !strings.Contains(out, "USD: 1 read, 1 new") {
		t.Errorf("a better rate: exit %d, %q", code, out)
	}
	if out, _, code := call(t, env, "day,currency,rate\n2026-03-31,USD,0.92\n", "rates", "import", "--base", "EUR", "-"); code != 0 || !strings.Contains(out, "into EUR") {
		t.Errorf("another base: exit %d, %q", code, out)
	}
	list, _, code := call(t, env, "", "rates", "list")
	want := "CURRENCY  BASE  FIRST       LAST        DAYS\nUSD       EUR   2026-03-31  2026-03-31  1\nEUR       USD   2026-03-30  2026-03-31  2\nJPY       USD   2026-03-31  2026-03-31  1\n"
	if code != 0 || list != want {
		t.Errorf("list: exit %d,\n%s", code, list)
	}
	var rate string
	if err := pool.QueryRow(t.Context(), "SELECT rate FROM exchange_rates WHERE base = 'usd' AND currency = 'eur' AND day = '2026-03-31'").Scan(&rate); err != nil || rate != "1.09" {
		t.Errorf("the rate is %s, %v", rate, err)
	}
}

func TestAFileWithAFaultIsNotImported(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": dbtest.URL(t), "BASE_CURRENCY": "USD"}
	const heading = "day,currency,rate\n"
	for name, tt := range map[string]struct {
		file string
		says []string
	}{
		"all faults at once, by line": {
			heading + "2026-03-31,EUR,1.08\n31.03.2026,EUR,1.08\n2999-01-01,EUR,1.08\n2026-03-31,EURO,1.08\n2026-03-31,USD,1\n2026-03-30,EUR,0\n2026-03-31,EUR,1.09\n",
			[]string{"nothing is imported", "line 3: \"31.03.2026\"", "line 4: 2999-01-01 has not come", "line 5: ", "line 6: USD is the base", "line 7: rate \"0\" is not above", "line 8: EUR of 2026-03-31 is on line 2"},
		},
		"a comma in a number":      {heading + "2026-03-31,EUR,1,08\n", []string{"line 2: "}},
		"a quotation mark too few": {heading + "2026-03-31,\"EUR,1.08\n", []string{"line "}},
		"no heading":               {"2026-03-31,EUR,1.08\n", []string{"line 1: the heading must be day,currency,rate"}},
		"nothing":                  {"", []string{"the file has no rates"}},
		"a heading alone":          {heading, []string{"the file has no rates"}},
	} {
		_, errOut, code := call(t, env, tt.file, "rates", "import", "-")
		for _, says := range tt.says {
			if code != 1 || !strings.Contains(errOut, says) {
				t.Errorf("%s: exit %d, %q; want %q", name, code, errOut, says)
			}
		}
	}
	if list, _, _ := call(t, env, "", "rates", "list"); strings.Contains(list, "EUR") {
		t.Errorf("something was imported:\n%s", list)
	}
	delete(env, "BASE_CURRENCY")
	for name, tt := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no base":             {[]string{"import", "-"}, 1, "by BASE_CURRENCY or --base"},
		"a base that is none": {[]string{"import", "-", "--base", "dollars"}, 1, "by BASE_CURRENCY or --base"},
		"no file":             {[]string{"import", "--base", "USD"}, 2, "which file?"},
		"a file that is none": {[]string{"import", "--base", "USD", "rates.csv"}, 1, "open the file"},
		"two files":           {[]string{"import", "a.csv", "b.csv"}, 2, "unexpected"},
		"no act":              {nil, 2, "Usage:"},
		"help":                {[]string{"-h"}, 0, "Usage:"},
		"help for import":     {[]string{"import", "-h"}, 0, "Usage:"},
	} {
		if _, errOut, code := call(t, env, "", append([]string{"rates"}, tt.args...)...); code != tt.code || !strings.Contains(errOut, tt.says) {
			t.Errorf("%s: exit %d, %q; want %d and %q", name, code, errOut, tt.code, tt.says)
		}
	}
}

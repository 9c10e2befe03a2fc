package handlers_test

import (
	"encoding/json"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/auth"
)

// metricsAnswer is the contract's, read strictly but for the figures, whose keys
// are those of analytics.Metrics.
type metricsAnswer struct {
	From              string           `json:"from"`
	To                string           `json:"to"`
	Interval          string           `json:"interval"`
	Timezone          string           `json:"timezone"`
	AsOf              string           `json:"asOf"`
	DefinitionVersion int              `json:"definitionVersion"`
	Currency          string           `json:"currency"`
	IsConverted       bool             `json:"isConverted"`
	LeftOut           []string         `json:"leftOut"`
	Plan              *string          `json:"plan"`
	Points            []map[string]any `json:"points"`
}

func (a *answer) metrics() metricsAnswer {
	a.t.Helper()
	a.want(200)
	var m metricsAnswer
	decoder := json.NewDecoder(strings.NewReader(a.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil {
		a.t.Fatalf("%v in %s", err, a.body)
	}
	return m
}

func TestAProgramReadsFigures(t *testing.T) {
	s := openShop(t).live()
	// In April nobody who was there left but Pro's customer; one has less.
	s.exec(`INSERT INTO retention_change VALUES (1, '2026-05-01', 1, 'usd', '', -9800000000, 9900000000, 1, 9900000000, 0, 0)`)
	program := s.program("sheet", auth.ReadMetrics)
	answer := program.get("/api/v1/metrics?from=2026-03&to=2026-05")
	m := answer.metrics()
	if m.From != "2026-03-01" || m.To != "2026-05-31" || m.Interval != "month" || m.Timezone != "UTC" || m.AsOf != "2026-05-20T09:30:00Z" || m.DefinitionVersion != 1 ||
		m.Currency != "usd" || m.IsConverted || m.Plan != nil || len(m.Points) != 3 {
		t.Fatalf("it covers %s", answer.body)
	}
	want := map[string][]any{
		"start":     {"2026-03-01", "2026-04-01", "2026-05-01"},
		"end":       {"2026-03-31", "2026-04-30", "2026-05-31"},
		"isRunning": {false, false, true},
		"mrr":       {"52800", "43000", "55800"},
		"arr":       {"633600", "516000", "669600"},
		"new":       {"42900", "0", "0"},
		"churn":     {"0", "-9900", "-13800"},
		"netNew":    {"42900", "-9800", "12800"},
		"customers": {3.0, 2.0, 3.0},
		"arpa":      {"17600", "21500", "18600"},
		// Of 52800 then, 43000 are left.
		"nrr":          {1.0, 43000.0 / 52800, 1.0},
		"grr":          {1.0, 42900.0 / 52800, 1.0},
		"logoChurn":    {0.0, 1.0 / 3, 0.0},
		"revenueChurn": {0.0, 9900.0 / 52800, 0.0},
		// Nothing was lost in March; reactivations are not gains.
		"quickRatio":      {nil, 100.0 / 9900, 6900.0 / 13900},
		"ltv":             {nil, nil, nil},
		"trialConversion": {nil, nil, nil},
		"fx":              {"0", "0", "0"},
	}
	for key, values := range want {
		for i, value := range values {
			if got := m.Points[i][key]; got != value {
				t.Errorf("%s of month %d is %v, want %v", key, i+1, got, value)
			}
		}
	}
	last := -1
	for _, metric := range analytics.Metrics {
		at := strings.Index(answer.body, `,"`+metric.Key+`":`)
		if at < last {
			t.Errorf("%s is missing, or not in its place", metric.Key)
		}
		last = at
	}
	if answer.header.Get("Set-Cookie") != "" || answer.header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers = %v", answer.header)
	}
}

func TestFiguresOfAPlanAndByDay(t *testing.T) {
	s := openShop(t).live()
	s.exec(`DELETE FROM flow_daily`)
	s.exec(`INSERT INTO flow_daily (gen, day, currency, plan, kind, amount_micro, customers) VALUES (1, '2026-02-10', 'usd', 'pro', 'new', 9900000000, 1), (1, '2026-02-12', 'usd', 'pilot', 'new', 333333333, 1)`)
	program := s.program("sheet", auth.ReadMetrics)
	m := program.get("/api/v1/metrics?from=2026-02-09&to=2026-02-12&interval=day").metrics()
	if len(m.Points) != 4 || m.Points[0]["mrr"] != "0" || m.Points[1]["mrr"] != "9900" || m.Points[3]["mrr"] != "10233.333333" || m.Points[3]["nrr"] != nil {
		t.Errorf("by day: %v", m.Points)
	}
	if m.Points[0]["arpa"] != nil || m.Points[3]["end"] != "2026-02-12" {
		t.Errorf("the first day is %v", m.Points[0])
	}
	m = program.get("/api/v1/metrics?from=2026-05-01&plan=pro").metrics()
	if m.Plan == nil || *m.Plan != "pro" || len(m.Points) != 1 || m.Points[0]["mrr"] != "29700" {
		t.Errorf("of a plan: %v", m)
	}
	if m := program.get("/api/v1/metrics").metrics(); len(m.Points) == 0 || m.Points[len(m.Points)-1]["mrr"] != "55800" {
		t.Errorf("asked for nothing: %v", m)
	}
}

func TestFiguresThatThereAreNotAreRefusedByParameter(t *testing.T) {
	s := openShop(t).live()
	program := s.program("sheet", auth.ReadMetrics)
	for query, fields := range map[string][]string{
		"from=yesterday":                             {"from"},
		"from=2026-13&to=tomorrow&interval=week":     {"from", "interval", "to"},
		"from=2026-05-02&to=2026-05-01":              {"from"},
		"from=2027-01-01":                            {"from"},
		"from=":                                      {"from"},
		"to=2025-01-01":                              {"to"},
		"from=2023-04&to=2026-05":                    {"from"},
		"from=2023-05-20&to=2026-05-20&interval=day": {"from"},
		"currency=eur":                               {"currency"},
		"currency=dollar":                            {"currency"},
		"plan=gold":                                  {"plan"},
		"plan=":                                      {"plan"},
		"interval=week":                              {"interval"},
		"interval=":                                  {"interval"},
		"interval=day&interval=month":                {"interval"},
		"metric=mrr&range=12m":                       {"metric", "range"},
		"from=2026-05-01&compare=year&to=the+end+of+May": {"compare", "to"},
	} {
		a := program.get("/api/v1/metrics?" + query).want(422)
		var refused struct {
			Error struct {
				Code   string
				Fields map[string]string
			}
		}
		if err := json.Unmarshal([]byte(a.body), &refused); err != nil {
			t.Fatal(err)
		}
		var got []string
		for field := range refused.Error.Fields {
			got = append(got, field)
		}
		slices.Sort(got)
		if refused.Error.Code != "invalid" || !slices.Equal(got, fields) {
			t.Errorf("%s is refused with %s", query, a.body)
		}
	}
	three := program.get("/api/v1/metrics?interval=day&" + url.Values{"from": {"2023-05-21"}, "to": {"2026-05-20"}}.Encode()).metrics()
	if len(three.Points) != 1096 {
		t.Errorf("three years have %d days", len(three.Points))
	}
}

func TestFiguresNeedAKeyForThem(t *testing.T) {
	b := setup(t)
	b.visitor().get("/api/v1/metrics").want(401)
	b.admin().get("/api/v1/metrics").want(401)
	b.program("wiki", auth.ReadEntitlements).get("/api/v1/metrics").want(403)
	empty := b.program("sheet", auth.ReadMetrics).get("/api/v1/metrics").metrics()
	if empty.Currency != "usd" || len(empty.Points) == 0 || empty.Points[0]["mrr"] != "0" || empty.Points[0]["arpa"] != nil {
		t.Errorf("before there is anything: %v", empty)
	}
}

// TestTheAPIDocumentsEveryFigure, with the unit in which it is told.
func TestTheAPIDocumentsEveryFigure(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| ((?:`[a-zA-Z]+` ?)+)\\| (money|count|ratio|quotient) \\|").FindAllStringSubmatch(string(text), -1) {
		for _, key := range regexp.MustCompile("[a-zA-Z]+").FindAllString(row[1], -1) {
			documented[key] = row[2]
		}
	}
	for _, m := range analytics.Metrics {
		if documented[m.Key] != string(m.Unit) {
			t.Errorf("%s is documented as %q, it is %s", m.Key, documented[m.Key], m.Unit)
		}
		delete(documented, m.Key)
	}
	delete(documented, "fx") // a point's own
	if len(documented) > 0 {
		t.Errorf("there are no figures such as %v", documented)
	}
}

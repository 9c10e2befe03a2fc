package billing_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/promptforge/payments/internal/billing"
)

func TestDefaultPlansAreTheOnesAdvertised(t *testing.T) {
	plans := billing.DefaultPlans()
	type offer struct {
		month, year  int64
		trial        int
		members      int64
		monthlyPrice string
	}
	want := map[string]offer{
		"pilot":      {2_900, 29_000, 14, 3, "STRIPE_PILOT_MONTHLY_PRICE_ID"},
		"pro":        {9_900, 99_000, 0, 10, "STRIPE_PRO_MONTHLY_PRICE_ID"},
		"enterprise": {39_900, 399_000, 0, 100, "STRIPE_ENTERPRISE_MONTHLY_PRICE_ID"},
	}
	got := map[string]offer{}
	for _, p := range plans.Plans {
		got[p.Code] = offer{p.PricesMinor[billing.Month], p.PricesMinor[billing.Year], p.TrialDays, p.Limits["members"], p.PriceEnv(billing.Month)}
	}
	if !maps.Equal(got, want) {
		t.Errorf("plans = %v, want %v", got, want)
	}
	if plans.Currency != "usd" {
		t.Errorf("currency = %s, want usd", plans.Currency)
	}
}

func TestNamesFollowFromTheCode(t *testing.T) {
	p := billing.Plan{Code: "team-plus"}
	if got := p.PriceEnv(billing.Year); got != "STRIPE_TEAM_PLUS_ANNUAL_PRICE_ID" {
		t.Errorf("PriceEnv = %s", got)
	}
	if got := p.LookupKey(billing.Month); got != "promptforge_team-plus_month" {
		t.Errorf("LookupKey = %s", got)
	}
}

// valid is a plans file that tests bend.
func valid() map[string]any {
	return map[string]any{
		"currency": "usd",
		"limits":   []any{map[string]any{"code": "members", "name": "Members"}},
		"features": []any{map[string]any{"code": "api", "name": "API access"}},
		"plans": []any{map[string]any{
			"code": "solo", "name": "Solo", "summary": "For one.",
			"prices_minor": map[string]any{"month": 900, "year": 9000},
			"limits":       map[string]any{"members": 1}, "features": []any{"api"},
		}},
	}
}

func TestParsePlansRefuses(t *testing.T) {
	plan := func(file map[string]any) map[string]any { return file["plans"].([]any)[0].(map[string]any) }
	for name, tt := range map[string]struct {
		bend func(map[string]any)
		want string
	}{
		"an unknown key":             {func(f map[string]any) { plan(f)["colour"] = "red" }, `unknown field "colour"`},
		"no plan":                    {func(f map[string]any) { f["plans"] = []any{} }, "there is no plan"},
		"a code twice":               {func(f map[string]any) { f["plans"] = []any{plan(f), plan(f)} }, "taken by an earlier plan"},
		"a code with a space":        {func(f map[string]any) { plan(f)["code"] = "so lo" }, "lower-case letters"},
		"an empty name":              {func(f map[string]any) { plan(f)["name"] = " " }, "the name is empty"},
		"a plan without year price":  {func(f map[string]any) { delete(plan(f)["prices_minor"].(map[string]any), "year") }, "prices_minor.year must be above 0"},
		"a negative price":           {func(f map[string]any) { plan(f)["prices_minor"].(map[string]any)["month"] = -1 }, "prices_minor.month must be above 0"},
		"a weekly price":             {func(f map[string]any) { plan(f)["prices_minor"].(map[string]any)["week"] = 1 }, "only month and year are sold"},
		"a limit without a name":     {func(f map[string]any) { plan(f)["limits"].(map[string]any)["seats"] = 1 }, `limit "seats" is not named`},
		"a limit of zero":            {func(f map[string]any) { plan(f)["limits"].(map[string]any)["members"] = 0 }, `limit "members" must be above 0`},
		"a feature without a name":   {func(f map[string]any) { plan(f)["features"] = []any{"sso"} }, `feature "sso" is not named`},
		"a trial of three years":     {func(f map[string]any) { plan(f)["trial_days"] = 1095 }, "trial_days must be 0 to 730"},
		"a currency that is no code": {func(f map[string]any) { f["currency"] = "USD" }, "lower-case three-letter code"},
	} {
		t.Run(name, func(t *testing.T) {
			file := valid()
			tt.bend(file)
			_, err := billing.ParsePlans(marshal(t, file))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one that says %q", err, tt.want)
			}
		})
	}
	if _, err := billing.ParsePlans(append(marshal(t, valid()), '{')); err == nil {
		t.Error("a file with something behind it was accepted")
	}
}

func TestParsePlansNamesEveryFaultAtOnce(t *testing.T) {
	file := valid()
	plan := file["plans"].([]any)[0].(map[string]any)
	plan["name"], plan["trial_days"] = "", -1
	_, err := billing.ParsePlans(marshal(t, file))
	for _, want := range []string{"the name is empty", "trial_days"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want it to mention %q", err, want)
		}
	}
}

func TestRankFollowsTheFile(t *testing.T) {
	plans := billing.DefaultPlans()
	var ranks []int
	for _, code := range []string{"pilot", "pro", "enterprise", "gone"} {
		ranks = append(ranks, plans.Rank(code))
	}
	if !slices.Equal(ranks, []int{0, 1, 2, -1}) {
		t.Errorf("ranks = %v", ranks)
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

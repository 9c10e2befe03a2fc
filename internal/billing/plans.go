package billing

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/promptforge/payments/internal/money"
)

//go:embed plans.json
var defaultPlans []byte

// DefaultPlans are the embedded plans, which PLANS_FILE replaces.
func DefaultPlans() Plans {
	plans, err := ParsePlans(defaultPlans)
	if err != nil {
		panic(fmt.Sprintf("embedded plans.json: %v", err)) // a test parses it
	}
	return plans
}

// Plans is what is for sale, in order of the pricing page. One file declares
// it; adding a plan is an edit of that file alone.
type Plans struct {
	Currency money.Currency `json:"currency"`
	// Limits and Features are what a plan may grant, in order of the
	// comparison on the pricing page.
	Limits   []Named `json:"limits"`
	Features []Named `json:"features"`
	Plans    []Plan  `json:"plans"`
}

// Named is a limit or a feature: its code for programs, its name for people.
type Named struct {
	Code string `json:"code"`
	Name string `json:"name"`
}

// Plan is one thing for sale.
type Plan struct {
	// Code names the plan in URLs, rows and environment variables.
	Code    string `json:"code"`
	Name    string `json:"name"`
	Summary string `json:"summary"`
	// PricesMinor is the price of a month and of a year.
	PricesMinor map[Interval]int64 `json:"prices_minor"`
	TrialDays   int                `json:"trial_days,omitempty"`
	Recommended bool               `json:"recommended,omitempty"`
	Limits      map[string]int64   `json:"limits"`
	Features    []string           `json:"features"`
}

// Has reports whether the plan includes a feature.
func (p Plan) Has(feature string) bool { return slices.Contains(p.Features, feature) }

// PriceEnv is the environment variable that names the price sold for a plan and
// interval: "STRIPE_PRO_ANNUAL_PRICE_ID".
func (p Plan) PriceEnv(i Interval) string {
	word := map[Interval]string{Month: "MONTHLY", Year: "ANNUAL"}[i]
	code := strings.ToUpper(strings.ReplaceAll(p.Code, "-", "_"))
	return "STRIPE_" + code + "_" + word + "_PRICE_ID"
}

// LookupKey is the lookup key of the price sold for a plan and interval:
// "promptforge_pro_year".
func (p Plan) LookupKey(i Interval) string {
	return "promptforge_" + p.Code + "_" + string(i)
}

// Intervals are the two that are sold.
func Intervals() []Interval { return []Interval{Month, Year} }

// ByCode finds a plan.
func (p Plans) ByCode(code string) (Plan, bool) {
	i := slices.IndexFunc(p.Plans, func(plan Plan) bool { return plan.Code == code })
	if i < 0 {
		return Plan{}, false
	}
	return p.Plans[i], true
}

// Rank is the place of a plan among those for sale, from 0 for the smallest; -1
// for a plan that is not for sale any more.
func (p Plans) Rank(code string) int {
	return slices.IndexFunc(p.Plans, func(plan Plan) bool { return plan.Code == code })
}

// ParsePlans reads a plans file. It refuses unknown keys, and names every fault
// in one error.
func ParsePlans(file []byte) (Plans, error) {
	var plans Plans
	decoder := json.NewDecoder(bytes.NewReader(file))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&plans); err != nil {
		return Plans{}, fmt.Errorf("read plans: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Plans{}, errors.New("read plans: something follows the closing brace")
	}
	if err := plans.check(); err != nil {
		return Plans{}, fmt.Errorf("plans: %w", err)
	}
	return plans, nil
}

var codePattern = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

func (p Plans) check() error {
	var faults []error
	if c, err := money.ParseCurrency(string(p.Currency)); err != nil || c != p.Currency {
		faults = append(faults, fmt.Errorf("currency %q is not a lower-case three-letter code", p.Currency))
	}
	if len(p.Plans) == 0 {
		faults = append(faults, errors.New("there is no plan"))
	}
	seen := map[string]bool{}
	for i, plan := range p.Plans {
		name := fmt.Sprintf("plan %d (%q)", i+1, plan.Code)
		if seen[plan.Code] {
			faults = append(faults, fmt.Errorf("%s: the code is taken by an earlier plan", name))
		}
		seen[plan.Code] = true
		for _, fault := range p.checkPlan(plan) {
			faults = append(faults, fmt.Errorf("%s: %w", name, fault))
		}
	}
	return errors.Join(faults...)
}

func (p Plans) checkPlan(plan Plan) (faults []error) {
	if !codePattern.MatchString(plan.Code) || len(plan.Code) > 40 {
		faults = append(faults, errors.New("the code must be lower-case letters, digits and single hyphens, at most 40"))
	}
	if strings.TrimSpace(plan.Name) == "" {
		faults = append(faults, errors.New("the name is empty"))
	}
	for _, i := range Intervals() {
		if plan.PricesMinor[i] <= 0 {
			faults = append(faults, fmt.Errorf("prices_minor.%s must be above 0", i))
		}
	}
	for i := range plan.PricesMinor {
		if !slices.Contains(Intervals(), i) {
			faults = append(faults, fmt.Errorf("prices_minor.%s: only month and year are sold", i))
		}
	}
	if plan.TrialDays < 0 || plan.TrialDays > 730 {
		faults = append(faults, errors.New("trial_days must be 0 to 730"))
	}
	for _, limit := range slices.Sorted(maps.Keys(plan.Limits)) {
		if !named(p.Limits, limit) {
			faults = append(faults, fmt.Errorf("limit %q is not named in \"limits\"", limit))
		}
		if plan.Limits[limit] <= 0 {
			faults = append(faults, fmt.Errorf("limit %q must be above 0", limit))
		}
	}
	for _, feature := range plan.Features {
		if !named(p.Features, feature) {
			faults = append(faults, fmt.Errorf("feature %q is not named in \"features\"", feature))
		}
	}
	return faults
}

func named(all []Named, code string) bool {
	return slices.ContainsFunc(all, func(n Named) bool { return n.Code == code && n.Name != "" })
}

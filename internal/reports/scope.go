package reports

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/money"
)

// Query is what figures are asked for. The zero Query is the twelve months up to
// the running one, of the account, in the currency that most of MRR is in.
type Query struct {
	// First and Last are days, both included; they are widened to whole intervals.
	// One that is zero is that of the twelve months up to the running one.
	First, Last time.Time
	// Recent is how far back to begin instead, where First is zero.
	Recent Recent
	// Interval is how long a period is; empty: a month.
	Interval analytics.Interval
	// Currency may be InBase. It is empty for Prefer, where there are figures in it, or else for the
	// currency with most MRR.
	Currency, Prefer money.Currency
	// Plan is a code, analytics.UnknownPlan, or empty for the account.
	Plan string
	// Compare is what each period is set beside.
	Compare Comparison
	// IsLong allows MaxLongDays by day or week instead of MaxDays, where nobody
	// draws them.
	IsLong bool
}

// Recent is a stretch of days that ends with today. The first of its fields that
// is set holds; the zero Recent is the twelve months.
type Recent struct {
	// Days counts today as the first one.
	Days int
	// Months counts the running one as the first. More than twelve are cut short
	// where nothing moved yet, but not to less than twelve.
	Months int
	// ThisYear begins with January, All with Scope.Earliest or with the twelve
	// months where that is later.
	ThisYear, All bool
}

// Comparison is what the periods of a report are set beside.
type Comparison string

// The comparisons: with nothing, with as many periods right before, or with the
// same periods of the year before.
const (
	CompareNone     Comparison = ""
	ComparePrevious Comparison = "previous"
	CompareYear     Comparison = "year"
)

// The limits of what can be asked for at once.
const (
	// MaxDays is how many days a series by day or week may have.
	MaxDays = 366
	// MaxLongDays is the same for what is long: three years.
	MaxLongDays = 3*365 + 1
	// MaxYears is how far back one may look.
	MaxYears = 10
	// defaultMonths are shown to who asks for nothing else.
	defaultMonths = 12
)

// Scope is what a report covers, with everything that goes without saying said.
type Scope struct {
	AsOf time.Time
	// Zone is where the days and months of the figures begin and end.
	Zone *time.Location
	// Generation computed the figures, by the rules of Definition.
	Generation int32
	Definition int
	// FiguresVersion is that of metric_state: the same version, the same figures.
	FiguresVersion int64
	// Today is the date of AsOf in the zone, Earliest the first day that may be
	// asked for: the first of the month in which anything moved first, ten years
	// ago at most. Both are midnight UTC, as all days are.
	Today, Earliest time.Time
	// Currencies and Plans are all that there are figures of, in order of code.
	Currencies []money.Currency
	Plans      []string

	Interval analytics.Interval
	Currency money.Currency
	// DefaultCurrency is the one of a query that names none.
	DefaultCurrency money.Currency
	// Base is the currency in which all of them can be added up; empty: there is
	// none. IsConverted says that this was asked for: Currency is then Base, and
	// Unconverted are those that are left out for want of a rate. Rates are known
	// up to the day RatesUntil, which is zero where none was needed.
	Base        money.Currency
	IsConverted bool
	Unconverted []money.Currency
	RatesUntil  time.Time
	Plan        string
	Compare     Comparison
	// Periods are what is shown, Compared those each of which a period is set
	// beside, nil where there are none; they are as many.
	Periods, Compared []analytics.Period
}

// Covers is the scope itself. A report has it from the scope that it embeds, so
// that whoever shows reports of any kind can say what they cover.
func (s Scope) Covers() Scope { return s }

// First is the first day that is shown, Last the last one.
func (s Scope) First() time.Time { return s.Periods[0].Start }

// Last is the last day that is shown; it may be ahead of today.
func (s Scope) Last() time.Time { return s.Periods[len(s.Periods)-1].Last() }

// within reads a report in one snapshot, so that its figures agree.
func (r *Reports) within(ctx context.Context, query Query, read func(*db.Queries, Scope) error) error {
	return r.snapshot(ctx, func(q *db.Queries) error {
		scope, err := r.scope(ctx, q, query)
		if err != nil {
			return err
		}
		if scope.IsConverted {
			return refuseField("currency", "Choose one currency here: only revenue can be added up.")
		}
		return read(q, scope)
	})
}

// Scope says what a query covers. One that makes no sense is a *billing.Refusal
// whose fields are "from", "to", "interval", "currency", "plan" or "compare".
func (r *Reports) Scope(ctx context.Context, query Query) (Scope, error) {
	var out Scope
	err := r.withinAny(ctx, query, func(_ *db.Queries, s Scope) error {
		out = s
		return nil
	})
	if err != nil {
		return Scope{}, fmt.Errorf("scope of figures: %w", err)
	}
	return out, nil
}

func (r *Reports) scope(ctx context.Context, q *db.Queries, query Query) (Scope, error) {
	s := Scope{AsOf: r.Now(), Interval: query.Interval, Plan: query.Plan, Compare: query.Compare}
	if s.Interval == "" {
		s.Interval = analytics.Monthly
	}
	live, err := q.LiveFigures(ctx)
	if err != nil {
		return s, fmt.Errorf("live definition: %w", err)
	}
	s.Generation, s.Definition, s.FiguresVersion = live.Gen, int(live.Definition), live.Version
	if s.Zone, err = time.LoadLocation(live.TimeZone); err != nil {
		return s, fmt.Errorf("time zone of the live definition: %w", err)
	}
	s.Today = analytics.DayOf(s.AsOf, s.Zone)
	running := analytics.Monthly.Start(s.Today)
	firstFlow, err := q.FirstFlow(ctx, db.FirstFlowParams{Gen: live.Gen, Otherwise: running})
	if err != nil {
		return s, fmt.Errorf("first month: %w", err)
	}
	s.Earliest = earliestMonth(firstFlow, running)
	segments, err := q.FigureSegments(ctx, s.Generation)
	if err != nil {
		return s, fmt.Errorf("currencies and plans: %w", err)
	}
	most := int64(-1)
	for _, segment := range segments {
		currency := money.Currency(segment.Currency)
		if !slices.Contains(s.Currencies, currency) {
			s.Currencies = append(s.Currencies, currency)
		}
		if !slices.Contains(s.Plans, segment.Plan) {
			s.Plans = append(s.Plans, segment.Plan)
		}
		if segment.MRRMicro > most {
			most, s.Currency = segment.MRRMicro, currency
		}
	}
	slices.Sort(s.Plans)
	if err := r.findBase(ctx, q, &s); err != nil {
		return s, err
	}
	return s, s.choose(query)
}

// choose takes up what the query says.
func (s *Scope) choose(query Query) error {
	if query.Prefer != "" && (len(s.Currencies) == 0 || slices.Contains(s.Currencies, query.Prefer)) {
		s.Currency = query.Prefer
	}
	s.DefaultCurrency = s.Currency
	if query.Currency == InBase {
		if err := s.convert(); err != nil {
			return err
		}
	} else if query.Currency != "" {
		if len(s.Currencies) > 0 && !slices.Contains(s.Currencies, query.Currency) {
			return refuseField("currency", "There are no figures in this currency.")
		}
		s.Currency = query.Currency
	}
	if query.Plan != "" && len(s.Plans) > 0 && !slices.Contains(s.Plans, query.Plan) {
		return refuseField("plan", "There are no figures of this plan.")
	}
	if _, err := analytics.ParseInterval(string(s.Interval)); err != nil {
		return refuseField("interval", "Choose days, weeks or months.")
	}
	maxDays := MaxDays
	if query.IsLong {
		maxDays = MaxLongDays
	}
	first, last, err := s.span(query.First, query.Last, query.Recent, maxDays)
	if err != nil {
		return err
	}
	s.Periods = analytics.Periods(first, last, s.Today, s.Interval)
	switch query.Compare {
	case CompareNone:
	case ComparePrevious:
		s.Compared = s.before(len(s.Periods))
	case CompareYear:
		s.Compared = s.yearBefore()
	default:
		return refuseField("compare", "Choose nothing, the periods before, or the year before.")
	}
	return nil
}

// span is the first and the last day to show.
func (s *Scope) span(first, last time.Time, recent Recent, maxDays int) (time.Time, time.Time, error) {
	running := analytics.Monthly.Start(s.Today)
	isFirstSaid, isLastSaid := !first.IsZero(), !last.IsZero()
	if !isLastSaid {
		last = s.Today
	}
	if !isFirstSaid {
		first = s.begin(last, recent)
	}
	refuse := func(field, message string) (time.Time, time.Time, error) {
		return first, last, refuseField(field, message)
	}
	limit := running.AddDate(-MaxYears, 0, 0)
	switch {
	case isFirstSaid && first.Before(limit):
		return refuse("from", "Choose a day of the last ten years.")
	case isLastSaid && last.Before(s.Earliest):
		return refuse("to", "There is nothing before "+s.Earliest.Format("2 Jan 2006")+".")
	case first.After(s.Today):
		return refuse("from", "The first day has not come yet.")
	case first.After(last):
		return refuse("from", "The first day is after the last one.")
	case s.Interval != analytics.Monthly && first.AddDate(0, 0, maxDays).Before(last) && maxDays > MaxDays:
		return refuse("from", "Choose at most three years.")
	case s.Interval != analytics.Monthly && first.AddDate(0, 0, maxDays).Before(last):
		return refuse("interval", "Choose months for more than a year.")
	case s.Interval == analytics.Monthly && first.AddDate(MaxYears, 1, 0).Before(last):
		return refuse("from", "Choose at most ten years.")
	}
	return first, last, nil
}

// earliestMonth is the first that may be asked for: that in which anything moved
// first, if it is not too long ago.
func earliestMonth(firstFlow, running time.Time) time.Time {
	if limit := running.AddDate(-MaxYears, 0, 0); firstFlow.Before(limit) {
		return limit
	}
	return firstFlow
}

// begin is the first day of what ends with the last one.
func (s *Scope) begin(last time.Time, recent Recent) time.Time {
	month := analytics.Monthly.Start(last)
	usual := month.AddDate(0, 1-defaultMonths, 0)
	floor := usual
	if s.Earliest.Before(floor) {
		floor = s.Earliest
	}
	first := usual
	switch {
	case recent.Days > 0:
		return last.AddDate(0, 0, 1-recent.Days)
	case recent.Months > 0:
		first = month.AddDate(0, 1-recent.Months, 0)
	case recent.ThisYear:
		return month.AddDate(0, 1-int(month.Month()), 0)
	case recent.All:
		return floor
	}
	if first.Before(floor) {
		return floor
	}
	return first
}

// before are as many periods right before the first one.
func (s *Scope) before(n int) []analytics.Period {
	start := s.Periods[0].Start
	for range n {
		start = s.Interval.Start(start.AddDate(0, 0, -1))
	}
	return analytics.Periods(start, s.Periods[0].Start.AddDate(0, 0, -1), s.Today, s.Interval)
}

// yearBefore are the same periods of the year before: the same months, or days
// and weeks that begin 52 weeks earlier, on the same day of the week.
func (s *Scope) yearBefore() []analytics.Period {
	var out []analytics.Period
	for _, p := range s.Periods {
		start := p.Start.AddDate(0, 0, -52*7)
		if s.Interval == analytics.Monthly {
			start = p.Start.AddDate(-1, 0, 0)
		}
		out = append(out, analytics.Period{Start: start, End: s.Interval.Next(start)})
	}
	return out
}

func refuseField(field, message string) error {
	return &billing.Refusal{Code: billing.CodeInvalid, Message: message, Fields: map[string]string{field: message}}
}

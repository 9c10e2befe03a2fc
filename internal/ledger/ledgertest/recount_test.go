package ledgertest_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/db/dbtest"
	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/ledger"
	"github.com/promptforge/payments/internal/ledger/ledgertest"
	"github.com/promptforge/payments/internal/money"
	"github.com/promptforge/payments/internal/reports"
)

var (
	begin = time.Date(2023, 11, 20, 9, 30, 0, 0, time.UTC)
	end   = time.Date(2026, 3, 31, 21, 0, 0, 0, time.UTC)
)

func population(seed uint64, end time.Time) ledgertest.Population {
	return ledgertest.Population{Seed: seed, Begin: begin, End: end, Every: 60 * 24 * time.Hour, Currencies: []money.Currency{"usd", "eur", "jpy"}}
}

func lives(p ledgertest.Population, n int) []ledgertest.Customer {
	var out []ledgertest.Customer
	for i := range n {
		out = append(out, p.Customer(i))
	}
	return out
}

// company is a database with its ledger.
type company struct {
	*testing.T
	pool *pgxpool.Pool
	q    *db.Queries
	now  atomic.Pointer[time.Time]
	zone *time.Location
	// known are the observations that have arrived, by Stripe's customer.
	known map[string][]analytics.Observation
}

func found(t *testing.T, zone string) *company {
	t.Helper()
	c := &company{T: t, pool: dbtest.New(t), known: map[string][]analytics.Observation{}}
	c.q = db.New(c.pool)
	var err error
	c.zone, err = time.LoadLocation(zone)
	c.must(err)
	c.exec(`UPDATE metric_generation SET time_zone = $1, definition = $2`, zone, ledger.Rules)
	for _, p := range ledgertest.Prices() {
		raw, err := json.Marshal(p.Amounts)
		c.must(err)
		_, err = c.q.RememberPrice(c.Context(), db.RememberPriceParams{
			StripePriceID: p.ID, Plan: p.Plan, Interval: string(p.Interval), IntervalCount: int32(p.IntervalCount), //nolint:gosec // 1
			UsageType: p.UsageType, Product: p.ProductID, Amounts: raw, SeenAt: begin,
		})
		c.must(err)
	}
	for _, d := range ledgertest.Coupons() {
		raw, err := json.Marshal(d.AmountsOff)
		c.must(err)
		if d.AmountsOff == nil {
			raw = []byte(`{}`)
		}
		c.must(c.q.RememberCoupon(c.Context(), db.RememberCouponParams{
			StripeCouponID: d.ID, Duration: d.Duration, PercentOff: d.PercentOff, AmountsOff: raw, SeenAt: begin,
		}))
	}
	c.now.Store(&begin)
	return c
}

func (c *company) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

func (c *company) exec(sql string, args ...any) {
	c.Helper()
	_, err := c.pool.Exec(c.Context(), sql, args...)
	c.must(err)
}

func (c *company) clock() time.Time { return *c.now.Load() }

// worker is the ledger of one process.
func (c *company) worker() *ledger.Ledger {
	return &ledger.Ledger{Pool: c.pool, Now: c.clock, Logger: slog.New(slog.DiscardHandler)}
}

// letter is an observation on its way.
type letter struct {
	arrives time.Time
	stripe  string
	analytics.Observation
}

// letters are what the lives make Stripe send: most arrive within a minute, many
// hours late, some weeks late, and one in six twice. Whoever waits too long asks,
// and is told how things stand.
func letters(customers []ledgertest.Customer, r *rand.Rand) []letter {
	var out []letter
	for _, c := range customers {
		for _, s := range c.Subscriptions {
			for i, state := range s.States {
				o := analytics.Observation{
					SubscriptionID: s.ID, Source: analytics.SourceEvent, SourceID: fmt.Sprintf("evt_%s_%d", s.ID, i), Kind: analytics.Updated,
					At: state.At, ObjectCreated: s.States[0].At, After: state.Facts, Complete: true,
				}
				switch {
				case i == 0:
					o.Kind = analytics.Created
				case state.Facts.Status.IsTerminal():
					o.Kind = analytics.Deleted
				}
				if i > 0 {
					before := s.States[i-1].Facts
					if before.Equal(state.Facts) {
						continue // Stripe says nothing of it
					}
					o.Before = &before
				}
				delay := time.Duration(r.IntN(60)) * time.Second
				switch r.IntN(12) {
				case 0, 1, 2:
					delay = time.Duration(r.IntN(36)) * time.Hour
				case 3:
					delay = time.Duration(r.IntN(60)) * 24 * time.Hour
				}
				out = append(out, letter{state.At.Add(delay), s.StripeID, o})
				if r.IntN(6) == 0 {
					out = append(out, letter{state.At.Add(delay).Add(time.Duration(r.IntN(200)) * time.Hour), s.StripeID, o})
				}
				isCurrent := i+1 == len(s.States) || s.States[i+1].At.After(state.At.Add(2*time.Hour))
				if delay > 2*time.Hour && isCurrent {
					asked := state.At.Add(time.Hour)
					read := o
					read.Source, read.Kind, read.Before, read.At = analytics.SourceRead, analytics.Read, nil, asked
					read.SourceID = fmt.Sprintf("read_%s_%d", s.ID, i)
					out = append(out, letter{asked, s.StripeID, read})
				}
			}
		}
	}
	slices.SortStableFunc(out, func(a, b letter) int { return a.arrives.Compare(b.arrives) })
	return out
}

// receive takes letters of some of Stripe's customers in, each customer in a
// transaction of its own, as payments does: fold, write by difference, mark.
func (c *company) receive(ctx context.Context, mail map[string][]analytics.Observation) error {
	for _, stripe := range slices.Sorted(mapKeys(mail)) {
		before := folded(c.known[stripe])
		c.known[stripe] = append(c.known[stripe], mail[stripe]...)
		after := folded(c.known[stripe])
		var rows []db.SubscriptionVersion
		var gone []db.DeleteVersionParams
		for key := range before {
			if _, ok := after[key]; !ok {
				gone = append(gone, db.DeleteVersionParams{SubscriptionID: key.id, At: key.at})
			}
		}
		for key, v := range after {
			if had, ok := before[key]; ok && had.Facts.Equal(v.Facts) {
				continue
			}
			facts, err := json.Marshal(v.Facts)
			if err != nil {
				return err
			}
			rows = append(rows, db.SubscriptionVersion{
				SubscriptionID: key.id, At: key.at, StripeCustomerID: stripe, Facts: facts, Source: string(v.Source), SourceID: v.SourceID,
			})
		}
		if len(rows)+len(gone) == 0 {
			continue
		}
		if err := c.write(ctx, stripe, rows, gone); err != nil {
			return fmt.Errorf("write %s: %w", stripe, err)
		}
	}
	return nil
}

func (c *company) write(ctx context.Context, stripe string, rows []db.SubscriptionVersion, gone []db.DeleteVersionParams) error {
	return db.InTx(ctx, c.pool, func(_ pgx.Tx, q *db.Queries) error {
		var err error
		q.DeleteVersion(ctx, gone).Exec(func(_ int, e error) {
			if e != nil {
				err = e
			}
		})
		if err != nil {
			return err
		}
		raw, err := json.Marshal(rows)
		if err != nil {
			return err
		}
		if len(rows) > 0 {
			if err := q.WriteVersions(ctx, raw); err != nil {
				return err
			}
		}
		return q.MarkDirty(ctx, []string{stripe})
	})
}

type versionKey struct {
	id string
	at time.Time
}

func folded(observations []analytics.Observation) map[versionKey]analytics.Version {
	bySubscription := map[string][]analytics.Observation{}
	for _, o := range observations {
		bySubscription[o.SubscriptionID] = append(bySubscription[o.SubscriptionID], o)
	}
	out := map[versionKey]analytics.Version{}
	for _, all := range bySubscription {
		for _, v := range analytics.Versions(all) {
			out[versionKey{v.SubscriptionID, v.At}] = v
		}
	}
	return out
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// enrol writes the organizations and Stripe's customers. Of every third
// organization it is only found out later whose customer it is.
func (c *company) enrol(customers []ledgertest.Customer) (later map[string]uuid.UUID) {
	c.Helper()
	later = map[string]uuid.UUID{}
	for i, customer := range customers {
		var org *uuid.UUID
		if customer.Org != uuid.Nil {
			org = &customer.Org
			c.exec(`INSERT INTO organizations (id, name, created_at) VALUES ($1, $2, $3)`, customer.Org, fmt.Sprint("Organization ", i), begin)
		}
		for _, id := range customer.StripeIDs {
			owner := org
			if org != nil && i%3 == 0 {
				later[id], owner = *org, nil
			}
			c.exec(`INSERT INTO customers (stripe_customer_id, org_id, is_current, livemode, created_at) VALUES ($1, $2, false, false, $3)`, id, owner, begin)
		}
	}
	return later
}

// liveThrough lets the letters arrive, over so many rounds in which some ledgers
// step at once while others write.
func (c *company) liveThrough(customers []ledgertest.Customer, r *rand.Rand, now time.Time, rounds, ledgers int) {
	c.Helper()
	later := c.enrol(customers)
	mail := letters(customers, r)
	links := slices.Sorted(mapKeys(later))
	ctx, stop := context.WithCancel(c.Context())
	defer stop()
	var steppers sync.WaitGroup
	errs := make(chan error, ledgers)
	if ledgers > 1 {
		for range ledgers {
			l := c.worker()
			steppers.Go(func() {
				for ctx.Err() == nil {
					n, err := l.Step(c.Context())
					if err != nil {
						errs <- err
						return
					}
					if n == 0 {
						time.Sleep(time.Millisecond)
					}
				}
			})
		}
	}
	alone := c.worker()
	for round := range rounds {
		at := begin.Add(now.Sub(begin) / time.Duration(rounds) * time.Duration(round+1))
		if round == rounds-1 {
			at = now
		}
		c.now.Store(&at)
		n, _ := slices.BinarySearchFunc(mail, at, func(l letter, at time.Time) int { return cmp.Or(l.arrives.Compare(at), -1) })
		if round == rounds-1 {
			n = len(mail)
		}
		arrived := slices.Clone(mail[:n])
		mail = mail[n:]
		r.Shuffle(len(arrived), func(i, j int) { arrived[i], arrived[j] = arrived[j], arrived[i] })
		c.deliver(arrived)
		if k := len(links) * (round + 1) / rounds; round > 0 {
			for _, id := range links[len(links)*round/rounds : k] {
				c.exec(`WITH linked AS (UPDATE customers SET org_id = $2 WHERE stripe_customer_id = $1 RETURNING stripe_customer_id)
					INSERT INTO metric_dirty (customer_id) SELECT stripe_customer_id FROM linked`, id, later[id])
			}
		} else {
			for _, id := range links[:k] {
				c.exec(`UPDATE customers SET org_id = $2 WHERE stripe_customer_id = $1`, id, later[id])
			}
		}
		if ledgers <= 1 && round%2 == 0 {
			_, err := alone.Step(c.Context())
			c.must(err)
		}
	}
	stop()
	steppers.Wait()
	close(errs)
	for err := range errs {
		c.must(err)
	}
	c.settle()
}

// deliver takes up what arrived: four at once, none two of one customer.
func (c *company) deliver(arrived []letter) {
	c.Helper()
	const doors = 4
	var halls [doors]map[string][]analytics.Observation
	for i := range halls {
		halls[i] = map[string][]analytics.Observation{}
	}
	for _, l := range arrived {
		hall := halls[int(l.stripe[len(l.stripe)-1]+l.stripe[len(l.stripe)-2])%doors]
		hall[l.stripe] = append(hall[l.stripe], l.Observation)
		if _, ok := c.known[l.stripe]; !ok {
			c.known[l.stripe] = nil
		}
	}
	group, ctx := errgroup.WithContext(c.Context())
	results := make([]company, doors)
	for i, hall := range halls {
		// Each has what it knows to itself.
		part := &results[i]
		part.pool, part.known = c.pool, map[string][]analytics.Observation{}
		for stripe := range hall {
			part.known[stripe] = c.known[stripe]
		}
		group.Go(func() error { return part.receive(ctx, hall) })
	}
	c.must(group.Wait())
	for i := range results {
		for stripe, known := range results[i].known {
			c.known[stripe] = known
		}
	}
}

func (c *company) settle() {
	c.Helper()
	l := c.worker()
	for range 1000 {
		settled, err := l.Settled(c.Context())
		c.must(err)
		if settled {
			c.must(l.Verify(c.Context()))
			return
		}
		_, err = l.Step(c.Context())
		c.must(err)
	}
	c.Fatal("a thousand steps did not settle the ledger")
}

// everything is all that the ledger keeps, as text.
func (c *company) everything() string {
	c.Helper()
	var parts []string
	for _, table := range []string{
		"customer_day", "customer_movement", "customer_subscription", "customer_level", "flow_daily", "flow_monthly",
		"customer_pledge", "pledge_daily", "pledge_monthly", "trial_outcome", "trial_daily", "cohort_change", "retention_change", "metric_clock",
	} {
		parts = append(parts, fmt.Sprintf(`SELECT '%s ' || t::text FROM %s t`, table, table))
	}
	rows, err := c.pool.Query(c.Context(), strings.Join(parts, " UNION ALL ")+" ORDER BY 1")
	c.must(err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	c.must(err)
	return strings.Join(lines, "\n")
}

// TestFiguresEqualARecount lets a thousand customers live, has Stripe tell of it
// late, twice and in any order to a ledger, to eight of them at once, and to one
// that is told all of it at the end: they keep the same rows, and everything that
// is reported of them is what a naive recount of the lives comes to.
func TestFiguresEqualARecount(t *testing.T) {
	t.Parallel()
	const customers, seed = 1000, 20261124
	now := end.AddDate(0, 1, 14)
	truth := lives(population(seed, end), customers)

	one := found(t, "America/New_York")
	one.liveThrough(truth, rand.New(rand.NewPCG(seed, 1)), now, 40, 1)
	want := one.everything()

	for name, other := range map[string]struct{ rounds, ledgers int }{"eight at once": {30, 8}, "from scratch": {1, 1}} {
		t.Run(name, func(t *testing.T) {
			c := found(t, "America/New_York")
			c.liveThrough(truth, rand.New(rand.NewPCG(seed, uint64(other.rounds))), now, other.rounds, other.ledgers)
			if got := c.everything(); got != want {
				t.Errorf("what it keeps differs from one ledger alone (-want +got):\n%.3000s", gocmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")))
			}
		})
	}

	n := recount(truth, one.zone, begin, now)
	r := &reports.Reports{Pool: one.pool, Now: one.clock}
	for _, currency := range []money.Currency{"usd", "eur", "jpy"} {
		for _, plan := range []string{"", "pilot", "pro", "enterprise", "storage"} {
			t.Run(strings.TrimSpace(fmt.Sprint(currency, " ", plan)), func(t *testing.T) {
				compareSeries(t, n, r, reports.Query{Currency: currency, Plan: plan, Recent: reports.Recent{All: true}})
				if plan != "storage" {
					compareCohorts(t, n, r, reports.Query{Currency: currency, Plan: plan, Recent: reports.Recent{All: true}})
				}
				if plan == "" {
					compareSeries(t, n, r, reports.Query{Currency: currency, Plan: plan, Interval: analytics.Daily, Recent: reports.Recent{Days: 100}})
					compareSeries(t, n, r, reports.Query{Currency: currency, Plan: plan, Interval: analytics.Weekly, Recent: reports.Recent{Days: 300}})
					comparePlans(t, n, r, reports.Query{Currency: currency})
					compareLargest(t, n, r, currency)
				}
			})
		}
	}
}

// differ says where two of a thing differ.
func differ[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("%s differ (-recount +report):\n%s", what, diff)
	}
}

func compareSeries(t *testing.T, n *naive, r *reports.Reports, query reports.Query) {
	t.Helper()
	figures, err := r.Series(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	if figures.Interval == analytics.Monthly && len(figures.Points) < 29 {
		t.Fatalf("there are %d months", len(figures.Points))
	}
	var change int64
	for _, p := range figures.Points {
		name := fmt.Sprint(p.Start.Format(time.DateOnly), " ", query.Interval)
		differ(t, "opening of "+name, n.level(p.Start.AddDate(0, 0, -1), query.Currency, query.Plan), p.Opening)
		differ(t, "closing of "+name, n.level(p.Last(), query.Currency, query.Plan), p.Closing)
		ending, trial := n.pledged(p.Last(), query.Currency, query.Plan)
		differ(t, "pledges of "+name, [2]int64{ending, trial}, [2]int64{p.EndingMicro, p.TrialMicro})
		if query.Plan == "" {
			differ(t, "movements of "+name, n.moved(p.Start, p.End, query.Currency), p.Moved)
		} else {
			var sum analytics.Level
			for _, by := range p.Moved {
				sum.MRRMicro, sum.Customers = sum.MRRMicro+by.MRRMicro, sum.Customers+by.Customers
			}
			differ(t, "sum of what moved in "+name, analytics.Level{
				MRRMicro: p.Closing.MRRMicro - p.Opening.MRRMicro, Customers: p.Closing.Customers - p.Opening.Customers,
			}, sum)
		}
		if p.IsMonth() && query.Interval != analytics.Daily {
			differ(t, "retention in "+name, n.retained(p.Start, p.End, query.Currency, query.Plan), *p.Month)
			differ(t, "retention over the year of "+name, n.retained(p.End.AddDate(-1, 0, 0), p.End, query.Currency, query.Plan), *p.Year)
			if query.Plan == "" {
				change += p.Month.LostCustomers
			}
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	if query.Plan == "" && query.Interval == "" && change == 0 {
		t.Error("nobody was ever lost: nothing was proved")
	}
}

func compareCohorts(t *testing.T, n *naive, r *reports.Reports, query reports.Query) {
	t.Helper()
	report, err := r.Cohorts(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	for _, cohort := range report.Cohorts {
		for k, level := range cohort.Levels {
			differ(t, fmt.Sprintf("month %d of cohort %s", k, cohort.Month.Format("2006-01")),
				n.cohort(cohort.Month, cohort.Month.AddDate(0, k, 0), query.Currency, query.Plan), level)
		}
	}
	if len(report.Cohorts) < 5 {
		t.Errorf("there are %d cohorts", len(report.Cohorts))
	}
}

func comparePlans(t *testing.T, n *naive, r *reports.Reports, query reports.Query) {
	t.Helper()
	report, err := r.Plans(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	sum := analytics.Level{}
	for _, plan := range report.Plans {
		for _, p := range plan.Points {
			differ(t, "closing of "+plan.Plan+" in "+p.Start.Format("2006-01"), n.level(p.Last(), query.Currency, plan.Plan), p.Closing)
		}
		month := report.RateMonth
		differ(t, "month of "+plan.Plan, n.retained(month.Start, month.End, query.Currency, plan.Plan), plan.Month)
		differ(t, "year of "+plan.Plan, n.retained(month.End.AddDate(-1, 0, 0), month.End, query.Currency, plan.Plan), plan.Year)
		sum.MRRMicro += plan.Sum().Closing.MRRMicro
	}
	if sum.MRRMicro != report.Sum().Closing.MRRMicro {
		t.Errorf("plans come to %d, the account to %d", sum.MRRMicro, report.Sum().Closing.MRRMicro)
	}
}

func compareLargest(t *testing.T, n *naive, r *reports.Reports, currency money.Currency) {
	t.Helper()
	report, err := r.Customers(t.Context(), reports.Query{Currency: currency})
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		Customer string
		Micro    int64
	}
	var want, got []row
	today := len(n.days) - 1
	for _, c := range n.customers {
		if micro := c.on(today, currency, ""); micro > 0 {
			want = append(want, row{c.Name(), micro})
		}
	}
	slices.SortFunc(want, func(a, b row) int {
		return cmp.Or(-cmp.Compare(a.Micro, b.Micro), cmp.Compare(a.Customer, b.Customer))
	})
	for _, c := range report.Largest {
		name := c.ID
		if c.Name != "" {
			name = "org:" + c.ID
		}
		got = append(got, row{name, c.MRRMicro})
	}
	if len(got) < 5 {
		t.Errorf("%d customers are said to be the largest", len(got))
	}
	differ(t, "largest customers", want[:min(len(want), len(got))], got)
}

package ledger_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/internal/ledger"
)

// street is where visitors come along: one user, one organization, and whatever
// payments would write for them.
type street struct {
	*bundle
	org, user uuid.UUID
}

func (b *bundle) street() *street {
	b.Helper()
	s := &street{bundle: b, org: uuid.MustParse("7b0f2f8e-54b4-4a3c-9d1f-2d7f0d5d3a10"), user: uuid.New()}
	b.exec(`INSERT INTO organizations (id, name, created_at) VALUES ($1, 'Engines', $2)`, s.org, birth)
	b.exec(`INSERT INTO users (id, email, name, password_hash, created_at) VALUES ($1, 'ada@example.com', 'Ada', '', $2)`, s.user, birth)
	return s
}

func (s *street) look(visitor uuid.UUID, at time.Time) {
	s.Helper()
	s.must(s.q.RecordPricingViews(s.ctx, db.RecordPricingViewsParams{VisitorIds: []uuid.UUID{visitor}, At: []time.Time{at}}))
}

// begin opens a checkout; uuid.Nil is nobody who is counted.
func (s *street) begin(visitor uuid.UUID, session, plan string, trial int, at time.Time) {
	s.Helper()
	who := &visitor
	if visitor == uuid.Nil {
		who = nil
	}
	s.exec(`INSERT INTO checkout_attempts (id, org_id, user_id, plan, "interval", price_id, params, state, session_id, created_at, visitor_id)
		VALUES (gen_random_uuid(), $1, $2, $3, 'month', 'price', jsonb_build_object('customer', 'cus_' || $4::text, 'trial_days', $5::int), 'complete', $4, $6, $7)`,
		s.org, s.user, plan, session, trial, at, who)
	s.exec(`UPDATE checkout_attempts SET state = 'expired' WHERE session_id = $1`, session) // one open one an organization
	s.tell("checkout_started", session, session, at, 0)
}

func (s *street) tell(kind, key, session string, at time.Time, minor int64) {
	s.Helper()
	s.exec(`INSERT INTO payment_events (kind, natural_key, at, stripe_customer_id, subscription_id, amount_minor, livemode)
		VALUES ($1, $2, $3, 'cus_' || $4::text, 'sub_' || $4, nullif($5::bigint, 0), false)`, kind, key, at, session, minor)
	s.must(s.q.MarkVisits(s.ctx, db.MarkVisitsParams{SessionIds: []string{session}, SubscriptionIds: []string{"sub_" + session}}))
}

func (s *street) complete(session string, at time.Time) {
	s.Helper()
	s.exec(`UPDATE checkout_attempts SET state = 'complete', subscription_id = 'sub_' || $1::text, ended_at = $2 WHERE session_id = $1`, session, at)
	s.tell("checkout_completed", session, session, at, 0)
}

const (
	unitsSQL = `SELECT concat_ws(' ', day, bucket, nullif(plan, ''), reached, 'until', settled_on) FROM funnel_unit u JOIN metric_generation g USING (gen)
		WHERE state = 'live' ORDER BY entered_at, visitor`
	// funnelSQL is all that the funnel keeps, whatever the generation is called.
	funnelSQL = `
		SELECT concat_ws(' ', 'unit', visitor, entered_at, day, bucket, plan, customer, reached, started_seconds, completed_seconds, activated_seconds, paid_seconds, settled_on)
			FROM funnel_unit u JOIN metric_generation g USING (gen) WHERE g.state = 'live' UNION ALL
		SELECT concat_ws(' ', 'daily', day, bucket, plan, viewed, started, completed, activated, paid) FROM funnel_daily JOIN metric_generation g USING (gen) WHERE g.state = 'live' UNION ALL
		SELECT concat_ws(' ', 'time', day, bucket, plan, step, took, n) FROM funnel_time JOIN metric_generation g USING (gen) WHERE g.state = 'live' UNION ALL
		SELECT concat_ws(' ', 'month', month, bucket, plan, step, took, n) FROM funnel_time_monthly JOIN metric_generation g USING (gen) WHERE g.state = 'live' UNION ALL
		SELECT concat_ws(' ', 'pending', settled_on, day, bucket, plan, reached, n) FROM funnel_pending JOIN metric_generation g USING (gen) WHERE g.state = 'live' ORDER BY 1`
)

func TestAWayThroughTheFunnelGrowsStepByStep(t *testing.T) {
	t.Parallel()
	s := setup(t).street()
	ada := uuid.New()
	noon := birth.AddDate(0, 1, 0)
	s.look(ada, noon)
	s.settle()
	s.want("a look", "2026-03-03 viewed 0 until 2026-03-11", s.lines(unitsSQL))
	s.begin(ada, "s", "pilot", 14, noon.Add(time.Minute))
	s.settle()
	s.want("a checkout", "2026-03-03 viewed pilot 1 until 2026-03-11", s.lines(unitsSQL))
	s.tell("trial_started", "sub_s", "s", noon.Add(time.Hour), 0)
	s.complete("s", noon.Add(time.Hour))
	s.settle()
	s.want("a trial", "2026-03-03 viewed pilot 3 until 2026-04-01", s.lines(unitsSQL))
	s.want("pending", "2026-04-01 3 1", s.lines(`SELECT concat_ws(' ', settled_on, reached, n) FROM funnel_pending`))
	s.tell("payment_succeeded", "in_s", "s", noon.AddDate(0, 0, 14), 2900)
	s.settle()
	s.want("a payment", "2026-03-03 viewed pilot 4 until 2026-03-17", s.lines(unitsSQL))
	s.want("pending", "", s.lines(`SELECT concat_ws(' ', settled_on, reached, n) FROM funnel_pending`))
	s.want("daily", "2026-03-03 viewed pilot 1 1 1 1 1", s.lines(`SELECT concat_ws(' ', day, bucket, plan, viewed, started, completed, activated, paid) FROM funnel_daily`))
	// What the history takes back is taken back.
	s.exec(`DELETE FROM payment_events WHERE kind = 'payment_succeeded'`)
	s.must(s.q.MarkVisits(s.ctx, db.MarkVisitsParams{SubscriptionIds: []string{"sub_s"}}))
	s.settle()
	s.want("no payment", "2026-03-03 viewed pilot 3 until 2026-04-01", s.lines(unitsSQL))
}

func TestWhoIsNotToBeInTheFunnelIsNot(t *testing.T) {
	t.Parallel()
	s := setup(t).street()
	ada, grace := uuid.New(), uuid.New()
	s.look(ada, birth)
	s.look(grace, birth)
	s.exec(`UPDATE payment_events SET livemode = true WHERE visitor_id = $1`, grace) // of the other mode
	s.begin(ada, "s", "pro", 0, birth.Add(time.Minute))
	s.exec(`UPDATE checkout_attempts SET in_funnel = false`) // an administrator's
	s.begin(uuid.Nil, "d", "pro", 0, birth.Add(time.Hour))
	s.begin(uuid.Nil, "e", "pilot", 0, birth.Add(2*time.Hour))
	s.settle()
	s.want("ways", "2026-01-31 viewed 0 until 2026-02-08\n2026-01-31 direct pro 1 until 2026-02-08", s.lines(unitsSQL))
}

// TestTheFunnelDoesNotDependOnTheOrderOfArrival, nor on how much of it is counted
// at a time: it is what a new generation counts from the beginning.
func TestTheFunnelDoesNotDependOnTheOrderOfArrival(t *testing.T) {
	t.Parallel()
	const people = 40
	ids := rand.New(rand.NewPCG(9, 9))
	visitors := make([]uuid.UUID, people)
	for i := range visitors {
		visitors[i] = uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, ids.Uint64()))
	}
	tell := func(order uint64) (*street, string) {
		s := setup(t).street()
		life, chance := rand.New(rand.NewPCG(1, 2)), rand.New(rand.NewPCG(order, 3))
		var facts []func()
		for i, visitor := range visitors {
			first := birth.Add(time.Duration(life.IntN(60*24*60)) * time.Minute)
			for range life.IntN(4) {
				at := first.Add(time.Duration(life.IntN(50*24*60)) * time.Minute)
				facts = append(facts, func() { s.look(visitor, at) })
			}
			for k := range life.IntN(3) {
				who, session := visitor, fmt.Sprintf("s%d_%d", i, k)
				if life.IntN(5) == 0 {
					who = uuid.Nil
				}
				at := first.Add(time.Duration(life.IntN(40*24*60)) * time.Minute)
				plan, trial := []string{"pilot", "pro"}[life.IntN(2)], 14*life.IntN(2)
				s.begin(who, session, plan, trial, at)
				completed, activated, paid := at.Add(time.Duration(life.IntN(9*24))*time.Hour), at.Add(time.Duration(life.IntN(200))*time.Hour), at.Add(time.Duration(life.IntN(40*24))*time.Hour)
				steps := []func(){
					func() { s.complete(session, completed) },
					func() { s.tell("subscription_activated", "sub_"+session, session, activated, 0) },
					func() { s.tell("payment_succeeded", "in_"+session, session, paid, 9900) },
				}
				facts = append(facts, steps[:life.IntN(4)]...)
			}
		}
		chance.Shuffle(len(facts), func(i, j int) { facts[i], facts[j] = facts[j], facts[i] })
		for _, fact := range facts {
			fact()
			if chance.IntN(10) == 0 {
				if _, err := s.ledger.Step(s.ctx); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.settle()
		return s, s.lines(funnelSQL)
	}
	s, first := tell(1)
	if !strings.Contains(first, "unit org:") || !strings.Contains(first, "direct") || strings.Count(first, "unit") < people {
		t.Fatalf("a poor street:\n%s", first)
	}
	_, second := tell(2)
	s.want("in another order", first, second)

	// Marks of visitors are among those of a new generation.
	s.must(s.ledger.Propose(s.ctx, ledger.Proposal{TimeZone: "Pacific/Auckland"}))
	s.run("live", `SELECT state FROM metric_generation ORDER BY gen DESC LIMIT 1`)
	there := s.lines(funnelSQL)
	if there == first {
		t.Error("days are the same in Auckland")
	}
	s.must(s.ledger.Verify(s.ctx))
	s.must(s.ledger.Propose(s.ctx, ledger.Proposal{TimeZone: "UTC"}))
	s.run("live", `SELECT state FROM metric_generation ORDER BY gen DESC LIMIT 1`)
	s.want("counted from the beginning", first, s.lines(funnelSQL))
}

func TestAFunnelThatDoesNotAddUpIsFound(t *testing.T) {
	t.Parallel()
	s := setup(t).street()
	ada := uuid.New()
	s.look(ada, birth)
	s.begin(ada, "s", "pro", 0, birth.Add(time.Minute))
	s.settle()
	for _, broken := range []string{
		`UPDATE funnel_daily SET paid = paid + 1`,
		`INSERT INTO funnel_daily SELECT gen, day + 1, bucket, plan, 1, 0, 0, 0, 0 FROM funnel_daily`,
		`UPDATE funnel_time SET n = n + 1`,
		`DELETE FROM funnel_time_monthly`,
		`DELETE FROM funnel_pending`,
		`UPDATE funnel_unit SET plan = 'pilot'`,
	} {
		t.Run(broken, func(t *testing.T) {
			before := s.lines(funnelSQL)
			s.exec(broken)
			var finding *ledger.Finding
			if err := s.ledger.Verify(s.ctx); !errors.As(err, &finding) || !strings.HasPrefix(finding.Check, "the funnel") {
				t.Errorf("found %v", err)
			}
			for _, table := range []string{"funnel_daily", "funnel_time", "funnel_time_monthly", "funnel_pending", "funnel_unit"} {
				s.exec(`DELETE FROM ` + table)
			}
			s.must(s.q.MarkVisits(s.ctx, db.MarkVisitsParams{SessionIds: []string{"s"}}))
			s.settle()
			s.want("counted again", before, s.lines(funnelSQL))
		})
	}
}

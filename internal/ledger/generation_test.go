package ledger_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/promptforge/payments/internal/analytics"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/ledger"
)

// run lets the ledger work until a query has the answer.
func (b *bundle) run(want, sql string) {
	b.Helper()
	b.untilNobodyVerifies()
	ctx, stop := context.WithCancel(b.ctx)
	done := make(chan error, 1)
	watched := make(chan error, 1)
	go func() { done <- b.ledger.Run(ctx) }()
	go func() { watched <- b.ledger.Watch(ctx) }()
	deadline := time.After(20 * time.Second)
	for b.lines(sql) != want {
		select {
		case <-deadline:
			b.Fatalf("after twenty seconds: %q, want %q", b.lines(sql), want)
		case <-time.After(10 * time.Millisecond):
		}
	}
	stop()
	b.must(<-done)
	b.must(<-watched)
}

const generationsSQL = `SELECT concat_ws(' ', gen, time_zone, discount_policy, definition, state) FROM metric_generation ORDER BY gen`

func TestAnotherZoneIsAGenerationThatTakesOverOnceItIsWhole(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 3 {
		customer := fmt.Sprint("cus_", i)
		b.customer(customer, nil)
		b.version(customer, fmt.Sprint("sub_", i), 0, facts("pro", 1))
		b.version(customer, fmt.Sprint("sub_", i), 40, facts("enterprise", 1))
	}
	b.exec(`UPDATE metric_generation SET definition = $1`, ledger.Rules)
	b.settle()
	before := b.everything()

	b.must(b.ledger.Propose(b.ctx, ledger.Proposal{TimeZone: "Pacific/Auckland"}))
	b.must(b.ledger.Propose(b.ctx, ledger.Proposal{TimeZone: "Pacific/Auckland"}))
	b.want("generations", "1 UTC recurring 2 live\n2 Pacific/Auckland recurring 2 building", b.lines(generationsSQL))
	b.want("rows while nobody is counted", before, b.everything())
	// A change on the way counts under both.
	b.version("cus_0", "sub_0", 50, facts("pilot", 1))
	b.run("1 UTC recurring 2 old\n2 Pacific/Auckland recurring 2 live", generationsSQL)
	b.must(b.ledger.Verify(b.ctx))
	// Birth is at noon in UTC, one in the morning of the next day there.
	b.want("days", "2026-02-01 3\n2026-03-13 3\n2026-03-23 1",
		b.lines(`SELECT day || ' ' || count(DISTINCT customer) FROM mrr_movements GROUP BY day ORDER BY day`))
	b.want("levels", "1 82700\n2 82700", b.lines(`SELECT gen || ' ' || (sum(mrr_micro) / 1000000)::bigint FROM customer_subscription GROUP BY gen ORDER BY gen`))
	b.want("who is still to be counted", "", b.lines(`SELECT customer_id FROM metric_todo`))

	// The old one stays for a week, and goes then.
	b.must(b.ledger.Propose(b.ctx, ledger.Proposal{}))
	if _, err := b.ledger.Examine(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.want("old rows", "7", b.lines(`SELECT count(DISTINCT (customer, day)) FROM customer_movement WHERE gen = 1`))
	b.now = b.now.AddDate(0, 0, 8)
	b.watchUntil("2 Pacific/Auckland recurring 2 live", generationsSQL)
	b.want("old rows", "0", b.lines(`SELECT count(*) FROM customer_movement WHERE gen = 1`))
}

// watchUntil lets the ledger watch its figures until a query has the answer.
func (b *bundle) watchUntil(want, sql string) {
	b.Helper()
	b.untilNobodyVerifies()
	ctx, stop := context.WithCancel(b.ctx)
	done := make(chan error, 1)
	go func() { done <- b.ledger.Watch(ctx) }()
	deadline := time.After(20 * time.Second)
	for b.lines(sql) != want {
		select {
		case <-deadline:
			b.Fatalf("after twenty seconds: %q, want %q", b.lines(sql), want)
		case <-time.After(10 * time.Millisecond):
		}
	}
	stop()
	b.must(<-done)
}

// untilNobodyVerifies waits for the lock of whoever was stopped while it held it:
// the server notices a little later, and who finds it taken looks again only
// after a minute.
func (b *bundle) untilNobodyVerifies() {
	b.Helper()
	const held = `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
	deadline := time.After(20 * time.Second)
	for b.lines(held) != "0" {
		select {
		case <-deadline:
			b.Fatal("somebody still holds the lock after twenty seconds")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestBeforeAnyoneIsSeenTheDefinitionIsJustSet(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.must(b.ledger.Propose(b.ctx, ledger.Proposal{TimeZone: "Europe/Berlin", Discounts: analytics.DiscountsAll}))
	b.want("generations", "1 Europe/Berlin all 2 live", b.lines(generationsSQL))
	if err := b.ledger.Propose(b.ctx, ledger.Proposal{TimeZone: "Nowhere/Never"}); err == nil {
		t.Error("a zone that does not exist was taken")
	}
	b.want("generations", "1 Europe/Berlin all 2 live", b.lines(generationsSQL))
}

func TestAProposalThatIsTakenBackLeavesTheLiveGeneration(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(`UPDATE metric_generation SET definition = $1`, ledger.Rules)
	b.customer("cus_1", nil)
	b.version("cus_1", "sub_1", 0, facts("pro", 1))
	b.settle()
	b.must(b.ledger.Propose(b.ctx, ledger.Proposal{Discounts: analytics.DiscountsNone}))
	b.must(b.ledger.Propose(b.ctx, ledger.Proposal{}))
	b.want("generations", "1 UTC recurring 2 live\n2 UTC none 2 old", b.lines(generationsSQL))
}

func TestAGenerationWhoseInvariantsDoNotHoldStaysOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(`UPDATE metric_generation SET definition = $1`, ledger.Rules)
	b.customer("cus_1", nil)
	b.version("cus_1", "sub_1", 0, facts("pro", 1))
	b.settle()
	b.must(b.ledger.Propose(b.ctx, ledger.Proposal{Discounts: analytics.DiscountsNone}))
	if _, err := b.ledger.Step(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.exec(`UPDATE flow_monthly SET amount_micro = amount_micro + 1 WHERE gen = 2`)
	for range 2 { // it is not looked at again at once
		b.untilNobodyVerifies()
		ctx, stop := context.WithTimeout(b.ctx, time.Second)
		go b.ledger.Run(ctx) //nolint:errcheck // ends with the context
		b.must(b.ledger.Watch(ctx))
		stop()
		b.want("generations", "1 UTC recurring 2 live\n2 UTC none 2 building", b.lines(generationsSQL))
		b.exec(`UPDATE flow_monthly SET amount_micro = 9900000000 WHERE gen = 2`)
	}
	// What is wrong with it is mended: it goes live an hour later.
	b.now = b.now.Add(time.Hour)
	b.run("1 UTC recurring 2 old\n2 UTC none 2 live", generationsSQL)
}

func TestWhatDoesNotHoldIsAnIssueUntilItHolds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.version("cus_1", "sub_1", 0, facts("pro", 1))
	b.settle()
	open := `SELECT concat_ws(' ', check_name, first_day, last_day) FROM metric_integrity_issue WHERE resolved_at IS NULL ORDER BY 1`
	b.watchUntil("full 1 0", `SELECT concat_ws(' ', scope, customers, findings) FROM metric_verification WHERE finished_at IS NOT NULL AND scope = 'full'`)
	b.want("issues", "", b.lines(open))

	b.exec(`UPDATE flow_daily SET amount_micro = amount_micro + 1`)
	b.now = b.now.Add(24 * time.Hour)
	wrong := "daily flows are a recount of the movements 2026-01-31 " + b.now.Format(time.DateOnly)
	b.watchUntil(wrong, open+` LIMIT 1`)
	b.want("rows", "9900000001", b.lines(`SELECT amount_micro FROM flow_daily`))
	b.now = b.now.Add(time.Minute)
	if _, err := b.ledger.Examine(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.want("times it was found", "1", b.lines(`SELECT count(*) FROM metric_integrity_issue WHERE check_name LIKE 'daily%'`))

	b.exec(`UPDATE flow_daily SET amount_micro = amount_micro - 1`)
	checked, err := b.ledger.Examine(b.ctx)
	b.must(err)
	if len(checked.Findings) > 0 || checked.Customers != 1 {
		t.Errorf("found %v of %d customers, want nothing of one", checked.Findings, checked.Customers)
	}
	b.want("issues", "", b.lines(open))
}

// A quick look sees the last weeks only, and must not close what it cannot see.
func TestAQuickLookClosesNothingThatIsOlder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.version("cus_1", "sub_1", 0, facts("pro", 1))
	b.version("cus_1", "sub_1", 350, facts("pro", 2))
	b.settle()
	open := `SELECT concat_ws(' ', check_name, first_day) FROM metric_integrity_issue WHERE resolved_at IS NULL AND check_name LIKE 'daily%'`
	looks := `SELECT scope || ' ' || count(*) FROM metric_verification WHERE finished_at IS NOT NULL GROUP BY scope ORDER BY scope`
	b.exec(`UPDATE flow_daily SET amount_micro = amount_micro + 1 WHERE day = '2026-01-31'`)
	b.watchUntil("full 1", looks)
	b.want("issues", "daily flows are a recount of the movements 2026-01-31", b.lines(open))
	b.now = b.now.Add(time.Hour)
	b.watchUntil("full 1\nrecent 1", looks)
	b.want("issues after a quick look", "daily flows are a recount of the movements 2026-01-31", b.lines(open))
	// It finds something newer, and keeps what is older in mind.
	b.exec(`UPDATE flow_daily SET amount_micro = amount_micro + 1 WHERE day = '2027-01-16'`)
	b.now = b.now.Add(time.Hour)
	b.watchUntil("full 1\nrecent 2", looks)
	b.want("issues after another", "daily flows are a recount of the movements 2026-01-31", b.lines(open))
	b.exec(`UPDATE flow_daily SET amount_micro = amount_micro - 1`)
	b.now = b.now.AddDate(0, 0, 1)
	b.watchUntil("full 2\nrecent 2", looks)
	b.want("issues once it holds", "", b.lines(open))
}

func TestAVerificationThatDidNotEndIsTriedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(`INSERT INTO metric_verification (scope, started_at) VALUES ('full', $1)`, b.now.Add(-2*time.Hour))
	b.watchUntil("1", `SELECT count(*) FROM metric_verification WHERE finished_at IS NOT NULL AND scope = 'full'`)
}

func TestAnOldProgramLeavesANewerDefinitionAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.customer("cus_1", nil)
	b.version("cus_1", "sub_1", 0, facts("pro", 1))
	b.settle()
	b.exec(`INSERT INTO metric_generation (gen, time_zone, discount_policy, decoder, definition, state) VALUES (2, 'UTC', 'recurring', 1, $1, 'building')`, ledger.Rules+1)
	b.exec(`INSERT INTO metric_todo VALUES (2, 'cus_1')`)
	b.must(b.ledger.Propose(b.ctx, ledger.Proposal{}))
	b.want("state", "building", b.lines(`SELECT state FROM metric_generation WHERE gen = 2`))
	b.version("cus_1", "sub_1", 9, facts("pro", 2))
	if _, err := b.ledger.Step(b.ctx); err == nil {
		t.Error("it counted by rules that it does not know")
	}
	b.want("marks", "cus_1", b.lines(`SELECT customer_id FROM metric_dirty`))
}

func TestACustomerCountedAnewHasTheSameFigures(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 300 {
		f := facts("pro", 1)
		f.Status = billing.StatusActive
		b.version(fmt.Sprint("cus_", i), fmt.Sprint("sub_", i), i%28, f)
	}
	b.settle()
	// Consistent with itself, and yet not what the versions say.
	b.exec(`UPDATE subscription_versions SET facts = jsonb_set(facts, '{items,0,quantity}', '2')`)
	for day := range 10 {
		b.now = b.now.AddDate(0, 0, day)
		checked, err := b.ledger.Check(b.ctx)
		b.must(err)
		for _, f := range checked.Findings {
			if f.Check == "a customer counted anew has the same figures" {
				return
			}
		}
	}
	t.Error("in ten looks nobody was found to differ")
}

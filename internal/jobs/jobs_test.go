package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/promptforge/payments/db"
	"github.com/promptforge/payments/db/dbtest"
	"github.com/promptforge/payments/internal/billing"
	"github.com/promptforge/payments/internal/jobs"
	"github.com/promptforge/payments/internal/mail"
	"github.com/promptforge/payments/internal/mail/mailtest"
)

// bundle is a database with a queue that does not work yet.
type bundle struct {
	t    *testing.T
	pool *pgxpool.Pool
	jobs *jobs.Jobs
}

func setup(t *testing.T, server *mailtest.Server) *bundle {
	t.Helper()
	t.Parallel()
	pool := dbtest.New(t)
	return &bundle{t, pool, queue(t, pool, server)}
}

func queue(t *testing.T, pool *pgxpool.Pool, server *mailtest.Server) *jobs.Jobs {
	t.Helper()
	mailer := &mail.Mailer{Pool: pool, Plans: billing.DefaultPlans(), BaseURL: "https://billing.example.com", Now: time.Now}
	if server != nil {
		smtp, err := mail.NewSMTP(server.URL, "billing@example.com")
		if err != nil {
			t.Fatal(err)
		}
		mailer.Server = smtp
	}
	j, err := jobs.New(pool, mailer, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// write puts a mail to each address into the outbox, with its job.
func (b *bundle) write(fault error, addresses ...string) error {
	b.t.Helper()
	return db.InTx(b.t.Context(), b.pool, func(tx pgx.Tx, _ *db.Queries) error {
		var ids []int64
		for i, to := range addresses {
			var id int64
			err := tx.QueryRow(b.t.Context(), `INSERT INTO outbox (kind, natural_key, to_address, payload, created_at) VALUES ('receipt', $1, $2,
				'{"amount_minor": 9900, "currency": "usd", "at": "2026-03-03T14:05:00Z", "invoice_id": "in_1"}', now()) RETURNING id`,
				fmt.Sprintf("in_%d", i), to).Scan(&id)
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		if err := b.jobs.Enqueue(b.t.Context(), tx, ids); err != nil {
			return err
		}
		return fault
	})
}

// work runs queues until no mail waits, and stops them.
func (b *bundle) work(queues ...*jobs.Jobs) {
	b.t.Helper()
	ctx, stop := context.WithCancel(b.t.Context())
	defer stop()
	done := make(chan error, len(queues))
	for _, q := range queues {
		go func() { done <- q.Run(ctx) }()
	}
	deadline := time.Now().Add(30 * time.Second)
	for len(b.rows(`SELECT id::text FROM outbox WHERE state = 'queued'`)) > 0 {
		if time.Now().After(deadline) {
			b.t.Errorf("still waiting: %q", b.rows(`SELECT to_address || ' ' || coalesce(last_error, '') FROM outbox WHERE state = 'queued'`))
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	for range queues {
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	}
}

func (b *bundle) rows(sql string) []string {
	b.t.Helper()
	rows, err := b.pool.Query(b.t.Context(), sql)
	if err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
	return out
}

func (b *bundle) want(want, sql string) {
	b.t.Helper()
	if got := strings.Join(b.rows(sql), "; "); got != want {
		b.t.Errorf("%s = %q, want %q", sql, got, want)
	}
}

func TestTwoProcessesDeliverEachMailOnce(t *testing.T) {
	server := mailtest.Start(t)
	b := setup(t, server)
	var all []string
	for i := range 60 {
		all = append(all, fmt.Sprintf("person%d@example.com", i))
	}
	// Whoever wrote them is dead: the jobs are there all the same.
	if err := b.write(nil, all...); err != nil {
		t.Fatal(err)
	}
	b.work(queue(t, b.pool, server), queue(t, b.pool, server))
	seen := map[string]int{}
	for _, m := range server.Mails() {
		seen[m.To]++
	}
	for _, to := range all {
		if seen[to] != 1 {
			t.Errorf("%s got %d mails", to, seen[to])
		}
	}
	b.want("sent 60 1", `SELECT state || ' ' || count(*) || ' ' || max(attempts) FROM outbox GROUP BY state`)
}

func TestAnAddressThatIsRefusedStopsNoOther(t *testing.T) {
	server := mailtest.Start(t)
	server.Refuse("gone@example.com", "550 5.1.1 no such user")
	b := setup(t, server)
	if err := b.write(nil, "ada@example.com", "gone@example.com", "grace@example.com"); err != nil {
		t.Fatal(err)
	}
	b.work(b.jobs)
	b.want("ada@example.com sent; gone@example.com failed; grace@example.com sent", `SELECT to_address || ' ' || state FROM outbox ORDER BY id`)
	if reason := strings.Join(b.rows(`SELECT last_error FROM outbox WHERE state = 'failed'`), ""); !strings.Contains(reason, "no such user") {
		t.Errorf("reason = %q", reason)
	}
	if n := server.Tried("gone@example.com"); n != 1 {
		t.Errorf("the refused address was tried %d times", n)
	}
}

func TestAServerThatIsBusyIsTriedAgain(t *testing.T) {
	server := mailtest.Start(t)
	server.Refuse("ada@example.com", "451 4.3.0 later")
	b := setup(t, server)
	if err := b.write(nil, "ada@example.com"); err != nil {
		t.Fatal(err)
	}
	go func() {
		for server.Tried("ada@example.com") == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		server.Refuse("ada@example.com", "")
	}()
	b.work(b.jobs)
	b.want("sent 2", `SELECT state || ' ' || attempts FROM outbox`)
	if n := len(server.Mails()); n != 1 {
		t.Errorf("%d mails arrived", n)
	}
}

func TestWithoutAServerMailsAreKeptAsTheyAre(t *testing.T) {
	b := setup(t, nil)
	if err := b.write(nil, "ada@example.com"); err != nil {
		t.Fatal(err)
	}
	b.work(b.jobs)
	b.want("kept Receipt: $99.00 for PromptForge", `SELECT state || ' ' || subject FROM outbox`)
	if text := strings.Join(b.rows(`SELECT body_text FROM outbox`), ""); !strings.Contains(text, "We received $99.00") {
		t.Errorf("text = %q", text)
	}
}

func TestWhatIsTakenBackIsNotDelivered(t *testing.T) {
	b := setup(t, nil)
	fault := errors.New("the change failed")
	if err := b.write(fault, "ada@example.com"); !errors.Is(err, fault) {
		t.Fatal(err)
	}
	b.want("", `SELECT id::text FROM outbox`)
	b.want("", `SELECT id::text FROM river.river_job`)
}

// TestALastTryThatFailsSaysSo: River gives a job up, and the row must not wait
// for ever.
func TestALastTryThatFailsSaysSo(t *testing.T) {
	server := mailtest.Start(t)
	server.Refuse("ada@example.com", "451 4.3.0 later")
	b := setup(t, server)
	if err := b.write(nil, "ada@example.com"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.pool.Exec(t.Context(), `UPDATE river.river_job SET max_attempts = 1`); err != nil {
		t.Fatal(err)
	}
	b.work(b.jobs)
	b.want("failed", `SELECT state FROM outbox`)
}

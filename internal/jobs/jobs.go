// Package jobs carries what may be done later and must be done: for now, the
// delivery of mails. Its queue is River's, whose jobs are written in the
// transaction that wants them.
package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"github.com/promptforge/payments/internal/mail"
	"github.com/promptforge/payments/migrations"
)

const (
	// jobTimeout ends a try; rescueAfter is when one whose process died is tried
	// again. River's own hour would be long for a receipt.
	jobTimeout  = 30 * time.Second
	rescueAfter = 90 * time.Second
	// stopPatience is how long a stop waits for tries under way.
	stopPatience = 10 * time.Second
	// maxTries of a mail take some seventeen hours: what is older is no news.
	maxTries = 12
	// workers deliver at the same time.
	workers = 10
)

// Jobs is the queue.
type Jobs struct {
	client *river.Client[pgx.Tx]
}

// New returns the queue, which works once Run is called.
func New(pool *pgxpool.Pool, mailer *mail.Mailer, log *slog.Logger) (*Jobs, error) {
	all := river.NewWorkers()
	if err := river.AddWorkerSafely(all, &mailWorker{mailer: mailer}); err != nil {
		return nil, fmt.Errorf("add the mail worker: %w", err)
	}
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Schema: migrations.JobsSchema, Workers: all, Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}},
		JobTimeout: jobTimeout, RescueStuckJobsAfter: rescueAfter, SoftStopTimeout: stopPatience,
		// Nobody listens: mails may wait a second, and a connection is worth more.
		PollOnly: true, FetchPollInterval: time.Second, FetchCooldown: 50 * time.Millisecond,
		Logger: quiet(log),
	})
	if err != nil {
		return nil, fmt.Errorf("make the queue of jobs: %w", err)
	}
	return &Jobs{client: client}, nil
}

// quiet hides what River tells of its own every few seconds, and keeps its
// warnings.
func quiet(log *slog.Logger) *slog.Logger { return slog.New(atLeastWarn{log.Handler()}) }

type atLeastWarn struct{ slog.Handler }

func (h atLeastWarn) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}

func (h atLeastWarn) WithAttrs(attrs []slog.Attr) slog.Handler {
	return atLeastWarn{h.Handler.WithAttrs(attrs)}
}

func (h atLeastWarn) WithGroup(name string) slog.Handler {
	return atLeastWarn{h.Handler.WithGroup(name)}
}

// Enqueue makes the jobs that deliver mails of the outbox, in the transaction
// that wrote them: they are there together or not at all.
func (j *Jobs) Enqueue(ctx context.Context, tx pgx.Tx, outboxIDs []int64) error {
	params := make([]river.InsertManyParams, len(outboxIDs))
	for i, id := range outboxIDs {
		params[i] = river.InsertManyParams{Args: deliverMail{OutboxID: id}}
	}
	if _, err := j.client.InsertManyFastTx(ctx, tx, params); err != nil {
		return fmt.Errorf("insert jobs: %w", err)
	}
	return nil
}

// Run works until the context ends, and lets what is under way finish.
func (j *Jobs) Run(ctx context.Context) error {
	if err := j.client.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("start the jobs: %w", err)
	}
	<-ctx.Done()
	// A try that does not end in time is cut off, and its job begins again.
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience+5*time.Second)
	defer cancel()
	if err := j.client.Stop(stopping); err != nil {
		return fmt.Errorf("stop the jobs: %w", err)
	}
	return nil
}

// deliverMail is the job of one mail.
type deliverMail struct {
	OutboxID int64 `json:"outbox_id"`
}

// Kind is the name under which River keeps the job.
func (deliverMail) Kind() string { return "deliver_mail" }

// InsertOpts are how often it is tried.
func (deliverMail) InsertOpts() river.InsertOpts { return river.InsertOpts{MaxAttempts: maxTries} }

type mailWorker struct {
	river.WorkerDefaults[deliverMail]
	mailer *mail.Mailer
}

// Work tries to deliver.
func (w *mailWorker) Work(ctx context.Context, job *river.Job[deliverMail]) error {
	return w.mailer.Deliver(ctx, job.Args.OutboxID, isLast(job.JobRow))
}

func isLast(row *rivertype.JobRow) bool { return row.Attempt >= row.MaxAttempts }

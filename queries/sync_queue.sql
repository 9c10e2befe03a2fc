-- name: ClaimDue :many
-- What is due in a lane by the business clock; leases end by the database's.
-- The array is chosen once; a join could choose, and lock, again.
UPDATE sync_queue q SET lease_until = now() + interval '60 seconds', ticket = ticket + 1
WHERE q.subject = ANY (ARRAY(
    SELECT due.subject FROM sync_queue due
    WHERE due.lane = @in_lane AND due.due_at <= @now AND due.lease_until < now()
    ORDER BY due.due_at LIMIT @max_rows FOR UPDATE SKIP LOCKED))
RETURNING q.subject, q.ticket, q.wanted, q.attempts, q.stale_asks, q.lane;

-- name: ClaimNow :one
-- The claim of a button or a page: whoever claims later makes the earlier
-- ticket void, so nobody waits for anybody. The subject is due from now on, so
-- that a worker takes it up should the claimer die.
INSERT INTO sync_queue (subject, ticket, lane, lease_until, due_at)
VALUES (@subject, 1, 0, now() + interval '60 seconds', @now)
ON CONFLICT (subject) DO UPDATE SET
    ticket = sync_queue.ticket + 1, lease_until = excluded.lease_until, due_at = least(sync_queue.due_at, excluded.due_at)
RETURNING subject, ticket, wanted, attempts, stale_asks, lane;

-- name: WaitShortly :exec
-- Until the end of the transaction. Whoever waits with queue rows held lets every
-- delivery for them wait, and whatever shares a commit with one. And everything
-- is read by its key: a plan made while a table was small would go on walking the
-- whole of it until statistics come.
SELECT set_config('lock_timeout', '1s', true), set_config('enable_seqscan', 'off', true);

-- name: LockClaims :many
-- Locks the rows whose ticket is still the claimer's, in order of the subject.
SELECT q.subject, q.ticket FROM sync_queue q
JOIN (SELECT unnest(@subjects::text[]) AS subject, unnest(@tickets::bigint[]) AS ticket) AS c ON (q.subject, q.ticket) = (c.subject, c.ticket)
ORDER BY q.subject FOR NO KEY UPDATE OF q;

-- name: FinishClaims :exec
-- Gives claims back. What had been wanted when Stripe was asked is done; what
-- came since is due at once.
UPDATE sync_queue q SET
    done        = greatest(q.done, c.wanted),
    lease_until = '-infinity',
    attempts    = 0,
    stale_asks  = 0,
    last_error  = NULL,
    lane        = CASE WHEN q.wanted > c.wanted THEN q.lane ELSE 2 END,
    due_at      = CASE WHEN q.wanted > c.wanted THEN c.now ELSE c.next_at END
FROM (SELECT unnest(@subjects::text[]) AS subject, unnest(@wanted::bigint[]) AS wanted, unnest(@next_at::timestamptz[]) AS next_at, @now::timestamptz AS now) AS c
WHERE q.subject = c.subject;

-- name: PostponeStale :exec
-- The answer was older than the event that raised the ask: ask again soon.
UPDATE sync_queue SET lease_until = '-infinity', stale_asks = stale_asks + 1, due_at = @next_at
WHERE subject = @subject AND ticket = @ticket;

-- name: PostponeFailed :exec
UPDATE sync_queue SET
    lease_until = '-infinity', attempts = attempts + 1, last_error = @last_error::text,
    due_at = @next_at
WHERE subject = @subject AND ticket = @ticket;

-- name: ReleaseClaim :exec
-- A button that failed leaves the subject as due as it was: pressing it often
-- must not put the workers off.
UPDATE sync_queue SET lease_until = '-infinity', last_error = @last_error::text
WHERE subject = @subject AND ticket = @ticket;

-- name: QueueBacklog :one
-- Subjects of which Stripe has said more than we have asked about.
SELECT count(*) FROM sync_queue WHERE wanted > done;

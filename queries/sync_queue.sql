-- name: ClaimDue :many
-- A walk of each lane in turn, so that the index serves it on every Postgres.
WITH c AS (
    SELECT due.subject FROM (VALUES (0), (1), (2)) AS l (lane) CROSS JOIN LATERAL (
        SELECT subject FROM sync_queue
        WHERE lane = l.lane AND due_at <= now() AND lease_until < now()
        ORDER BY due_at LIMIT @max_rows
        FOR UPDATE SKIP LOCKED
    ) AS due LIMIT @max_rows
)
UPDATE sync_queue q SET lease_until = now() + interval '60 seconds', ticket = ticket + 1
FROM c WHERE q.subject = c.subject
RETURNING q.subject, q.ticket, q.wanted, q.attempts, q.stale_asks;

-- name: ClaimNow :one
-- The claim of a button or a page: whoever claims later makes the earlier
-- ticket void, so nobody waits for anybody. The subject is due from now on, so
-- that a worker takes it up should the claimer die.
INSERT INTO sync_queue (subject, ticket, lane, lease_until, due_at)
VALUES (@subject, 1, 0, now() + interval '60 seconds', now())
ON CONFLICT (subject) DO UPDATE SET
    ticket = sync_queue.ticket + 1, lease_until = excluded.lease_until, due_at = least(sync_queue.due_at, now())
RETURNING subject, ticket, wanted, attempts, stale_asks;

-- name: LockClaims :many
-- Locks the rows whose ticket is still the claimer's, in order of the subject.
SELECT q.subject FROM sync_queue q
JOIN (SELECT unnest(@subjects::text[]) AS subject, unnest(@tickets::bigint[]) AS ticket) AS c ON (q.subject, q.ticket) = (c.subject, c.ticket)
ORDER BY q.subject FOR NO KEY UPDATE OF q;

-- name: FinishClaim :exec
UPDATE sync_queue SET
    done        = @wanted::bigint,
    lease_until = '-infinity',
    attempts    = 0,
    stale_asks  = 0,
    last_error  = NULL,
    lane        = CASE WHEN wanted > @wanted::bigint THEN lane ELSE 2 END,
    due_at      = CASE WHEN wanted > @wanted::bigint THEN now() ELSE now() + @next_in::interval END
WHERE subject = @subject;

-- name: PostponeStale :exec
-- The answer was older than the event that raised the ask: ask again soon.
UPDATE sync_queue SET lease_until = '-infinity', stale_asks = stale_asks + 1, due_at = now() + interval '2 seconds'
WHERE subject = @subject AND ticket = @ticket;

-- name: PostponeFailed :exec
UPDATE sync_queue SET
    lease_until = '-infinity', attempts = attempts + 1, last_error = @last_error::text,
    due_at = now() + @next_in::interval
WHERE subject = @subject AND ticket = @ticket;

-- name: ReleaseClaim :exec
-- A button that failed leaves the subject as due as it was: pressing it often
-- must not put the workers off.
UPDATE sync_queue SET lease_until = '-infinity', last_error = @last_error::text
WHERE subject = @subject AND ticket = @ticket;

-- name: QueueBacklog :one
-- Subjects of which Stripe has said more than we have asked about.
SELECT count(*) FROM sync_queue WHERE wanted > done;

-- name: StoreEvents :exec
-- Inserts the events that are new and raises what is wanted of their subjects,
-- in order of the subject: unsorted, two replicas would deadlock.
WITH new AS (
    INSERT INTO webhook_events (created, id, type, subject, livemode, account, api_version, secret_used, source, state, reason, body)
    SELECT
        unnest(@created::timestamptz[]), unnest(@ids::text[]), unnest(@types::text[]), nullif(unnest(@subjects::text[]), ''),
        unnest(@livemodes::boolean[]), nullif(unnest(@accounts::text[]), ''), nullif(unnest(@api_versions::text[]), ''),
        unnest(@secrets_used::smallint[]), unnest(@sources::text[]), unnest(@states::text[]),
        nullif(unnest(@reasons::text[]), ''), unnest(@bodies::bytea[])
    ON CONFLICT DO NOTHING
    RETURNING subject, type, created, state
)
INSERT INTO sync_queue (subject, lane, due_at)
SELECT subject,
    min(CASE WHEN created < @fresh_since THEN 2 WHEN type IN ('checkout.session.completed', 'customer.subscription.created') THEN 0 ELSE 1 END),
    @now::timestamptz
FROM new WHERE state = 'pending' GROUP BY subject ORDER BY subject
ON CONFLICT (subject) DO UPDATE SET
    wanted = sync_queue.wanted + 1,
    lane   = least(sync_queue.lane, excluded.lane),
    due_at = CASE WHEN sync_queue.attempts = 0 THEN least(sync_queue.due_at, excluded.due_at) ELSE sync_queue.due_at END;

-- name: PendingEvents :many
-- The oldest pending events of each subject, as many as one sync takes up: a
-- subject of which nobody asked for days must not fill the memory.
SELECT e.subject::text AS subject, e.created, e.id, e.type, e.body, e.has_more::boolean AS has_more FROM (
    SELECT subject, created, id, type, body,
        row_number() OVER w AS n, sum(octet_length(body)) OVER w AS bytes, row_number() OVER w < count(*) OVER (PARTITION BY subject) AS has_more
    FROM webhook_events WHERE subject = ANY (@subjects::text[]) AND state = 'pending'
    WINDOW w AS (PARTITION BY subject ORDER BY created, id)
) AS e
WHERE e.n = 1 OR e.n <= @max_events::integer AND e.bytes <= @max_bytes::bigint
ORDER BY e.subject, e.created, e.id;

-- name: MarkEvents :exec
-- Ends exactly the events that were taken up, by key; those that came meanwhile
-- stay pending and have raised wanted. Whoever holds the ticket is alone with
-- them, so that nothing is asked about their state, which another index knows.
UPDATE webhook_events e SET state = m.state, reason = nullif(m.reason, ''), processed_at = now()
FROM (SELECT unnest(@created::timestamptz[]) AS created, unnest(@ids::text[]) AS id,
             unnest(@states::text[]) AS state, unnest(@reasons::text[]) AS reason) AS m
WHERE e.created = m.created AND e.id = m.id;

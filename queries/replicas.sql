-- name: BeatReplica :one
-- Says that a process lives, and returns how many do.
WITH beat AS (
    INSERT INTO replicas (id, seen_at) VALUES (@id, now())
    ON CONFLICT (id) DO UPDATE SET seen_at = now()
)
SELECT (1 + count(*))::integer AS live FROM replicas r WHERE r.id <> @id AND r.seen_at > now() - interval '30 seconds';

-- name: RemoveReplica :exec
DELETE FROM replicas WHERE id = @id;

-- name: ForgetReplicas :exec
-- Those that died without a word.
DELETE FROM replicas WHERE replicas.id IN (
    SELECT r.id FROM replicas r WHERE r.seen_at < now() - interval '1 hour' FOR UPDATE SKIP LOCKED
);

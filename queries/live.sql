-- name: FiguresVersion :one
SELECT version FROM metric_state;

-- name: TellFigures :exec
-- Whoever listens learns the version that is committed now. A NOTIFY waits for the
-- locks of no figure, and is delivered when this statement commits.
SELECT pg_notify('figures', version::text) FROM metric_state;

-- name: ListenFigures :exec
LISTEN figures;

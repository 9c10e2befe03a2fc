-- name: CountRequest :one
-- Counts a request in its window; an older window of the key begins again.
INSERT INTO rate_limits (key, window_start, count) VALUES (@key, @window_start, 1)
ON CONFLICT (key) DO UPDATE SET
    count        = CASE WHEN rate_limits.window_start < excluded.window_start THEN 1 ELSE rate_limits.count + 1 END,
    window_start = greatest(rate_limits.window_start, excluded.window_start)
RETURNING count, window_start;

-- name: ForgetRequests :exec
DELETE FROM rate_limits WHERE window_start < @before;

-- name: UnpricedSubscriptions :one
-- What is paid for at a price that is not known, of which figures know nothing.
SELECT count(*) FROM subscriptions WHERE status IN ('active', 'past_due') AND amount_minor IS NULL;

-- name: TrialingSubscriptions :one
SELECT count(*) FROM subscriptions WHERE status = 'trialing';

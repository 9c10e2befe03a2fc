-- The overview says how many subscriptions are paid for at a price that nobody
-- knows. They are few; without an index all are read to find that out.

-- +goose Up
CREATE INDEX subscriptions_unpriced_idx ON subscriptions (stripe_subscription_id) WHERE status IN ('active', 'past_due') AND amount_minor IS NULL;

-- +goose Down
DROP INDEX subscriptions_unpriced_idx;

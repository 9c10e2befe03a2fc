-- Renewals that are not paid at the first try are told by two kinds of events.

-- +goose Up
DROP INDEX payment_events_failed_idx;
-- Failures and requests for confirmation alone, however many payments succeed.
CREATE INDEX payment_events_unpaid_idx ON payment_events (at) WHERE kind IN ('payment_failed', 'payment_action_required');

-- +goose Down
DROP INDEX payment_events_unpaid_idx;
CREATE INDEX payment_events_failed_idx ON payment_events (at) WHERE kind = 'payment_failed';

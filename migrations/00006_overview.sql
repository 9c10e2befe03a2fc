-- Failed payments are told by the invoice; the overview looks for those of the
-- months that it shows.

-- +goose Up
-- Failures alone, however many payments succeed.
CREATE INDEX payment_events_failed_idx ON payment_events (at) WHERE kind = 'payment_failed';

-- +goose Down
DROP INDEX payment_events_failed_idx;

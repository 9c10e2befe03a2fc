-- Customers that Stripe no longer knows, and when we noticed: one is a customer
-- who was removed, many at once are a wrong key.

-- +goose Up
ALTER TABLE customers ADD COLUMN vanished_at timestamptz;
COMMENT ON COLUMN customers.vanished_at IS 'When Stripe was first found not to know the customer, by the machine''s clock; NULL: it knows it';
-- How many vanished of late is asked before another one is believed.
CREATE INDEX customers_vanished_at_idx ON customers (vanished_at) WHERE vanished_at IS NOT NULL;

-- +goose Down
DROP INDEX customers_vanished_at_idx;
ALTER TABLE customers DROP COLUMN vanished_at;

-- Payments are told by invoice: what failed first and was paid later is one
-- invoice, not two stories.

-- +goose Up
ALTER TABLE payment_events ADD COLUMN invoice_id text;
COMMENT ON COLUMN payment_events.invoice_id IS 'The invoice that a payment event is about; NULL for the kinds that have none';
UPDATE payment_events SET invoice_id = details ->> 'invoice' WHERE details ? 'invoice';
-- What became of an invoice whose payment failed.
CREATE INDEX payment_events_invoice_idx ON payment_events (invoice_id, kind) WHERE invoice_id IS NOT NULL;

-- +goose Down
DROP INDEX payment_events_invoice_idx;
ALTER TABLE payment_events DROP COLUMN invoice_id;

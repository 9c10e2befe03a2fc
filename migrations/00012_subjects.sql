-- Whose a charge or a payment intent is: a dispute or a refund names nobody
-- else. And the one end of a checkout that has no word yet.

-- +goose Up
CREATE TABLE stripe_objects (
    object_id          text PRIMARY KEY,
    stripe_customer_id text,
    invoice_id         text,
    amount_minor       bigint,
    currency           text,
    balance_transaction_id text,
    created_at         timestamptz,
    seen_at            timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE stripe_objects IS 'Charges and payment intents that were seen, so that what is said of them alone finds its customer and invoice without asking.';
COMMENT ON COLUMN stripe_objects.stripe_customer_id IS 'NULL: Stripe says that it has none, as for a guest';
COMMENT ON COLUMN stripe_objects.invoice_id IS 'NULL: none, or a shape that does not say';
COMMENT ON COLUMN stripe_objects.balance_transaction_id IS 'Where Stripe''s fee is found';

ALTER TABLE checkout_attempts DROP CONSTRAINT checkout_attempts_payment_status_known;
ALTER TABLE checkout_attempts ADD CONSTRAINT checkout_attempts_payment_status_known
    CHECK (payment_status IN ('paid', 'unpaid', 'no_payment_required', 'failed'));
COMMENT ON COLUMN checkout_attempts.payment_status IS 'Of a complete session; unpaid is an asynchronous payment whose money is still on its way, and keeps the door shut; failed is one whose money will not come';

-- +goose Down
UPDATE checkout_attempts SET payment_status = 'unpaid' WHERE payment_status = 'failed';
ALTER TABLE checkout_attempts DROP CONSTRAINT checkout_attempts_payment_status_known;
ALTER TABLE checkout_attempts ADD CONSTRAINT checkout_attempts_payment_status_known
    CHECK (payment_status IN ('paid', 'unpaid', 'no_payment_required'));
COMMENT ON COLUMN checkout_attempts.payment_status IS 'Of a complete session; unpaid is an asynchronous payment whose money is still on its way, and keeps the door shut';
DROP TABLE stripe_objects;

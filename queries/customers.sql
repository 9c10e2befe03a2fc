-- name: CurrentCustomer :one
SELECT * FROM customers WHERE org_id = @org_id::uuid AND is_current;

-- name: CustomerByStripeID :one
SELECT * FROM customers WHERE stripe_customer_id = $1;

-- name: CustomersByStripeID :many
SELECT * FROM customers WHERE stripe_customer_id = ANY (@ids::text[]);

-- name: CustomersOfOrganizations :many
SELECT * FROM customers WHERE org_id = ANY (@org_ids::uuid[]);

-- name: SeeCustomers :exec
-- Notes customers that Stripe named, or no longer knows; who owns them is not
-- for Stripe to say.
INSERT INTO customers (stripe_customer_id, livemode, currency, created_at, vanished_at)
SELECT r.stripe_customer_id, r.livemode, r.currency, r.created_at, CASE WHEN r.vanished_at IS NOT NULL THEN clock_timestamp() END
FROM jsonb_populate_recordset(NULL::customers, @rows::jsonb) AS r ORDER BY r.stripe_customer_id
ON CONFLICT (stripe_customer_id) DO UPDATE SET
    currency    = coalesce(excluded.currency, customers.currency),
    vanished_at = CASE WHEN excluded.vanished_at IS NOT NULL THEN coalesce(customers.vanished_at, excluded.vanished_at) END
WHERE customers.currency IS DISTINCT FROM coalesce(excluded.currency, customers.currency)
    OR (customers.vanished_at IS NULL) <> (excluded.vanished_at IS NULL);

-- name: VanishedOfLate :one
-- Customers that vanished within ten minutes, without the ones asked about.
SELECT count(*) FROM customers
WHERE vanished_at > now() - interval '10 minutes' AND NOT stripe_customer_id = ANY (@but::text[]);

-- name: LinkCustomer :exec
INSERT INTO customers (stripe_customer_id, org_id, livemode, created_at)
VALUES (@stripe_customer_id, @org_id::uuid, @livemode, @created_at)
ON CONFLICT (stripe_customer_id) DO UPDATE SET org_id = excluded.org_id
WHERE customers.org_id IS NULL;

-- name: LockOrganization :one
SELECT * FROM organizations WHERE id = $1 FOR NO KEY UPDATE;

-- name: LockOrganizations :many
SELECT id, name FROM organizations WHERE id = ANY (@ids::uuid[]) ORDER BY id FOR NO KEY UPDATE;

-- name: RoleIn :one
SELECT role FROM memberships WHERE org_id = @org_id AND user_id = @user_id;

-- name: BillingContact :one
-- Whose name and address Stripe prints on receipts when the customer is made.
SELECT o.name AS org_name, u.email FROM memberships m
JOIN organizations o ON o.id = m.org_id JOIN users u ON u.id = m.user_id
WHERE m.org_id = @org_id AND m.user_id = @user_id;

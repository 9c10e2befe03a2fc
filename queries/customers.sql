-- name: CurrentCustomer :one
SELECT * FROM customers WHERE org_id = @org_id::uuid AND is_current;

-- name: CustomerByStripeID :one
SELECT * FROM customers WHERE stripe_customer_id = $1;

-- name: SeeCustomer :exec
-- Notes a customer that Stripe named; who owns it is not for Stripe to say.
INSERT INTO customers (stripe_customer_id, livemode, currency, created_at)
VALUES (@stripe_customer_id, @livemode, nullif(@currency::text, ''), @created_at)
ON CONFLICT (stripe_customer_id) DO UPDATE SET currency = coalesce(excluded.currency, customers.currency)
WHERE customers.currency IS DISTINCT FROM coalesce(excluded.currency, customers.currency);

-- name: LinkCustomer :exec
INSERT INTO customers (stripe_customer_id, org_id, livemode, created_at)
VALUES (@stripe_customer_id, @org_id::uuid, @livemode, @created_at)
ON CONFLICT (stripe_customer_id) DO UPDATE SET org_id = excluded.org_id
WHERE customers.org_id IS NULL;

-- name: LockOrganization :one
SELECT * FROM organizations WHERE id = $1 FOR NO KEY UPDATE;

-- name: RoleIn :one
SELECT role FROM memberships WHERE org_id = @org_id AND user_id = @user_id;

-- name: BillingContact :one
-- Whose name and address Stripe prints on receipts when the customer is made.
SELECT o.name AS org_name, u.email FROM memberships m
JOIN organizations o ON o.id = m.org_id JOIN users u ON u.id = m.user_id
WHERE m.org_id = @org_id AND m.user_id = @user_id;

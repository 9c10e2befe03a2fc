-- name: Entitlement :one
SELECT * FROM entitlements WHERE org_id = $1;

-- name: EntitlementsOf :many
SELECT * FROM entitlements WHERE org_id = ANY (@org_ids::uuid[]);

-- name: WriteEntitlements :exec
INSERT INTO entitlements (org_id, plan, status, access, reason, until, then_access, then_reason, features, limits, as_of, granted_by, later)
SELECT r.org_id, r.plan, r.status, r.access, r.reason, r.until, r.then_access, r.then_reason, r.features, r.limits, r.as_of, r.granted_by, r.later
FROM jsonb_populate_recordset(NULL::entitlements, @rows::jsonb) AS r
ON CONFLICT (org_id) DO UPDATE SET
    plan = excluded.plan, status = excluded.status, access = excluded.access, reason = excluded.reason, until = excluded.until,
    then_access = excluded.then_access, then_reason = excluded.then_reason, features = excluded.features,
    limits = excluded.limits, as_of = excluded.as_of, granted_by = excluded.granted_by, later = excluded.later;

-- name: OrganizationExists :one
SELECT EXISTS (SELECT FROM organizations WHERE id = @org_id::uuid);

-- name: RecordActs :exec
-- Through internal/audit, which knows who acts.
INSERT INTO audit_log
    (at, actor_kind, actor_id, act, object_kind, object_id, org_id, stripe_customer_id, before, after, source_event_id, request_id, address)
SELECT r.at, r.actor_kind, r.actor_id, r.act, r.object_kind, r.object_id, r.org_id, r.stripe_customer_id, r.before, r.after, r.source_event_id, r.request_id, r.address
FROM jsonb_populate_recordset(NULL::audit_log, @rows::jsonb) AS r;

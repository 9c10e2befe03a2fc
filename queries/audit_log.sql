-- name: RecordAct :batchexec
-- Through internal/audit, which knows who acts.
INSERT INTO audit_log
    (at, actor_kind, actor_id, act, object_kind, object_id, org_id, stripe_customer_id, before, after, source_event_id, request_id, address)
VALUES (@at, @actor_kind, @actor_id, @act, @object_kind, @object_id, @org_id, @stripe_customer_id, @before, @after, @source_event_id, @request_id, @address);

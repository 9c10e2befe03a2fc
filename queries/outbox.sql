-- name: QueueMails :many
-- A mail to everybody who pays for the organization; only the new ones are
-- returned, to be delivered.
INSERT INTO outbox (kind, natural_key, org_id, stripe_customer_id, to_address, payload, created_at)
SELECT m.kind, m.natural_key, m.org_id, m.stripe_customer_id, u.email, m.payload || jsonb_build_object('organization', o.name, 'name', u.name), m.created_at
FROM (
    SELECT unnest(@kinds::text[]) AS kind, unnest(@natural_keys::text[]) AS natural_key, unnest(@org_ids::uuid[]) AS org_id,
        unnest(@stripe_customer_ids::text[]) AS stripe_customer_id, unnest(@payloads::jsonb[]) AS payload, @created_at::timestamptz AS created_at
) AS m
JOIN organizations o ON o.id = m.org_id
JOIN memberships s ON s.org_id = o.id AND s.role IN ('owner', 'billing')
JOIN users u ON u.id = s.user_id
ORDER BY m.kind, m.natural_key, u.email
ON CONFLICT (kind, natural_key, to_address) DO NOTHING
RETURNING id;

-- name: Mail :one
SELECT * FROM outbox WHERE id = $1;

-- name: MailDelivered :execrows
-- sent by a mail server, or kept where none is configured.
UPDATE outbox SET state = @state, subject = @subject::text, body_text = @body_text::text, body_html = @body_html::text,
    attempts = attempts + 1, last_error = NULL, sent_at = @sent_at::timestamptz
WHERE id = @id AND state = 'queued';

-- name: MailFailed :exec
-- One more try has failed; for good, or until the next one.
UPDATE outbox SET attempts = attempts + 1, last_error = @last_error::text, state = CASE WHEN @for_good::boolean THEN 'failed' ELSE state END
WHERE id = @id AND state = 'queued';

-- name: MailsQueued :one
SELECT count(*) FROM outbox WHERE state = 'queued';

-- name: Mailbox :many
-- A page of all mails, or of those to an address, newest first.
SELECT id, kind, to_address, coalesce(subject, '')::text AS subject, state, created_at
FROM outbox WHERE @address::text = '' OR to_address = @address
ORDER BY id DESC LIMIT @page_size OFFSET @skipped;

-- name: MailboxSize :one
SELECT count(*) FROM outbox WHERE @address::text = '' OR to_address = @address;

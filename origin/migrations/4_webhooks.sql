-- Servers of others that are told what happens here, and what each was told.

CREATE TABLE webhooks (
    id TEXT NOT NULL PRIMARY KEY,
    rev BIGINT NOT NULL,
    url TEXT NOT NULL,
    -- Separated by spaces.
    events TEXT NOT NULL,
    -- Of this broadcast alone, which may be gone.
    broadcast TEXT,
    active SMALLINT NOT NULL CHECK (active IN (0, 1)),
    -- What signs, as its owner has it.
    secret TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    -- What came of the last attempt to tell it something.
    last_ms BIGINT,
    last_status BIGINT,
    last_error TEXT,
    last_attempts BIGINT
);

CREATE TABLE webhook_deliveries (
    id TEXT NOT NULL PRIMARY KEY,
    webhook TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    event TEXT NOT NULL,
    broadcast TEXT,
    body TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    -- What came of the last attempt.
    status BIGINT,
    error TEXT,
    -- When it is tried next; while somebody tries, when to believe that they are gone. Without, it is over.
    next_ms BIGINT
);
CREATE INDEX webhook_deliveries_webhook ON webhook_deliveries (webhook, created_ms);
CREATE INDEX webhook_deliveries_next ON webhook_deliveries (webhook, next_ms);

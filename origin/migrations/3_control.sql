-- Who hosts, what they host, and the keys to it. As before, only types that mean the same in SQLite and
-- PostgreSQL, and truth as 0 and 1. `rev` counts changes: whoever writes says which they have seen.

CREATE TABLE accounts (
    id TEXT NOT NULL PRIMARY KEY,
    rev BIGINT NOT NULL,
    -- In lower case.
    login TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    -- `admin`, `host` or `moderator`.
    role TEXT NOT NULL,
    disabled SMALLINT NOT NULL CHECK (disabled IN (0, 1)),
    -- A PHC string; without one, nobody signs in with a password.
    password TEXT,
    -- Who this is at the OpenID provider: issuer and subject.
    oidc TEXT UNIQUE,
    created_ms BIGINT NOT NULL,
    signed_in_ms BIGINT
);

-- Of what a browser or a program presents, only a digest is kept.
CREATE TABLE sessions (
    digest TEXT NOT NULL PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    agent TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    seen_ms BIGINT NOT NULL
);
CREATE INDEX sessions_account ON sessions (account);

CREATE TABLE api_tokens (
    digest TEXT NOT NULL PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    -- Separated by spaces.
    scopes TEXT NOT NULL,
    hint TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT,
    used_ms BIGINT
);
CREATE INDEX api_tokens_account ON api_tokens (account);

CREATE TABLE broadcasts (
    id TEXT NOT NULL PRIMARY KEY,
    rev BIGINT NOT NULL,
    -- What viewers are told of it, as JSON.
    about TEXT NOT NULL,
    moderator_key TEXT,
    attendance SMALLINT NOT NULL CHECK (attendance IN (0, 1)),
    blocked SMALLINT NOT NULL CHECK (blocked IN (0, 1)),
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL
);

CREATE TABLE stream_keys (
    id TEXT NOT NULL PRIMARY KEY,
    broadcast TEXT NOT NULL REFERENCES broadcasts (id) ON DELETE CASCADE,
    digest TEXT NOT NULL UNIQUE,
    label TEXT NOT NULL,
    backup SMALLINT NOT NULL CHECK (backup IN (0, 1)),
    -- The last characters of the key.
    hint TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    used_ms BIGINT,
    revoked_ms BIGINT
);
CREATE INDEX stream_keys_broadcast ON stream_keys (broadcast);

-- Who may do what with a broadcast, also with one that the configuration file provisions.
CREATE TABLE members (
    broadcast TEXT NOT NULL,
    account TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    -- `host` or `moderator`.
    role TEXT NOT NULL,
    PRIMARY KEY (broadcast, account)
);
CREATE INDEX members_account ON members (account);

-- By which viewer tokens are signed. Those made here have a secret part.
CREATE TABLE viewer_keys (
    kid TEXT NOT NULL PRIMARY KEY,
    public_key TEXT NOT NULL,
    secret_key TEXT,
    created_ms BIGINT NOT NULL,
    retired_ms BIGINT
);

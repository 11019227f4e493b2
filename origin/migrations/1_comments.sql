-- For SQLite and PostgreSQL alike: only types that mean the same in both, and truth as 0 and 1.

-- Counts what a broadcast has. Whoever writes comments holds this row until they are committed, so that
-- numbers are given in the order of commits and none is left out.
CREATE TABLE comment_rooms (
    broadcast TEXT NOT NULL PRIMARY KEY,
    last_id BIGINT NOT NULL,
    last_seq BIGINT NOT NULL
);

CREATE TABLE comments (
    broadcast TEXT NOT NULL REFERENCES comment_rooms (broadcast),
    id BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    client TEXT NOT NULL,
    mt_ms BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    user_name TEXT NOT NULL,
    author TEXT NOT NULL,
    text TEXT NOT NULL,
    rev BIGINT NOT NULL,
    deleted SMALLINT NOT NULL CHECK (deleted IN (0, 1)),
    PRIMARY KEY (broadcast, id),
    -- What has changed since.
    UNIQUE (broadcast, seq),
    -- Sending again finds what was stored.
    UNIQUE (broadcast, author, client)
);

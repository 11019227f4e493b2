-- What keeps order in a room, and who is there. As before, only types that mean the same in SQLite and
-- PostgreSQL, and truth as 0 and 1.

ALTER TABLE comment_rooms ADD COLUMN settings_rev BIGINT NOT NULL DEFAULT 0;
ALTER TABLE comment_rooms ADD COLUMN closed SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE comment_rooms ADD COLUMN approval SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE comment_rooms ADD COLUMN slow_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE comment_rooms ADD COLUMN last_block BIGINT NOT NULL DEFAULT 0;

-- A digest of where a comment came from; empty for those from before it was kept.
ALTER TABLE comments ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE comments ADD COLUMN moderator SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE comments ADD COLUMN question SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE comments ADD COLUMN answered SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE comments ADD COLUMN pinned SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE comments ADD COLUMN held SMALLINT NOT NULL DEFAULT 0;
-- How many votes there are, and how many everybody has been told of.
ALTER TABLE comments ADD COLUMN votes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE comments ADD COLUMN votes_told BIGINT NOT NULL DEFAULT 0;

CREATE INDEX comments_pinned ON comments (broadcast) WHERE pinned = 1;
CREATE INDEX comments_untold ON comments (broadcast) WHERE votes <> votes_told;

CREATE TABLE comment_votes (
    broadcast TEXT NOT NULL,
    id BIGINT NOT NULL,
    author TEXT NOT NULL,
    PRIMARY KEY (broadcast, id, author),
    FOREIGN KEY (broadcast, id) REFERENCES comments (broadcast, id)
);

CREATE TABLE comment_blocks (
    broadcast TEXT NOT NULL REFERENCES comment_rooms (broadcast),
    block BIGINT NOT NULL,
    -- `writer` or `address`, and which.
    whom TEXT NOT NULL,
    value TEXT NOT NULL,
    user_name TEXT NOT NULL,
    until_ms BIGINT,
    PRIMARY KEY (broadcast, block),
    UNIQUE (broadcast, whom, value)
);

-- From when to when somebody was there; who comes back later has another row.
CREATE TABLE attendance (
    broadcast TEXT NOT NULL,
    author TEXT NOT NULL,
    joined_ms BIGINT NOT NULL,
    seen_ms BIGINT NOT NULL,
    user_name TEXT NOT NULL,
    PRIMARY KEY (broadcast, author, joined_ms)
);

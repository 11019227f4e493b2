-- How far the timeline of each broadcast has come, and which process continues it now. As before, only
-- types that mean the same in SQLite and PostgreSQL.

CREATE TABLE timelines (
    -- The broadcast, also one that the configuration file provisions.
    id TEXT NOT NULL PRIMARY KEY,
    t0_ms BIGINT NOT NULL,
    -- The first that is not known to be used: its owner may use as many more as it has reserved.
    next_period BIGINT NOT NULL,
    next_take BIGINT NOT NULL,
    -- The media sequence number of the next period's first segment; or, while a period goes on, of its own.
    sequence BIGINT NOT NULL,
    -- Since when that period goes on, in media milliseconds.
    counting_since_ms BIGINT,
    -- How far media has come, in media milliseconds.
    floor_ms BIGINT NOT NULL,
    -- Rises with each owner.
    epoch BIGINT NOT NULL,
    -- The process that continues it; without one, nothing was left open.
    owner TEXT,
    -- When this row was written, by the database's own clock, in Unix milliseconds.
    changed_at BIGINT NOT NULL
);
CREATE INDEX timelines_changed_at ON timelines (changed_at);

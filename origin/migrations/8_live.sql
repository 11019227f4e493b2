-- How broadcasts are that an origin has on air, told by it every two seconds and shown by the others. Of a
-- moment: no backup needs it.

CREATE TABLE live (
    broadcast TEXT NOT NULL PRIMARY KEY,
    -- By which its owner has it: who has lost it and does not know yet says nothing over the next.
    epoch BIGINT NOT NULL,
    -- Who tells: a random name for each process.
    origin TEXT NOT NULL,
    -- When, Unix milliseconds by the database's clock.
    told_ms BIGINT NOT NULL,
    -- JSON, as the API has it.
    said TEXT NOT NULL
);

-- Nothing looks for the timelines that have changed last.
DROP INDEX timelines_changed_at;

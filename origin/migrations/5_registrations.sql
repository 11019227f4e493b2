-- What viewers answered who had to before they watched. As before, only types that mean the same in
-- SQLite and PostgreSQL.

CREATE TABLE registrations (
    broadcast TEXT NOT NULL REFERENCES broadcasts (id) ON DELETE CASCADE,
    -- Counts those of a broadcast, from 1.
    number BIGINT NOT NULL,
    -- What the viewer's player called it, so that what is sent again is stored once.
    attempt TEXT NOT NULL,
    -- Which questions were asked then, by their names with spaces between.
    fields TEXT NOT NULL,
    -- A JSON object, by the names of the questions.
    answers TEXT NOT NULL,
    registered_ms BIGINT NOT NULL,
    PRIMARY KEY (broadcast, number),
    UNIQUE (broadcast, attempt)
);

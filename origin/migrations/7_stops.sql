-- When a host last had a broadcast stopped, for origins that were not told: whoever has published to it since
-- before then is to end.

CREATE TABLE broadcast_stops (
    broadcast TEXT NOT NULL PRIMARY KEY,
    stopped_ms BIGINT NOT NULL
);

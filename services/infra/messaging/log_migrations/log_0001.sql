-- A log of events, filled by relays. Positions are dense: whoever appends holds the head's row until the commit, so a
-- reader that has seen position n has seen every one before it. A cursor over a sequence written by many has no such
-- promise: it loses what commits behind its back.
CREATE TABLE event_log_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    incarnation text NOT NULL DEFAULT gen_random_uuid()::text,
    position bigint NOT NULL DEFAULT 0,
    -- The highest epoch that has appended; a relay with a lower one has lost its lease and must not append.
    epoch bigint NOT NULL DEFAULT 0
);

CREATE TABLE event_log (
    position bigint PRIMARY KEY,
    event_id uuid NOT NULL UNIQUE,
    type text NOT NULL,
    aggregate_id uuid NOT NULL,
    aggregate_version bigint NOT NULL,
    occur_time timestamptz NOT NULL,
    traceparent text NOT NULL,
    data bytea NOT NULL,
    append_time timestamptz NOT NULL DEFAULT clock_timestamp()
);

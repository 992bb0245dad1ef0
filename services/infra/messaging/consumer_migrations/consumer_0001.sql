-- Where each consumer stands in which log; moved in the transaction of the effects.
CREATE TABLE consumer_cursors (
    consumer text PRIMARY KEY,
    incarnation text NOT NULL,
    position bigint NOT NULL
);

-- Events that no attempt could consume, and the later ones of their aggregates, which must not overtake them.
CREATE TABLE dead_letters (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    type text NOT NULL,
    aggregate_id uuid NOT NULL,
    aggregate_version bigint NOT NULL,
    occur_time timestamptz NOT NULL,
    traceparent text NOT NULL,
    data bytea NOT NULL,
    reason text NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);
CREATE INDEX dead_letters_by_aggregate ON dead_letters (consumer, aggregate_id, aggregate_version);

-- What happened to each order: the write model. Its key is the optimistic lock; `orders` is the fold of it, kept beside.
CREATE TABLE events (
    stream_id uuid NOT NULL,
    version bigint NOT NULL CHECK (version >= 1),
    -- The order of storing, for publishing all again; a transaction may commit after one with a higher number.
    sequence bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    event_id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    type text NOT NULL,
    schema_version int NOT NULL,
    -- What changed; schema_version says in which form.
    data jsonb NOT NULL,
    -- What consumers are told beside it: traceparent, customer_id, create_time, line_count, and the order's state and
    -- total right after the event.
    meta jsonb NOT NULL,
    occur_time timestamptz NOT NULL,
    PRIMARY KEY (stream_id, version)
);

-- Events that no log has yet. Rows go when they are published, so it stays small.
CREATE TABLE outbox (
    outbox_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream_id uuid NOT NULL,
    version bigint NOT NULL,
    UNIQUE (stream_id, version)
);

-- The one relay that may publish, and what its log held when it last looked.
CREATE TABLE relay (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    holder text NOT NULL,
    epoch bigint NOT NULL DEFAULT 1,
    lease_end_time timestamptz NOT NULL,
    log_incarnation text,
    published_count bigint NOT NULL DEFAULT 0,
    -- While a log is filled again: the sequence that was reached, and the one to end with.
    republish_after bigint,
    republish_to bigint
);

-- Orders on their way to their end, each claimed by one driver at a time; gone when the order has come to rest.
CREATE TABLE sagas (
    order_id uuid PRIMARY KEY,
    -- Counts claims: what a driver wants to write under an older epoch is refused.
    epoch bigint NOT NULL DEFAULT 0,
    attempts int NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    due_time timestamptz NOT NULL,
    create_time timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 80);
CREATE INDEX sagas_by_due_time ON sagas (due_time);

ALTER TABLE orders ADD COLUMN cancellation_requested boolean NOT NULL DEFAULT false;

-- The orders that were there before there were events: their events in schema version 1, which only this file writes.
WITH priced AS (
    SELECT order_id, jsonb_agg(jsonb_build_object('sku', sku, 'quantity', quantity) ORDER BY line_number) AS lines,
        jsonb_agg(jsonb_build_object('sku', sku, 'unit_price_minor', unit_price_minor) ORDER BY line_number) AS prices
    FROM order_lines GROUP BY order_id),
history (order_id, version, type, data, state, occur_time) AS (
    SELECT order_id, 1, 'order.placed', jsonb_build_object('customer_id', customer_id, 'lines', lines), 'PENDING',
        create_time
    FROM orders JOIN priced USING (order_id)
    UNION ALL
    SELECT order_id, 2, 'order.completed', jsonb_build_object('currency_code', currency_code, 'total_minor', total_minor,
        'lines', prices), 'CONFIRMED', update_time
    FROM orders JOIN priced USING (order_id) WHERE state = 'CONFIRMED' OR version = 3
    UNION ALL
    SELECT order_id, 2, 'order.rejected', rejection, 'REJECTED', update_time FROM orders WHERE state = 'REJECTED'
    UNION ALL
    SELECT order_id, version, 'order.cancelled', '{}', 'CANCELLED', update_time FROM orders WHERE state = 'CANCELLED'),
stored AS (
    INSERT INTO events (stream_id, version, type, schema_version, data, meta, occur_time)
    SELECT order_id, history.version, type, 1, data, jsonb_strip_nulls(jsonb_build_object('traceparent', '',
            'customer_id', customer_id, 'create_time', create_time, 'line_count', line_count, 'state', history.state,
            'currency_code', CASE WHEN history.version > 1 THEN currency_code END,
            'total_minor', CASE WHEN history.version > 1 THEN total_minor END)), history.occur_time
    FROM history JOIN orders USING (order_id) ORDER BY history.occur_time, order_id, history.version
    RETURNING stream_id, version, sequence)
INSERT INTO outbox (stream_id, version) SELECT stream_id, version FROM stored ORDER BY sequence;

INSERT INTO sagas (order_id, due_time) SELECT order_id, now() FROM orders WHERE state = 'PENDING';

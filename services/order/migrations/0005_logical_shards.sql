-- Each row of an order names its logical shard, 0 to 255: the first byte of the SHA-256 of its customer's id. It is the
-- last column of each primary key, so that a logical shard can be moved by logical replication, whose row filter may
-- read only columns of the key. The id comes first in each key: it is selective by itself.
--
-- A generated column fills the tables that know the customer while they are rewritten, and is then made a plain one:
-- the application writes it from now on.
ALTER TABLE orders ADD COLUMN logical_shard smallint NOT NULL
    GENERATED ALWAYS AS (get_byte(sha256(uuid_send(customer_id)), 0)) STORED;
ALTER TABLE orders ALTER COLUMN logical_shard DROP EXPRESSION;
ALTER TABLE events ADD COLUMN logical_shard smallint NOT NULL
    GENERATED ALWAYS AS (get_byte(sha256(uuid_send((meta->>'customer_id')::uuid)), 0)) STORED;
ALTER TABLE events ALTER COLUMN logical_shard DROP EXPRESSION;
-- The scope of a key is its customer.
ALTER TABLE idempotency_keys ADD COLUMN logical_shard smallint NOT NULL
    GENERATED ALWAYS AS (get_byte(sha256(uuid_send(scope::uuid)), 0)) STORED;
ALTER TABLE idempotency_keys ALTER COLUMN logical_shard DROP EXPRESSION;

-- These know their order alone.
ALTER TABLE order_lines ADD COLUMN logical_shard smallint;
UPDATE order_lines SET logical_shard = o.logical_shard FROM orders o WHERE o.order_id = order_lines.order_id;
ALTER TABLE order_lines ALTER COLUMN logical_shard SET NOT NULL;
ALTER TABLE sagas ADD COLUMN logical_shard smallint;
UPDATE sagas SET logical_shard = o.logical_shard FROM orders o WHERE o.order_id = sagas.order_id;
ALTER TABLE sagas ALTER COLUMN logical_shard SET NOT NULL;
ALTER TABLE outbox ADD COLUMN logical_shard smallint;
UPDATE outbox SET logical_shard = e.logical_shard FROM events e
WHERE e.stream_id = outbox.stream_id AND e.version = outbox.version;
ALTER TABLE outbox ALTER COLUMN logical_shard SET NOT NULL;

ALTER TABLE orders DROP CONSTRAINT orders_pkey, ADD PRIMARY KEY (order_id, logical_shard);
ALTER TABLE order_lines DROP CONSTRAINT order_lines_pkey, ADD PRIMARY KEY (order_id, line_number, logical_shard);
ALTER TABLE idempotency_keys DROP CONSTRAINT idempotency_keys_pkey,
    ADD PRIMARY KEY (scope, request_id, logical_shard);
ALTER TABLE events DROP CONSTRAINT events_pkey, ADD PRIMARY KEY (stream_id, version, logical_shard);
ALTER TABLE sagas DROP CONSTRAINT sagas_pkey, ADD PRIMARY KEY (order_id, logical_shard);
ALTER TABLE outbox DROP CONSTRAINT outbox_pkey, ADD PRIMARY KEY (outbox_id, logical_shard),
    DROP CONSTRAINT outbox_stream_id_version_key, ADD UNIQUE (stream_id, version, logical_shard);

-- An order is in the logical shard of its customer, and one that its id carries is that one; the sixth byte of an id
-- that carries one is hex 80, and the seventh is the shard, counted from 0. The orders' other rows take it from there.
ALTER TABLE orders
    ADD CONSTRAINT orders_shard_of_customer CHECK (logical_shard = get_byte(sha256(uuid_send(customer_id)), 0)),
    ADD CONSTRAINT orders_shard_of_id CHECK (
        get_byte(uuid_send(order_id), 6) <> 128 OR get_byte(uuid_send(order_id), 7) = logical_shard);

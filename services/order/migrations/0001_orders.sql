-- One row an order; version is the optimistic lock.
CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    customer_id uuid NOT NULL,
    state text NOT NULL CHECK (state IN ('PENDING', 'CONFIRMED', 'REJECTED', 'CANCELLED')),
    version bigint NOT NULL CHECK (version >= 1),
    line_count int NOT NULL CHECK (line_count > 0),
    currency_code char(3),
    total_minor bigint CHECK (total_minor >= 0),
    -- {"reason": ..., "shortages": [...], "skus": [...]}, exactly when REJECTED.
    rejection jsonb,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    CHECK ((state = 'REJECTED') = (rejection IS NOT NULL)),
    CHECK (state <> 'CONFIRMED' OR total_minor IS NOT NULL)
) WITH (fillfactor = 80);

-- A customer's orders, newest first; order_id breaks ties so that a page ends at one place.
CREATE INDEX orders_by_customer ON orders (customer_id, create_time DESC, order_id DESC);

-- No foreign key: it would be one trigger call a line; lines are written in the transaction that writes their order.
CREATE TABLE order_lines (
    order_id uuid NOT NULL,
    line_number int NOT NULL,
    sku text COLLATE "C" NOT NULL,
    quantity int NOT NULL CHECK (quantity > 0),
    currency_code char(3),
    unit_price_minor bigint,
    PRIMARY KEY (order_id, line_number)
) WITH (fillfactor = 80);

CREATE TABLE idempotency_keys (
    scope text NOT NULL,
    request_id text NOT NULL,
    digest bytea NOT NULL,
    resource_id uuid NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, request_id)
);

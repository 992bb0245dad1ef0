-- A customer's list of orders, one row an order, made of the orders' events alone: it can be thrown away and built again.
CREATE TABLE order_summaries (
    order_id uuid PRIMARY KEY,
    customer_id uuid NOT NULL,
    -- The version of the last event that took effect: an older one that comes late changes nothing.
    version bigint NOT NULL CHECK (version >= 1),
    state text NOT NULL CHECK (state IN ('PENDING', 'CONFIRMED', 'REJECTED', 'CANCELLED')),
    line_count int NOT NULL CHECK (line_count > 0),
    currency_code char(3),
    total_minor bigint CHECK (total_minor >= 0),
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL
) WITH (fillfactor = 80);

-- A customer's orders, newest first; order_id breaks ties so that a page ends at one place.
CREATE INDEX order_summaries_by_customer ON order_summaries (customer_id, create_time DESC, order_id DESC);

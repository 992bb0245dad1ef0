-- One row an event: its key is the inbox, its content the effect. No e-mail address is kept.
CREATE TABLE notifications (
    event_id uuid PRIMARY KEY,
    order_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    currency_code char(3),
    total_minor bigint CHECK (total_minor >= 0),
    line_count int NOT NULL CHECK (line_count > 0),
    occur_time timestamptz NOT NULL,
    -- W3C context of the span that completed the order; empty when that was not traced.
    traceparent text NOT NULL,
    state text NOT NULL DEFAULT 'PENDING' CHECK (state IN ('PENDING', 'SENT')),
    -- Sendings that failed.
    attempts int NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    due_time timestamptz NOT NULL DEFAULT now(),
    create_time timestamptz NOT NULL DEFAULT now(),
    send_time timestamptz,
    CHECK ((currency_code IS NULL) = (total_minor IS NULL)),
    CHECK ((state = 'SENT') = (send_time IS NOT NULL))
) WITH (fillfactor = 80);

-- What waits, and nothing else: it stays small however many were sent.
CREATE INDEX notifications_pending ON notifications (due_time) WHERE state = 'PENDING';

-- What is on the shelf. Locked in order of sku, always: two reservations then never wait for each other in a circle.
CREATE TABLE items (
    sku text COLLATE "C" PRIMARY KEY,
    currency_code char(3) NOT NULL,
    unit_price_minor bigint NOT NULL CHECK (unit_price_minor >= 0),
    on_hand bigint NOT NULL CHECK (on_hand >= 0),
    reserved bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    available bigint GENERATED ALWAYS AS (on_hand - reserved) STORED CHECK (available >= 0)
) WITH (fillfactor = 80);

CREATE TABLE reservations (
    reservation_id uuid PRIMARY KEY,
    state text NOT NULL
        CHECK (state IN ('PENDING', 'CONFIRMED', 'RELEASED', 'EXPIRED', 'RETURNED', 'REJECTED', 'VOIDED')),
    -- Why it was REJECTED: exactly one of the two.
    shortages jsonb,
    unknown_skus text[],
    create_time timestamptz NOT NULL DEFAULT now(),
    update_time timestamptz NOT NULL DEFAULT now(),
    expire_time timestamptz
) WITH (fillfactor = 80);

-- No foreign keys on the two tables below: each is one trigger call a row, and a basket has up to 1,500. Their rows are
-- written in the transaction that wrote or locked what they point to.
CREATE TABLE reservation_lines (
    reservation_id uuid NOT NULL,
    line_number int NOT NULL,
    sku text COLLATE "C" NOT NULL,
    quantity int NOT NULL CHECK (quantity > 0),
    currency_code char(3),
    unit_price_minor bigint,
    PRIMARY KEY (reservation_id, line_number)
);

-- Append-only: seeded and restocked + returned - sold = items.on_hand, for every sku.
CREATE TABLE stock_ledger (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sku text COLLATE "C" NOT NULL,
    kind text NOT NULL CHECK (kind IN ('RESTOCKED', 'SOLD', 'RETURNED')),
    quantity bigint NOT NULL CHECK (quantity >= 0),
    cause text NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE idempotency_keys (
    scope text NOT NULL,
    request_id text NOT NULL,
    digest bytea NOT NULL,
    resource_id uuid NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, request_id)
);

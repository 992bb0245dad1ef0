-- What was sold lately, for hints: the ledger is in the order of time, so that its blocks of an hour are found by a few pages.
-- Not an index by SKU: each sale would pay for it, line by line, and hints are read from a cache nearly always.
CREATE INDEX stock_ledger_by_time ON stock_ledger USING brin (create_time) WITH (pages_per_range = 16, autosummarize = on);

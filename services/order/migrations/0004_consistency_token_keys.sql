-- The keys that consistency tokens are signed with, one a day, which all processes share; the oldest go.
CREATE TABLE consistency_token_keys (
    period int PRIMARY KEY,
    key bytea NOT NULL CHECK (length(key) = 32)
);

-- Which server of orders has each logical shard: one row for each version of the map, the highest epoch holds. Without a
-- row all are on server 0. Only the rows of server 0, the first order database of the settings, count.
CREATE TABLE shard_map (
    epoch bigint PRIMARY KEY CHECK (epoch >= 1),
    -- The number of the server of logical shards 0 to 255, in order; 0 is ORDER_DATABASE_DSN.
    servers smallint[] NOT NULL CHECK (cardinality(servers) = 256),
    create_time timestamptz NOT NULL DEFAULT now()
);

-- What no relay appends and no reader could take, whoever writes it by hand. Not checked for the rows that are there.
ALTER TABLE event_log
    ADD CONSTRAINT event_log_position CHECK (position BETWEEN 1 AND 4611686018427387904) NOT VALID,
    ADD CONSTRAINT event_log_version CHECK (aggregate_version > 0) NOT VALID,
    ADD CONSTRAINT event_log_time CHECK (occur_time BETWEEN '1970-01-01Z' AND '9000-01-01Z') NOT VALID,
    ADD CONSTRAINT event_log_text CHECK (greatest(length(type), length(traceparent)) <= 128) NOT VALID,
    ADD CONSTRAINT event_log_data CHECK (octet_length(data) <= 65536) NOT VALID;

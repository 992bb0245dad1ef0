-- A saga whose error cannot change is parked: due never, with the error's reason, until a person lets it be due again or the
-- order changes.
ALTER TABLE sagas ADD COLUMN parked_reason text, ADD COLUMN park_time timestamptz;

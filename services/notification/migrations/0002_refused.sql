-- A confirmation that the mail server refused for good is a dead letter: it is sent again when that is replayed.
ALTER TABLE notifications
    DROP CONSTRAINT notifications_state_check,
    ADD CONSTRAINT notifications_state_check CHECK (state IN ('PENDING', 'SENT', 'REFUSED'));

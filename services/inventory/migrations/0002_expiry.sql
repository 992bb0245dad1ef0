-- What may expire, and nothing else: it stays small however many reservations there were.
CREATE INDEX reservations_pending ON reservations (expire_time, reservation_id) WHERE state = 'PENDING';

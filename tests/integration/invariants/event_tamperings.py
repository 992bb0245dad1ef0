"""Tamperings with the event log, with what is made of its events, and with their effects: invariants 6 to 8."""

from tests.integration.invariants.tampering import (
    FROM_SOLD,
    LOGGED,
    NOBODY,
    PARKED,
    SOLD,
    TOLD,
    Tampering,
    tampering,
    unfinished,
)

LOG = (
    tampering(
        "a lost event",
        "event_log",
        f"DELETE FROM event_log WHERE position = {LOGGED}",
        "I6",
        "is neither in the log nor in the outbox",
    ),
    tampering(
        "an event of nobody",
        "event_log",
        f"UPDATE event_log SET event_id = {NOBODY} WHERE position = {LOGGED}",
        "I6",
        "is in the log and not in the store",
    ),
    tampering(
        "an event with another version",
        "event_log",
        f"UPDATE event_log SET aggregate_version = 9 WHERE position = {LOGGED}",
        "I6",
        "otherwise than in the store",
    ),
    tampering(
        "an event of another type",
        "event_log",
        f"UPDATE event_log SET type = 'order.cancelled' WHERE position = {LOGGED}",
        "I6",
        "otherwise than in the store",
    ),
    tampering(
        "an event that is no event",
        "event_log",
        f"UPDATE event_log SET data = 'nonsense' WHERE position = {LOGGED}",
        "I6",
        "otherwise than in the store",
    ),
    Tampering(
        "events out of order",
        "event_log",
        (
            f"""UPDATE event_log one SET position = other.position + 1000000 FROM event_log other
            WHERE one.aggregate_id = (SELECT aggregate_id FROM event_log WHERE position = {LOGGED})
                AND other.aggregate_id = one.aggregate_id AND other.aggregate_version + one.aggregate_version = 3""",
            "UPDATE event_log SET position = position - 1000000 WHERE position > 1000000",
        ),
        "I6",
        "before the version before it",
    ),
    tampering(
        "an outbox of nothing",
        "order",
        f"INSERT INTO outbox (stream_id, version, logical_shard) VALUES ({NOBODY}, 1, 0)",
        "I6",
        "the outbox speaks of no event",
    ),
    unfinished(
        "an event to be published again",
        "order",
        f"INSERT INTO outbox (stream_id, version, logical_shard) SELECT order_id, 1, logical_shard {FROM_SOLD}",
        "I6",
        "it waits to be published",
    ),
    tampering(
        "a gap in a history",
        "order",
        f"UPDATE events SET version = 9 WHERE stream_id = {SOLD} AND version = 2",
        "I6 I7",
        "its versions have a gap",
    ),
)
PROJECTIONS = (
    tampering(
        "another total",
        "order",
        f"UPDATE orders SET total_minor = 1 WHERE order_id = {SOLD}",
        "I7",
        "is not the fold of its 2 events",
    ),
    tampering(
        "a wrong count of lines",
        "order",
        f"UPDATE orders SET line_count = 9 WHERE order_id = {SOLD}",
        "I7",
        "is not the fold",
    ),
    tampering(
        "a line gone", "order", f"DELETE FROM order_lines WHERE order_id = {SOLD}", "I2 I5 I7", "no request can have"
    ),
    tampering(
        "an event that says otherwise",
        "order",
        f"UPDATE events SET data = jsonb_set(data, '{{total_minor}}', '1') WHERE stream_id = {SOLD} AND version = 2",
        "I7",
        "differs from the content",
    ),
    tampering(
        "an event that says nothing",
        "order",
        f"UPDATE events SET data = '{{}}' WHERE stream_id = {SOLD} AND version = 2",
        "I7",
        "has events that make no order",
    ),
    tampering(
        "an event told otherwise",
        "order",
        f"""UPDATE events SET meta = jsonb_set(meta, '{{state}}', '"REJECTED"')
        WHERE stream_id = {SOLD} AND version = 1""",
        "I6 I7",
        "otherwise than in the store",
    ),
    tampering(
        "an event told of nothing",
        "order",
        f"UPDATE events SET meta = '{{}}' WHERE stream_id = {SOLD} AND version = 2",
        "I6 I7 I8",
        "otherwise than in the store",
    ),
    tampering(
        "an order gone", "order", f"DELETE FROM orders WHERE order_id = {SOLD}", "I2 I5 I7", "which is not there"
    ),
    tampering(
        "a history gone",
        "order",
        f"DELETE FROM events WHERE stream_id = {SOLD}",
        "I6 I7 I8",
        "is in the log and not in the store",
    ),
    tampering(
        "a list that says otherwise",
        "order_read",
        "UPDATE order_summaries SET total_minor = 1 WHERE state = 'CONFIRMED'",
        "I7",
        "otherwise than its event 2",
    ),
    tampering(
        "a list of another customer",
        "order_read",
        f"UPDATE order_summaries SET customer_id = {NOBODY} WHERE state = 'REJECTED'",
        "I7",
        "otherwise than its event",
    ),
    tampering(
        "a list ahead of its events",
        "order_read",
        "UPDATE order_summaries SET version = 9 WHERE state = 'CONFIRMED'",
        "I7",
        "at version 9, which is no event",
    ),
    tampering(
        "a list of more than there is",
        "order_read",
        f"""INSERT INTO order_summaries (order_id, customer_id, version, state, line_count, create_time, update_time)
        VALUES ({NOBODY}, {NOBODY}, 1, 'PENDING', 1, now(), now())""",
        "I7",
        "which is no event",
    ),
    unfinished(
        "a list of less than there is",
        "order_read",
        "DELETE FROM order_summaries WHERE state = 'REJECTED'",
        "I7",
        "the list does not have order",
    ),
    tampering(
        "a consumer ahead of the log",
        "order_read",
        "UPDATE consumer_cursors SET position = position + 1",
        "I7",
        "in a log that ends at",
    ),
    unfinished(
        "a consumer behind the log",
        "notification",
        "UPDATE consumer_cursors SET position = position - 1",
        "I7",
        "consumer notification stands at",
    ),
    unfinished(
        "a consumer that has read nothing", "order_read", "DELETE FROM consumer_cursors", "I7", "stands at 0 in a log"
    ),
    unfinished(
        "another log", "event_log", "UPDATE event_log_head SET incarnation = 'another'", "I7", "which is not the one"
    ),
)
EFFECTS = (
    tampering(
        "a customer not notified",
        "notification",
        f"DELETE FROM notifications WHERE event_id = {TOLD}",
        "I8",
        "not notified",
    ),
    tampering(
        "a customer told of nothing",
        "notification",
        f"""INSERT INTO notifications (event_id, order_id, customer_id, line_count, occur_time, traceparent)
        VALUES ({NOBODY}, {NOBODY}, {NOBODY}, 1, now(), '')""",
        "I8",
        "is of no completed order",
    ),
    tampering(
        "a customer told of another total",
        "notification",
        f"UPDATE notifications SET total_minor = 1 WHERE event_id = {TOLD}",
        "I8",
        "says something else than its event",
    ),
    unfinished(
        "a confirmation not sent",
        "notification",
        f"UPDATE notifications SET state = 'PENDING', send_time = NULL WHERE event_id = {TOLD}",
        "I8",
        "was not sent",
    ),
    unfinished(
        "an event that notification could not consume",
        "notification",
        PARKED,
        "I8",
        "it is a dead letter",
    ),
    unfinished(
        "an event that the list could not consume",
        "order_read",
        PARKED,
        "I8",
        "consumer order_summaries",
    ),
)

"""The text of a confirmation, and its e-mail."""

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from uuid import UUID

import pytest

from services.kernel.money import Money
from services.notification.adapters.mail import Addresses, mail_of
from services.notification.api import Notification
from services.notification.domain.confirmation import amount, confirmation_of

ORDER_ID = UUID("11111111-1111-4111-8111-111111111111")
EVENT_ID = UUID("22222222-2222-4222-8222-222222222222")
CUSTOMER_ID = UUID("33333333-3333-4333-8333-333333333333")
NOTIFICATION = Notification(
    event_id=EVENT_ID,
    order_id=ORDER_ID,
    customer_id=CUSTOMER_ID,
    total=Money("GBP", 1205),
    line_count=2,
    occur_time=datetime(2026, 3, 1, 12, 0, tzinfo=UTC),
    traceparent="",
    attempts=0,
)
ADDRESSES = Addresses("orders@shop.example", "{customer_id}@customers.example")


def test_the_text_names_the_order_its_size_and_its_total() -> None:
    """And nothing about the customer."""
    confirmation = confirmation_of(NOTIFICATION)
    assert confirmation.subject == f"Your order {ORDER_ID} is confirmed"
    assert confirmation.body == (
        f"Thank you for your order.\n\nOrder {ORDER_ID} with 2 items is confirmed.\n\nTotal: GBP 12.05\n"
    )


def test_one_item_is_singular() -> None:
    assert "with 1 item is" in confirmation_of(replace(NOTIFICATION, line_count=1)).body


def test_without_a_total_none_is_named() -> None:
    assert "Total" not in confirmation_of(replace(NOTIFICATION, total=None)).body


@pytest.mark.parametrize(
    ("minor_units", "text"),
    [(0, "EUR 0.00"), (7, "EUR 0.07"), (100, "EUR 1.00"), (2**53 + 1, "EUR 90071992547409.93")],
)
def test_an_amount_is_exact(minor_units: int, text: str) -> None:
    """Also where a float is not."""
    assert amount(Money("EUR", minor_units)) == text


def test_the_mail_has_its_headers_and_its_text() -> None:
    """As a mail reader reads them."""
    mail = message_from_bytes(mail_of(NOTIFICATION, ADDRESSES).as_bytes(policy=policy.SMTP), policy=policy.default)
    assert mail["From"] == "orders@shop.example"
    assert mail["To"] == f"{CUSTOMER_ID}@customers.example"
    assert mail["Message-ID"] == f"<{EVENT_ID}@shop.example>"
    assert mail["Date"].datetime == NOTIFICATION.occur_time
    assert "Total: GBP 12.05" in mail.get_content()


def test_the_same_event_gives_the_same_bytes() -> None:
    """However often it was tried."""
    again = replace(NOTIFICATION, attempts=3)
    assert mail_of(again, ADDRESSES).as_bytes() == mail_of(NOTIFICATION, ADDRESSES).as_bytes()

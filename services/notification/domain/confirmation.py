"""Text of a confirmation, always the same for one order."""

from dataclasses import dataclass

from services.kernel.money import MINOR_UNITS, Money
from services.notification.api import Notification


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The subject and the plain text of an e-mail."""

    subject: str
    body: str


def confirmation_of(notification: Notification) -> Confirmation:
    """Return the text for a completed order."""
    order_id, count = notification.order_id, notification.line_count
    sentences = [
        "Thank you for your order.",
        f"Order {order_id} with {count} {'item' if count == 1 else 'items'} is confirmed.",
    ]
    if notification.total:
        sentences.append(f"Total: {amount(notification.total)}")
    return Confirmation(f"Your order {order_id} is confirmed", "\n\n".join(sentences) + "\n")


def amount(money: Money) -> str:
    """Return an amount such as `GBP 12.05`, by integer arithmetic."""
    whole, rest = divmod(money.minor_units, MINOR_UNITS)
    return f"{money.currency_code} {whole}.{rest:02d}"

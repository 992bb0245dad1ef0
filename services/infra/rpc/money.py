"""Conversion of money to and from google.type.Money, which has whole units and nanos."""

from google.type import money_pb2

from services.kernel.errors import InvalidField
from services.kernel.money import CURRENCIES, MINOR_UNITS, Money

NANOS_A_MINOR_UNIT = 1_000_000_000 // MINOR_UNITS
# Far above the limits of any context, far below the range of a 64-bit integer.
MOST_UNITS = 1_000_000_000_000


def money_to_proto(money: Money) -> money_pb2.Money:
    """Return the protobuf message of an amount."""
    units, rest = divmod(money.minor_units, MINOR_UNITS)
    return money_pb2.Money(currency_code=money.currency_code, units=units, nanos=rest * NANOS_A_MINOR_UNIT)


def optional_money_to_proto(money: Money | None) -> money_pb2.Money | None:
    """Return the protobuf message of an amount; None leaves its field unset."""
    return money_to_proto(money) if money else None


def money_from_proto(field: str, message: money_pb2.Money) -> Money:
    """Return the amount of a message. Raises InvalidField for an unknown currency, parts of a cent, or a sign."""
    if message.currency_code not in CURRENCIES:
        raise InvalidField(
            f"{field}.currency_code", "INVALID_CURRENCY", f"must be one of {', '.join(sorted(CURRENCIES))}"
        )
    if not 0 <= message.units <= MOST_UNITS:
        raise InvalidField(f"{field}.units", "INVALID_AMOUNT", f"must be 0 to {MOST_UNITS}")
    if not 0 <= message.nanos < 1_000_000_000 or message.nanos % NANOS_A_MINOR_UNIT:
        raise InvalidField(f"{field}.nanos", "INVALID_AMOUNT", f"must be a multiple of {NANOS_A_MINOR_UNIT} below 10^9")
    return Money(message.currency_code, message.units * MINOR_UNITS + message.nanos // NANOS_A_MINOR_UNIT)

"""Conversion of values to and from protobuf; invalid ones are rejected with the name of their field."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from google.type.money_pb2 import Money as MoneyMessage
from hypothesis import given
from hypothesis import strategies as st

from services.infra.rpc.fields import time_from_proto, time_to_proto, uuid_from_text
from services.infra.rpc.money import money_from_proto, money_to_proto
from services.kernel.errors import InvalidField
from services.kernel.money import CURRENCIES, Money

ID = "6f2b54ae-5f0e-4c3a-9d0a-0f5c2d6e7b81"


@given(st.builds(Money, st.sampled_from(sorted(CURRENCIES)), st.integers(0, 10**14)))
def test_money_survives(money: Money) -> None:
    """To the last minor unit."""
    assert money_from_proto("price", money_to_proto(money)) == money


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (MoneyMessage(currency_code="XXX", units=1), "price.currency_code"),
        (MoneyMessage(currency_code="GBP", units=-1), "price.units"),
        (MoneyMessage(currency_code="GBP", units=2**62), "price.units"),
        (MoneyMessage(currency_code="GBP", nanos=1), "price.nanos"),
        (MoneyMessage(currency_code="GBP", nanos=-10_000_000), "price.nanos"),
    ],
)
def test_an_invalid_amount_names_its_part(message: MoneyMessage, field: str) -> None:
    """Currency, units or nanos."""
    with pytest.raises(InvalidField) as caught:
        money_from_proto("price", message)
    assert caught.value.field == field


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9000, 1, 1)))  # noqa: DTZ001  # made aware below
def test_times_survive(time: datetime) -> None:
    """To the microsecond, in UTC."""
    aware = time.replace(tzinfo=UTC)
    assert time_from_proto(time_to_proto(aware)) == aware


@given(st.uuids())
def test_ids_survive(value: UUID) -> None:
    """In either case of letters."""
    assert uuid_from_text("order_id", str(value)) == value
    assert uuid_from_text("order_id", str(value).upper()) == value


@pytest.mark.parametrize(
    "text", ["", "1", "{6f2b54ae-5f0e-4c3a-9d0a-0f5c2d6e7b81}", "6f2b54ae5f0e4c3a9d0a0f5c2d6e7b81", "é"]
)
def test_another_form_of_an_id_is_refused(text: str) -> None:
    """One way to write it; the error names the field."""
    with pytest.raises(InvalidField) as caught:
        uuid_from_text("order_id", text)
    assert (caught.value.field, caught.value.reason) == ("order_id", "INVALID_ORDER_ID")

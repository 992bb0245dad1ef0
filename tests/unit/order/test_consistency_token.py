"""A consistency token is accepted only if the service signed it for this customer."""

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.errors import InvalidField
from services.order.consistency_token import LENGTH, OrderVersion, TokenKeys

KEYS = TokenKeys(7, {6: b"6" * 32, 7: b"7" * 32, 8: b"8" * 32})
SEEN = OrderVersion(uuid4(), uuid4(), 3)
TOKEN = KEYS.sign(SEEN)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def refusal(keys: TokenKeys, token: str) -> str:
    """Return why a token is refused."""
    with pytest.raises(InvalidField) as caught:
        keys.verify(token, SEEN.customer_id)
    assert (caught.value.field, caught.value.reason) == ("consistency_token", "INVALID_CONSISTENCY_TOKEN")
    return caught.value.description


def test_a_token_says_what_was_signed() -> None:
    assert KEYS.verify(TOKEN, SEEN.customer_id) == SEEN
    assert len(TOKEN) == LENGTH


def test_a_token_of_another_customer_is_none() -> None:
    with pytest.raises(InvalidField):
        KEYS.verify(TOKEN, uuid4())


@pytest.mark.parametrize("at", range(LENGTH))
def test_a_token_that_is_changed_in_one_character_is_none(at: int) -> None:
    """Every character counts."""
    for character in {TOKEN[at].swapcase(), ALPHABET[ALPHABET.index(TOKEN[at]) - 1]} - {TOKEN[at]}:
        refusal(KEYS, TOKEN[:at] + character + TOKEN[at + 1 :])


@given(st.text(max_size=200))
def test_any_text_is_no_token(text: str) -> None:
    refusal(KEYS, text)


@given(st.text(ALPHABET, min_size=LENGTH, max_size=LENGTH))
def test_a_text_of_the_right_length_is_no_token(text: str) -> None:
    refusal(KEYS, text)


@pytest.mark.parametrize("period", [6, 8])
def test_a_token_of_a_period_beside_this_one_holds(period: int) -> None:
    """Yesterday's, and that of a process whose clock is ahead."""
    assert KEYS.verify(TokenKeys(period, KEYS.keys).sign(SEEN), SEEN.customer_id) == SEEN


def test_a_token_whose_key_is_gone_has_expired() -> None:
    assert refusal(TokenKeys(9, {8: b"8" * 32, 9: b"9" * 32}), TOKEN).startswith("has expired")


def test_a_token_signed_with_another_key_is_none() -> None:
    refusal(TokenKeys(7, {7: b"x" * 32}), TOKEN)


def test_the_keys_are_not_shown() -> None:
    assert "keys=" not in repr(KEYS)

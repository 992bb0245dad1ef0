"""Validators of request fields, whose errors name the field."""

import re
from collections.abc import Collection, Sized

from services.kernel.errors import InvalidField

# Metadata of a field that is part of its command's digest even with its default value: the field existed before
# defaults were left out. No new field has it.
ALWAYS_DIGESTED = {"always_digested": True}
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
SKU = re.compile(r"[A-Z0-9][A-Z0-9 _./-]{0,63}")


def check_range(field: str, value: int, *, low: int, high: int, reason: str) -> None:
    """Raise InvalidField unless low <= value <= high."""
    if not low <= value <= high:
        raise InvalidField(field, reason, f"must be {low} to {high}, is {value}")


def check_text(field: str, value: str, pattern: re.Pattern[str], *, reason: str) -> None:
    """Raise InvalidField unless the whole text matches the pattern."""
    if not pattern.fullmatch(value):
        raise InvalidField(field, reason, f"must match {pattern.pattern}")


def check_count(field: str, values: Sized, *, most: int) -> None:
    """Raise InvalidField unless there are 1 to `most` values."""
    check_range(field, len(values), low=1, high=most, reason=f"INVALID_{field.upper()}")


def check_skus(field: str, skus: Collection[str], *, most: int, member: str = ".sku") -> None:
    """Raise InvalidField unless there are 1 to `most` SKUs, each well formed and once, at `field[i]member`."""
    check_count(field, skus, most=most)
    seen: set[str] = set()
    for index, sku in enumerate(skus):
        path = f"{field}[{index}]{member}"
        check_text(path, sku, SKU, reason="INVALID_SKU")
        if sku in seen:
            raise InvalidField(path, "DUPLICATE_SKU", "occurs more than once")
        seen.add(sku)

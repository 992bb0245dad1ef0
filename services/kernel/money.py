"""Money: an amount in integer minor units of one currency, never a float."""

from dataclasses import dataclass

MINOR_UNITS = 100
CURRENCIES = frozenset({"EUR", "GBP", "USD"})


@dataclass(frozen=True, slots=True)
class Money:
    """An amount: `minor_units` hundredths of `currency_code` (EUR, GBP or USD)."""

    currency_code: str
    minor_units: int

    def __add__(self, other: "Money") -> "Money":
        """Add two amounts of one currency; raise ValueError for two currencies."""
        if other.currency_code != self.currency_code:
            raise ValueError(f"cannot add {other.currency_code} to {self.currency_code}")
        return Money(self.currency_code, self.minor_units + other.minor_units)

    def __mul__(self, count: int) -> "Money":
        """Multiply by a count of units."""
        return Money(self.currency_code, self.minor_units * count)

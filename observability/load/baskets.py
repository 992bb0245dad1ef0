"""Filter of raw baskets: keeps the lines that can be ordered, and counts what is changed or left out."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from observability.load.orders import Basket, BasketLine
from services.inventory.api import MAX_LINES, MAX_QUANTITY
from services.kernel.fields import SKU

# Codes of fees, postage, discounts, samples, adjustments and vouchers. Every other code is stock.
FEE_CODES = frozenset({"POST", "DOT", "M", "C2", "D", "S", "B", "PADS", "CRUK", "BANK CHARGES", "AMAZONFEE"})
FEE_PREFIX = "GIFT_"


@dataclass(frozen=True, slots=True)
class RawLine:
    """A line as read from a file, not validated. The quantity is None if the file has no quantities."""

    code: str
    quantity: int | None


@dataclass(slots=True)
class BasketReport:
    """Counts of what was kept, changed and left out of a file; of lines, unless the name says baskets."""

    format: str
    usable_baskets: int = 0
    usable_lines: int = 0
    merged_lines: int = 0
    fee_lines_by_code: Counter[str] = field(default_factory=Counter)
    returned_lines: int = 0
    malformed_lines: int = 0
    over_quantity_lines: int = 0
    empty_baskets: int = 0
    oversized_baskets: int = 0
    largest_basket_lines: int = 0

    @property
    def fee_lines(self) -> int:
        """Number of lines dropped because they are fees or postage."""
        return self.fee_lines_by_code.total()

    def sentences(self) -> list[str]:
        """Return a sentence on what was kept, and one for each kind of line or basket merged or left out."""
        fees = ", ".join(f"{code} {count}" for code, count in self.fee_lines_by_code.most_common())
        counted = [
            (self.merged_lines, "lines merged into an earlier line of the same SKU"),
            (self.fee_lines, f"fee and postage lines dropped ({fees})"),
            (self.returned_lines, "returned lines left out (cancelled invoices and negative quantities)"),
            (self.malformed_lines, "malformed lines left out"),
            (self.over_quantity_lines, f"lines of more than {MAX_QUANTITY:,} units left out"),
            (self.empty_baskets, "baskets left empty and not ordered"),
            (self.oversized_baskets, f"baskets of more than {MAX_LINES:,} lines left out"),
        ]
        kept = f"{self.usable_baskets:,} baskets of {self.usable_lines:,} lines, at most {self.largest_basket_lines:,}"
        return [kept, *(f"{count:,} {what}" for count, what in counted if count)]


def keep_orderable(raw_lines: Iterable[RawLine], report: BasketReport) -> Basket | None:
    """Return the orderable part of one basket, and count the rest; None if nothing is left or it has too many lines."""
    quantities: dict[str, int | None] = {}
    for raw in raw_lines:
        sku = raw.code.strip().upper()
        if _is_stock(sku, raw.quantity, report):
            _merge(quantities, sku, raw.quantity, report)
    within = {sku: units for sku, units in quantities.items() if units is None or units <= MAX_QUANTITY}
    report.over_quantity_lines += len(quantities) - len(within)
    if not within:
        report.empty_baskets += 1
        return None
    if len(within) > MAX_LINES:
        report.oversized_baskets += 1
        return None
    report.usable_baskets += 1
    report.usable_lines += len(within)
    report.largest_basket_lines = max(report.largest_basket_lines, len(within))
    return tuple(BasketLine(sku, units) for sku, units in within.items())


def _is_stock(sku: str, quantity: int | None, report: BasketReport) -> bool:
    if sku in FEE_CODES or sku.startswith(FEE_PREFIX):
        report.fee_lines_by_code[sku] += 1
    elif not SKU.fullmatch(sku) or quantity == 0:
        report.malformed_lines += 1
    elif quantity is not None and quantity < 0:
        report.returned_lines += 1
    else:
        return True
    return False


def _merge(quantities: dict[str, int | None], sku: str, quantity: int | None, report: BasketReport) -> None:
    if sku not in quantities:
        quantities[sku] = quantity
        return
    report.merged_lines += 1
    before = quantities[sku]
    if before is not None and quantity is not None:
        quantities[sku] = before + quantity

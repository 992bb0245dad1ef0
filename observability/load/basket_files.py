"""Reader of basket files: lists of codes, or the *Online Retail* CSV, plain or xz; the header tells which.

*Online Retail*: Daqing Chen, UCI Machine Learning Repository, CC BY 4.0. Its unit prices are not used: the shop's own
catalogue has the prices.
"""

import csv
import itertools
import lzma
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from observability.load.baskets import BasketReport, RawLine, keep_orderable
from observability.load.errors import LoadUsageError
from observability.load.orders import Basket

_XZ_MAGIC = b"\xfd7zXZ\x00"
_INVOICE_COLUMNS = ("InvoiceNo", "Invoice")
_COLUMNS = ("StockCode", "Quantity")


@dataclass(frozen=True, slots=True)
class BasketFile:
    """The orderable baskets of a file, in its order, and counts of what was changed or left out."""

    baskets: list[Basket]
    report: BasketReport


def read_baskets(path: Path) -> BasketFile:
    """Read a file of baskets. Raises LoadUsageError when it is missing, unreadable, or holds no basket to order."""
    try:
        with _open_text(path) as text:
            found = _read(text)
    except (OSError, EOFError, lzma.LZMAError, csv.Error) as error:
        raise LoadUsageError(f"cannot read baskets from {path}: {_reason(error)}") from error
    if not found.baskets:
        left_out = "; ".join(found.report.sentences()[1:]) or "the file is empty"
        raise LoadUsageError(
            f"no basket in {path} can be ordered ({left_out}): give one basket a line, codes by commas"
        )
    return found


def _open_text(path: Path) -> IO[str]:
    if not path.is_file():
        raise LoadUsageError(
            f"there is no file of baskets at {path}: check --baskets, or leave it out to use the model"
        )
    with path.open("rb") as binary:
        compressed = binary.read(len(_XZ_MAGIC)) == _XZ_MAGIC
    # Every byte is a Latin-1 character, so a pound sign in any encoding does not stop the reading.
    if compressed:
        return lzma.open(path, "rt", encoding="latin-1", newline="")
    return path.open(encoding="latin-1", newline="")


def _read(text: IO[str]) -> BasketFile:
    first = text.readline().removeprefix("\xef\xbb\xbf")
    header = [name.strip() for name in next(csv.reader([first]), [])]
    invoice = next((name for name in _INVOICE_COLUMNS if name in header), None)
    if invoice is not None and all(name in header for name in _COLUMNS):
        report = BasketReport(format="online-retail-csv")
        raw = _invoices(csv.DictReader(text, fieldnames=header), invoice, report)
    else:
        report = BasketReport(format="codes")
        raw = _code_lines(itertools.chain([first] if first else [], text))
    baskets = [basket for lines in raw if (basket := keep_orderable(lines, report)) is not None]
    return BasketFile(baskets, report)


def _code_lines(text: Iterable[str]) -> Iterator[list[RawLine]]:
    for line in text:
        yield [RawLine(code, None) for code in line.split(",")] if line.strip() else []


def _invoices(rows: Iterable[dict[str, str | None]], invoice: str, report: BasketReport) -> Iterator[list[RawLine]]:
    """Group the rows by invoice, in order of first appearance; skip cancelled invoices and malformed rows."""
    baskets: dict[str, list[RawLine]] = {}
    for row in rows:
        number = (row[invoice] or "").strip().upper()
        quantity = _whole_number(row["Quantity"])
        if number.startswith("C"):
            report.returned_lines += 1
        elif not number or quantity is None:
            report.malformed_lines += 1
        else:
            baskets.setdefault(number, []).append(RawLine(row["StockCode"] or "", quantity))
    yield from baskets.values()


def _whole_number(text: str | None) -> int | None:
    try:
        return int(text or "")
    except ValueError:
        return None


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__

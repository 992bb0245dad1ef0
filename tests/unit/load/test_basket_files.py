"""Tests of basket files: both formats are recognised and read, and a bad file is rejected with a plain sentence."""

import lzma
from pathlib import Path

import pytest

from observability.load.basket_files import BasketFile, read_baskets
from observability.load.errors import LoadUsageError
from observability.load.orders import BasketLine

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
ONLINE_RETAIL = f"""{HEADER}
536365,85123A,"WHITE HANGING HEART, T-LIGHT",6,12/1/2010 8:26,2.55,17850,United Kingdom
536366,22633,"HAND WARMER ""UNION"" JACK",6,12/1/2010 8:28,1.85,17850,United Kingdom
536365,85123a,WHITE HANGING HEART,2,12/1/2010 8:26,2.55,17850,United Kingdom
C536379,D,Discount,-1,12/1/2010 9:41,27.50,14527,United Kingdom
C536383,35004C,SET OF 3 COLOURED,-1,12/1/2010 9:49,4.65,15311,United Kingdom
536366,POST,POSTAGE,3,12/1/2010 8:28,18.00,12583,France
536366,22632,WARMER \xa31,many,12/1/2010 8:28,1.85,17850,United Kingdom
"""


def read(folder: Path, content: bytes) -> BasketFile:
    path = folder / "baskets"
    path.write_bytes(content)
    return read_baskets(path)


@pytest.mark.parametrize("pack", [bytes, lzma.compress], ids=["plain", "xz"])
def test_one_basket_a_line_is_read_plain_and_packed(tmp_path: Path, pack: type[bytes]) -> None:
    found = read(tmp_path, pack(b"85123A,71053\n22633\n"))
    assert found.baskets == [(BasketLine("85123A"), BasketLine("71053")), (BasketLine("22633"),)]


@pytest.mark.parametrize("content", [b"22633\r\n22632\r\n", b"22633\n22632", b"\xef\xbb\xbf22633\n22632\n"])
def test_line_ends_and_a_byte_order_mark_do_not_matter(tmp_path: Path, content: bytes) -> None:
    assert [basket[0].sku for basket in read(tmp_path, content).baskets] == ["22633", "22632"]


def test_an_empty_line_is_an_empty_basket(tmp_path: Path) -> None:
    assert read(tmp_path, b"22633\n\n22632\n").report.empty_baskets == 1


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-8-sig"])
def test_invoices_are_grouped_and_their_quantities_added(tmp_path: Path, encoding: str) -> None:
    found = read(tmp_path, ONLINE_RETAIL.encode(encoding))
    assert found.report.format == "online-retail-csv"
    assert found.baskets == [(BasketLine("85123A", 8),), (BasketLine("22633", 6),)]


def test_cancelled_invoices_fees_and_bad_rows_are_counted(tmp_path: Path) -> None:
    report = read(tmp_path, ONLINE_RETAIL.encode()).report
    assert (report.returned_lines, report.fee_lines, report.malformed_lines, report.merged_lines) == (2, 1, 1, 1)


def test_both_editions_of_the_data_set_are_known_by_header(tmp_path: Path) -> None:
    found = read(tmp_path, b"Invoice,StockCode,Description,Quantity,InvoiceDate,Price\n489434,85048,BALLS,12,,\n")
    assert found.baskets == [(BasketLine("85048", 12),)]


def test_a_row_that_ends_early_is_malformed(tmp_path: Path) -> None:
    assert read(tmp_path, f"{HEADER}\n536365\n1,22633,x,1,,,,\n".encode()).report.malformed_lines == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"\n\n", b"POST\n", HEADER.encode(), b"<html>\n", lzma.compress(b"22633\n")[:-9], b"\xfd7zXZ\x00rubbish"],
    ids=["empty", "blank", "only fees", "only a header", "something else", "cut short", "broken"],
)
def test_a_file_without_a_basket_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(LoadUsageError, match="basket"):
        read(tmp_path, content)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadUsageError, match="there is no file of baskets"):
        read_baskets(tmp_path / "absent")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadUsageError, match="there is no file of baskets"):
        read_baskets(tmp_path)

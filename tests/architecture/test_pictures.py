"""Checks of the pictures in docs/pictures: small, in light and dark, and each says what drew it."""

from pathlib import Path

import pytest

PICTURES = sorted((Path(__file__).parents[2] / "docs" / "pictures").glob("*.png"))
BYTES_AT_MOST = 250_000


def test_each_picture_is_there_in_light_and_in_dark() -> None:
    names = {picture.stem for picture in PICTURES}
    assert names == {f"{name.rpartition('-')[0]}-{colours}" for name in names for colours in ("light", "dark")}


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.name)
def test_picture_is_small_and_says_what_drew_it(picture: Path) -> None:
    content = picture.read_bytes()
    assert len(content) <= BYTES_AT_MOST
    assert b"drawn by" in content, "its footer, which is also its ImageDescription, must say so"

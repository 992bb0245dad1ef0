"""Pytest plugin that puts one defect back: `pytest -p tests.defects.plugin` with SHOP_DEFECT=NAME."""

import os
from collections.abc import Iterator

import pytest

from tests.defects.catalogue import DEFECTS


@pytest.fixture(scope="session", autouse=True)
def defect_put_back() -> Iterator[None]:
    """Put the defect back for the whole session."""
    with pytest.MonkeyPatch.context() as patch:
        DEFECTS[os.environ["SHOP_DEFECT"]].put_back(patch)
        yield

"""The manifests of each overlay mean what the platform needs, and each seeded mistake is found by a check."""

import pytest

from tests.kubernetes.checks.registry import ALL
from tests.kubernetes.manifests import OVERLAYS, manifests


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlay_passes_every_check(overlay: str) -> None:
    found = manifests(overlay)
    faults = [f"{check.__name__}: {fault}" for check in ALL for fault in check(found)]
    assert not faults, "\n".join(faults)

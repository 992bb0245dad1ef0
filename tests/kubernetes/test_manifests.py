"""Each overlay passes all checks, and names images of the project's version."""

import tomllib

import pytest

from tests.kubernetes.checks.registry import ALL
from tests.kubernetes.manifests import OVERLAYS, ROOT, manifests


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlay_passes_every_check(overlay: str) -> None:
    found = manifests(overlay)
    faults = [f"{check.__name__}: {fault}" for check in ALL for fault in check(found)]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_image_has_the_version_of_the_project(overlay: str) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    images = [each.container["image"] for each in manifests(overlay).workloads()]
    ours = [image for image in images if "plumbline" in image]
    assert len(ours) == 4
    assert all(image.endswith(f"plumbline:{version}") for image in ours)

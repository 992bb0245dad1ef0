"""Limits of a listener and the file descriptors of its process."""

import resource

import pytest

from observability.listener.limits import Limits


def test_limits_leave_half_of_the_descriptors_to_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))
    limits = Limits().within_descriptors()
    assert (limits.connections, limits.connections_per_address) == (128, 64)


def test_limits_stay_where_there_are_descriptors_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert Limits().within_descriptors() == Limits()

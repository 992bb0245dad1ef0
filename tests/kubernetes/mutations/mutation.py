"""Type of a mistake in the manifests, and functions that find and change documents."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.kubernetes.manifests import Check, Document, Manifests

# The labels by which pods are selected.
POD, PART = "app.kubernetes.io/name", "app.kubernetes.io/part-of"


@dataclass(frozen=True, slots=True)
class Mutation:
    """A mistake that one check must find.

    what: the mistake, in words
    check: the check that must find it
    make: changes the manifests
    overlay: the overlay in which it is made
    """

    what: str
    check: Check
    make: Callable[[Manifests], Any]
    overlay: str = "prod"


def spec(found: Manifests, kind: str, name: str) -> Document:
    return found.get(kind, name)["spec"]  # type: ignore[no-any-return]  # YAML


def container(found: Manifests, name: str) -> Document:
    return found.workload(name).container


def variable(found: Manifests, workload: str, name: str) -> Document:
    (one,) = (each for each in container(found, workload)["env"] if each["name"] == name)
    return one  # type: ignore[no-any-return]  # YAML


def add_variable(found: Manifests, workload: str, name: str, value: str) -> None:
    container(found, workload)["env"].append({"name": name, "value": value})


def remove(found: Manifests, kind: str, name: str) -> None:
    found.documents.remove(found.get(kind, name))


def forget_label(found: Manifests, name: str, label: str) -> None:
    del found.workload(name).document["spec"]["template"]["metadata"]["labels"][label]


def open_to(found: Manifests, policy: str, direction: str, rule: Document) -> None:
    spec(found, "NetworkPolicy", policy).setdefault(direction, []).append(rule)

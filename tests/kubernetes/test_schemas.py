"""Every manifest has only fields that the oldest and the newest supported minor version of Kubernetes know."""

import functools
import json
from importlib.resources import files
from typing import Any

import jsonschema_rs
import pytest

from tests.kubernetes.manifests import OVERLAYS, Document, manifests

# The three newest minor versions are supported; `kubernetes-validate` has a set of schemas for each.
SUPPORTED = ("1.35", "1.37")
# Kinds of the Prometheus operator; `make test-stack` validates them.
CUSTOM = {"PodMonitor", "PrometheusRule"}


@functools.cache
def definitions(version: str) -> dict[str, Any]:
    """Return the strict schemas of a version, which reject unknown fields."""
    folder = files("kubernetes_validate") / f"kubernetes-json-schema/v{version}.0-local-strict"
    return json.loads((folder / "_definitions.json").read_text())["$defs"]  # type: ignore[no-any-return]  # JSON


@functools.cache
def validator(version: str, api_version: str, kind: str) -> jsonschema_rs.Validator:
    """Return the validator of a kind. Raises KeyError if this version does not have the kind."""
    for name, schema in definitions(version).items():
        properties = schema.get("properties", {})
        enums = [properties.get(each, {}).get("enum") for each in ("apiVersion", "kind")]
        if enums == [[api_version], [kind]]:
            return jsonschema_rs.validator_for({"$ref": f"#/$defs/{name}", "$defs": definitions(version)})
    raise KeyError(f"{api_version} {kind}")


def faults(version: str, document: Document) -> list[str]:
    """Return the errors of a document in this version."""
    checked = validator(version, document["apiVersion"], document["kind"])
    return [f"{'.'.join(map(str, error.instance_path))}: {error.message}" for error in checked.iter_errors(document)]


@pytest.mark.parametrize("version", SUPPORTED)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_manifests_are_valid(overlay: str, version: str) -> None:
    documents = [each for each in manifests(overlay).documents if each["kind"] not in CUSTOM]
    found = [f"{each['kind']} {each['metadata']['name']}: {faults(version, each)}" for each in documents]
    assert [each for each in found if not each.endswith("[]")] == []


@pytest.mark.parametrize("version", SUPPORTED)
def test_a_misspelled_field_is_found(version: str) -> None:
    deployment = manifests("prod").get("Deployment", "order")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["readinesProbe"] = container.pop("readinessProbe")
    assert "readinesProbe" in str(faults(version, deployment))


@pytest.mark.parametrize("version", SUPPORTED)
def test_a_field_of_another_type_is_found(version: str) -> None:
    deployment = manifests("prod").get("Deployment", "order")
    deployment["spec"]["template"]["spec"]["containers"][0]["env"][-1]["value"] = True
    assert "is not of type" in str(faults(version, deployment))

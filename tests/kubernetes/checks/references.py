"""Checks that selectors, ports, volumes and Secrets lead to something that exists."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.kubernetes.manifests import ROOT, Manifests, Workload

# Kinds that select pods by labels.
SELECTING = ("Service", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor")


def selectors_find_pods(manifests: Manifests) -> Iterator[str]:
    """Check that each selector finds pods; Kubernetes accepts one that finds none."""
    for kind in SELECTING:
        for each in manifests.of(kind):
            if not manifests.selected(labels_of(each)):
                yield f"{kind} {each['metadata']['name']} selects no pod"
    for workload in manifests.workloads("Deployment", "StatefulSet"):
        own = workload.document["spec"]["selector"]["matchLabels"]
        if not own.items() <= workload.labels.items():
            yield f"{workload.kind} {workload.name} does not select its own pods"
        if [each.name for each in manifests.selected(own)] != [workload.name]:
            yield f"{workload.kind} {workload.name} selects pods of others"


def services_find_the_pods_of_one_workload(manifests: Manifests) -> Iterator[str]:
    """Check that no Service or budget mixes the pods of two workloads."""
    for kind in ("Service", "PodDisruptionBudget"):
        for each in manifests.of(kind):
            found = [workload.name for workload in manifests.selected(labels_of(each))]
            if len(found) != 1:
                yield f"{kind} {each['metadata']['name']} selects pods of {found}"


def ports_of_services_exist(manifests: Manifests) -> Iterator[str]:
    """Check that a Service targets a port of its pods, and has the same number."""
    for service in manifests.of("Service"):
        name = service["metadata"]["name"]
        if not service["spec"].get("ports"):
            yield f"Service {name} has no ports"
        for workload in manifests.selected(labels_of(service)):
            for port in service["spec"]["ports"]:
                if not workload.has_port(port["targetPort"]):
                    yield f"Service {name}: {workload.name} has no port {port['targetPort']}"
                elif workload.ports.get(port["targetPort"], port["port"]) != port["port"]:
                    yield f"Service {name} has another number than {workload.name}'s port"


def ports_of_policies_exist(manifests: Manifests) -> Iterator[str]:
    """Check that a policy allows only ports that its pods have."""
    for policy in manifests.of("NetworkPolicy"):
        ports = [port["port"] for rule in policy["spec"].get("ingress", []) for port in rule.get("ports", [])]
        for workload in manifests.selected(labels_of(policy)):
            for port in ports:
                if not workload.has_port(port):
                    yield f"NetworkPolicy {policy['metadata']['name']}: {workload.name} has no port {port}"


def ports_of_probes_exist(manifests: Manifests) -> Iterator[str]:
    """Check that probes and monitors use a port of their pods."""
    for monitor in manifests.of("PodMonitor"):
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            if not any(each.has_port(endpoint["port"]) for each in manifests.selected(labels_of(monitor))):
                yield f"PodMonitor {monitor['metadata']['name']}: no pod has a port {endpoint['port']}"
    for workload in manifests.workloads():
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            actions = workload.container.get(probe, {})
            for action in actions.keys() & {"httpGet", "grpc", "tcpSocket"}:
                if not workload.has_port(actions[action]["port"]):
                    yield f"{workload.name}: its {probe} has no port {actions[action]['port']}"


def volumes_exist(manifests: Manifests) -> Iterator[str]:
    """Check that mounts have a volume, and that the source of each volume exists."""
    made_with = {"configMap": ("ConfigMap", "name"), "persistentVolumeClaim": ("PersistentVolumeClaim", "claimName")}
    for workload in manifests.workloads():
        claims = workload.document["spec"].get("volumeClaimTemplates", [])
        volumes = {each["name"] for each in workload.pod.get("volumes", [])} | {
            each["metadata"]["name"] for each in claims
        }
        mounted = {each["name"] for each in workload.container.get("volumeMounts", [])}
        if volumes != mounted:
            yield f"{workload.name}: volumes {sorted(volumes)} and mounts {sorted(mounted)}"
        for volume in workload.pod.get("volumes", []):
            if len(volume) != 2:
                yield f"{workload.name}: volume {volume['name']} must have exactly one source"
            for source, (kind, field) in made_with.items():
                if source in volume and not _exists(manifests, kind, volume[source][field]):
                    yield f"{workload.name}: there is no {kind} {volume[source][field]}"


def one_pod_mounts_a_volume(manifests: Manifests) -> Iterator[str]:
    """Check that no two pods mount one claim: neither two replicas, nor an old and a new pod."""
    for workload in manifests.workloads("Deployment"):
        for volume in workload.pod.get("volumes", []):
            if "persistentVolumeClaim" in volume:
                spec = workload.document["spec"]
                if manifests.replicas(workload.name) != (1, 1) or spec.get("strategy", {}).get("type") != "Recreate":
                    yield f"{workload.name}: two of its pods may mount the volume {volume['name']}"


def secrets_are_named_and_made_elsewhere(manifests: Manifests) -> Iterator[str]:
    """Check that no manifest holds a secret, and that each reference is to one that compose/secrets.sh can make."""
    script = (ROOT / "compose/secrets.sh").read_text(encoding="utf-8")
    known = set(script.partition("for name in ")[2].partition(";")[0].split())
    yield from (f"Secret {each['metadata']['name']} is in a manifest" for each in manifests.of("Secret"))
    for workload in manifests.workloads():
        for name, keys in _secrets(workload):
            if name not in known or keys != {"password"}:
                yield f"{workload.name}: there is no Secret {name} with {sorted(keys)}"
        for variable in workload.container.get("env", []):
            text = str(variable.get("value", ""))
            if "PASSWORD" in variable["name"] and "secretKeyRef" not in variable.get("valueFrom", {}):
                yield f"{workload.name}: {variable['name']} does not come from a Secret"
            if "://" in text and "@" in text and "_PASSWORD" not in text.partition("@")[0]:
                yield f"{workload.name}: {variable['name']} holds a password"


def all_are_in_one_namespace(manifests: Manifests) -> Iterator[str]:
    """Check that all documents are in the namespace that the manifests create."""
    (namespace,) = [each["metadata"]["name"] for each in manifests.of("Namespace")]
    for each in manifests.documents:
        if each["kind"] != "Namespace" and each["metadata"].get("namespace") != namespace:
            yield f"{each['kind']} {each['metadata']['name']} is in another namespace than {namespace}"


def labels_of(document: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the labels that a Service, a budget, a policy or a monitor selects."""
    spec = document["spec"]
    if document["kind"] == "Service":
        return spec["selector"]  # type: ignore[no-any-return]  # YAML
    return spec["podSelector" if "podSelector" in spec else "selector"].get("matchLabels", {})  # type: ignore[no-any-return]


def _exists(manifests: Manifests, kind: str, name: str) -> bool:
    return any(each["metadata"]["name"] == name for each in manifests.of(kind))


def _secrets(workload: Workload) -> Iterator[tuple[str, set[str]]]:
    for variable in workload.container.get("env", []):
        if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
            yield reference["name"], {reference["key"]}
    for volume in workload.pod.get("volumes", []):
        if "secret" in volume:
            yield volume["secret"]["secretName"], {"password"}
        for source in volume.get("projected", {}).get("sources", []):
            yield source["secret"]["name"], {item["key"] for item in source["secret"]["items"]}

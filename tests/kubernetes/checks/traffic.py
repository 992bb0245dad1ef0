"""Checks that network policies allow the connections that the platform needs, and no others."""

import re
from collections.abc import Iterator
from typing import TypeAlias

from tests.kubernetes.checks.references import labels_of
from tests.kubernetes.checks.settings import compose_services, ours
from tests.kubernetes.manifests import NAME, Document, Manifests

# A connection: the workload that opens it, the host that accepts it, and the port.
Edge: TypeAlias = tuple[str, str, int]
ADDRESS = re.compile(r"(?:://(?:[^@/\s]*@)?|^)([a-z][a-z0-9.-]*):(\d+)")
EXPORTED = re.compile(r'="([^"]*)"')
# Connections from other namespaces: a gateway for customers, and Prometheus.
PROMETHEUS = f"kubernetes.io/metadata.name=monitoring {NAME}=prometheus"
ENTRANCES = {
    ("order", "http", "plumbline.example/gateway=true"),
    *((name, "admin", PROMETHEUS) for name in ("order", "inventory", "notification")),
}
# The rule by which every pod may query DNS.
NAMES = [
    {
        "to": [
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
                "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
            }
        ],
        "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
    }
]


def edges_are_dependencies(manifests: Manifests) -> Iterator[str]:
    """Compare what pods may connect to with the addresses in their environment, and with those of docker compose."""
    allowed = {edge for policy in policies(manifests) for edge in outgoing(policy)}
    needed = {
        (workload.name, host, port)
        for workload in ours(manifests)
        for value in manifests.environment(workload).values()
        for host, port in addresses(value)
    }
    # The migration reads the address of NATS, but does not connect to it.
    needed -= {edge for edge in needed if edge[:2] == ("migrate", "nats")}
    own = {each.name for each in ours(manifests)}
    yield from (f"{edge} is needed, and no egress rule allows it" for edge in sorted(needed - allowed))
    yield from (
        f"{edge} is allowed by an egress rule, and not needed" for edge in sorted(allowed - needed) if edge[0] in own
    )
    in_compose = {
        (name, host, port)
        for name in own
        for text in _texts(compose_services()[name])
        for host, port in addresses(text)
        if (name, host) != ("migrate", "nats")
    }
    yield from (f"{edge} is in only one of docker compose and the manifests" for edge in sorted(needed ^ in_compose))


def edges_are_let_in(manifests: Manifests) -> Iterator[str]:
    """Check that egress and ingress rules agree, and that only ENTRANCES are open to other namespaces."""
    present = {each.name for each in manifests.workloads()}
    out = {edge for policy in policies(manifests) for edge in outgoing(policy) if edge[1] in present}
    into = {edge for policy in policies(manifests) for edge in incoming(manifests, policy)}
    yield from (f"{edge} has an egress rule and no ingress rule" for edge in sorted(out - into))
    yield from (f"{edge} has an ingress rule and no egress rule" for edge in sorted(into - out))
    entrances = {entrance for policy in policies(manifests) for entrance in from_elsewhere(policy)}
    yield from (f"{each} is needed, and no ingress rule allows it" for each in sorted(ENTRANCES - entrances))
    yield from (f"{each} is allowed by an ingress rule, and not needed" for each in sorted(entrances - ENTRANCES))


def all_else_is_denied(manifests: Manifests) -> Iterator[str]:
    """Check that a default deny selects each pod, for both directions, and that no rule allows all peers or ports."""
    closed = [
        policy
        for policy in manifests.of("NetworkPolicy")
        if not {"ingress", "egress"} & policy["spec"].keys()
        and set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    ]
    for workload in manifests.workloads():
        if not any(labels_of(policy).items() <= workload.labels.items() for policy in closed):
            yield f"{workload.name} is not selected by a default deny"
    for policy in manifests.of("NetworkPolicy"):
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for rule in policy["spec"].get(direction, []):
                narrow = [each for each in rule.get(peers, []) if _matches_something_certain(each)]
                ports = [each for each in rule.get("ports", []) if each.keys() == {"protocol", "port"}]
                if not narrow or narrow != rule[peers] or not ports or ports != rule["ports"]:
                    yield f"NetworkPolicy {policy['metadata']['name']} has a rule of {direction} that is too wide"


def all_pods_share_names_alone(manifests: Manifests) -> Iterator[str]:
    """Check that every pod may query DNS, and that policies of several workloads allow nothing else."""
    shared = [policy for policy in manifests.of("NetworkPolicy") if NAME not in labels_of(policy)]
    for policy in shared:
        if "ingress" in policy["spec"] or policy["spec"].get("egress", NAMES) != NAMES:
            yield f"NetworkPolicy {policy['metadata']['name']} allows several workloads more than DNS"
    asking = [labels_of(policy).items() for policy in shared if "egress" in policy["spec"]]
    for workload in manifests.workloads():
        if not any(labels <= workload.labels.items() for labels in asking):
            yield f"{workload.name} may not query DNS"


def rules_are_of_their_types(manifests: Manifests) -> Iterator[str]:
    """Check that `policyTypes` names each direction for which a policy has rules."""
    for policy in manifests.of("NetworkPolicy"):
        spec = policy["spec"]
        missing = {each.capitalize() for each in ("ingress", "egress") if each in spec} - set(
            spec.get("policyTypes", [])
        )
        if missing or not spec.get("policyTypes"):
            yield f"NetworkPolicy {policy['metadata']['name']} must name in policyTypes each direction of its rules"


def policies(manifests: Manifests) -> list[Document]:
    """Return the policies that select a single workload."""
    return [each for each in manifests.of("NetworkPolicy") if NAME in labels_of(each)]


def outgoing(policy: Document) -> Iterator[Edge]:
    """Yield the connections that the egress rules of a policy allow."""
    for rule in policy["spec"].get("egress", []):
        for peer in rule["to"]:
            for port in rule["ports"]:
                yield labels_of(policy)[NAME], _pods_of_here(peer), port["port"]


def incoming(manifests: Manifests, policy: Document) -> Iterator[Edge]:
    """Yield the connections from pods of the same namespace that the ingress rules of a policy allow."""
    name = labels_of(policy)[NAME]
    for rule in policy["spec"].get("ingress", []):
        for peer in rule["from"]:
            if "namespaceSelector" not in peer:
                for port in rule["ports"]:
                    number = manifests.workload(name).ports.get(port["port"], port["port"])
                    yield _pods_of_here(peer), name, number


def from_elsewhere(policy: Document) -> Iterator[tuple[str, str, str]]:
    """Yield each connection from another namespace: workload, port, and labels of the peer."""
    for rule in policy["spec"].get("ingress", []):
        for peer in rule["from"]:
            if "namespaceSelector" in peer:
                selectors = [peer[kind]["matchLabels"] for kind in ("namespaceSelector", "podSelector") if kind in peer]
                who = " ".join(f"{key}={value}" for labels in selectors for key, value in labels.items())
                for port in rule["ports"]:
                    yield labels_of(policy)[NAME], port["port"], who


def addresses(text: str) -> Iterator[tuple[str, int]]:
    """Yield host and port of each address whose host is a name."""
    for host, port in ADDRESS.findall(text):
        yield host, int(port)


def _texts(service: Document) -> Iterator[str]:
    yield from (str(value) for value in service["environment"].values())
    yield from EXPORTED.findall(str(service["command"][-1]).replace("$$(cat /run/secrets/", "secret").replace(")", ""))


def _pods_of_here(peer: Document) -> str:
    """Return the workload that a peer selects by name, or "?" if it selects otherwise."""
    labels = peer.get("podSelector", {}).get("matchLabels", {})
    return str(labels[NAME]) if labels.keys() == {NAME} and peer.keys() == {"podSelector"} else "?"


def _matches_something_certain(peer: Document) -> bool:
    labels = [peer.get(kind, {}).get("matchLabels") for kind in ("podSelector", "namespaceSelector") if kind in peer]
    return "ipBlock" not in peer and bool(labels) and all(labels)

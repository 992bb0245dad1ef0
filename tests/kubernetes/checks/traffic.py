"""Checks that network policies let through what the platform needs, and nothing else."""

import re
from collections.abc import Iterator
from typing import TypeAlias

from tests.kubernetes.checks.references import labels_of
from tests.kubernetes.checks.settings import compose_services, ours
from tests.kubernetes.manifests import NAME, Document, Manifests

# From, to, and the port.
Edge: TypeAlias = tuple[str, str, int]
ADDRESS = re.compile(r"(?:://(?:[^@/\s]*@)?|^)([a-z][a-z0-9.-]*):(\d+)")
EXPORTED = re.compile(r'="([^"]*)"')
# Who may connect from elsewhere: customers through a gateway, and Prometheus.
PROMETHEUS = f"kubernetes.io/metadata.name=monitoring {NAME}=prometheus"
ENTRANCES = {
    ("order", "http", "plumbline.example/gateway=true"),
    *((name, "admin", PROMETHEUS) for name in ("order", "inventory", "notification")),
}
# The rule by which every pod asks for names.
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
    # The migration only reads where the event log is: it is none of PostgreSQL's.
    needed -= {edge for edge in needed if edge[:2] == ("migrate", "nats")}
    own = {each.name for each in ours(manifests)}
    yield from (f"{edge} is needed, and no policy lets it out" for edge in sorted(needed - allowed))
    yield from (f"{edge} is let out, and not needed" for edge in sorted(allowed - needed) if edge[0] in own)
    in_compose = {
        (name, host, port)
        for name in own
        for text in _texts(compose_services()[name])
        for host, port in addresses(text)
        if (name, host) != ("migrate", "nats")
    }
    yield from (f"{edge} is not the same in docker compose" for edge in sorted(needed ^ in_compose))


def edges_are_let_in(manifests: Manifests) -> Iterator[str]:
    """Check that what leaves a pod may enter another, and that from elsewhere come a gateway and Prometheus alone."""
    present = {each.name for each in manifests.workloads()}
    out = {edge for policy in policies(manifests) for edge in outgoing(policy) if edge[1] in present}
    into = {edge for policy in policies(manifests) for edge in incoming(manifests, policy)}
    yield from (f"{edge} is let out, and not in" for edge in sorted(out - into))
    yield from (f"{edge} is let in, and not out" for edge in sorted(into - out))
    entrances = {entrance for policy in policies(manifests) for entrance in from_elsewhere(policy)}
    yield from (f"{each} is not let in" for each in sorted(ENTRANCES - entrances))
    yield from (f"{each} is let in" for each in sorted(entrances - ENTRANCES))


def all_else_is_denied(manifests: Manifests) -> Iterator[str]:
    """Check that a policy without rules selects each pod, for both directions, and that no rule is open to all."""
    closed = [
        policy
        for policy in manifests.of("NetworkPolicy")
        if not {"ingress", "egress"} & policy["spec"].keys()
        and set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    ]
    for workload in manifests.workloads():
        if not any(labels_of(policy).items() <= workload.labels.items() for policy in closed):
            yield f"{workload.name} may connect to anything"
    for policy in manifests.of("NetworkPolicy"):
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for rule in policy["spec"].get(direction, []):
                narrow = [each for each in rule.get(peers, []) if _matches_something_certain(each)]
                ports = [each for each in rule.get("ports", []) if each.keys() == {"protocol", "port"}]
                if not narrow or narrow != rule[peers] or not ports or ports != rule["ports"]:
                    yield f"NetworkPolicy {policy['metadata']['name']} is open to all in a rule of {direction}"


def all_pods_share_names_alone(manifests: Manifests) -> Iterator[str]:
    """Check that a policy lets every pod ask for names, and that none of many workloads lets them do more."""
    shared = [policy for policy in manifests.of("NetworkPolicy") if NAME not in labels_of(policy)]
    for policy in shared:
        if "ingress" in policy["spec"] or policy["spec"].get("egress", NAMES) != NAMES:
            yield f"NetworkPolicy {policy['metadata']['name']} lets all pods do more than ask for names"
    asking = [labels_of(policy).items() for policy in shared if "egress" in policy["spec"]]
    for workload in manifests.workloads():
        if not any(labels <= workload.labels.items() for labels in asking):
            yield f"{workload.name} may not ask for names"


def rules_are_of_their_types(manifests: Manifests) -> Iterator[str]:
    """Check that a policy names the directions that it has rules for; without them Kubernetes guesses."""
    for policy in manifests.of("NetworkPolicy"):
        spec = policy["spec"]
        missing = {each.capitalize() for each in ("ingress", "egress") if each in spec} - set(
            spec.get("policyTypes", [])
        )
        if missing or not spec.get("policyTypes"):
            yield f"NetworkPolicy {policy['metadata']['name']} has rules of no type, or names none"


def policies(manifests: Manifests) -> list[Document]:
    """Return the policies of one workload each."""
    return [each for each in manifests.of("NetworkPolicy") if NAME in labels_of(each)]


def outgoing(policy: Document) -> Iterator[Edge]:
    """Yield the edges that a policy lets out."""
    for rule in policy["spec"].get("egress", []):
        for peer in rule["to"]:
            for port in rule["ports"]:
                yield labels_of(policy)[NAME], _pods_of_here(peer), port["port"]


def incoming(manifests: Manifests, policy: Document) -> Iterator[Edge]:
    """Yield the edges from pods of the same namespace that a policy lets in."""
    name = labels_of(policy)[NAME]
    for rule in policy["spec"].get("ingress", []):
        for peer in rule["from"]:
            if "namespaceSelector" not in peer:
                for port in rule["ports"]:
                    number = manifests.workload(name).ports.get(port["port"], port["port"])
                    yield _pods_of_here(peer), name, number


def from_elsewhere(policy: Document) -> Iterator[tuple[str, str, str]]:
    """Yield workload, port, and labels of namespace and pods of who may connect from another namespace."""
    for rule in policy["spec"].get("ingress", []):
        for peer in rule["from"]:
            if "namespaceSelector" in peer:
                selectors = [peer[kind]["matchLabels"] for kind in ("namespaceSelector", "podSelector") if kind in peer]
                who = " ".join(f"{key}={value}" for labels in selectors for key, value in labels.items())
                for port in rule["ports"]:
                    yield labels_of(policy)[NAME], port["port"], who


def addresses(text: str) -> Iterator[tuple[str, int]]:
    """Yield host and port of each address that is not this machine's."""
    for host, port in ADDRESS.findall(text):
        yield host, int(port)


def _texts(service: Document) -> Iterator[str]:
    yield from (str(value) for value in service["environment"].values())
    yield from EXPORTED.findall(str(service["command"][-1]).replace("$$(cat /run/secrets/", "secret").replace(")", ""))


def _pods_of_here(peer: Document) -> str:
    """Return the name of the workload that a peer is, or "?" for another peer."""
    labels = peer.get("podSelector", {}).get("matchLabels", {})
    return str(labels[NAME]) if labels.keys() == {NAME} and peer.keys() == {"podSelector"} else "?"


def _matches_something_certain(peer: Document) -> bool:
    labels = [peer.get(kind, {}).get("matchLabels") for kind in ("podSelector", "namespaceSelector") if kind in peer]
    return "ipBlock" not in peer and bool(labels) and all(labels)

"""Mistakes in network policies."""

from tests.kubernetes.checks import traffic
from tests.kubernetes.mutations.mutation import PART, POD, Mutation, forget_label, open_to, remove, spec, variable

MUTATIONS = (
    Mutation(
        "a pod without the label that the default deny selects",
        traffic.all_else_is_denied,
        lambda found: forget_label(found, "order", PART),
    ),
    Mutation(
        "a policy with an edge that nothing needs",
        traffic.edges_are_dependencies,
        lambda found: open_to(
            found,
            "notification",
            "egress",
            {"to": [{"podSelector": {"matchLabels": {POD: "valkey"}}}], "ports": [{"protocol": "TCP", "port": 6379}]},
        ),
    ),
    Mutation(
        "a policy open to every address",
        traffic.all_else_is_denied,
        lambda found: open_to(found, "order", "egress", {"ports": [{"protocol": "TCP", "port": 5432}]}),
    ),
    Mutation(
        "a policy open to every namespace",
        traffic.all_else_is_denied,
        lambda found: spec(found, "NetworkPolicy", "order")["ingress"][0]["from"][0].update(namespaceSelector={}),
    ),
    Mutation(
        "a policy open on all ports",
        traffic.all_else_is_denied,
        lambda found: spec(found, "NetworkPolicy", "inventory")["ingress"][0].pop("ports"),
    ),
    Mutation(
        "a policy open on a range of ports",
        traffic.all_else_is_denied,
        lambda found: spec(found, "NetworkPolicy", "order")["egress"][0]["ports"][0].update(endPort=65535),
    ),
    Mutation(
        "a policy open to pods of the same name in every namespace of a label",
        traffic.edges_are_dependencies,
        lambda found: spec(found, "NetworkPolicy", "order")["egress"][0]["to"][0].update(
            namespaceSelector={"matchLabels": {"team": "shop"}}
        ),
    ),
    Mutation(
        "a policy that lets a namespace into all pods",
        traffic.all_pods_share_names_alone,
        lambda found: open_to(
            found,
            "names",
            "ingress",
            {
                "from": [{"namespaceSelector": {"matchLabels": {"team": "shop"}}}],
                "ports": [{"protocol": "TCP", "port": 9464}],
            },
        ),
    ),
    Mutation(
        "pods that may not ask for names",
        traffic.all_pods_share_names_alone,
        lambda found: remove(found, "NetworkPolicy", "names"),
    ),
    Mutation(
        "a policy with rules of a direction that it does not name",
        traffic.rules_are_of_their_types,
        lambda found: spec(found, "NetworkPolicy", "order")["policyTypes"].remove("Egress"),
    ),
    Mutation(
        "metrics for all pods of the namespace of Prometheus",
        traffic.edges_are_let_in,
        lambda found: spec(found, "NetworkPolicy", "order")["ingress"][1]["from"][0].pop("podSelector"),
    ),
    Mutation(
        "a policy without an edge that is needed",
        traffic.edges_are_dependencies,
        lambda found: spec(found, "NetworkPolicy", "inventory")["egress"].pop(0),
    ),
    Mutation(
        "an edge that is let out of one pod and not into the other",
        traffic.edges_are_let_in,
        lambda found: spec(found, "NetworkPolicy", "inventory")["ingress"].pop(0),
    ),
    Mutation(
        "a database that lets in a pod with no business there",
        traffic.edges_are_let_in,
        lambda found: spec(found, "NetworkPolicy", "postgres")["ingress"][0]["from"].append(
            {"podSelector": {"matchLabels": {POD: "valkey"}}}
        ),
        overlay="dev",
    ),
    Mutation(
        "an admin port that customers reach",
        traffic.edges_are_let_in,
        lambda found: spec(found, "NetworkPolicy", "order")["ingress"][0]["ports"].append(
            {"protocol": "TCP", "port": "admin"}
        ),
    ),
    Mutation(
        "no default deny",
        traffic.all_else_is_denied,
        lambda found: remove(found, "NetworkPolicy", "default-deny"),
    ),
    Mutation(
        "a default deny of one direction",
        traffic.all_else_is_denied,
        lambda found: spec(found, "NetworkPolicy", "default-deny").update(policyTypes=["Ingress"]),
    ),
    Mutation(
        "a dependency on another host than the policies have",
        traffic.edges_are_dependencies,
        lambda found: variable(found, "order", "ORDER_INVENTORY_TARGET").update(value="inventory-2:50052"),
    ),
)

"""Each seeded mistake in the manifests is found, and by the check that is about it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.each import for_each
from tests.kubernetes.checks import availability, hardening, monitoring, references, settings, traffic
from tests.kubernetes.checks.registry import ALL
from tests.kubernetes.manifests import Check, Document, Manifests, manifests


@dataclass(frozen=True, slots=True)
class Mutation:
    """A mistake.

    what: the mistake, in words
    check: the check that must find it
    make: makes it
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


POD, PART = "app.kubernetes.io/name", "app.kubernetes.io/part-of"
MUTATIONS = (
    Mutation(
        "a Service to a wrong port",
        references.ports_of_services_exist,
        lambda found: spec(found, "Service", "inventory")["ports"][0].update(targetPort=50051),
    ),
    Mutation(
        "a Service with another number than its pods, which a headless one does not translate",
        references.ports_of_services_exist,
        lambda found: spec(found, "Service", "inventory")["ports"][0].update(port=80),
    ),
    Mutation(
        "a process that listens on another port than its container names",
        settings.ports_are_listened_on,
        lambda found: variable(found, "inventory", "INVENTORY_GRPC_LISTEN").update(value="0.0.0.0:50053"),
    ),
    Mutation(
        "a process that listens on the loopback alone",
        settings.ports_are_listened_on,
        lambda found: variable(found, "order", "ORDER_ADMIN_LISTEN").update(value="127.0.0.1:9464"),
    ),
    Mutation(
        "a pod without the label that its Service selects",
        references.selectors_find_pods,
        lambda found: forget_label(found, "inventory", POD),
    ),
    Mutation(
        "a pod without the label that the default deny selects",
        traffic.all_else_is_denied,
        lambda found: forget_label(found, "order", PART),
    ),
    Mutation(
        "a Service that selects the pods of all",
        references.services_find_the_pods_of_one_workload,
        lambda found: spec(found, "Service", "order").update(selector={PART: "plumbline"}),
    ),
    Mutation(
        "a budget that blocks the drain of a node",
        availability.budgets_let_a_node_be_drained,
        lambda found: spec(found, "PodDisruptionBudget", "order").update(maxUnavailable=0),
    ),
    Mutation(
        "a budget that asks for as many pods as there may be at the fewest",
        availability.budgets_let_a_node_be_drained,
        lambda found: (
            spec(found, "PodDisruptionBudget", "order").pop("maxUnavailable"),
            spec(found, "PodDisruptionBudget", "order").update(minAvailable=2),
        ),
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
        "a policy that lets in to a port that the pods do not have",
        references.ports_of_policies_exist,
        lambda found: spec(found, "NetworkPolicy", "notification")["ingress"][0]["ports"][0].update(port="metrics"),
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
    Mutation(
        "a probe at a path that does not exist",
        availability.probes_tell_alive_from_ready,
        lambda found: container(found, "notification")["readinessProbe"]["httpGet"].update(path="/health"),
    ),
    Mutation(
        "a liveness probe that asks whether the databases are there",
        availability.probes_tell_alive_from_ready,
        lambda found: container(found, "order")["livenessProbe"]["httpGet"].update(path="/readyz"),
    ),
    Mutation(
        "a liveness probe that asks the gRPC health service",
        availability.probes_tell_alive_from_ready,
        lambda found: container(found, "order").update(livenessProbe={"grpc": {"port": 50051}}),
    ),
    Mutation(
        "a readiness probe that says yes without databases",
        availability.probes_tell_alive_from_ready,
        lambda found: container(found, "notification")["readinessProbe"]["httpGet"].update(path="/livez"),
    ),
    Mutation(
        "a readiness probe of a gRPC service that does not exist",
        availability.probes_tell_alive_from_ready,
        lambda found: container(found, "inventory")["readinessProbe"]["grpc"].update(service="shop.Stock"),
    ),
    Mutation(
        "a probe at a port that does not exist",
        references.ports_of_probes_exist,
        lambda found: container(found, "inventory")["readinessProbe"]["grpc"].update(port=50051),
    ),
    Mutation(
        "an unknown setting",
        settings.environments_are_accepted,
        lambda found: add_variable(found, "order", "ORDER_DATABASE_POOL", "8"),
    ),
    Mutation(
        "a setting that its class does not accept",
        settings.environments_are_accepted,
        lambda found: add_variable(found, "inventory", "INVENTORY_SWEEP_SECONDS", "0"),
    ),
    Mutation(
        "a missing setting",
        settings.environments_are_accepted,
        lambda found: container(found, "migrate")["env"].remove(variable(found, "migrate", "ORDER_EVENT_LOG_URL")),
    ),
    Mutation(
        "an OTEL_* variable that the SDK does not know",
        settings.environments_are_accepted,
        lambda found: add_variable(found, "order", "OTEL_TRACES_SAMPLER", "sometimes"),
    ),
    Mutation(
        "a setting that docker compose does not have",
        settings.settings_are_those_of_compose,
        lambda found: add_variable(found, "order", "ORDER_SAGA_GRACE_SECONDS", "10"),
    ),
    Mutation(
        "a variable that is used before it is defined",
        settings.references_are_resolved,
        lambda found: container(found, "order")["env"].reverse(),
    ),
    Mutation(
        "a key that its ConfigMap does not have",
        settings.references_are_resolved,
        lambda found: variable(found, "order", "LOG_LEVEL")["valueFrom"]["configMapKeyRef"].update(key="level"),
    ),
    Mutation(
        "a Secret that nothing makes",
        references.secrets_are_named_and_made_elsewhere,
        lambda found: variable(found, "order", "NATS_PASSWORD")["valueFrom"]["secretKeyRef"].update(name="broker"),
    ),
    Mutation(
        "a password in a manifest",
        references.secrets_are_named_and_made_elsewhere,
        lambda found: variable(found, "order", "ORDER_EVENT_LOG_URL").update(value="nats://shop:hunter2@nats:4222"),
    ),
    Mutation(
        "a Secret in a manifest",
        references.secrets_are_named_and_made_elsewhere,
        lambda found: found.documents.append({"kind": "Secret", "metadata": {"name": "order"}}),
    ),
    Mutation(
        "a folder that cannot be written",
        settings.folders_are_mounted,
        lambda found: variable(found, "notification", "NOTIFICATION_OUTBOX_FOLDER").update(value="/var/mail"),
    ),
    Mutation(
        "a mount without its volume",
        references.volumes_exist,
        lambda found: found.workload("notification").pod["volumes"].pop(),
    ),
    Mutation(
        "a volume of a claim that does not exist",
        references.volumes_exist,
        lambda found: remove(found, "PersistentVolumeClaim", "notifications"),
    ),
    Mutation(
        "an update whose new pod waits for the volume of the old one",
        references.one_pod_mounts_a_volume,
        lambda found: spec(found, "Deployment", "notification").pop("strategy"),
    ),
    Mutation(
        "a grace period that is shorter than the drain",
        availability.a_drain_has_its_time,
        lambda found: found.workload("order").pod.update(terminationGracePeriodSeconds=25),
    ),
    Mutation(
        "no preStop",
        availability.a_drain_has_its_time,
        lambda found: container(found, "inventory").pop("lifecycle"),
    ),
    Mutation(
        "an update that takes a pod away first",
        availability.an_update_keeps_all_pods,
        lambda found: spec(found, "Deployment", "order")["strategy"]["rollingUpdate"].update(maxUnavailable=1),
    ),
    Mutation(
        "pods spread by the labels of others",
        availability.an_update_keeps_all_pods,
        lambda found: (
            found.workload("order")
            .pod["topologySpreadConstraints"][0]["labelSelector"]
            .update(matchLabels={POD: "inventory"})
        ),
    ),
    Mutation(
        "an autoscaler of something that does not exist",
        availability.autoscalers_can_act,
        lambda found: spec(found, "HorizontalPodAutoscaler", "order")["scaleTargetRef"].update(name="orders"),
    ),
    Mutation(
        "an autoscaler of a container that requests no processor",
        availability.autoscalers_can_act,
        lambda found: container(found, "inventory")["resources"]["requests"].pop("cpu"),
    ),
    Mutation(
        "an autoscaler that each apply undoes",
        availability.autoscalers_can_act,
        lambda found: spec(found, "Deployment", "order").update(replicas=2),
    ),
    Mutation(
        "pools that PostgreSQL has no room for",
        availability.connections_fit_the_database,
        lambda found: add_variable(found, "order", "ORDER_DATABASE_POOL_SIZE", "40"),
        overlay="dev",
    ),
    Mutation(
        "a Service whose one address keeps calls on one pod",
        availability.clients_find_new_pods,
        lambda found: spec(found, "Service", "inventory").pop("clusterIP"),
    ),
    Mutation(
        "connections that no new pod is found by",
        availability.clients_find_new_pods,
        lambda found: container(found, "inventory")["env"].remove(
            variable(found, "inventory", "INVENTORY_GRPC_CONNECTION_AGE_SECONDS")
        ),
    ),
    Mutation(
        "a container that may write its own files",
        hardening.pods_are_restricted,
        lambda found: container(found, "order")["securityContext"].update(readOnlyRootFilesystem=False),
    ),
    Mutation(
        "a server that runs as root",
        hardening.pods_are_restricted,
        lambda found: found.workload("nats").pod["securityContext"].update(runAsUser=0),
        overlay="dev",
    ),
    Mutation(
        "a namespace that admits every pod",
        hardening.pods_are_restricted,
        lambda found: (
            found.get("Namespace", "plumbline")["metadata"].pop("labels")
            and found.get("Namespace", "plumbline")["metadata"].update(labels={})
        ),
    ),
    Mutation(
        "another user than that of the image",
        hardening.the_user_is_that_of_the_image,
        lambda found: found.workload("order").pod["securityContext"].update(runAsUser=1000),
    ),
    Mutation(
        "memory without a limit",
        hardening.resources_are_limited,
        lambda found: container(found, "order")["resources"].pop("limits"),
    ),
    Mutation(
        "an image without a version",
        hardening.images_have_a_version,
        lambda found: container(found, "order").update(image="registry.example/plumbline:latest"),
    ),
    Mutation(
        "a rule that promtool did not test",
        monitoring.rules_are_those_of_promtool,
        lambda found: spec(found, "PrometheusRule", "shop-services")["groups"][0]["rules"][0].update(expr="up == 0"),
    ),
    Mutation(
        "a dashboard that is left out",
        monitoring.dashboards_are_those_of_grafana,
        lambda found: remove(found, "ConfigMap", "dashboard-shop-events"),
    ),
    Mutation(
        "processes that the rules do not find",
        monitoring.jobs_are_those_of_the_rules,
        lambda found: spec(found, "PodMonitor", "plumbline").update(jobLabel=PART),
    ),
)


@for_each(MUTATIONS, name=lambda mutation: mutation.what)
def test_mutation_is_found(mutation: Mutation) -> None:
    found = manifests(mutation.overlay)
    assert not list(mutation.check(found)), "the check finds something before the mistake is made"
    mutation.make(found)
    assert list(mutation.check(found))


def test_every_check_has_its_mutation() -> None:
    assert set(ALL) == {mutation.check for mutation in MUTATIONS}

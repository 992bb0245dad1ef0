"""Checks of probes, drains, disruptions and scaling."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any, cast

from observability.telemetry.setup import Runtime
from services.infra.admin import AdminApplication
from services.infra.lifecycle import LAST_LINE_SECONDS
from services.infra.readiness import Readiness
from services.inventory.settings import InventorySettings
from services.order.settings import OrderSettings
from tests.kubernetes.checks.settings import KINDS, settings_of
from tests.kubernetes.manifests import Manifests, Workload

# The CPU request of a pod that is scaled: its event loop uses at most one core.
ONE_CORE = "1"
SCALED = ("order", "inventory")


class Pages:
    """Fake of the telemetry runtime, without metrics."""

    def render_metrics(self, *_: object, **__: object) -> tuple[bytes, str]:
        return b"", "text/plain"


def answer(path: str, readiness: Readiness) -> int:
    """Return the status with which the admin port answers this path."""
    statuses: list[int] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    application = AdminApplication(runtime=cast("Runtime", Pages()), readiness=readiness)
    scope = {"type": "http", "path": path, "query_string": b"", "headers": []}
    asyncio.run(application(scope, cast("Any", None), send))
    return statuses[0]


def probes_tell_alive_from_ready(manifests: Manifests) -> Iterator[str]:
    """Check that probes exist, and that an unready process still passes its liveness probe."""
    ready, unready = Readiness({}), Readiness({})
    ready.serve()
    for name in KINDS:
        workload = manifests.workload(name)
        for probe, of_unready in (("startupProbe", 200), ("livenessProbe", 200), ("readinessProbe", 503)):
            action = workload.container.get(probe, {})
            if "grpc" in action:
                yield from _grpc_probe(workload, probe, action["grpc"])
            elif "httpGet" not in action or action["httpGet"]["port"] != "admin":
                yield f"{name}: its {probe} asks neither gRPC nor the admin port"
            elif (found := [answer(action["httpGet"]["path"], each) for each in (ready, unready)]) != [200, of_unready]:
                yield f"{name}: its {probe} is answered {found} by a process that is ready, and one that is not"
    for monitor in manifests.of("PodMonitor"):
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            if answer(endpoint["path"], ready) != 200:
                yield f"PodMonitor {monitor['metadata']['name']}: there is no {endpoint['path']}"


def a_drain_has_its_time(manifests: Manifests) -> Iterator[str]:
    """Check that there is a preStop, and that it and the drain fit into the grace period."""
    for name in KINDS:
        workload = manifests.workload(name)
        sleep_seconds = workload.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        if not sleep_seconds:
            yield f"{name} has no preStop"
        needed = sleep_seconds + settings_of(manifests, name).drain_limit_seconds + LAST_LINE_SECONDS
        if workload.pod["terminationGracePeriodSeconds"] < needed:
            yield f"{name}: preStop and drain take up to {needed} s, more than terminationGracePeriodSeconds"


def budgets_let_a_node_be_drained(manifests: Manifests) -> Iterator[str]:
    """Check that one pod may be evicted, but not all, when the fewest replicas run."""
    for budget in manifests.of("PodDisruptionBudget"):
        name = budget["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"]
        fewest = manifests.replicas(name)[0]
        allowed = budget["spec"].get("maxUnavailable", fewest - budget["spec"].get("minAvailable", 0))
        if not isinstance(allowed, int) or not 1 <= allowed < fewest:
            yield f"{name}: its budget lets {allowed} of {fewest} pods be evicted"
    for name in SCALED:
        if not any(each["metadata"]["name"] == name for each in manifests.of("PodDisruptionBudget")):
            yield f"{name} has no budget"


def an_update_keeps_all_pods(manifests: Manifests) -> Iterator[str]:
    """Check that a new pod is ready before an old one leaves, and that pods are spread over zones and nodes."""
    for name in SCALED:
        workload = manifests.workload(name)
        rolling = workload.document["spec"].get("strategy", {}).get("rollingUpdate", {})
        if (rolling.get("maxUnavailable"), rolling.get("maxSurge")) != (0, 1):
            yield f"{name}: an update removes pods before new ones are ready"
        if manifests.replicas(name)[0] < 2:
            yield f"{name} may run with a single pod"
        spread = workload.pod.get("topologySpreadConstraints", [])
        if {each["topologyKey"] for each in spread} != {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}:
            yield f"{name}: its pods are not spread"
        if any(manifests.selected(each["labelSelector"]["matchLabels"]) != [workload] for each in spread):
            yield f"{name}: its pods are spread by labels that select other pods"


def autoscalers_can_act(manifests: Manifests) -> Iterator[str]:
    """Check that targets exist, request the resource that is measured, and do not set `replicas`."""
    for scaler in manifests.of("HorizontalPodAutoscaler"):
        spec = scaler["spec"]
        try:
            target = Workload(manifests.get(spec["scaleTargetRef"]["kind"], spec["scaleTargetRef"]["name"]))
        except KeyError as error:
            yield f"an autoscaler's target does not exist: {error}"
            continue
        if "replicas" in target.document["spec"]:
            yield f"{target.name}: remove `replicas`: each apply would undo the scaling"
        if not 1 < spec["minReplicas"] < spec["maxReplicas"]:
            yield f"{target.name} cannot be scaled from {spec['minReplicas']} to {spec['maxReplicas']}"
        if not spec.get("metrics") or spec["scaleTargetRef"].get("apiVersion") != target.document["apiVersion"]:
            yield f"{target.name} has an autoscaler without metrics, or with another apiVersion than its target"
        for metric in spec.get("metrics", []):
            if not 0 < metric["resource"].get("target", {}).get("averageUtilization", 0) < 100:
                yield f"{target.name} has a target utilisation that is not between 0 and 100 percent"
            if str(target.container["resources"]["requests"].get(metric["resource"]["name"])) != ONE_CORE:
                yield f"{target.name} must request {ONE_CORE} core: utilisation is a share of the request"


def connections_fit_the_database(manifests: Manifests) -> Iterator[str]:
    """Check that the overlay's PostgreSQL has room for the pools of all pods and of one more during an update."""
    for server in manifests.of("StatefulSet"):
        if found := re.search(r"--max_connections=(\d+)", str(Workload(server).container.get("args"))):
            order, inventory = settings_of(manifests, "order"), settings_of(manifests, "inventory")
            assert isinstance(order, OrderSettings)
            assert isinstance(inventory, InventorySettings)
            pools = (order.connections + order.read_database_pool_size, inventory.database_pool_size)
            most = sum(pool * (manifests.replicas(name)[1] + 1) for name, pool in zip(SCALED, pools, strict=True))
            # 12 are for notification, Jobs and operators, and the three that PostgreSQL reserves for superusers.
            if most + 12 > int(found[1]):
                yield f"order and inventory open up to {most} connections, too many for max_connections={found[1]}"


def clients_find_new_pods(manifests: Manifests) -> Iterator[str]:
    """Check that Services of gRPC are headless, and that connections have a maximum age."""
    host, _, port = manifests.environment(manifests.workload("order"))["ORDER_INVENTORY_TARGET"].partition(":")
    if not any(each["port"] == int(port) for each in manifests.get("Service", host)["spec"].get("ports", [])):
        yield f"Service {host} has no port {port}"
    for service in manifests.of("Service"):
        has_grpc = any(each["targetPort"] == "grpc" for each in service["spec"].get("ports", []))
        if has_grpc and service["spec"].get("clusterIP") != "None":
            yield f"Service {service['metadata']['name']} must be headless: with one address, calls stay on one pod"
    for name in SCALED:
        settings = settings_of(manifests, name)
        assert isinstance(settings, OrderSettings | InventorySettings)
        if settings.grpc_connection_age_seconds is None:
            yield f"{name}: its connections have no age, so new pods get no calls"


def _grpc_probe(workload: Workload, probe: str, action: dict[str, Any]) -> Iterator[str]:
    """Check that only the readiness probe uses gRPC's health service, which reports readiness."""
    if probe != "readinessProbe" or workload.ports.get("grpc") != action["port"] or action.get("service"):
        yield f"{workload.name}: its {probe} must not use gRPC's health service, or names a wrong port or service"

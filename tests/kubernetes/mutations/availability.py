"""Mistakes in probes, drains, disruptions and scaling."""

from tests.kubernetes.checks import availability
from tests.kubernetes.mutations.mutation import POD, Mutation, add_variable, container, spec, variable

MUTATIONS = (
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
        "a budget that lets all pods leave",
        availability.budgets_let_a_node_be_drained,
        lambda found: spec(found, "PodDisruptionBudget", "order").update(maxUnavailable=2),
    ),
    Mutation(
        "an autoscaler that waits for more than a core",
        availability.autoscalers_can_act,
        lambda found: spec(found, "HorizontalPodAutoscaler", "order")["metrics"][0]["resource"]["target"].update(
            averageUtilization=120
        ),
    ),
    Mutation(
        "a Service of the order context that is one address",
        availability.clients_find_new_pods,
        lambda found: spec(found, "Service", "order-grpc").pop("clusterIP"),
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
)

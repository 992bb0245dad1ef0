"""Mistakes in selectors, ports, volumes and Secrets."""

from tests.kubernetes.checks import references
from tests.kubernetes.mutations.mutation import PART, POD, Mutation, container, forget_label, remove, spec, variable

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
        "a pod without the label that its Service selects",
        references.selectors_find_pods,
        lambda found: forget_label(found, "inventory", POD),
    ),
    Mutation(
        "a Service that selects the pods of all",
        references.services_find_the_pods_of_one_workload,
        lambda found: spec(found, "Service", "order").update(selector={PART: "plumbline"}),
    ),
    Mutation(
        "a Secret's user in another namespace",
        references.all_are_in_one_namespace,
        lambda found: found.get("Deployment", "order")["metadata"].update(namespace="default"),
    ),
    Mutation(
        "a Service without ports",
        references.ports_of_services_exist,
        lambda found: spec(found, "Service", "order").update(ports=[]),
    ),
    Mutation(
        "a volume that is made of nothing",
        references.volumes_exist,
        lambda found: found.workload("order").pod["volumes"][0].pop("emptyDir"),
    ),
    Mutation(
        "a policy that lets in to a port that the pods do not have",
        references.ports_of_policies_exist,
        lambda found: spec(found, "NetworkPolicy", "notification")["ingress"][0]["ports"][0].update(port="metrics"),
    ),
    Mutation(
        "a probe at a port that does not exist",
        references.ports_of_probes_exist,
        lambda found: container(found, "inventory")["readinessProbe"]["grpc"].update(port=50051),
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
)

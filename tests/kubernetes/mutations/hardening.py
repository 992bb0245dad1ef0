"""Mistakes in what pods may do and use."""

from tests.kubernetes.checks import hardening
from tests.kubernetes.mutations.mutation import Mutation, container

MUTATIONS = (
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
)

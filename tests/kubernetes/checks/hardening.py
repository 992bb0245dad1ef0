"""Checks that pods meet the restricted Pod Security Standard, and that their resources are limited."""

import re
from collections.abc import Iterator

from tests.kubernetes.checks.settings import ours
from tests.kubernetes.manifests import Manifests

# The user in docker-compose.yml and the Dockerfile.
USER = 10001
HOST_ACCESS = ("hostNetwork", "hostPID", "hostIPC")


def pods_are_restricted(manifests: Manifests) -> Iterator[str]:
    """Check all pods, also those of servers: the namespace admits only restricted pods."""
    for workload in manifests.workloads():
        pod, container = workload.pod, workload.container
        of_pod, of_container = pod.get("securityContext", {}), container.get("securityContext", {})
        if not of_pod.get("runAsNonRoot") or not of_pod.get("runAsUser") or not of_pod.get("runAsGroup"):
            yield f"{workload.name} may run as root"
        if of_pod.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{workload.name} has no seccomp profile"
        expected = {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        if of_container != expected:
            yield f"{workload.name}: its container has {of_container}"
        if pod.get("automountServiceAccountToken") is not False or pod.get("enableServiceLinks") is not False:
            yield f"{workload.name} gets a token or variables that it does not need"
        if any(pod.get(each) for each in HOST_ACCESS) or any("hostPath" in each for each in pod.get("volumes", [])):
            yield f"{workload.name} has access to its node"
    for namespace in manifests.of("Namespace"):
        if namespace["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") != "restricted":
            yield "the namespace admits pods that are not restricted"


def the_user_is_that_of_the_image(manifests: Manifests) -> Iterator[str]:
    """Check that pods run as the user who owns the folders of the image."""
    for workload in ours(manifests):
        context = workload.pod["securityContext"]
        if {context["runAsUser"], context["runAsGroup"], context.get("fsGroup")} != {USER}:
            yield f"{workload.name} runs as another user than {USER}"


def resources_are_limited(manifests: Manifests) -> Iterator[str]:
    """Check that memory has a limit equal to its request, and that each temporary volume has a size limit."""
    for workload in manifests.workloads():
        resources = workload.container.get("resources", {})
        requested, limits = resources.get("requests", {}), resources.get("limits", {})
        if "cpu" not in requested or limits.keys() != {"memory"} or requested.get("memory") != limits["memory"]:
            yield f"{workload.name} must request cpu and memory, and limit memory alone, to what it requests"
        for volume in workload.pod.get("volumes", []):
            if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
                yield f"{workload.name}: {volume['name']} has no limit"


def images_have_a_version(manifests: Manifests) -> Iterator[str]:
    """Check that no image is `latest`."""
    for workload in manifests.workloads():
        if not re.search(r":v?\d+\.\d+", workload.container["image"]):
            yield f"{workload.name}: {workload.container['image']} has no version"

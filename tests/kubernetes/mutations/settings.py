"""Mistakes in the environment of containers."""

from tests.kubernetes.checks import settings
from tests.kubernetes.mutations.mutation import Mutation, add_variable, container, variable

MUTATIONS = (
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
        "a program that docker compose does not run",
        settings.commands_are_those_of_compose,
        lambda found: container(found, "order")["command"].pop(),
    ),
    Mutation(
        "a migration that is left out",
        settings.commands_are_those_of_compose,
        lambda found: container(found, "migrate").update(command=["sh", "-ec", "python -m services.order.migrate"]),
    ),
    Mutation(
        "a setting of OpenTelemetry that docker compose has",
        settings.settings_are_those_of_compose,
        lambda found: container(found, "order")["env"].remove(variable(found, "order", "OTEL_RESOURCE_ATTRIBUTES")),
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
        "a folder that cannot be written",
        settings.folders_are_mounted,
        lambda found: variable(found, "notification", "NOTIFICATION_OUTBOX_FOLDER").update(value="/var/mail"),
    ),
)

# ruff: noqa: INP001  # a program of one file, mounted into a container
"""Runs a `plumb` command on the platform of docker compose: verify, deadletters or projection.

These commands read an endpoints file, which `plumb up` writes. Here it is made from the names and secrets of
docker-compose.yml, on the container's tmpfs.
"""

import os
import sys
from pathlib import Path

from services.local.platform.endpoints import Endpoints

SECRETS = Path("/run/secrets")
FILE = Path("/tmp/endpoints.json")  # noqa: S108  # a tmpfs of this container alone
NOTIFICATIONS = "/var/lib/shop/notifications"


def secret(name: str) -> str:
    """Return a secret of docker compose."""
    return (SECRETS / name).read_text(encoding="utf-8").strip()


def database(name: str, owner: str) -> str:
    """Return the address of a database; its role has the same name, and the password of the owner's secret."""
    return f"postgresql://{name}:{secret(f'{owner}_password')}@postgres:5432/{name}"


def endpoints() -> Endpoints:
    """Return the addresses inside the network of docker compose, without process ids: no process can be signalled."""
    return Endpoints(
        run_id="compose",
        mode="services",
        bus="nats",
        supervisor_pid=0,
        supervisor_token="",
        edge_http="order:8080",
        order_grpc="order:50051",
        inventory_grpc="inventory:50052",
        admin={name: f"{name}:9464" for name in ("order", "inventory", "notification")},
        otlp_http="otel-collector:4318",
        databases={
            "order": database("order", "order"),
            "order_read": database("order_read", "order"),
            "inventory": database("inventory", "inventory"),
            "notification": database("notification", "notification"),
        },
        event_log_url=f"nats://shop:{secret('nats_password')}@nats:4222",
        event_log_allow_unsafe_sync=True,
        postgres_pid=None,
        service_pids={},
        run_directory="/tmp",  # noqa: S108  # as above
        traces_directory="/tmp",  # noqa: S108  # as above
        notifications_directory=NOTIFICATIONS,
        logs={},
    )


def main(arguments: list[str]) -> None:
    """Replace this process by `plumb` with the arguments, and with the endpoints file when there is a command."""
    if arguments and "--help" not in arguments:
        endpoints().save(FILE)
        arguments = [*arguments, "--endpoints", str(FILE)]
    os.execvp("plumb", ["plumb", *(arguments or ["--help"])])  # noqa: S607  # its own program


if __name__ == "__main__":
    main(sys.argv[1:])

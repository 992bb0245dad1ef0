"""Start of the services on a foundation: concurrently, since each waits for its dependencies.

Each service registers its stop when it starts, in the order inventory, order, notification; they stop in reverse.
"""

import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import replace

from services.local.platform.endpoints import Endpoints
from services.local.platform.foundation import Foundation
from services.local.platform.plan import inventory_settings, monolith_settings, notification_settings, order_settings
from services.local.processes.errors import LocalError
from services.local.processes.process_identity import start_token
from services.local.servers.ports import local_address, unassigned_port


class Startup:
    """Starts the services on a foundation, which stops them."""

    def __init__(self, foundation: Foundation) -> None:
        self._foundation = foundation
        self._options = foundation.options
        self._launcher = foundation.launcher

    async def run(self) -> Endpoints:
        """Start the services and return their endpoints. Raises LocalError."""
        start = self._start_services if self._options.mode == "services" else self._start_monolith
        return self._endpoints(await start())

    async def _start_services(self) -> dict[str, str]:
        """Start three services; order gets inventory's address in advance, and retries calls until it listens."""
        launcher, foundation = self._launcher, self._foundation
        ports = foundation.ports
        if not ports.inventory_grpc:
            ports = replace(ports, inventory_grpc=unassigned_port(purpose="inventory gRPC"))
        launcher.launch(
            "inventory",
            inventory_settings(
                ports=ports,
                dsn=foundation.databases["inventory"],
                cache_url=foundation.cache_url,
                ready_file=launcher.ready_file("inventory"),
            ),
        )
        launcher.launch(
            "order",
            order_settings(
                ports=ports,
                databases=foundation.databases,
                event_log=foundation.event_log,
                ready_file=launcher.ready_file("order"),
                inventory_target=str(local_address(ports.inventory_grpc)),
            ),
        )
        launcher.launch(
            "notification",
            notification_settings(
                ports=ports,
                dsn=foundation.databases["notification"],
                event_log=foundation.event_log,
                ready_file=launcher.ready_file("notification"),
                outbox_folder=self._options.notifications_directory,
            ),
        )
        inventory, order, notification = await self._ready(
            inventory=("grpc", "admin"), order=("grpc", "http", "admin"), notification=("admin",)
        )
        return {
            "edge_http": order["http"],
            "order_grpc": order["grpc"],
            "inventory_grpc": inventory["grpc"],
            "admin.order": order["admin"],
            "admin.inventory": inventory["admin"],
            "admin.notification": notification["admin"],
        }

    async def _start_monolith(self) -> dict[str, str]:
        """Start all contexts in one process."""
        launcher, foundation = self._launcher, self._foundation
        launcher.launch(
            "monolith",
            monolith_settings(
                ports=foundation.ports,
                databases=foundation.databases,
                event_log=foundation.event_log,
                cache_url=foundation.cache_url,
                ready_file=launcher.ready_file("monolith"),
                outbox_folder=self._options.notifications_directory,
            ),
        )
        (monolith,) = await self._ready(monolith=("order_grpc", "inventory_grpc", "http", "admin"))
        return {
            "edge_http": monolith["http"],
            "order_grpc": monolith["order_grpc"],
            "inventory_grpc": monolith["inventory_grpc"],
            "admin.monolith": monolith["admin"],
        }

    async def _ready(self, **keys: tuple[str, ...]) -> list[dict[str, str]]:
        """Wait until each service has written its addresses, which must include its keys; return them."""

        async def all_ready() -> list[dict[str, str]]:
            return [await self._launcher.ready(name, keys=wanted) for name, wanted in keys.items()]

        return await self._foundation.watch.unless_failure(all_ready())

    def _endpoints(self, addresses: Mapping[str, str]) -> Endpoints:
        token = start_token(os.getpid())
        if token is None:
            raise LocalError("cannot read the start time of this process from the system")
        foundation, options, processes = self._foundation, self._options, self._launcher.processes
        servers = {"postgres": foundation.postgres, "valkey-server": foundation.cache, "nats-server": foundation.nats}
        logging = {**processes, **{name: server.process for name, server in servers.items() if server is not None}}
        return Endpoints(
            run_id=f"{time.strftime('%Y%m%dT%H%M%S')}-{secrets.token_hex(3)}",
            mode=options.mode,
            bus=options.bus,
            supervisor_pid=os.getpid(),
            supervisor_token=token,
            edge_http=addresses["edge_http"],
            order_grpc=addresses["order_grpc"],
            inventory_grpc=addresses["inventory_grpc"],
            admin={key.removeprefix("admin."): value for key, value in addresses.items() if key.startswith("admin.")},
            otlp_http=foundation.otlp_http,
            databases=dict(foundation.databases),
            event_log_url=foundation.event_log.url,
            event_log_allow_unsafe_sync=foundation.event_log.allow_unsafe_sync,
            postgres_pid=foundation.postgres.process.pid if foundation.postgres else None,
            service_pids={name: process.pid for name, process in processes.items()},
            run_directory=str(options.run_directory.resolve()),
            traces_directory=str(options.traces_directory.resolve()),
            notifications_directory=str(options.notifications_directory.resolve()),
            logs={name: str(process.command.log_path.resolve()) for name, process in logging.items()},
        )

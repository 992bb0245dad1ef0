"""Start of the services on a foundation: concurrently, since each waits for its dependencies.

Each service registers its stop when it starts, in the order inventory, order, notification; they stop in reverse.
"""

import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import chain

from services.local.platform.endpoints import Endpoints
from services.local.platform.foundation import Foundation
from services.local.platform.plan import PROCESSES
from services.local.processes.errors import LocalError
from services.local.processes.process_identity import start_token
from services.local.servers.ports import local_address, unassigned_port

# Addresses that each process must write.
KEYS = {
    "inventory": ("grpc", "admin"),
    "order": ("grpc", "http", "admin"),
    "notification": ("admin",),
    "monolith": ("order_grpc", "inventory_grpc", "http", "admin"),
}


class Startup:
    """Starts the services on a foundation, which stops them."""

    def __init__(self, foundation: Foundation) -> None:
        self._foundation = foundation
        self._options = foundation.options
        self._launcher = foundation.launcher

    async def run(self) -> Endpoints:
        """Start the services and return their endpoints. Raises LocalError."""
        ports, names = self._foundation.ports, PROCESSES[self._options.mode]
        if self._options.mode == "services" and not ports.inventory_grpc:
            # Order gets inventory's address in advance, and retries calls until it listens.
            ports = replace(ports, inventory_grpc=unassigned_port(purpose="inventory gRPC"))
        target = str(local_address(ports.inventory_grpc))
        for name in names:
            self._launcher.launch(name, self._foundation.settings(name, ports=ports, inventory_target=target))

        async def all_ready() -> dict[str, dict[str, str]]:
            return {name: await self._launcher.ready(name, keys=KEYS[name]) for name in names}

        return self._endpoints(await self._foundation.watch.unless_failure(all_ready()))

    def _endpoints(self, addresses: Mapping[str, Mapping[str, str]]) -> Endpoints:
        token = start_token(os.getpid())
        if token is None:
            raise LocalError("cannot read the start time of this process from the system")
        foundation, options, processes = self._foundation, self._options, self._launcher.processes
        servers = {"postgres": foundation.postgres, "valkey-server": foundation.cache, "nats-server": foundation.nats}
        servers |= {f"postgres-{number}": server for number, server in enumerate(foundation.shard_servers, start=1)}
        replicas = [*foundation.replicas, *chain.from_iterable(foundation.shard_replicas)]
        servers |= {replica.start.name: replica for replica in replicas}
        logging = {**processes, **{name: server.process for name, server in servers.items() if server is not None}}
        monolith = addresses.get("monolith")
        return Endpoints(
            run_id=f"{time.strftime('%Y%m%dT%H%M%S')}-{secrets.token_hex(3)}",
            mode=options.mode,
            bus=options.bus,
            supervisor_pid=os.getpid(),
            supervisor_token=token,
            edge_http=(monolith or addresses["order"])["http"],
            order_grpc=monolith["order_grpc"] if monolith else addresses["order"]["grpc"],
            inventory_grpc=monolith["inventory_grpc"] if monolith else addresses["inventory"]["grpc"],
            admin={name: written["admin"] for name, written in addresses.items()},
            otlp_http=foundation.otlp_http,
            databases=dict(foundation.databases),
            replica_databases=list(foundation.replica_databases),
            event_log_url=foundation.event_log.url,
            shard_event_log_urls=list(foundation.event_log.shard_urls),
            event_log_allow_unsafe_sync=foundation.event_log.allow_unsafe_sync,
            postgres_pid=foundation.postgres.process.pid if foundation.postgres else None,
            replica_pids=[replica.process.pid for replica in replicas],
            service_pids={name: process.pid for name, process in processes.items()},
            run_directory=str(options.run_directory.resolve()),
            traces_directory=str(options.traces_directory.resolve()),
            notifications_directory=str(options.notifications_directory.resolve()),
            logs={name: str(process.command.log_path.resolve()) for name, process in logging.items()},
        )

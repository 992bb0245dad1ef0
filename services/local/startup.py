"""In which order do the services come up, and in which do they go down?

Up, on the foundation: inventory, order, notification. Each registers its end when it begins: down is the reverse.
"""

import os
import secrets
import time
from collections.abc import Mapping

from services.local.endpoints import Endpoints
from services.local.errors import LocalError
from services.local.foundation import Foundation
from services.local.identity import start_token
from services.local.plan import inventory_settings, monolith_settings, notification_settings, order_settings


class Startup:
    """One start of the services; the foundation stops what it started."""

    def __init__(self, foundation: Foundation) -> None:
        self._foundation = foundation
        self._options = foundation.options
        self._launcher = foundation.launcher

    async def run(self) -> Endpoints:
        """Starts the services and returns every address; raises LocalError."""
        start = self._start_services if self._options.mode == "services" else self._start_monolith
        return self._endpoints(await start())

    async def _start_services(self) -> dict[str, str]:
        """Inventory, then order, which needs its address, then notification, which hears of orders."""
        inventory = await self._start_inventory()
        order = await self._start_order(inventory["grpc"])
        notification = await self._start_notification()
        return {
            "edge_http": order["http"],
            "order_grpc": order["grpc"],
            "inventory_grpc": inventory["grpc"],
            "admin.order": order["admin"],
            "admin.inventory": inventory["admin"],
            "admin.notification": notification["admin"],
        }

    async def _start_inventory(self) -> dict[str, str]:
        settings = inventory_settings(
            ports=self._foundation.ports,
            dsn=self._foundation.databases["inventory"],
            cache_url=self._foundation.cache_url,
            ready_file=self._launcher.ready_file("inventory"),
        )
        return await self._launcher.serve("inventory", settings, keys=("grpc", "admin"))

    async def _start_order(self, inventory_target: str) -> dict[str, str]:
        settings = order_settings(
            ports=self._foundation.ports,
            databases=self._foundation.databases,
            event_log=self._foundation.event_log,
            ready_file=self._launcher.ready_file("order"),
            inventory_target=inventory_target,
        )
        return await self._launcher.serve("order", settings, keys=("grpc", "http", "admin"))

    async def _start_notification(self) -> dict[str, str]:
        settings = notification_settings(
            ports=self._foundation.ports,
            dsn=self._foundation.databases["notification"],
            event_log=self._foundation.event_log,
            ready_file=self._launcher.ready_file("notification"),
            outbox_folder=self._options.notifications_directory,
        )
        return await self._launcher.serve("notification", settings, keys=("admin",))

    async def _start_monolith(self) -> dict[str, str]:
        """Everything in one process."""
        settings = monolith_settings(
            ports=self._foundation.ports,
            databases=self._foundation.databases,
            event_log=self._foundation.event_log,
            cache_url=self._foundation.cache_url,
            ready_file=self._launcher.ready_file("monolith"),
            outbox_folder=self._options.notifications_directory,
        )
        keys = ("order_grpc", "inventory_grpc", "http", "admin")
        monolith = await self._launcher.serve("monolith", settings, keys=keys)
        return {
            "edge_http": monolith["http"],
            "order_grpc": monolith["order_grpc"],
            "inventory_grpc": monolith["inventory_grpc"],
            "admin.monolith": monolith["admin"],
        }

    def _endpoints(self, addresses: Mapping[str, str]) -> Endpoints:
        token = start_token(os.getpid())
        if token is None:
            raise LocalError("this system does not tell when a process started")
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

"""Single services as real processes on the shop's databases, for tests that stop them or break their dependencies."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.local.platform.endpoints import Endpoints
from services.local.platform.plan import (
    MODULES,
    EventLogAddress,
    base_environment,
    inventory_settings,
    monolith_settings,
    notification_settings,
    order_settings,
)
from services.local.servers.ports import Ports
from tests.patience import PATIENCE_SECONDS


@dataclass(frozen=True, slots=True)
class Service:
    """One running process: its addresses by name, and its log."""

    process: subprocess.Popen[bytes]
    addresses: Mapping[str, str]
    log_path: Path

    def stop(self) -> int:
        """Ask it to end, as an orchestrator does; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)

    def log_lines(self) -> list[dict[str, Any]]:
        """Everything it wrote, of which each line must be JSON."""
        return [json.loads(line) for line in self.log_path.read_text().splitlines()]

    def events(self) -> list[str]:
        """Return the names of the log events, in order."""
        return [line["event"] for line in self.log_lines()]


@dataclass(frozen=True, slots=True)
class Services:
    """Starts services with the settings that the platform would give them."""

    shop: Endpoints
    folder: Path
    environment: Mapping[str, str]
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @classmethod
    @contextmanager
    def beside(cls, shop: Endpoints, *, folder: Path, environment: Mapping[str, str]) -> Iterator["Services"]:
        """Give a starter of services; kill at the end what still runs."""
        services = cls(shop, folder, {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{shop.otlp_http}", **environment})
        try:
            yield services
        finally:
            for process in services.started:
                process.kill()
                process.wait()

    def order(
        self, *, inventory_target: str | None = None, log_path: Path | None = None, **environment: str
    ) -> Service:
        """Start an order service, of the shop's inventory and with a log of its own if no other is given."""
        settings = order_settings(
            ports=Ports(),
            databases=self.shop.databases,
            event_log=self._event_log,
            ready_file=self._ready_file(),
            inventory_target=inventory_target or self.shop.inventory_grpc,
        )
        return self._start("order", {**settings, **environment}, log_path=log_path)

    def inventory(self, *, port: int = 0, **environment: str) -> Service:
        """Start an inventory service."""
        settings = inventory_settings(
            ports=Ports(inventory_grpc=port),
            dsn=self.shop.databases["inventory"],
            cache_url="",
            ready_file=self._ready_file(),
        )
        return self._start("inventory", {**settings, **environment})

    def notification(self) -> Service:
        """Start a notification service."""
        settings = notification_settings(
            ports=Ports(),
            dsn=self.shop.databases["notification"],
            event_log=self._event_log,
            ready_file=self._ready_file(),
            outbox_folder=Path(self.shop.notifications_directory),
        )
        return self._start("notification", settings)

    def monolith(self) -> Service:
        """Start the whole shop as one process."""
        settings = monolith_settings(
            ports=Ports(),
            databases=self.shop.databases,
            event_log=self._event_log,
            cache_url="",
            ready_file=self._ready_file(),
            outbox_folder=Path(self.shop.notifications_directory),
        )
        return self._start("monolith", settings)

    @property
    def _event_log(self) -> EventLogAddress:
        return EventLogAddress(self.shop.event_log_url, allow_unsafe_sync=self.shop.event_log_allow_unsafe_sync)

    def _ready_file(self) -> Path:
        return self.folder / f"ready-{len(self.started)}.json"

    def _start(self, name: str, settings: Mapping[str, str], *, log_path: Path | None = None) -> Service:
        ready_file = self._ready_file()
        log_path = log_path or self.folder / f"{name}-{len(self.started)}.log"
        with log_path.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", MODULES[name], "serve"],
                env={**base_environment(), **self.environment, **settings},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.started.append(process)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not ready_file.exists():
            assert process.poll() is None, log_path.read_text()
            assert time.monotonic() < deadline, f"{name} was not ready in time"
            time.sleep(0.02)
        return Service(process, json.loads(ready_file.read_text()), log_path)

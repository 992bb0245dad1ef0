"""`plumb up`: a platform that runs until Ctrl-C, and its addresses."""

import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.table import Table

from observability.load.demand import SKU_COUNT, sku_of_rank
from observability.load.errors import LoadError
from observability.load.stock_plan import ample_stock
from observability.load.stocking import stock_shop
from observability.testbed.monitoring.exporter import postgres_exporter
from observability.testbed.monitoring.servers import MonitoringOptions, monitoring, require_programs
from services.local.platform.endpoints import Bus, Endpoints, Mode, remove_stale
from services.local.platform.plan import PlatformOptions, forward_settings
from services.local.platform.platform import Platform
from services.local.processes.errors import LocalError
from services.local.processes.signals import Interrupted, run_interruptible
from services.local.servers.ports import PURPOSES

AfterStart = Callable[[Endpoints], Awaitable[None]]
Watching = Callable[[Platform, PlatformOptions], AbstractAsyncContextManager[Mapping[str, str]]]
DEFAULT_PORT_BASE = 8400
DEFAULT_FOLDER = Path("out/up")


def up(
    *,
    mode: Annotated[Mode, typer.Option(help="Separate services, or one process with the same code.")] = "services",
    bus: Annotated[
        Bus, typer.Option(help="Where events are published: a database, or a NATS server (nats-server installed).")
    ] = "postgres",
    port_base: Annotated[
        int,
        typer.Option(
            help="First of nine ports: REST edge +0, order gRPC +1, inventory gRPC +2, order or monolith admin +3, "
            "inventory admin +4, OTLP receiver +5, PostgreSQL +6, notification admin +7, NATS +8. Prometheus, if asked "
            "for, has +9.",
        ),
    ] = DEFAULT_PORT_BASE,
    prometheus: Annotated[
        bool,
        typer.Option(
            "--prometheus",
            help="Run the `prometheus` on PATH beside it, with our rules, on port +9. Alerts are shown there. It also "
            "scrapes the embedded PostgreSQL where `prometheus-postgres-exporter` is on PATH.",
        ),
    ] = False,
    endpoints: Annotated[
        Path | None,
        typer.Option(help="Where to write the addresses (0600: it holds passwords). Default: out/up/PORT_BASE.json."),
    ] = None,
) -> None:
    """Start the platform and leave it running until Ctrl-C.

    PostgreSQL is embedded; set PLUMB_POSTGRES_DSN to use a server of your own instead. Export
    OTEL_EXPORTER_OTLP_ENDPOINT, and _PROTOCOL and _HEADERS if need be, to have every span sent there as well. Exit
    status: 0 after Ctrl-C or SIGTERM once it runs, 1 when something failed, 130 or 143 when it was interrupted while
    starting.
    """
    run_directory = DEFAULT_FOLDER / str(port_base)
    forward = _forward_settings()
    options = PlatformOptions(
        run_directory=run_directory, mode=mode, bus=bus, port_base=port_base, environment={"receiver": forward}
    )
    path = endpoints or DEFAULT_FOLDER / f"{port_base}.json"
    if prometheus:
        _require_prometheus()
    command = UpCommand(
        options,
        endpoints_path=path,
        after_start=stock_catalogue,
        watching=watched if prometheus else not_watched,
    )
    raise typer.Exit(command.run())


async def stock_catalogue(endpoints: Endpoints) -> None:
    """Fill the shelves with every SKU that the demand model knows, so that there is something to order."""
    skus = (sku_of_rank(rank) for rank in range(1, SKU_COUNT + 1))
    await stock_shop(endpoints.inventory_grpc, ample_stock(skus), request_id_prefix="catalogue")


@asynccontextmanager
async def watched(platform: Platform, options: PlatformOptions) -> AsyncIterator[dict[str, str]]:
    """Run Prometheus, and the PostgreSQL exporter where it is on PATH; yield the address of Prometheus by its name.

    Raises LocalError.
    """
    endpoints = platform.endpoints
    async with AsyncExitStack() as stack:
        exporter: dict[str, str] = {}
        if platform.postgres_admin_dsn is not None:
            exporting = postgres_exporter(platform.postgres_admin_dsn, options.logs_directory)
            exporter = await stack.enter_async_context(exporting)
        monitoring_options = MonitoringOptions(
            targets={**endpoints.admin, "receiver": endpoints.otlp_http, **exporter},
            logs_directory=options.logs_directory,
            port=0 if options.port_base is None else options.port_base + len(PURPOSES),
        )
        running = await stack.enter_async_context(monitoring(monitoring_options))
        yield {"Prometheus": f"http://{running.prometheus}/alerts"}


@asynccontextmanager
async def not_watched(_platform: Platform, _options: PlatformOptions) -> AsyncIterator[dict[str, str]]:
    """Run nothing."""
    yield {}


class UpCommand:
    """One run of `plumb up`; `after_start` is awaited when the platform answers, before its addresses are printed.

    What `watching` runs beside the platform gives more addresses to print.
    """

    def __init__(
        self,
        options: PlatformOptions,
        *,
        endpoints_path: Path,
        after_start: AfterStart | None,
        watching: Watching = not_watched,
    ) -> None:
        self._watching = watching
        self._options = options
        self._endpoints_path = endpoints_path
        self._after_start = after_start
        self._console = LastingConsole(highlight=False)
        self._started = False
        self._began = time.monotonic()

    def run(self) -> int:
        """Runs until a signal or a failure; returns the exit status."""
        errors = Console(stderr=True, highlight=False)
        try:
            run_interruptible(self._run, again=lambda: self._say("already stopping; this takes a few seconds"))
        except (LocalError, LoadError) as error:
            errors.print(f"plumb up: {error}", markup=False, soft_wrap=True)
            return 1
        except Interrupted as interruption:
            self._say("stopped")
            return 0 if self._started else 128 + interruption.number
        return 0

    async def _run(self) -> None:
        remove_stale(DEFAULT_FOLDER)
        async with Platform.start(self._options, progress=self._tell) as platform:
            if self._after_start is not None:
                await platform.unless_failure(self._after(platform.endpoints, self._after_start))
            async with self._watching(platform, self._options) as beside:
                platform.endpoints.save(self._endpoints_path)
                try:
                    self._started = True
                    self._show(platform.endpoints, beside)
                    raise await platform.failure()
                finally:
                    self._endpoints_path.unlink(missing_ok=True)

    @staticmethod
    async def _after(endpoints: Endpoints, after_start: AfterStart) -> None:
        await after_start(endpoints)

    def _tell(self, message: str) -> None:
        """Prints what is started or awaited, after the seconds since the command began."""
        self._say(f"{time.monotonic() - self._began:6.1f} s  {message}")

    def _say(self, message: str) -> None:
        self._console.print(message, markup=False, soft_wrap=True)

    def _show(self, endpoints: Endpoints, beside: Mapping[str, str]) -> None:
        """Prints the addresses and a first thing to try."""
        table = Table(box=None, show_header=False, pad_edge=False)
        forward = self._options.extra_environment("receiver").get("RECEIVER_FORWARD_ENDPOINT")
        more = {**({"spans also to": forward} if forward else {}), **beside}
        for name, value in (*_addresses(endpoints, self._endpoints_path), *more.items()):
            table.add_row(name, value, style="bold" if name == "REST edge" else None)
        self._say("")
        self._console.print(table, soft_wrap=True)
        self._say("\nTry it:")
        self._say(
            f"  curl -sS 'http://{endpoints.edge_http}/orders' -H 'Content-Type: application/json' \\\n"
            "    -H 'X-Customer-Id: 6f1d8b1e-3c1c-4a52-9f0e-2f6c1f0a7b11' -H 'Idempotency-Key: first-order' \\\n"
            '    -d \'{"lines": [{"sku": "10001", "quantity": 2}]}\''
        )
        self._say("\nCtrl-C stops everything.")


class LastingConsole(Console):
    """Standard output that may end: its reader leaves, or its disk is full. The platform goes on without a word."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print while that is possible."""
        try:
            super().print(*objects, **options)
        except OSError:
            self.on_broken_pipe()

    def on_broken_pipe(self) -> None:
        """Print no more, rather than end the process; the interpreter's own flush at the end must work, too."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _forward_settings() -> dict[str, str]:
    """What the receiver is told of the OTLP endpoint that is exported here; a bad one is said, and left out."""
    try:
        return forward_settings(os.environ)
    except ValueError as error:
        typer.echo(f"plumb up: {error}; spans are not sent on", err=True)
        return {}


def _require_prometheus() -> None:
    """End at once, rather than when everything runs, where there is none."""
    try:
        require_programs(alertmanager=False)
    except LocalError as error:
        typer.echo(f"plumb up: {error}", err=True)
        raise typer.Exit(1) from error


def _addresses(endpoints: Endpoints, endpoints_path: Path) -> list[tuple[str, str]]:
    return [
        ("REST edge", f"http://{endpoints.edge_http}/docs"),
        ("order gRPC", endpoints.order_grpc),
        ("inventory gRPC", endpoints.inventory_grpc),
        *((f"{name} metrics", f"http://{address}/metrics") for name, address in endpoints.admin.items()),
        ("OTLP receiver", f"http://{endpoints.otlp_http}/v1/traces"),
        ("events", f"{endpoints.bus} at {urlsplit(endpoints.event_log_url).netloc.rpartition('@')[2]}"),
        ("confirmations", endpoints.notifications_directory),
        ("logs", str(Path(endpoints.run_directory) / "logs")),
        ("traces", endpoints.traces_directory),
        ("addresses and passwords", f"{endpoints_path} (readable by you only)"),
    ]

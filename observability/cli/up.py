"""`plumb up`: run the platform until Ctrl-C, and print its addresses."""

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
from observability.load.stock_plan import ample_stock
from observability.load.stocking import stock_shop
from observability.testbed.monitoring.exporter import postgres_exporter
from observability.testbed.monitoring.servers import MonitoringOptions, monitoring, require_programs
from services.local.platform.endpoints import Bus, Endpoints, Mode, remove_stale
from services.local.platform.plan import PlatformOptions, forward_settings
from services.local.platform.platform import Platform
from services.local.processes.signals import Interrupted, run_interruptible
from services.local.servers.ports import PURPOSES

AfterStart = Callable[[Endpoints], Awaitable[None]]
Watching = Callable[[Platform, PlatformOptions], AbstractAsyncContextManager[Mapping[str, str]]]
DEFAULT_PORT_BASE = 8400
MOST_REPLICAS = 4
DEFAULT_FOLDER = Path("out/up")


def up(
    *,
    mode: Annotated[Mode, typer.Option(help="Separate services, or one process that runs the same code.")] = "services",
    bus: Annotated[
        Bus, typer.Option(help="Where events are published: a database, or a NATS server (nats-server installed).")
    ] = "postgres",
    shards: Annotated[
        int, typer.Option(min=1, max=8, help="Servers of orders: each is a PostgreSQL server of its own.")
    ] = 1,
    port_base: Annotated[
        int,
        typer.Option(
            help="First of nine ports: REST edge +0, order gRPC +1, inventory gRPC +2, order or monolith admin +3, "
            "inventory admin +4, OTLP receiver +5, PostgreSQL +6, notification admin +7, NATS +8, and Prometheus "
            "+9 with --prometheus.",
        ),
    ] = DEFAULT_PORT_BASE,
    prometheus: Annotated[
        bool,
        typer.Option(
            "--prometheus",
            help="Also run the `prometheus` on PATH with the project's rules, on port +9; its page shows alerts. It "
            "scrapes the embedded PostgreSQL, too, if `prometheus-postgres-exporter` is on PATH.",
        ),
    ] = False,
    replicas: Annotated[
        int,
        typer.Option(
            min=0,
            max=MOST_REPLICAS,
            help="Streaming replicas of the embedded PostgreSQL, on free ports; reads of orders, lists and stock hints "
            "go to them.",
        ),
    ] = 0,
    endpoints: Annotated[
        Path | None,
        typer.Option(help="File for the addresses (mode 0600: it holds passwords). Default: out/up/PORT_BASE.json."),
    ] = None,
) -> None:
    """Start the platform and leave it running until Ctrl-C.

    PostgreSQL is embedded; set PLUMB_POSTGRES_DSN to use your own server instead. Set OTEL_EXPORTER_OTLP_ENDPOINT, and
    _PROTOCOL and _HEADERS if necessary, to send every span there as well.

    Exit codes: 0 stopped by Ctrl-C or SIGTERM, 1 something failed, 130 or 143 interrupted while starting.
    """
    run_directory = DEFAULT_FOLDER / str(port_base)
    forward = _forward_settings()
    options = PlatformOptions(
        run_directory=run_directory,
        mode=mode,
        bus=bus,
        shards=shards,
        port_base=port_base,
        replicas=replicas,
        environment={"receiver": forward},
    )
    path = endpoints or DEFAULT_FOLDER / f"{port_base}.json"
    if prometheus:
        require_programs(alertmanager=False)  # Fail before the platform is started.
    command = UpCommand(
        options,
        endpoints_path=path,
        after_start=stock_catalogue,
        watching=watched if prometheus else not_watched,
    )
    raise typer.Exit(command.run())


async def stock_catalogue(endpoints: Endpoints) -> None:
    """Stock every SKU of the demand model, so that orders can be placed."""
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
    """One run of `plumb up`.

    `after_start` is awaited when the platform is ready, before its addresses are printed. `watching` runs more programs
    beside the platform, and returns their addresses.
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
        """Run until a signal or a failure; return 0 after a signal. Raises Interrupted if it came before the start."""
        try:
            run_interruptible(self._run, again=lambda: self._say("already stopping; this takes a few seconds"))
        except Interrupted:
            if not self._started:
                raise
            self._say("stopped")
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
        """Print a step of the start, after the seconds since the command began."""
        self._say(f"{time.monotonic() - self._began:6.1f} s  {message}")

    def _say(self, message: str) -> None:
        self._console.print(message, markup=False, soft_wrap=True)

    def _show(self, endpoints: Endpoints, beside: Mapping[str, str]) -> None:
        """Print the addresses and a first request to try."""
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
    """Standard output that may fail: its reader closes it, or its disk is full. The platform then runs on silently."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print, unless standard output failed."""
        try:
            super().print(*objects, **options)
        except OSError:
            self.on_broken_pipe()

    def on_broken_pipe(self) -> None:
        """Print no more, rather than end the process; the interpreter's flush at exit must succeed, too."""
        self.quiet = True
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def _forward_settings() -> dict[str, str]:
    """Return the receiver's settings for the OTLP endpoint in the environment; warn about an invalid one."""
    try:
        return forward_settings(os.environ)
    except ValueError as error:
        typer.echo(f"plumb up: {error}; spans are not forwarded", err=True)
        return {}


def _addresses(endpoints: Endpoints, endpoints_path: Path) -> list[tuple[str, str]]:
    return [
        ("REST edge", f"http://{endpoints.edge_http}/docs"),
        ("order gRPC", endpoints.order_grpc),
        ("inventory gRPC", endpoints.inventory_grpc),
        *((f"{name} metrics", f"http://{address}/metrics") for name, address in endpoints.admin.items()),
        ("OTLP receiver", f"http://{endpoints.otlp_http}/v1/traces"),
        ("events", f"{endpoints.bus} at {urlsplit(endpoints.event_log_url).netloc.rpartition('@')[2]}"),
        *(
            (f"replica {number}", urlsplit(dsns["order"]).netloc.rpartition("@")[2])
            for number, dsns in enumerate(endpoints.replica_databases, 1)
        ),
        ("confirmations", endpoints.notifications_directory),
        ("logs", str(Path(endpoints.run_directory) / "logs")),
        ("traces", endpoints.traces_directory),
        ("addresses and passwords", f"{endpoints_path} (readable by you only)"),
    ]

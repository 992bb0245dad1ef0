"""Context manager that runs the installed Prometheus and Alertmanager on loopback addresses, beside a platform."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from observability.prometheus.build.alertmanager import alertmanager_configuration
from observability.prometheus.build.configuration import local_configuration
from observability.prometheus.build.model import Document
from observability.prometheus.build.pace import Pace
from observability.prometheus.build.rule_files import write_rule_files
from observability.testbed.monitoring.program import MonitoringProgram
from services.infra.atomic_file import write_json
from services.local.processes.child_process import ChildProcess
from services.local.processes.errors import LocalError
from services.local.processes.scratch_folder import Scratch
from services.local.servers.ports import free_port, local_address

# Debian's name first: `alertmanager` may be another program.
PROMETHEUS = ("prometheus",)
ALERTMANAGER = ("prometheus-alertmanager", "alertmanager")
RETENTION = "6h"
RESEND_SECONDS = 60
LOOKBACK_SECONDS = 300
READY_SECONDS = 30.0
POLL_SECONDS = 0.05


class MonitoringUnavailable(LocalError):
    """A program is missing, or did not become ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoringOptions:
    """Options of the monitoring.

    targets: scraped addresses, host:port by job.
    logs_directory: where the programs' logs go.
    scale: speed of the rules; 60 is a minute a second.
    webhook_url: receiver of an Alertmanager; None starts no Alertmanager.
    port: Prometheus's port; 0 for any free one.
    """

    targets: Mapping[str, str]
    logs_directory: Path
    scale: int = 1
    webhook_url: str | None = None
    port: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitoring:
    """A running Prometheus.

    folder: its files.
    prometheus: its address, host:port.
    process: its process.
    configuration: the configuration that it started with.
    """

    folder: Path
    prometheus: str
    process: ChildProcess
    configuration: Document

    async def reconfigure(self, configuration: Document) -> None:
        """Reload Prometheus with another configuration, and wait for it. Raises MonitoringUnavailable."""
        before = await self._configured_at()
        write_json(self.folder / "prometheus.json", configuration)
        os.kill(self.process.pid, signal.SIGHUP)
        ends = time.monotonic() + READY_SECONDS
        while await self._configured_at() == before:
            if time.monotonic() > ends:
                raise MonitoringUnavailable(f"Prometheus did not read its new configuration: {self.folder}")
            await asyncio.sleep(POLL_SECONDS)

    async def _configured_at(self) -> str:
        """Return the line of its metrics with the time of the last successful reload."""
        async with aiohttp.ClientSession() as session, session.get(f"http://{self.prometheus}/metrics") as page:
            lines = (await page.text()).splitlines()
        return next(line for line in lines if line.startswith("prometheus_config_last_reload_success_timestamp"))


def require_programs(*, alertmanager: bool) -> None:
    """Raise MonitoringUnavailable, with the packages to install, if a program is not on PATH."""
    wanted = [PROMETHEUS, ALERTMANAGER] if alertmanager else [PROMETHEUS]
    missing = [names[0] for names in wanted if find_program(names) is None]
    if missing:
        raise MonitoringUnavailable(f"not on PATH: {', '.join(missing)} (Debian: apt-get install {' '.join(missing)})")


@asynccontextmanager
async def monitoring(options: MonitoringOptions) -> AsyncIterator[Monitoring]:
    """Run both during a with block, with empty storage. Raises MonitoringUnavailable, LocalError."""
    require_programs(alertmanager=options.webhook_url is not None)
    async with AsyncExitStack() as stack:
        scratch = Scratch()
        stack.push_async_callback(scratch.close)
        write_rule_files(scratch.folder / "rules", scale=options.scale)
        alertmanager = await _start_alertmanager(options, scratch, stack) if options.webhook_url else None
        address = str(local_address(options.port or free_port()))
        targets = {**options.targets, "prometheus": address, **({"alertmanager": alertmanager} if alertmanager else {})}
        configuration = local_configuration(targets, alertmanager, scratch.folder / "rules", options.scale)
        write_json(scratch.folder / "prometheus.json", configuration)
        process = await _start_prometheus(options, scratch, stack, address)
        yield Monitoring(folder=scratch.folder, prometheus=address, process=process, configuration=configuration)


async def _start_prometheus(
    options: MonitoringOptions, scratch: Scratch, stack: AsyncExitStack, address: str
) -> ChildProcess:
    folder = scratch.folder
    arguments = (
        f"--config.file={folder / 'prometheus.json'}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--storage.tsdb.retention.time={RETENTION}",
        f"--web.listen-address={address}",
        "--enable-feature=exemplar-storage",
        # How long the last value of a series counts.
        f"--query.lookback-delta={Pace(options.scale)(LOOKBACK_SECONDS)}",
        # Alertmanager is discovered some seconds after the start: alerts sent before must be sent again soon.
        f"--rules.alert.resend-delay={Pace(options.scale)(RESEND_SECONDS)}",
    )
    program = MonitoringProgram(
        name="prometheus",
        arguments=(str(find_program(PROMETHEUS)), *arguments),
        ready_url=f"http://{address}/-/ready",
        logs_directory=options.logs_directory,
    )
    return await stack.enter_async_context(program.running(scratch))


async def _start_alertmanager(options: MonitoringOptions, scratch: Scratch, stack: AsyncExitStack) -> str:
    assert options.webhook_url is not None
    address, path = str(local_address(free_port())), scratch.folder / "alertmanager.json"
    write_json(
        path,
        alertmanager_configuration(webhook_url=options.webhook_url, credentials_file=None, scale=options.scale),
    )
    arguments = (
        f"--config.file={path}",
        f"--storage.path={scratch.folder / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    )
    program = MonitoringProgram(
        name="alertmanager",
        arguments=(str(find_program(ALERTMANAGER)), *arguments),
        ready_url=f"http://{address}/-/ready",
        logs_directory=options.logs_directory,
    )
    await stack.enter_async_context(program.running(scratch))
    return address


def find_program(names: tuple[str, ...]) -> str | None:
    """Return the path of the first of these programs that is on PATH."""
    return next((found for name in names if (found := shutil.which(name))), None)

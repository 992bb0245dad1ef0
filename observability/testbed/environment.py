"""Environment of a measurement: hardware and versions, without the names of the machine or its user."""

import asyncio
import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import asyncpg
import nats
import nats.errors
import psutil

from observability.load.host_usage import HostUse
from observability.testbed.errors import TestbedError
from services.infra.messaging.nats_log import can_sync_always
from services.local.platform.endpoints import Endpoints

_TIMEOUT_SECONDS = 5.0


async def describe_environment(
    dsn: str, *, stores: Mapping[str, str], platform_cpus: frozenset[int] | None
) -> dict[str, str]:
    """Describe versions, what the platform stores where (`stores`), and hardware, by name.

    Raises TestbedError if the database does not answer.
    """
    return {
        "Plumbline": version("plumbline"),
        "Python": platform.python_version(),
        "PostgreSQL": await _postgres_version(dsn),
        **stores,
        **describe_hardware(platform_cpus=platform_cpus),
    }


def describe_hardware(*, platform_cpus: frozenset[int] | None) -> dict[str, str]:
    """Describe the hardware, by name.

    `platform_cpus` are the platform's processors; None if it shares all of them with the load generator.
    """
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "processors": _processors(platform_cpus),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
    }


def describe_host_use(use: HostUse) -> dict[str, str]:
    """Describe run-queue waits, steal and load average during the load, by name; unknown ones are left out."""
    waits = {"generator": use.generator_wait_seconds, **use.service_wait_seconds}
    waited = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in waits.items() if seconds is not None)
    described = {"ready but without a core": waited} if waited else {}
    if use.steal_seconds is not None:
        described["taken by the hypervisor"] = f"{use.steal_seconds:.2f} s of processor time"
    described["load average at the end"] = f"{use.load_average_1_minute:.1f} (1 minute)"
    return described


async def _postgres_version(dsn: str) -> str:
    try:
        connection = await asyncpg.connect(dsn, timeout=_TIMEOUT_SECONDS)
        try:
            return str(await connection.fetchval("SHOW server_version", timeout=_TIMEOUT_SECONDS))
        finally:
            await connection.close(timeout=_TIMEOUT_SECONDS)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise TestbedError(f"the database does not answer: {error}") from error


async def describe_event_log(endpoints: Endpoints) -> str:
    """Describe where events are stored. Raises TestbedError if NATS does not answer."""
    if endpoints.bus == "postgres":
        return "in a database of their own"
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            client = await nats.connect(endpoints.event_log_url, allow_reconnect=False)
            try:
                version = client.connected_server_version
            finally:
                await client.close()
    except (OSError, TimeoutError, nats.errors.Error) as error:
        raise TestbedError(f"NATS does not answer: {error}") from error
    return f"NATS {version}" + ("" if can_sync_always(version) else ", which does not sync each write")


def _processors(platform_cpus: frozenset[int] | None) -> str:
    if platform_cpus is None:
        return f"{os.cpu_count()}, shared by the platform and the load generator"
    return f"{os.cpu_count()}; platform on {', '.join(map(str, sorted(platform_cpus)))}, load generator on another"


def _processor() -> str:
    """Return the processor's model where Linux reports it, else the architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())

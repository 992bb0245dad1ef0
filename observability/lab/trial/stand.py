"""On what does a block run? A fresh platform as a variant wants it, on cores of its own, with ample stock."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from observability.lab.catalogue import ample_stock
from observability.lab.experiments.adapters import VARIABLE
from observability.lab.experiments.experiment import Variant
from observability.lab.experiments.synchronous_notification import FOLDER_VARIABLE
from observability.lab.experiments.wrong_optimisation import MEMORY_FOLDER
from observability.lab.host import default_cpu, usable_cpus
from observability.lab.stocking import stock_shop
from observability.lab.trial.errors import TrialError
from services.local.endpoints import Endpoints
from services.local.foundation import Foundation
from services.local.plan import PlatformOptions
from services.local.startup import Startup

MEMORY = Path("/dev/shm")  # noqa: S108  # Linux's own file system in memory; the folder in it is a random one
# Enough for every span of the longest block: none may be rotated away.
RECEIVER_FILES = "64"
STATEMENT_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """A platform that is up and stocked."""

    endpoints: Endpoints
    foundation: Foundation

    @property
    def admin_dsn(self) -> str:
        """The address of the databases' administrator."""
        server = self.foundation.postgres
        if server is None:
            raise TrialError("the lab needs a PostgreSQL of its own: unset PLUMB_POSTGRES_DSN")
        return server.admin_dsn


@asynccontextmanager
async def standing(variant: Variant, *, folder: Path, skus: Sequence[str]) -> AsyncIterator[Stand]:
    """Run the platform for the time of a block. Raises TrialError, LocalError, LoadError."""
    async with AsyncExitStack() as stack:
        options = PlatformOptions(
            run_directory=folder,
            environment=environment(variant, folder=folder, memory_folder=memory_folder(stack)),
            modules={name: f"observability.lab.experiments.{name}_process" for name in variant.adapters},
            cpus=platform_cpus(),
        )
        foundation = await stack.enter_async_context(Foundation.start(options))
        endpoints = await Startup(foundation).run()
        await foundation.watch.unless_failure(
            stock_shop(endpoints.inventory_grpc, ample_stock(skus), request_id_prefix="lab")
        )
        for database, statements in variant.statements.items():
            await prepare(endpoints.databases[database], statements)
        yield Stand(endpoints=endpoints, foundation=foundation)


def platform_cpus() -> frozenset[int] | None:
    """Return the cores that are not the generator's; None where there is but one."""
    cpu = default_cpu()
    return None if cpu is None else usable_cpus() - {cpu}


def environment(variant: Variant, *, folder: Path, memory_folder: Path) -> dict[str, dict[str, str]]:
    """Return the settings of each process: the variant's, and what its adapters are told."""
    settings = {
        name: {key: value.replace(MEMORY_FOLDER, str(memory_folder)) for key, value in own.items()}
        for name, own in variant.environment.items()
    }
    settings["receiver"] = {"RECEIVER_MAXIMUM_FILES": RECEIVER_FILES}
    for name, adapter in variant.adapters.items():
        told = {VARIABLE: adapter, FOLDER_VARIABLE: str((folder / "lab").resolve())}
        settings[name] = {**settings.get(name, {}), **told}
    return settings


def memory_folder(stack: AsyncExitStack) -> Path:
    """Return a new folder in memory, where the system has one, that is gone with the stack."""
    made = Path(tempfile.mkdtemp(prefix="plumbline-", dir=MEMORY if MEMORY.is_dir() else None))
    stack.callback(shutil.rmtree, made, ignore_errors=True)
    return made


async def prepare(dsn: str, statements: Sequence[str]) -> None:
    """Run a variant's statements in a database, as its owner."""
    connection = await asyncpg.connect(dsn, timeout=STATEMENT_SECONDS)
    try:
        await connection.execute("SET statement_timeout = 0", timeout=STATEMENT_SECONDS)
        for statement in statements:
            await connection.execute(statement, timeout=STATEMENT_SECONDS)
    finally:
        await connection.close(timeout=STATEMENT_SECONDS)

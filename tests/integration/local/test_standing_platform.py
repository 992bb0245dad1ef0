"""State of a running platform of stand-ins, which all tests share."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import psutil
import pytest
import pytest_asyncio

from services.local.platform.endpoints import Endpoints
from services.local.platform.plan import MODULES, PlatformOptions
from services.local.platform.platform import Platform
from services.local.servers.valkey import valkey_server_available
from tests.integration.local.conftest import STAND_IN
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="module")
PROCESSOR = frozenset({min(os.sched_getaffinity(0))}) if hasattr(os, "sched_getaffinity") else None


@dataclass(frozen=True, slots=True)
class Standing:
    """A running platform and how it was started."""

    options: PlatformOptions
    endpoints: Endpoints

    def log_of(self, name: str) -> str:
        """Return the output of a process."""
        return (self.options.logs_directory / f"{name}.log").read_text()

    def environment_of(self, name: str) -> dict[str, str]:
        """Return the environment of a service."""
        return psutil.Process(self.endpoints.service_pids[name]).environ()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def standing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Standing]:
    options = PlatformOptions(
        run_directory=tmp_path_factory.mktemp("run"),
        modules=dict.fromkeys(MODULES, STAND_IN),
        environment={"*": {"EVERYONE": "1"}, "order": {"ONLY_ORDER": "1"}},
        cpus=PROCESSOR,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PLUMB_POSTGRES_DSN", raising=False)
        async with Platform.start(options) as platform:
            yield Standing(options=options, endpoints=platform.endpoints)


async def test_every_service_is_a_process_of_its_own(standing: Standing) -> None:
    assert sorted(standing.endpoints.service_pids) == ["inventory", "notification", "order", "receiver"]
    command_lines = [psutil.Process(pid).cmdline() for pid in standing.endpoints.service_pids.values()]
    assert all(STAND_IN in words for words in command_lines)


async def test_the_addresses_are_those_the_processes_wrote(standing: Standing) -> None:
    assert standing.endpoints.order_grpc == "127.0.0.1:40001"
    assert standing.endpoints.edge_http == "127.0.0.1:40002"
    assert standing.endpoints.admin == {
        "order": "127.0.0.1:40003",
        "inventory": "127.0.0.1:40002",
        "notification": "127.0.0.1:40001",
    }


async def test_the_databases_answer_at_the_addresses_given(standing: Standing) -> None:
    connection = await asyncpg.connect(standing.endpoints.databases["order"], timeout=PATIENCE_SECONDS)
    assert await connection.fetchval("SELECT current_database()") == "order"
    await connection.close()


@pytest.mark.parametrize("context", ["order", "inventory", "notification"])
async def test_each_context_is_migrated_before_it_serves(context: str, standing: Standing) -> None:
    assert "stand-in []" in standing.log_of(f"{context}-migrate")


@pytest.mark.skipif(PROCESSOR is None, reason="this system binds no process to a processor")
async def test_all_processes_share_the_processors_given(standing: Standing) -> None:
    assert standing.endpoints.postgres_pid is not None
    for pid in (*standing.endpoints.service_pids.values(), standing.endpoints.postgres_pid):
        assert frozenset(os.sched_getaffinity(pid)) == PROCESSOR


async def test_extra_variables_reach_the_process_they_are_for(standing: Standing) -> None:
    assert "EVERYONE" in standing.environment_of("receiver")
    assert "ONLY_ORDER" in standing.environment_of("order")
    assert "ONLY_ORDER" not in standing.environment_of("inventory")


async def test_services_send_their_spans_to_the_receiver(standing: Standing) -> None:
    endpoint = standing.environment_of("order")["OTEL_EXPORTER_OTLP_ENDPOINT"]
    assert endpoint == f"http://{standing.endpoints.otlp_http}"


@pytest.mark.parametrize(
    ("name", "stores"),
    [
        ("order", {"ORDER_DATABASE_DSN": "order", "ORDER_READ_DATABASE_DSN": "order_read"}),
        ("inventory", {"INVENTORY_DATABASE_DSN": "inventory"}),
        ("notification", {"NOTIFICATION_DATABASE_DSN": "notification"}),
        ("receiver", {}),
    ],
)
async def test_a_service_knows_no_database_but_its_own_and_the_log(
    name: str, stores: dict[str, str], standing: Standing
) -> None:
    environment = standing.environment_of(name)
    dsns = {variable: value for variable, value in environment.items() if value.startswith("postgresql://")}
    log_url = dsns.pop(f"{name.upper()}_EVENT_LOG_URL", None)
    assert dsns == {variable: standing.endpoints.databases[database] for variable, database in stores.items()}
    assert log_url == (standing.endpoints.event_log_url if name in ("order", "notification") else None)


async def test_confirmations_go_to_the_folder_that_the_endpoints_name(standing: Standing) -> None:
    folder = standing.environment_of("notification")["NOTIFICATION_OUTBOX_FOLDER"]
    assert folder == standing.endpoints.notifications_directory == str(standing.options.notifications_directory)


async def test_inventory_alone_knows_the_cache_and_its_password(standing: Standing) -> None:
    told = {name: standing.environment_of(name).get("INVENTORY_CACHE_URL") for name in standing.endpoints.service_pids}
    url = told.pop("inventory")
    assert set(told.values()) == {None}
    assert (url is not None and url.startswith("valkey://:")) == valkey_server_available()

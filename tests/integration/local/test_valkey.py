"""Embedded Valkey server: start, access control, and clean-up."""

import importlib.util
import shutil
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from valkey.asyncio import Valkey
from valkey.exceptions import AuthenticationError

from services.local.servers import valkey
from services.local.servers.ports import loopback
from services.local.servers.valkey import EmbeddedValkey, ValkeyStart, ValkeyUnavailable, start_valkey
from tests.patience import PATIENCE_SECONDS


async def test_the_cache_is_empty_bounded_and_evicts_the_oldest(valkey_server: EmbeddedValkey) -> None:
    async with Valkey.from_url(valkey_server.url, socket_timeout=PATIENCE_SECONDS) as client:
        assert await client.dbsize() == 0
        settings = await client.config_get("maxmemory*")
        assert settings["maxmemory"] == str(32 * 1024 * 1024)
        assert settings["maxmemory-policy"] == "allkeys-lru"


async def test_a_wrong_password_is_rejected(valkey_server: EmbeddedValkey) -> None:
    async with Valkey(host=loopback(), port=valkey_server.port, socket_timeout=PATIENCE_SECONDS) as client:
        with pytest.raises(AuthenticationError):
            await client.get("a")


async def test_the_password_is_in_neither_repr_nor_command_line(
    valkey_server: EmbeddedValkey, valkey_start: ValkeyStart
) -> None:
    assert valkey_start.password not in repr((valkey_server, valkey_start))
    assert valkey_start.password not in " ".join(valkey_server.process.command.arguments)
    configuration = valkey_start.folder / "valkey.conf"
    assert configuration.stat().st_mode & 0o077 == 0


async def test_it_writes_nothing_to_disk(valkey_server: EmbeddedValkey, valkey_start: ValkeyStart) -> None:
    async with Valkey.from_url(valkey_server.url, socket_timeout=PATIENCE_SECONDS) as client:
        await client.set("a", "b")
    await valkey_server.process.stop()
    assert [path.name for path in valkey_start.folder.iterdir()] == ["valkey.conf"]


async def test_the_server_stops_gracefully(valkey_server: EmbeddedValkey) -> None:
    exit_ = await valkey_server.process.stop()
    assert (exit_.status, exit_.killed) == (0, False)


async def test_a_taken_port_is_no_server_of_ours(valkey_start: ValkeyStart, valkey_server: EmbeddedValkey) -> None:
    """That another server answers there is not enough."""
    other = replace(valkey_start, port=valkey_server.port, password="other", log_path=valkey_start.folder / "other.log")
    async with AsyncExitStack() as stack:
        with pytest.raises(ValkeyUnavailable, match="no free port"):
            await start_valkey(other, stack=stack)


async def test_a_machine_without_one_says_so(
    valkey_start: ValkeyStart, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert not valkey.valkey_server_available()
    async with AsyncExitStack() as stack:
        with pytest.raises(ValkeyUnavailable, match="install it"):
            await start_valkey(valkey_start, stack=stack)


def test_without_the_wheel_the_one_on_the_path_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    packed = valkey._find_binary()
    assert packed is not None
    shutil.copy(packed, tmp_path / "valkey-server")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert valkey._find_binary() == tmp_path / "valkey-server"

"""The folder sender: each file is complete, and a repeat writes no second one."""

import os
import stat
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from services.notification.adapters.folder import FolderSender
from services.notification.api import ConfirmationNotSent
from tests.integration.notification.conftest import ADDRESSES
from tests.unit.notification.test_confirmation import NOTIFICATION

NAME = f"{NOTIFICATION.event_id}.eml"


async def test_the_file_is_a_mail(tmp_path: Path) -> None:
    """That any reader of RFC 5322 opens."""
    await FolderSender(tmp_path / "a" / "b", addresses=ADDRESSES).send(NOTIFICATION)
    mail = message_from_bytes((tmp_path / "a" / "b" / NAME).read_bytes(), policy=policy.default)
    assert mail["To"] == f"{NOTIFICATION.customer_id}@customers.example"
    assert "GBP 12.05" in mail.get_content()
    assert mail.defects == []


async def test_sending_again_changes_nothing(tmp_path: Path) -> None:
    """The same name, the same bytes, no draft."""
    sender = FolderSender(tmp_path, addresses=ADDRESSES)
    await sender.send(NOTIFICATION)
    before = (tmp_path / NAME).read_bytes()
    await sender.send(NOTIFICATION)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    assert (tmp_path / NAME).read_bytes() == before


async def test_only_the_owner_reads_it(tmp_path: Path) -> None:
    """It holds an address."""
    await FolderSender(tmp_path, addresses=ADDRESSES).send(NOTIFICATION)
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600


async def test_a_disk_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is a failure of this sending."""

    def fail(_: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ConfirmationNotSent) as caught:
        await FolderSender(tmp_path, addresses=ADDRESSES).send(NOTIFICATION)
    assert caught.value.cause == "OSError"
    assert list(tmp_path.iterdir()) == []


async def test_the_content_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the name is."""
    steps: list[str] = []
    real_fsync = os.fsync

    def watch(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        steps.append(f"{kind}, named: {(tmp_path / NAME).exists()}")
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    await FolderSender(tmp_path, addresses=ADDRESSES).send(NOTIFICATION)
    assert steps == ["file, named: False", "folder, named: True"]

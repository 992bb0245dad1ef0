"""Tests of a log that accepts no line, on a full disk or behind a stalled reader: no order and no worker fails."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.customers import ANSWER_SECONDS, CUSTOMER, Customer
from tests.e2e.services import Services

ORDERS = 30
# One page, the least that Linux gives: a few log lines fill it.
PIPE_BYTES = 4096


@contextmanager
def full_disk(_folder: Path) -> Iterator[Path]:
    """Yield a file that opens and takes nothing."""
    yield Path("/dev/full")


@contextmanager
def stalled_reader(folder: Path) -> Iterator[Path]:
    """Yield a pipe whose reader is there and reads nothing."""
    path = folder / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    yield path
    os.close(reader)


@pytest.mark.full
@pytest.mark.parametrize("log", [full_disk, stalled_reader])
async def test_orders_and_workers_continue(services: Services, log: object, tmp_path: Path) -> None:
    """Each order is answered 201 and comes into the list, which a worker writes; SIGTERM ends the process with 0."""
    with log(tmp_path) as log_path:  # type: ignore[operator]
        service = services.order(log_path=log_path)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS)) as session:
            customer = Customer(session, service.addresses["http"])
            answers = [await customer.buy() for _ in range(ORDERS)]
            assert {answer.status for answer in answers} == {201}
            token = answers[-1].headers["Consistency-Token"]
            listed = await customer.request("GET", f"/customers/{CUSTOMER}/orders?consistency_token={token}")
            assert (listed.status, listed.body["orders"][0]["order_id"]) == (200, answers[-1].body["order_id"])
        assert service.stop() == 0

"""Diagnoses of the stock parts from their traces alone: spans that published instrumentations make."""

from contextlib import nullcontext
from pathlib import Path

import pytest

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.diagnosis import diagnose
from observability.analysis.observation_folder import read_observation
from observability.bench.stock_parts.running import load, recording_processes, serving
from observability.bench.stock_parts.settings import StockFault
from observability.load.outcomes import OutcomeKind
from tests.full import in_full

# Enough for a verdict, and few enough that a machine with other work keeps up.
RATE_PER_SECOND = 3.0
SECONDS = 20.0
# The class and the service, as observability/bench/stock_parts builds them in. A missing index is a slow call without
# the statistics of tables, and so is a payload of which spans do not say how many rows it has. CPU-bound code needs
# processor metrics beside the traces.
TRUTH = {
    StockFault.N_PLUS_ONE: ({Bottleneck.N_PLUS_ONE}, "inventory"),
    StockFault.MISSING_INDEX: ({Bottleneck.SLOW_CALL, Bottleneck.MISSING_INDEX}, "inventory"),
    StockFault.POOL: ({Bottleneck.POOL}, "inventory"),
    StockFault.BLOCKING_CALL: ({Bottleneck.BLOCKING_CALL}, "order"),
    StockFault.SLOW_CALL: ({Bottleneck.SLOW_CALL}, "inventory"),
    StockFault.CHATTY_RPC: ({Bottleneck.CHATTY_RPC}, "order"),
    StockFault.SERIAL_RESOURCE: ({Bottleneck.SERIAL_RESOURCE}, "inventory"),
    StockFault.CONCURRENCY_LIMIT: ({Bottleneck.CONCURRENCY_LIMIT}, "order"),
    StockFault.NETWORK_LATENCY: ({Bottleneck.NETWORK_LATENCY}, "order"),
    StockFault.PAYLOAD: ({Bottleneck.PAYLOAD, Bottleneck.SLOW_CALL}, "order"),
    StockFault.CPU_BOUND: ({Bottleneck.CPU_BOUND}, "inventory"),
}
# Each takes most of a minute. For the others: `python -m observability.bench.stock_parts --help`.
TRIED = (StockFault.N_PLUS_ONE, StockFault.NETWORK_LATENCY)


@pytest.mark.parametrize("fault", in_full(*TRIED))
async def test_a_bottleneck_of_the_stock_parts_is_named_or_none_is(fault: StockFault, tmp_path: Path) -> None:
    async with serving(tmp_path, fault) as served:
        with recording_processes(served, tmp_path / "traces") if fault is StockFault.CPU_BOUND else nullcontext():
            sent = await load(
                served,
                folder=tmp_path,
                seed=1,
                rate_per_second=RATE_PER_SECOND,
                duration_seconds=SECONDS,
                lines=(8, 14),
            )
    assert any(request.outcome is OutcomeKind.CONFIRMED for request in sent.requests)
    verdict = diagnose(read_observation(tmp_path / "traces"))
    classes, service = TRUTH[fault]
    # On a busy machine it may abstain.
    if verdict.bottleneck is not None:
        assert (verdict.bottleneck, verdict.service) in {(each, service) for each in classes}, verdict.sentence()

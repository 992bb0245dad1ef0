"""Choice of a replica, lag from samples of the log, and the budget of reads on the primary."""

from itertools import accumulate
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.telemetry.replicas import ReplicaTelemetry
from observability.telemetry.telemetry import unobserved
from services.infra import deadline
from services.infra.fallback_budget import BURST, SHARE, FallbackBudget
from services.infra.postgres import time_left_seconds
from services.infra.replica_lag import WalHistory
from services.infra.replicas import EQUAL_LAG_SECONDS, Replica, ReplicaOptions, Replicas, choose
from services.kernel.errors import DeadlineExceeded

NO_DATABASE = cast("Any", None)
REPLICAS = st.lists(
    st.builds(
        Replica,
        st.just(NO_DATABASE),
        is_usable=st.booleans(),
        lag_seconds=st.floats(0, 100),
        in_flight=st.integers(0, 20),
        last_read=st.floats(0, 1_000),
    ),
    max_size=6,
)


@given(replicas=REPLICAS, most_lag_seconds=st.floats(0.1, 50), data=st.data())
def test_the_chosen_replica_may_be_read(replicas: list[Replica], most_lag_seconds: float, data: st.DataObject) -> None:
    without = data.draw(st.sets(st.sampled_from(replicas))) if replicas else set()
    possible = [
        replica
        for replica in replicas
        if replica.is_usable and replica.lag_seconds <= most_lag_seconds and replica not in without
    ]
    chosen = choose(replicas, most_lag_seconds=most_lag_seconds, without=without)
    assert (chosen is None) == (not possible)
    assert chosen is None or chosen in possible


@given(replicas=REPLICAS)
def test_no_replica_is_both_more_recent_and_less_busy_than_the_chosen(replicas: list[Replica]) -> None:
    chosen = choose(replicas, most_lag_seconds=100)
    for other in replicas if chosen else []:
        assert chosen
        is_recent = other.lag_seconds <= max(chosen.lag_seconds, EQUAL_LAG_SECONDS)
        assert not (other.is_usable and is_recent and other.in_flight < chosen.in_flight)
        assert not (other.is_usable and max(other.lag_seconds, EQUAL_LAG_SECONDS) < chosen.lag_seconds)


@given(count=st.integers(1, 5), laps=st.integers(1, 5))
def test_equal_replicas_take_turns(count: int, laps: int) -> None:
    replicas = [Replica(NO_DATABASE, is_usable=True) for _ in range(count)]
    turns = dict.fromkeys(range(count), 0)
    for now in range(1, 1 + laps * count):
        chosen = choose(replicas, most_lag_seconds=1)
        assert chosen
        chosen.last_read = now
        turns[replicas.index(chosen)] += 1
    assert set(turns.values()) == {laps}


@given(
    steps=st.lists(st.tuples(st.floats(0.01, 10), st.integers(0, 1_000)), min_size=1, max_size=50),
    behind=st.integers(0, 50),
)
def test_the_lag_is_the_age_of_the_first_sample_that_a_replica_has_not_reached(
    steps: list[tuple[float, int]], behind: int
) -> None:
    history = WalHistory()
    times, positions = list(accumulate(step[0] for step in steps)), list(accumulate(step[1] for step in steps))
    for now, position in zip(times, positions, strict=True):
        history.add(now, position)
    replayed = positions[-1 - min(behind, len(positions) - 1)]
    missing = [now for now, position in zip(times, positions, strict=True) if position > replayed]
    assert history.lag_seconds(times[-1] + 1, replayed) == (times[-1] + 1 - missing[0] if missing else 0.0)
    assert history.lag_bytes(replayed) == positions[-1] - replayed


def test_the_log_of_another_primary_begins_a_new_history() -> None:
    history = WalHistory()
    history.add(1, 1_000)
    history.add(2, 400)
    assert history.lag_bytes(400) == 0
    assert history.lag_seconds(10, 300) == 8


@given(seconds=st.integers(1, 100), answered=st.integers(0, 50), reserve=st.floats(0, 20))
def test_the_primary_gets_a_share_of_what_replicas_answer_and_a_reserve(
    seconds: int, answered: int, reserve: float
) -> None:
    budget, taken = FallbackBudget(reserve_per_second=reserve), 0
    budget.take(0.0)
    for now in range(1, seconds + 1):
        for _ in range(answered):
            budget.answered()
        while budget.take(float(now)):
            taken += 1
    most = BURST + seconds * (reserve + SHARE * answered)
    assert min(BURST - 1, most) - 1 <= taken <= most


async def test_a_read_with_no_time_left_leaves_the_replicas_in_use() -> None:
    database = cast("Any", SimpleNamespace(name="order"))
    each = [Replica(database, is_usable=True) for _ in range(2)]
    options = ReplicaOptions(dsns=(), pool_size=1, most_lag_seconds=10, reserve_per_second=10)
    telemetry = ReplicaTelemetry(unobserved("order"), database="order")
    replicas = Replicas(primary=database, replicas=each, options=options, telemetry=telemetry)

    async def read(_: object = None) -> float:
        return time_left_seconds()

    with deadline.within(0), pytest.raises(DeadlineExceeded):
        await replicas.read(read, primary=read, may_wait=False)
    assert [replica.is_usable for replica in each] == [True, True]

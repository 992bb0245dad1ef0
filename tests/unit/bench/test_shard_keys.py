"""Input and hot-spot ratios of `plumb bench shard-keys`."""

from collections import Counter

import pytest

from observability.bench.shard_key_demand import (
    HOME,
    KEYS,
    KeyedBasket,
    consecutive,
    server_of,
    servers_of_list,
    top_customer_share,
    with_keys,
)
from observability.bench.shard_key_expectation import EXPECTED_HOT_SPOT_RATIO
from observability.bench.shard_keys import KeyFigures, hot_spot_ratio
from observability.load.orders import BasketLine
from services.order.domain.shard_map import spread

MAP = spread(4, epoch=1)


@pytest.fixture(scope="module")
def baskets() -> list[KeyedBasket]:
    """Return 8,000 baskets of one line."""
    return with_keys([(BasketLine("10001"),)] * 8_000, seed=1)


def test_shard_key_demand_is_the_same_for_a_seed(baskets: list[KeyedBasket]) -> None:
    assert with_keys([basket.lines for basket in baskets], seed=1) == baskets


def test_shard_key_demand_has_nine_tenths_of_orders_at_home(baskets: list[KeyedBasket]) -> None:
    home = sum(basket.region == HOME for basket in baskets) / len(baskets)
    assert 0.85 < home < 0.96
    regions = {basket.customer_id: basket.region for basket in baskets}
    assert all(basket.region == regions[basket.customer_id] for basket in baskets)


def test_shard_key_time_is_one_period_after_the_other(baskets: list[KeyedBasket]) -> None:
    servers = [server_of("time", basket, MAP) for basket in baskets]
    assert servers == sorted(servers)
    assert Counter(servers) == dict.fromkeys(range(4), 2_000)


def test_only_time_scatters_the_list_of_a_customer(baskets: list[KeyedBasket]) -> None:
    asked = {key: len(servers_of_list(key, baskets[0], MAP)) for key in KEYS}
    assert asked == {"user": 1, "region": 1, "time": 4}


def test_consecutive_baskets_are_a_part_of_the_file(baskets: list[KeyedBasket]) -> None:
    part = consecutive(baskets, 100, seed=3)
    first = baskets.index(part[0])
    assert part == baskets[first : first + 100]
    assert consecutive(baskets, 9_000, seed=3) == baskets


def test_top_customer_share_counts_orders(baskets: list[KeyedBasket]) -> None:
    one = [basket for basket in baskets if basket.customer_id == baskets[0].customer_id]
    others = [basket for basket in baskets if basket.customer_id != baskets[0].customer_id][:1]
    assert top_customer_share([*one, *others]) == len(one) / (len(one) + 1)


@pytest.mark.parametrize(
    ("windows", "ratio"), [([[1, 1, 1, 1]], 1.0), ([[4, 0, 0, 0]], 4.0), ([[3, 1, 0, 0], [2, 2, 2, 2]], 2.0)]
)
def test_hot_spot_ratio_is_the_busiest_over_the_mean(windows: list[list[float]], ratio: float) -> None:
    assert hot_spot_ratio(windows) == ratio


def test_share_on_several_counts_requests_of_all_use_cases() -> None:
    figures = KeyFigures()
    figures.asked["PlaceOrder"] += [1, 1, 1]
    figures.asked["ListOrders"] += [4]
    assert figures.share_on_several == 0.25


def test_every_shard_key_has_an_expectation() -> None:
    assert tuple(EXPECTED_HOT_SPOT_RATIO) == KEYS

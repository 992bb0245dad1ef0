"""Classes of bottleneck, shared by the diagnosis, the experiments and the scoring."""

from enum import StrEnum


class Bottleneck(StrEnum):
    """A class of bottleneck; causes come before the resources that they exhaust."""

    ERRORS = "errors"
    OVERLOAD = "overload"
    UNBOUNDED_WAIT = "unbounded_wait"
    N_PLUS_ONE = "n_plus_one"
    MISSING_INDEX = "missing_index"
    HOT_ROW = "hot_row"
    HOT_SHARD = "hot_shard"
    READ_SATURATION = "read_saturation"
    SYNC_SIDE_EFFECT = "sync_side_effect"
    CHATTY_RPC = "chatty_rpc"
    RETRY_STORM = "retry_storm"
    COLD_CACHE = "cold_cache"
    PAYLOAD = "payload"
    SERIAL_RESOURCE = "serial_resource"
    CONCURRENCY_LIMIT = "concurrency_limit"
    POOL = "pool"
    BLOCKING_CALL = "blocking_call"
    CPU_BOUND = "cpu_bound"
    NETWORK_LATENCY = "network_latency"
    CONSUMER_LAG = "consumer_lag"
    SLOW_CALL = "slow_call"

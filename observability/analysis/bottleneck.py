"""Which kinds of bottleneck are told apart? One list for the diagnosis, the experiments and the score."""

from enum import StrEnum


class Bottleneck(StrEnum):
    """The classes; where several fit, the one that holds the resource stands before the resource."""

    OVERLOAD = "overload"
    UNBOUNDED_WAIT = "unbounded_wait"
    N_PLUS_ONE = "n_plus_one"
    MISSING_INDEX = "missing_index"
    HOT_ROW = "hot_row"
    SYNC_SIDE_EFFECT = "sync_side_effect"
    CHATTY_RPC = "chatty_rpc"
    RETRY_STORM = "retry_storm"
    COLD_CACHE = "cold_cache"
    PAYLOAD = "payload"
    POOL = "pool"
    BLOCKING_CALL = "blocking_call"
    CPU_BOUND = "cpu_bound"
    NETWORK_LATENCY = "network_latency"
    CONSUMER_LAG = "consumer_lag"

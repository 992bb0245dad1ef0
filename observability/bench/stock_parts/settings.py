"""Settings of both services of the stock parts, from STOCK_* variables."""

from enum import StrEnum

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class StockFault(StrEnum):
    """A bottleneck that is built in; each is one of the lab's experiments."""

    NONE = "none"
    N_PLUS_ONE = "n_plus_one"
    MISSING_INDEX = "missing_index"
    POOL = "pool"
    BLOCKING_CALL = "blocking_call"
    SLOW_CALL = "slow_call"
    CHATTY_RPC = "chatty_rpc"
    SERIAL_RESOURCE = "serial_resource"
    CONCURRENCY_LIMIT = "concurrency_limit"
    NETWORK_LATENCY = "network_latency"
    PAYLOAD = "payload"
    CPU_BOUND = "cpu_bound"


class StockSettings(BaseSettings):
    """Settings of one service, each from the variable STOCK_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="STOCK_", frozen=True, hide_input_in_errors=True)

    service_name: str = Field(description="Name of the service in its spans: order or inventory.")
    database_dsn: SecretStr = Field(description="postgresql:// address of the service's database.")
    port: int = Field(ge=1, le=65535, description="Port on 127.0.0.1 to serve on.")
    inventory_target: str = Field("", description="host:port of inventory's gRPC; only order calls it.")
    pool_size: int = Field(8, ge=1, le=100, description="Connections to the database; there is no overflow.")
    fault: StockFault = Field(StockFault.NONE, description="The bottleneck that is built in.")

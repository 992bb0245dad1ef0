"""Settings of the order context and its process."""

from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from services.infra.settings import (
    DsnLists,
    Dsns,
    GrpcSettings,
    ListenAddress,
    ReplicatedSettings,
    RunnableSettings,
    Targets,
    split_urls,
)


class OrderContextSettings(ReplicatedSettings, GrpcSettings):
    """Settings that do not depend on where inventory runs. Read from ORDER_* variables."""

    model_config = SettingsConfigDict(**RunnableSettings.model_config | {"env_prefix": "ORDER_"})

    database_dsn: SecretStr = Field(description="postgresql:// address of the order database.")
    database_pool_size: int = Field(8, ge=1, le=100, description="Most connections to each order database.")
    shard_dsns: SecretStr = Field(
        SecretStr(""),
        description="postgresql:// addresses of further order databases, separated by spaces: servers 1, 2 and so on of"
        " the shard map, whose server 0 is database_dsn. Never change their order.",
    )
    shard_event_log_urls: SecretStr = Field(
        SecretStr(""),
        description="Addresses of the event logs of the further order databases, separated by spaces, in their order.",
    )
    shard_replica_dsns: DsnLists = Field(
        SecretStr(""),
        description="Addresses of streaming replicas of the further order databases: a list as replica_dsns for each,"
        " separated by spaces, in their order. Empty: none of them has replicas.",
    )
    read_database_dsn: SecretStr = Field(description="postgresql:// address of the read model's database.")
    read_database_pool_size: int = Field(4, ge=2, le=100, description="Most connections to the read model's database.")
    read_replica_dsns: Dsns = Field(
        SecretStr(""), description="Addresses of streaming replicas of the read model's database, as replica_dsns."
    )
    event_log_url: SecretStr = Field(description="postgresql:// or nats:// address of the event log to publish to.")
    event_log_allow_unsafe_sync: bool = Field(
        False, description="Accept an event log that may lose acknowledged events in a power cut."
    )
    saga_grace_seconds: float = Field(
        5.0,
        gt=0,
        le=60,
        description="Seconds that a request has to settle its order before the saga worker takes over.",
    )
    grpc_listen: ListenAddress = Field("127.0.0.1:50051", description="host:port of the gRPC service.")
    http_listen: ListenAddress = Field("127.0.0.1:8080", description="host:port of the REST edge.")
    http_connections: int = Field(
        2_000,
        ge=8,
        le=100_000,
        description="Most open connections of the REST edge, half as many from one client address; a low limit of file"
        " descriptors lowers both. Behind a proxy all connections come from its address.",
    )
    admission_enabled: bool = Field(True, description="Reject requests while all admission slots are taken.")
    caller_traces_continued: bool = Field(
        False,
        description="Continue callers' traces, as behind a gateway of ours; else a new trace links to the caller's.",
    )
    request_deadline_seconds: float = Field(2.0, gt=0.3, le=60, description="Most seconds an HTTP request may take.")

    @model_validator(mode="after")
    def _check_shards(self) -> Self:
        servers, logs = len(split_urls(self.shard_dsns)), len(split_urls(self.shard_event_log_urls))
        if servers != logs:
            raise ValueError(f"shard_dsns has {servers} addresses and shard_event_log_urls {logs}: one for each server")
        lists = len(split_urls(self.shard_replica_dsns))
        if lists not in {0, servers}:
            raise ValueError(f"shard_dsns has {servers} addresses and shard_replica_dsns {lists} lists: one for each")
        return self

    @property
    def order_dsns(self) -> list[str]:
        """The addresses of all servers of orders, in order of their numbers in the shard map."""
        return [self.database_dsn.get_secret_value(), *split_urls(self.shard_dsns)]

    @property
    def order_replica_dsns(self) -> list[SecretStr]:
        """The addresses of the replicas of each server of orders, separated by commas."""
        further = split_urls(self.shard_replica_dsns) or [""] * len(split_urls(self.shard_dsns))
        return [self.replica_dsns, *map(SecretStr, further)]

    @property
    def connections(self) -> int:
        """Most connections to all servers of orders together."""
        return self.database_pool_size * len(self.order_dsns)

    @property
    def event_log_urls(self) -> list[str]:
        """The address of the event log of each server of orders."""
        return [self.event_log_url.get_secret_value(), *split_urls(self.shard_event_log_urls)]


class OrderSettings(OrderContextSettings):
    """Settings of the order process, whose inventory is another process."""

    inventory_target: Targets = Field(
        "127.0.0.1:50052",
        description="host:port of inventory's gRPC service; several as IP addresses (all IPv4 or all IPv6) separated by"
        " commas.",
    )
    inventory_guarded: bool = Field(
        True, description="Call inventory through a circuit breaker, a throttle and a retry budget."
    )

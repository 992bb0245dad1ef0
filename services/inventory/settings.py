"""Settings of the inventory process."""

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from services.infra.settings import CacheUrl, GrpcSettings, ListenAddress, ReplicatedSettings, RunnableSettings


class InventorySettings(ReplicatedSettings, GrpcSettings):
    """Read from INVENTORY_* variables."""

    model_config = SettingsConfigDict(**RunnableSettings.model_config | {"env_prefix": "INVENTORY_"})

    database_dsn: SecretStr = Field(description="postgresql:// address of inventory's database.")
    database_pool_size: int = Field(8, ge=1, le=100, description="Most connections to the database.")
    admission_enabled: bool = Field(True, description="Reject calls while all admission slots are taken.")
    grpc_listen: ListenAddress = Field("127.0.0.1:50052", description="host:port of the gRPC service.")
    reservation_ttl_seconds: float = Field(
        300,
        gt=0,
        le=86_400,
        description="Seconds that stock stays reserved unless confirmed or released. Keep it above twice the time that "
        "an order may stay PENDING: it is retried after at most 60 s, and an alert fires after 120 s.",
    )
    cache_url: CacheUrl = Field(
        SecretStr(""), description="valkey:// address of the cache of stock hints; empty: read the database each time."
    )
    hint_lifetime_seconds: float = Field(
        10.0, gt=0, le=3_600, description="Longest age of a stock hint in seconds; a random third less for each hint."
    )
    sweep_seconds: float = Field(1.0, gt=0, le=60, description="Seconds between two sweeps for expired reservations.")

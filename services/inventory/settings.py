"""What does inventory need to be told?"""

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from services.infra.settings import CacheUrl, ListenAddress, RunnableSettings


class InventorySettings(RunnableSettings):
    """Read from INVENTORY_* variables."""

    model_config = SettingsConfigDict(**RunnableSettings.model_config | {"env_prefix": "INVENTORY_"})

    database_dsn: SecretStr = Field(description="postgresql:// address of inventory's own database.")
    database_pool_size: int = Field(8, ge=1, le=100, description="Most connections to the database.")
    admission_enabled: bool = Field(True, description="Turn calls away while there is no room for them.")
    grpc_listen: ListenAddress = Field("127.0.0.1:50052", description="host:port of the gRPC service.")
    reservation_ttl_seconds: float = Field(
        300,
        gt=0,
        le=86_400,
        description="Seconds that stock stays set aside unless confirmed or released. Keep it above twice the time "
        "that an order may be on its way: one is tried again after at most 60 s, and 120 s are worth an alert.",
    )
    cache_url: CacheUrl = Field(
        SecretStr(""), description="valkey:// address of the cache of stock hints; without one each is read anew."
    )
    hint_lifetime_seconds: float = Field(
        10.0, gt=0, le=3_600, description="Most seconds that a stock hint is old; up to a third less, drawn for each."
    )
    sweep_seconds: float = Field(1.0, gt=0, le=60, description="Seconds between looks for expired reservations.")

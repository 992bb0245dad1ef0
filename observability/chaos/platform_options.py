"""Platform options that all campaigns share: mode, event log, servers of orders, and replicas."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from observability.testbed.process_group import ProcessGroupOptions
from services.local.platform.endpoints import Bus, Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignPlatformOptions:
    """Options of a campaign's platform; each campaign's options extend them.

    mode: separate services, or one monolith.
    bus: kind of event log.
    shards: servers of orders.
    replicas: streaming replicas of each PostgreSQL server.
    """

    mode: Mode = "services"
    bus: Bus = "postgres"
    shards: int = 1
    replicas: int = 0

    def process_group(
        self,
        folder: Path,
        *,
        environment: Mapping[str, str],
        modules: Mapping[str, str] | None = None,
        log_paths: Mapping[str, Path] | None = None,
    ) -> ProcessGroupOptions:
        """Return the options of this platform, which writes to `folder`."""
        return ProcessGroupOptions(
            folder=folder,
            mode=self.mode,
            bus=self.bus,
            shards=self.shards,
            replicas=self.replicas,
            environment=environment,
            modules=modules or {},
            log_paths=log_paths or {},
        )

    def folder_name(self, campaign: str) -> str:
        """Return the folder name of a campaign: its name, and the options of its platform."""
        # The defaults, one server of orders and no replica, are left out.
        shards = [f"{self.shards}-shards"] if self.shards > 1 else []
        replicas = [f"{self.replicas}-replicas"] if self.replicas > 0 else []
        return "-".join([campaign, self.mode, self.bus, *shards, *replicas])

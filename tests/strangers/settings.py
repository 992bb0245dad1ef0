"""Settings of the foreign systems, with the truth about each, from truth.yaml."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parent / "truth.yaml"
NOTHING = "none"


@dataclass(frozen=True, slots=True)
class Load:
    """What clients send: `rate` requests a second with random gaps, or else one at a time from each of `clients`."""

    requests: int
    clients: int = 0
    rate: float = 0.0


@dataclass(frozen=True, slots=True)
class Truth:
    """The bottleneck of a setting, by its source.

    classes: every right class; NOTHING when no bottleneck should be named.
    services: every right place.
    operation: pattern for the named operation, which may also be empty.
    source: file and line of the cause.
    why: the arithmetic in one or two sentences.
    """

    classes: tuple[str, ...]
    services: tuple[str, ...]
    operation: str
    source: str
    why: str


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of one system.

    options: options of its programs.
    network: service behind a proxy and the latency each way, in seconds; None without a proxy.
    cpu: service under a limit, and the limit in processors; None without one.
    fixed_by: the setting in which the bottleneck is gone; empty when the system has no fix of its own.
    """

    name: str
    system: str
    options: tuple[str, ...]
    load: Load
    truth: Truth
    network: tuple[str, float] | None = None
    cpu: tuple[str, float] | None = None
    fixed_by: str = ""

    @property
    def kept_apart(self) -> bool:
        """Whether the setting is kept from those who work on the diagnosis: half of them, by a hash of the name."""
        return sha256(self.name.encode()).digest()[0] % 2 == 1


def read_settings() -> tuple[Setting, ...]:
    """Return all settings of truth.yaml in its order."""
    return tuple(_setting(row) for row in yaml.safe_load(FILE.read_text(encoding="utf-8")))


def _setting(row: dict[str, Any]) -> Setting:
    truth, network, cpu = row["truth"], row.get("network"), row.get("cpu")
    return Setting(
        name=row["name"],
        system=row["system"],
        options=tuple(row["options"]),
        load=Load(**row["load"]),
        truth=Truth(
            classes=tuple(truth["classes"]),
            services=tuple(truth["services"]),
            operation=truth["operation"],
            source=truth["source"],
            why=truth["why"],
        ),
        network=network and (network["service"], network["latency_seconds"]),
        cpu=cpu and (cpu["service"], cpu["processors"]),
        fixed_by=row.get("fixed_by", ""),
    )

"""Settings of a process from environment variables: validated, each with a description and a unit."""

import os
import re
from pathlib import Path
from typing import Annotated, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from observability.telemetry.environment import unknown_settings
from services.infra.address import ip_version, is_loopback, parse_address

DSN = re.compile(r"postgres(ql)?://\S+")
CACHE_SCHEMES = frozenset({"valkey", "valkeys", "redis", "rediss", "unix"})


class BadSettings(Exception):
    """Environment variables are invalid; the message names each of them and what is wrong with it."""


def check_address(text: str) -> str:
    """Return the text if it is an address. Raises ValueError; for use as a validator."""
    parse_address(text)
    return text


def check_targets(text: str) -> str:
    """Return the text if it is one address, or several IP addresses of one version separated by commas.

    Raises ValueError otherwise: gRPC takes one name, or several addresses of one family, but not several names.
    """
    versions = [ip_version(parse_address(target).host) for target in text.split(",")]
    if len(versions) > 1 and (None in versions or len(set(versions)) > 1):
        raise ValueError(
            "several targets must be IP addresses, all IPv4 as in 10.0.0.1:50052,10.0.0.2:50052 or all IPv6;"
            " for names, give one name that resolves to all of them"
        )
    return text


def check_cache_url(url: SecretStr) -> SecretStr:
    """Return the URL if it is empty or has a scheme of Valkey. Raises ValueError; for use as a validator."""
    if text := url.get_secret_value():
        parts = urlsplit(text)
        if parts.scheme not in CACHE_SCHEMES:
            raise ValueError(f"must begin with one of {', '.join(sorted(CACHE_SCHEMES))} and ://")
        _ = parts.port  # raises ValueError for an invalid port
    return url


def check_dsns(dsns: SecretStr) -> SecretStr:
    """Return the addresses if each, separated by commas, is one of PostgreSQL. Raises ValueError; for a validator."""
    if (text := dsns.get_secret_value()) and not all(DSN.fullmatch(dsn) for dsn in text.split(",")):
        raise ValueError("must be addresses that begin with postgresql://, separated by commas without spaces")
    return dsns


def check_dsn_lists(lists: SecretStr) -> SecretStr:
    """Return the lists, separated by spaces, if each passes `check_dsns`. Raises ValueError; for a validator."""
    for each in split_urls(lists):
        check_dsns(SecretStr(each))
    return lists


def split_urls(urls: SecretStr) -> list[str]:
    """Return the URLs of a text, which are separated by spaces."""
    return urls.get_secret_value().split()


CacheUrl = Annotated[SecretStr, AfterValidator(check_cache_url)]
DsnLists = Annotated[SecretStr, AfterValidator(check_dsn_lists)]
Dsns = Annotated[SecretStr, AfterValidator(check_dsns)]
ListenAddress = Annotated[str, AfterValidator(check_address)]
Targets = Annotated[str, AfterValidator(check_targets)]


class RunnableSettings(BaseSettings):
    """Settings of every runnable. Secrets are SecretStr, which no repr, log line or error message shows."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    admin_listen: ListenAddress = Field("127.0.0.1:0", description="host:port of /metrics, /livez and /readyz.")
    ready_file: Path | None = Field(
        None, description="File that gets the actual addresses, as JSON, once the process serves."
    )
    log_level: str = Field(
        "info",
        validation_alias="LOG_LEVEL",
        pattern="(?i)^(debug|info|warning|error)$",
        description="Least severe log event to write: debug, info, warning or error.",
    )
    drain_delay_seconds: float = Field(
        0.5, ge=0, le=60, description="Seconds from not ready to rejecting calls, so that load balancers notice."
    )
    drain_grace_seconds: float = Field(10.0, ge=0, le=300, description="Most seconds for calls in flight to end.")
    drain_limit_seconds: float = Field(
        20.0, gt=0, le=600, description="Most seconds from the signal to the end of the process, all steps together."
    )
    telemetry_flush_seconds: float = Field(2.0, ge=0, le=30, description="Most seconds to send the last spans.")
    allow_insecure_bind: bool = Field(
        False,
        validation_alias="ALLOW_INSECURE_BIND",
        description="Listen on hosts that other machines can reach, although there is no TLS.",
    )

    @model_validator(mode="after")
    def _refuse_insecure_bind(self) -> Self:
        for name, value in self:
            if name.endswith("_listen") and not self.allow_insecure_bind and not is_loopback(parse_address(value).host):
                raise ValueError(
                    f"{name}: {value} can be reached from other machines and there is no TLS;"
                    " listen on 127.0.0.1, or set ALLOW_INSECURE_BIND=true"
                )
        return self


class ReplicatedSettings(RunnableSettings):
    """Settings of a runnable whose databases may have read replicas."""

    replica_dsns: Dsns = Field(
        SecretStr(""),
        description="postgresql:// addresses of streaming replicas of the database, separated by commas; a comma in a"
        " password is written %2C. The server that is the primary now may be among them. Empty: no replicas.",
    )
    replica_pool_size: int = Field(4, ge=1, le=100, description="Most connections to each replica.")
    replica_most_lag_seconds: float = Field(
        10.0, gt=0, le=300, description="Seconds behind the primary from which on a replica is not read."
    )
    replica_fallbacks_per_second: float = Field(
        10.0,
        ge=0,
        le=10_000,
        description="Reads a second that the primary takes when no replica can answer, beside a tenth of what replicas"
        " answer; further ones are rejected.",
    )


class GrpcSettings(RunnableSettings):
    """Settings of a runnable with a gRPC server."""

    grpc_connection_age_seconds: float | None = Field(
        None,
        ge=1,
        le=86_400,
        description="Seconds after which a client is told to connect again, by a tenth more or less. It then asks DNS"
        " again, and so finds new servers behind one name. Not set: connections live as long as both ends.",
    )


Settings = TypeVar("Settings", bound=BaseSettings)


def read_settings(kind: type[Settings]) -> Settings:
    """Read settings from the environment. Raises BadSettings that names every invalid or unknown variable."""
    prefix = kind.model_config.get("env_prefix", "").upper()
    known = {f"{prefix}{field.upper()}" for each in (kind, *kind.__subclasses__()) for field in each.model_fields}
    unknown = unknown_settings(os.environ, prefix=prefix, known=known) if prefix else []
    try:
        settings = kind()
    except ValidationError as error:
        lines = [f"{prefix}{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
        raise BadSettings("; ".join([*lines, *unknown])) from error
    if unknown:
        raise BadSettings("; ".join(unknown))
    return settings

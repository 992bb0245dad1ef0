"""Settings of the receiver, from RECEIVER_* variables."""

import ipaddress
from pathlib import Path

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from observability.receiver.otlp_endpoint import OtlpEndpoint, OtlpProtocol, parse_headers

MEBIBYTE = 1024 * 1024


class ReceiverSettings(BaseSettings):
    """The receiver's settings, each from the variable RECEIVER_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="RECEIVER_", frozen=True)

    listen: str = Field(default="127.0.0.1:4318", description="Address as host:port; port 0 takes a free one.")
    directory: Path = Field(description="Folder for traces.jsonl and its rotated predecessors.")
    ready_file: Path | None = Field(
        default=None, description="File to which the address is written as JSON once the receiver is ready."
    )
    remote_allowed: bool = Field(
        default=False, description="Allow an address beyond this machine; there is no TLS and no authentication."
    )
    maximum_body_bytes: int = Field(
        default=16 * MEBIBYTE, ge=1, description="Largest body in bytes, as sent and again after decompression."
    )
    maximum_pending_requests: int = Field(
        default=64, ge=1, description="Most requests being written at once; further ones are rejected with 503."
    )
    body_timeout_seconds: float = Field(default=10.0, gt=0, description="Seconds a client has to send its whole body.")
    maximum_file_bytes: int = Field(
        default=64 * MEBIBYTE,
        ge=1,
        description="Bytes at which a file is rotated; a larger request still goes into one file.",
    )
    maximum_files: int = Field(
        default=8, ge=1, description="Files kept, the current one included; older ones are removed."
    )
    forward_endpoint: str = Field(
        default="",
        pattern=r"^(https?://[^/]+.*)?$",
        description="A second endpoint for all spans, http(s)://host:port, with the path for HTTP; empty: none.",
    )
    forward_protocol: OtlpProtocol = Field(
        default="http/protobuf", description="Protocol of the second endpoint: http/protobuf or grpc."
    )
    forward_headers: SecretStr = Field(
        default=SecretStr(""), description="Headers for the second endpoint, as name=value,name=value."
    )
    forward_certificate: Path | None = Field(
        default=None, description="PEM file of the authorities that verify the second endpoint."
    )
    forward_client_certificate: Path | None = Field(default=None, description="PEM file of the client certificate.")
    forward_client_key: Path | None = Field(default=None, description="PEM file of the client certificate's key.")
    forward_timeout_seconds: float = Field(
        default=10.0, gt=0, le=60, description="Most seconds for one request to the second endpoint."
    )
    stop_timeout_seconds: int = Field(default=5, ge=1, description="Seconds for requests in flight after SIGTERM.")

    @field_validator("listen")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        is_host = host and (":" not in host or (host.startswith("[") and host.endswith("]")))
        if not is_host or not port.isdecimal() or int(port) > 65535:
            raise ValueError(f"must be host:port or [IPv6]:port with a port of 0 to 65535, not {value!r}")
        return value

    @model_validator(mode="after")
    def _stays_on_this_machine(self) -> "ReceiverSettings":
        if not self.remote_allowed and not _is_loopback(self.host):
            raise ValueError(f"{self.host} is not this machine; set RECEIVER_REMOTE_ALLOWED=true to listen on it")
        return self

    @field_validator("forward_headers")
    @classmethod
    def _are_headers(cls, value: SecretStr) -> SecretStr:
        parse_headers(value.get_secret_value())
        return value

    @property
    def forward(self) -> OtlpEndpoint | None:
        """Return the second endpoint; None without one."""
        if not self.forward_endpoint:
            return None
        return OtlpEndpoint(
            url=self.forward_endpoint,
            protocol=self.forward_protocol,
            headers=parse_headers(self.forward_headers.get_secret_value()),
            certificate=self.forward_certificate,
            client_certificate=self.forward_client_certificate,
            client_key=self.forward_client_key,
            timeout_seconds=self.forward_timeout_seconds,
        )

    @property
    def host(self) -> str:
        """Return the host of `listen`, without the brackets of IPv6."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """Return the port of `listen`."""
        return int(self.listen.rpartition(":")[2])


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

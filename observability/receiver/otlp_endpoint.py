"""Address and settings of an OTLP endpoint; needs none of the libraries that an OTLP client needs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

OtlpProtocol = Literal["http/protobuf", "grpc"]
# Excludes names that end in -bin, which hold bytes in gRPC.
_HEADER_NAME = re.compile(r"(?!.*-bin$)[0-9A-Za-z_.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class OtlpEndpoint:
    """Address and settings of an OTLP endpoint.

    url: http:// or https://, with the path for HTTP; for gRPC the path is left out.
    headers: sent with each request; they may hold a key, so no repr shows them.
    certificate: PEM file of the authorities that verify the endpoint; None: those of the system.
    client_certificate, client_key: PEM files of the client's certificate; None: no client certificate.
    timeout_seconds: most seconds for one request.
    """

    url: str
    protocol: OtlpProtocol = "http/protobuf"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    certificate: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    timeout_seconds: float = 10.0


def parse_headers(text: str) -> dict[str, str]:
    """Return the headers in `name=value,name=value`, the values percent-decoded. Raises ValueError."""
    headers = {}
    for pair in filter(None, (each.strip() for each in text.split(","))):
        name, equals, value = (part.strip() for part in pair.partition("="))
        value = unquote(value)
        if not equals or not _HEADER_NAME.fullmatch(name) or not (value.isascii() and value.isprintable()):
            raise ValueError("must be name=value, separated by commas, with percent-encoded values")
        headers[name.lower()] = value
    return headers

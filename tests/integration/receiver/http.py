"""One HTTP request and its answer, over a connection of its own, for the receiver's tests."""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass

from tests.patience import PATIENCE_SECONDS

PROTOBUF = {"Content-Type": "application/x-protobuf"}
GZIPPED = {**PROTOBUF, "Content-Encoding": "gzip"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(
    address: str, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """Send one request to host:port and read the whole answer."""
    connection = http.client.HTTPConnection(address, timeout=PATIENCE_SECONDS)
    try:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, names, response.read())
    finally:
        connection.close()


def export(address: str, body: bytes, headers: Mapping[str, str] = PROTOBUF) -> Answer:
    """POST a body to where traces go."""
    return ask(address, "POST", "/v1/traces", body=body, headers=headers)

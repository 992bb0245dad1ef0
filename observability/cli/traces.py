"""`plumb traces send`: send recorded traces to an OTLP endpoint, such as Jaeger's."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from observability.cli.exit_codes import USAGE, CommandFailed
from observability.cli.group import new_app
from observability.receiver.otlp_client import OtlpClient, SendFailed, open_otlp_client, send_with_retries
from observability.receiver.otlp_endpoint import OtlpEndpoint, parse_headers
from observability.receiver.otlp_json import count_spans, from_json_line
from services.local.platform.plan import forward_settings

DEFAULT_ENDPOINT = "http://127.0.0.1:4318"
PATTERN = "*trace*.jsonl"

commands = new_app(help_text="Send recorded traces to Jaeger or another endpoint.")


@dataclass(slots=True)
class TraceReplay:
    """Counts of one run: spans by outcome, the reason of the last rejection, and lines that are no requests."""

    sent: int = 0
    rejected: int = 0
    reason: str = ""
    unreadable_lines: int = 0


@commands.callback()
def traces() -> None:
    """Send recorded traces to Jaeger or another endpoint."""


@commands.command("send")
def send(
    path: Annotated[Path, typer.Argument(help="Folder with *trace*.jsonl, or one such file: OTLP/JSON lines.")],
    *,
    endpoint: Annotated[
        str, typer.Option(help="Base URL. Default: OTEL_EXPORTER_OTLP_ENDPOINT, else Jaeger on this machine.")
    ] = "",
) -> None:
    """Send recorded traces to an OTLP endpoint, oldest file first, unchanged.

    OTEL_EXPORTER_OTLP_PROTOCOL and _HEADERS apply. Traces keep their times, so search for them at the time of the
    recording.

    Exit codes: 0 all spans were accepted, 1 some were not, 2 there is nothing to send.
    """
    files = sorted(path.glob(PATTERN)) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise CommandFailed(f"{path} is no file, and no folder with {PATTERN}", status=USAGE)
    replay, target = TraceReplay(), chosen_endpoint(endpoint)
    try:
        asyncio.run(send_files(files, target, replay))
    except (SendFailed, OSError) as error:
        raise CommandFailed(f"{target.url}: {error}; {replay.sent} spans were sent before") from error
    typer.echo(f"sent {replay.sent} spans of {len(files)} file{'s' * (len(files) > 1)} to {target.url}")
    if replay.rejected:
        typer.echo(f"{replay.rejected} spans were rejected: {replay.reason}", err=True)
    if replay.unreadable_lines:
        typer.echo(f"{replay.unreadable_lines} lines are no OTLP/JSON export requests", err=True)
    raise typer.Exit(1 if replay.rejected or replay.unreadable_lines else 0)


def chosen_endpoint(endpoint: str) -> OtlpEndpoint:
    """Return the endpoint of the option, else of the environment, else Jaeger's. Raises CommandFailed if invalid."""
    exported = {name: value for name, value in os.environ.items() if name.startswith("OTEL_EXPORTER_OTLP_")}
    if endpoint:
        exported.pop("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", None)
        exported["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint.removesuffix("/v1/traces")
    try:
        settings = forward_settings(exported) or forward_settings(
            {**exported, "OTEL_EXPORTER_OTLP_ENDPOINT": DEFAULT_ENDPOINT}
        )
        of = {name.removeprefix("RECEIVER_FORWARD_").lower(): value for name, value in settings.items()}
        return OtlpEndpoint(
            url=of["endpoint"],
            protocol="grpc" if of["protocol"] == "grpc" else "http/protobuf",
            headers=parse_headers(of["headers"]),
            certificate=_path(of.get("certificate")),
            client_certificate=_path(of.get("client_certificate")),
            client_key=_path(of.get("client_key")),
        )
    except ValueError as error:
        raise CommandFailed(str(error), status=USAGE) from error


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


async def send_files(files: Sequence[Path], endpoint: OtlpEndpoint, replay: TraceReplay) -> None:
    """Send each line as one request. Raises SendFailed and OSError."""
    async with open_otlp_client(endpoint) as client:
        for file in files:
            with file.open("rb") as lines:
                for line in filter(bytes.strip, lines):
                    await send_line(line, client, replay)


async def send_line(line: bytes, client: OtlpClient, replay: TraceReplay) -> None:
    """Send the request of one line, and count the outcome. Raises SendFailed."""
    try:
        request = from_json_line(line)
    except ValueError:
        replay.unreadable_lines += 1
        return
    sent = await send_with_retries(client, request.SerializeToString())
    replay.sent += count_spans(request) - sent.rejected_spans
    replay.rejected += sent.rejected_spans
    replay.reason = sent.reason or replay.reason

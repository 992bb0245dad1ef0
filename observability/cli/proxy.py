"""`plumb proxy`: forward TCP connections with latency, limited bandwidth or a fault."""

import asyncio
import math
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from observability.cli.exit_codes import SIGNAL_BASE, CommandFailed
from observability.load.errors import LoadError, LoadUsageError
from observability.network.proxy import MOST_CONNECTIONS, Delay, Impairment, Proxy
from services.infra.address import Address, is_loopback, parse_address
from services.infra.lifecycle import write_ready_file
from services.local.processes.signals import Interrupted, run_interruptible
from services.local.servers.ports import local_address

_ADDRESS = "HOST:PORT"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyCommand:
    """The options of one run, checked."""

    listen: Address
    target: Address
    delay: Delay
    seed: int
    ready_file: Path | None
    fault: Impairment | None
    after_seconds: float
    for_seconds: float


def proxy(  # noqa: PLR0913 - an option of the command is an argument here; they go on as one value
    *,
    to: Annotated[str, typer.Option(metavar=_ADDRESS, help="Address that connections are forwarded to.")],
    latency_ms: Annotated[float, typer.Option(help="Milliseconds that bytes are delayed, each way.")] = 0.0,
    jitter_ms: Annotated[float, typer.Option(help="Most additional milliseconds, drawn for each chunk.")] = 0.0,
    kbytes_per_second: Annotated[
        float, typer.Option(help="Bandwidth, each way and per connection.", show_default="no limit")
    ] = math.inf,
    fault: Annotated[Impairment | None, typer.Option(help="Fault of all connections, for a time.")] = None,
    after_seconds: Annotated[float, typer.Option(help="Seconds until the fault begins.")] = 0.0,
    for_seconds: Annotated[
        float, typer.Option(help="Seconds that the fault lasts.", show_default="until the end")
    ] = math.inf,
    seed: Annotated[int, typer.Option(help="Seed of the jitter.")] = 1,
    listen: Annotated[
        str | None,
        typer.Option(metavar=_ADDRESS, help="Address to listen on; port 0: any.", show_default="any port, on loopback"),
    ] = None,
    ready_file: Annotated[
        Path | None, typer.Option(help="File for the address, as JSON, written once it listens.")
    ] = None,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Allow addresses of other machines. Anyone can then connect.")
    ] = False,
) -> None:
    """Forward TCP connections with added latency, limited bandwidth or a fault, until Ctrl-C.

    Examples: plumb proxy --to 127.0.0.1:8402 --latency-ms 5 --jitter-ms 2

              plumb proxy --to 127.0.0.1:8402 --fault blackhole --after-seconds 10 --for-seconds 5

    Exit codes: 1 cannot listen or write the file, 2 bad options, 130 Ctrl-C, 143 SIGTERM.
    """
    command = ProxyCommand(
        listen=_address("--listen", listen or str(local_address(0)), allow_remote=allow_remote),
        target=_target(to, allow_remote=allow_remote),
        delay=Delay(
            latency_seconds=_seconds("--latency-ms", latency_ms),
            jitter_seconds=_seconds("--jitter-ms", jitter_ms),
            bytes_per_second=1e3 * _above_zero("--kbytes-per-second", kbytes_per_second),
        ),
        fault=fault,
        after_seconds=_above_zero("--after-seconds", after_seconds, or_zero=True),
        for_seconds=_above_zero("--for-seconds", for_seconds),
        seed=seed,
        ready_file=ready_file,
    )
    try:
        run_interruptible(lambda: _serve(command))
    except Interrupted as interruption:
        status = SIGNAL_BASE + interruption.number
        raise CommandFailed("stopped; its connections are closed", status=status) from interruption


async def _serve(command: ProxyCommand) -> None:
    async with AsyncExitStack() as stack:
        try:
            opening = Proxy.open(target=command.target, delay=command.delay, seed=command.seed, listen=command.listen)
            running = await stack.enter_async_context(opening)
        except OSError as error:
            raise LoadError(f"cannot listen: {error}; name a free address of this machine with --listen") from error
        stack.callback(_report, running)
        _announce(command, running.address)
        if command.fault is not None:
            await _inject(running, command.fault, command)
        await asyncio.Event().wait()  # A signal ends the command.


async def _inject(running: Proxy, fault: Impairment, command: ProxyCommand) -> None:
    """Begin the fault when it is due, and end it."""
    await asyncio.sleep(command.after_seconds)
    with running.impaired(fault):
        typer.echo(f"{fault} begins.")
        if math.isinf(command.for_seconds):
            await asyncio.Event().wait()  # asyncio.sleep takes no infinite time.
        await asyncio.sleep(command.for_seconds)
    typer.echo(f"{fault} is over.")


def _announce(command: ProxyCommand, address: str) -> None:
    try:
        write_ready_file(command.ready_file, {"proxy": address})
    except OSError as error:
        raise LoadError(f"cannot write --ready-file {command.ready_file}: {error.strerror}") from error
    latency, jitter = command.delay.latency_seconds * 1e3, command.delay.jitter_seconds * 1e3
    typer.echo(f"{address} forwards to {command.target}, {latency:g} to {latency + jitter:g} ms later each way.")
    typer.echo("Ctrl-C stops it.")


def _report(running: Proxy) -> None:
    if running.rejected:
        why = f"nothing answered at --to, or more than {MOST_CONNECTIONS} connections were open"
        typer.echo(f"plumb proxy: {running.rejected} connections were reset at once: {why}", err=True)


def _target(text: str, *, allow_remote: bool) -> Address:
    address = _address("--to", text, allow_remote=allow_remote)
    if address.port == 0:
        raise LoadUsageError(f"--to {text!r}: a connection needs a port above 0")
    return address


def _address(option: str, text: str, *, allow_remote: bool) -> Address:
    try:
        address = parse_address(text)
    except ValueError as error:
        raise LoadUsageError(f"{option} {text!r}: {error}, as in 127.0.0.1:8402") from error
    if not allow_remote and not is_loopback(address.host):
        raise LoadUsageError(f"{option} {text!r} is not on this machine; add --allow-remote to allow it")
    return address


def _seconds(option: str, milliseconds: float) -> float:
    if not (math.isfinite(milliseconds) and milliseconds >= 0):
        raise LoadUsageError(f"{option} must be 0 or more milliseconds, not {milliseconds:g}")
    return milliseconds / 1e3


def _above_zero(option: str, number: float, *, or_zero: bool = False) -> float:
    if number > 0 or (or_zero and number == 0):
        return number
    raise LoadUsageError(f"{option} must be above 0{' or 0' * or_zero}, not {number:g}")

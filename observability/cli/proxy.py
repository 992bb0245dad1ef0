"""`plumb proxy`: at which address is a part of the platform as far away, or as broken, as one wants?"""

import asyncio
import math
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from observability.load.errors import LoadError, LoadUsageError
from observability.network.proxy import MOST_CONNECTIONS, Delay, Impairment, Proxy
from services.infra.address import Address, is_loopback, parse_address
from services.infra.lifecycle import write_ready_file
from services.local.processes.signals import Interrupted, run_interruptible
from services.local.servers.ports import local_address

_EXIT_FAILED = 1
_EXIT_USAGE = 2
_EXIT_SIGNAL_BASE = 128

_ADDRESS = "HOST:PORT"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyCommand:
    """One run of `plumb proxy`."""

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
    to: Annotated[str, typer.Option(metavar=_ADDRESS, help="Where connections are passed on to.")],
    latency_ms: Annotated[float, typer.Option(help="Milliseconds that bytes take, each way.")] = 0.0,
    jitter_ms: Annotated[float, typer.Option(help="Up to so many milliseconds more, drawn for each chunk.")] = 0.0,
    kbytes_per_second: Annotated[
        float, typer.Option(help="So much passes, each way and on each connection.", show_default="no limit")
    ] = math.inf,
    fault: Annotated[Impairment | None, typer.Option(help="What happens to connections for a time.")] = None,
    after_seconds: Annotated[float, typer.Option(help="When the fault begins.")] = 0.0,
    for_seconds: Annotated[float, typer.Option(help="How long it lasts.", show_default="until the end")] = math.inf,
    seed: Annotated[int, typer.Option(help="Fixes the jitter.")] = 1,
    listen: Annotated[
        str | None,
        typer.Option(metavar=_ADDRESS, help="Where it listens; port 0: any.", show_default="any port, on loopback"),
    ] = None,
    ready_file: Annotated[Path | None, typer.Option(help="Write the address here as JSON, once it listens.")] = None,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Allow addresses beyond this machine. Anyone may then pass.")
    ] = False,
) -> None:
    """Pass TCP connections on as a slower network does, or a broken one, until Ctrl-C.

    Examples: plumb proxy --to 127.0.0.1:8402 --latency-ms 5 --jitter-ms 2

              plumb proxy --to 127.0.0.1:8402 --fault blackhole --after-seconds 10 --for-seconds 5

    Exit codes: 1 it could not listen or write the file, 2 bad options, 130 Ctrl-C, 143 SIGTERM.
    """
    try:
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
        run_interruptible(lambda: _serve(command))
    except LoadUsageError as error:
        _fail(str(error), _EXIT_USAGE, error)
    except LoadError as error:
        _fail(str(error), _EXIT_FAILED, error)
    except Interrupted as interruption:
        _fail("ended, and its connections with it", _EXIT_SIGNAL_BASE + interruption.number, interruption)


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
            await _suffer(running, command.fault, command)
        await asyncio.Event().wait()  # For the signal that ends the command.


async def _suffer(running: Proxy, fault: Impairment, command: ProxyCommand) -> None:
    """Let the fault come and go. For ever is no time to sleep for."""
    await asyncio.sleep(command.after_seconds)
    with running.impaired(fault):
        typer.echo(f"{fault} begins.")
        if math.isinf(command.for_seconds):
            await asyncio.Event().wait()
        await asyncio.sleep(command.for_seconds)
    typer.echo(f"{fault} is over.")


def _announce(command: ProxyCommand, address: str) -> None:
    try:
        write_ready_file(command.ready_file, {"proxy": address})
    except OSError as error:
        raise LoadError(f"cannot write --ready-file {command.ready_file}: {error.strerror}") from error
    latency, jitter = command.delay.latency_seconds * 1e3, command.delay.jitter_seconds * 1e3
    typer.echo(f"{address} passes on to {command.target}, {latency:g} to {latency + jitter:g} ms later each way.")
    typer.echo("Ctrl-C ends it.")


def _report(running: Proxy) -> None:
    if running.rejected:
        why = f"nothing answered at --to, or more than {MOST_CONNECTIONS} were open"
        typer.echo(f"plumb proxy: connections reset at once: {running.rejected} ({why})", err=True)


def _target(text: str, *, allow_remote: bool) -> Address:
    address = _address("--to", text, allow_remote=allow_remote)
    if address.port == 0:
        raise LoadUsageError(f"--to {text!r}: port 0 is no port to connect to")
    return address


def _address(option: str, text: str, *, allow_remote: bool) -> Address:
    try:
        address = parse_address(text)
    except ValueError as error:
        raise LoadUsageError(f"{option} {text!r}: {error}, as in 127.0.0.1:8402") from error
    if not allow_remote and not is_loopback(address.host):
        raise LoadUsageError(f"{option} {text!r} is beyond this machine; say --allow-remote if it is meant")
    return address


def _seconds(option: str, milliseconds: float) -> float:
    if not (math.isfinite(milliseconds) and milliseconds >= 0):
        raise LoadUsageError(f"{option} must be 0 or more milliseconds, not {milliseconds:g}")
    return milliseconds / 1e3


def _above_zero(option: str, number: float, *, or_zero: bool = False) -> float:
    if number > 0 or (or_zero and number == 0):
        return number
    raise LoadUsageError(f"{option} must be above 0{' or 0' * or_zero}, not {number:g}")


def _fail(message: str, code: int, cause: Exception) -> NoReturn:
    typer.echo(f"plumb proxy: {message}", err=True)
    raise typer.Exit(code) from cause

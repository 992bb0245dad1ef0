"""`plumb chaos`: campaigns that kill, stop and break parts of a platform at the worst moment, and check it after."""

import secrets
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from observability.chaos.campaign_context import Say
from observability.chaos.campaign_report import Report
from observability.chaos.campaigns.abuse import NAMES, AbuseOptions, abuse
from observability.chaos.campaigns.bad_input import BadInputOptions, bad_input
from observability.chaos.campaigns.duplicates import DuplicatesOptions, duplicates
from observability.chaos.campaigns.kill import KILLS_A_ROUND, Campaign, CampaignOptions, write_whole
from observability.chaos.campaigns.network import NetworkOptions, network
from observability.chaos.campaigns.outage import AWAY_SECONDS, How, OutageOptions, outage
from observability.chaos.campaigns.pause import PAUSES, PauseOptions, pause
from observability.chaos.campaigns.rolling_restart import RollingOptions, rolling
from observability.chaos.campaigns.server_restart import Break, ServersOptions, servers
from observability.chaos.campaigns.storm import StormOptions, storm
from observability.chaos.terminal import print_campaign, print_report, showing
from observability.cli.group import new_app
from observability.load.errors import LoadError
from observability.network.proxy import Impairment
from observability.testbed.errors import TestbedError
from services.local.platform.endpoints import Bus, Mode
from services.local.processes.errors import LocalError
from services.local.processes.signals import Interrupted, run_interruptible

Result = TypeVar("Result")

_EXIT_VIOLATED = 1
_EXIT_FAILED = 2
_EXIT_INCOMPLETE = 3
_EXIT_SIGNAL_BASE = 128

commands = new_app(
    help_text="Break a platform of its own in a named way, and check that nothing is lost, doubled or stuck."
)

ModeOption = Annotated[Mode, typer.Option(help="Processes of their own, or one.")]
BusOption = Annotated[Bus, typer.Option(help="Where events are published.")]
SeedOption = Annotated[int, typer.Option(help="Fixes what is drawn: wishes, victims, points, passages, moments.")]
OutputOption = Annotated[Path, typer.Option(help="Folder of all campaigns.")]
TimesOption = Annotated[int, typer.Option(min=1, help="How often it is done.")]


@commands.command()
def kill(
    *,
    mode: ModeOption = "services",
    bus: BusOption = "postgres",
    seed: SeedOption = 1,
    kills: Annotated[int, typer.Option(min=1, help="How often some process is killed.")] = 200,
    kills_a_round: Annotated[int, typer.Option(min=3, help="After so many, everything is checked.")] = KILLS_A_ROUND,
    resume: Annotated[Path | None, typer.Option(help="Folder of a campaign to go on with, as it was begun.")] = None,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Kill processes with SIGKILL under load: at every durable step, and at random moments.

    Each round is a fresh platform: customers place, repeat and cancel orders while its processes die independently of
    each other; then all is started, comes to rest, and I1 to I8 and everything the customers were told are checked.

    Exit codes: 0 all holds, 1 something is violated (the evidence is kept), 2 it could not be carried out, 3 some point
    was never reached.
    """
    console = Console(highlight=False)
    if resume is not None:
        options, directory = _or_fail(lambda: CampaignOptions.read(resume)), resume
    else:
        options = CampaignOptions(mode=mode, bus=bus, seed=seed, kills=kills, kills_a_round=kills_a_round)
        directory = _make_directory(output, f"kill-{mode}-{bus}")
        options.write(directory)
    campaign = Campaign(options, directory)
    with showing(console, campaign) as listener:
        _run(lambda: campaign.run(listener), console, hint=f"go on with `plumb chaos kill --resume {directory}`")
    print_campaign(console, campaign)
    console.print(f"written to {directory / 'result.json'}", markup=False)
    raise typer.Exit(_EXIT_VIOLATED if campaign.violations else _EXIT_INCOMPLETE if campaign.complaints else 0)


@commands.command("storm")
def storm_command(
    *,
    mode: ModeOption = "services",
    bus: BusOption = "postgres",
    seed: SeedOption = 1,
    times: TimesOption = 20,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Let 400 customers at once want the last 100 units of one SKU.

    With one unit an order exactly 100 are sold; with one to three, less is left than any refused order wanted.
    """
    options = StormOptions(mode=mode, bus=bus, seed=seed, times=times)
    _campaign(lambda folder, say: storm(options, folder, say), output, f"storm-{mode}-{bus}")


@commands.command("duplicates")
def duplicates_command(
    *,
    bus: BusOption = "postgres",
    deliveries: Annotated[int, typer.Option(min=1, help="How many deliveries must have come before.")] = 100_000,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Send every request three times, and deliver every event again and again: no effect may come twice."""
    options = DuplicatesOptions(bus=bus, deliveries=deliveries)
    _campaign(lambda folder, say: duplicates(options, folder, say), output, f"duplicates-{bus}")


@commands.command("pause")
def pause_command(
    *,
    bus: BusOption = "postgres",
    seed: SeedOption = 1,
    most: Annotated[int, typer.Option(min=1, help="Only the first so many pauses.")] = len(PAUSES),
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Stop one of two order processes where it holds a batch, a lock or orders; it goes on when the other took over."""
    options = PauseOptions(bus=bus, seed=seed, most=most)
    _campaign(lambda folder, say: pause(options, folder, say), output, f"pause-{bus}")


@commands.command("postgres-restart")
def postgres_restart_command(
    *,
    mode: ModeOption = "services",
    bus: BusOption = "postgres",
    seed: SeedOption = 1,
    times: TimesOption = 6,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Restart PostgreSQL under load, by turns with a fast and an immediate shutdown, which is a crash for it."""
    _break("postgres-restart", mode, bus, seed, times, output)


@commands.command("broker-wipe")
def broker_wipe_command(
    *,
    mode: ModeOption = "services",
    bus: BusOption = "postgres",
    seed: SeedOption = 1,
    times: TimesOption = 4,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Empty the event log under load: it is filled again, every event is delivered again, and nothing shows."""
    _break("broker-wipe", mode, bus, seed, times, output)


@commands.command("broker-kill")
def broker_kill_command(
    *,
    mode: ModeOption = "services",
    seed: SeedOption = 1,
    times: TimesOption = 6,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Kill the NATS server under load and start it again on what it had written."""
    _break("broker-kill", mode, "nats", seed, times, output)


@commands.command("rolling-restart")
def rolling_restart_command(
    *,
    bus: BusOption = "postgres",
    seed: SeedOption = 1,
    times: TimesOption = 20,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Restart order and inventory by turns under load, of each two processes one after the other.

    Nobody may see an error: what one edge loses or refuses a balancer sends to the other, once, under the same id.
    """
    options = RollingOptions(bus=bus, seed=seed, times=times)
    _campaign(lambda folder, say: rolling(options, folder, say), output, f"rolling-restart-{bus}")


@commands.command("bad-input")
def bad_input_command(
    *,
    seed: SeedOption = 1,
    cases: Annotated[int, typer.Option(min=1, help="How many calls are made.")] = 20_000,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Send both services, over gRPC, what nobody should: drawn from their descriptors, and bytes of every kind.

    Nothing may end as INTERNAL, hang, or take a process down.
    """
    options = BadInputOptions(seed=seed, cases=cases)
    _campaign(lambda folder, say: bad_input(options, folder, say), output, "bad-input")


@commands.command("network")
def network_command(
    *,
    bus: BusOption = "nats",
    seed: SeedOption = 1,
    fault: Annotated[list[Impairment] | None, typer.Option(help="Only these faults; may be given again.")] = None,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Break the network on each edge in each way under load: resets, a blackhole, half-open connections, and more.

    No answer may come later than its deadline, and afterwards everything must be as always. Takes ten seconds for each
    fault on each edge.
    """
    options = NetworkOptions(bus=bus, seed=seed, faults=tuple(fault or Impairment))
    _campaign(lambda folder, say: network(options, folder, say), output, f"network-{bus}")


@commands.command("outage")
def outage_command(
    *,
    how: Annotated[
        How, typer.Option(help="What stands in inventory's place: a server that refuses, or none.")
    ] = "refusing",
    guarded: Annotated[
        bool, typer.Option("--guarded/--unguarded", help="Call it behind breaker, throttle and budget, or not.")
    ] = True,
    seed: SeedOption = 1,
    rate: Annotated[float, typer.Option(min=1.0, help="Orders a second, in an open loop.")] = 20.0,
    away: Annotated[float, typer.Option(min=5.0, help="Seconds that it is away.")] = AWAY_SECONDS,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Take inventory away for a while under load, and count every attempt at it.

    With guards: at most 1.15 attempts a request, a breaker that opens within 2 s, and all as before within 12 s after
    it is back.
    """
    options = OutageOptions(how=how, guarded=guarded, seed=seed, rate_per_second=rate, away_seconds=away)
    _campaign(
        lambda folder, say: outage(options, folder, say), output, f"outage-{how}-{'' if guarded else 'un'}guarded"
    )


@commands.command("abuse")
def abuse_command(
    *,
    bus: BusOption = "nats",
    seed: SeedOption = 1,
    rate: Annotated[float, typer.Option(min=1.0, help="Honest orders a second, in an open loop.")] = 6.0,
    seconds: Annotated[float, typer.Option(min=1.0, help="How long each attack, and each rest, takes.")] = 10.0,
    attack: Annotated[
        list[str] | None, typer.Option(help=f"Only these attacks, of {', '.join(NAMES)}; may be given again.")
    ] = None,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Attack the platform as a few hostile clients do, while honest customers go on.

    Connections that send only headers, headers without end, thousands of idle connections, forged tokens, health
    watches, fields that there are not, stray messages, a log that nobody reads, a silent connection, and inventory
    away. Honest customers must get 90 % of what they get at rest, no answer may be untrue, and memory stays bounded.
    """
    attacks = tuple(attack or (name for name in NAMES if bus == "nats" or name != "stray_messages"))
    if unknown := set(attacks) - set(NAMES):
        raise typer.BadParameter(f"there is no attack {', '.join(sorted(unknown))}", param_hint="--attack")
    options = AbuseOptions(
        bus=bus, seed=seed, rate_per_second=rate, attack_seconds=seconds, rest_seconds=seconds, attacks=attacks
    )
    _campaign(lambda folder, say: abuse(options, folder, say), output, f"abuse-{bus}")


def _break(what: Break, mode: Mode, bus: Bus, seed: int, times: int, output: Path) -> None:
    options = ServersOptions(what=what, mode=mode, bus=bus, seed=seed, times=times)
    _campaign(lambda folder, say: servers(options, folder, say), output, f"{what}-{mode}-{bus}")


def _campaign(carry_out: Callable[[Path, Say], Coroutine[Any, Any, Report]], output: Path, name: str) -> None:
    """Carry a campaign out, print and write what it found, and exit 1 when something is violated."""
    console = Console(highlight=False)
    directory = _make_directory(output, name)
    began = time.monotonic()

    def say(sentence: str) -> None:
        console.print(f"{time.monotonic() - began:6.1f} s  {sentence}", markup=False, soft_wrap=True)

    report = _run(lambda: carry_out(directory, say), console)
    report.figures["seconds"] = round(time.monotonic() - began, 1)
    write_whole(directory / "result.json", report.as_document())
    print_report(console, report)
    console.print(f"written to {directory / 'result.json'}", markup=False)
    raise typer.Exit(_EXIT_VIOLATED if report.violations else 0)


def _run(campaign: Callable[[], Coroutine[Any, Any, Result]], console: Console, *, hint: str = "") -> Result:
    """Run it until it ends or a signal does; a campaign that cannot be carried out is told apart from a violation."""
    try:
        return run_interruptible(campaign, again=lambda: console.print("already stopping"))
    except (LocalError, LoadError, TestbedError) as error:
        typer.echo(f"plumb chaos: {error}", err=True)
        raise typer.Exit(_EXIT_FAILED) from error
    except Interrupted as interruption:
        typer.echo(f"plumb chaos: interrupted; everything is stopped{hint and '; '}{hint}", err=True)
        raise typer.Exit(_EXIT_SIGNAL_BASE + interruption.number) from interruption


def _or_fail(step: Callable[[], Result]) -> Result:
    try:
        return step()
    except (TestbedError, OSError) as error:
        typer.echo(f"plumb chaos: {error}", err=True)
        raise typer.Exit(_EXIT_FAILED) from error


def _make_directory(output: Path, name: str) -> Path:
    """Make a folder for one campaign, named by what it is and its start in UTC."""
    directory = output / f"{name}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
    _or_fail(lambda: directory.mkdir(parents=True))
    return directory

"""`plumb chaos`: campaigns that break a running platform, and check afterwards that its data is consistent."""

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
from observability.cli.exit_codes import SIGNAL_BASE, CommandFailed
from observability.cli.group import new_app
from observability.network.proxy import Impairment
from services.local.platform.endpoints import Bus, Mode
from services.local.processes.signals import Interrupted, run_interruptible

Result = TypeVar("Result")

_EXIT_VIOLATED = 1
_EXIT_INCOMPLETE = 3

commands = new_app(
    help_text="Start a platform, break it in a named way, and check that no data is lost, duplicated or stuck."
)

ModeOption = Annotated[Mode, typer.Option(help="Separate services, or one process that runs the same code.")]
BusOption = Annotated[Bus, typer.Option(help="Event log: a database, or a NATS server.")]
SeedOption = Annotated[int, typer.Option(help="Seed of everything that is drawn, such as orders, processes and times.")]
OutputOption = Annotated[Path, typer.Option(help="Folder of all campaigns.")]
TimesOption = Annotated[int, typer.Option(min=1, help="Repetitions.")]


@commands.command()
def kill(
    *,
    mode: ModeOption = "services",
    bus: BusOption = "postgres",
    seed: SeedOption = 1,
    kills: Annotated[int, typer.Option(min=1, help="Kills in all.")] = 200,
    kills_a_round: Annotated[int, typer.Option(min=3, help="Kills between two checks.")] = KILLS_A_ROUND,
    resume: Annotated[Path | None, typer.Option(help="Folder of an interrupted campaign to continue.")] = None,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Kill processes with SIGKILL under load: at every durable step, and at random moments.

    Each round has a fresh platform: customers place, repeat and cancel orders while its processes die independently of
    each other. Then all processes are started, every order completes, and the invariants I1 to I8 and all answers to
    the customers are checked.

    Exit codes: 0 all holds, 1 something is violated (the evidence is kept), 2 the campaign failed, 3 a crash point was
    never reached.
    """
    console = Console(highlight=False)
    if resume is not None:
        options, directory = CampaignOptions.read(resume), resume
    else:
        options = CampaignOptions(mode=mode, bus=bus, seed=seed, kills=kills, kills_a_round=kills_a_round)
        directory = _make_directory(output, f"kill-{mode}-{bus}")
        options.write(directory)
    campaign = Campaign(options, directory)
    with showing(console, campaign) as listener:
        _run(lambda: campaign.run(listener), console, hint=f"; continue with `plumb chaos kill --resume {directory}`")
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
    """Let 400 customers order the last 100 units of one SKU at the same time.

    With one unit per order exactly 100 are sold; with one to three, less is left than any rejected order needed.
    """
    options = StormOptions(mode=mode, bus=bus, seed=seed, times=times)
    _campaign(lambda folder, say: storm(options, folder, say), output, f"storm-{mode}-{bus}")


@commands.command("duplicates")
def duplicates_command(
    *,
    bus: BusOption = "postgres",
    deliveries: Annotated[int, typer.Option(min=1, help="Deliveries before the campaign ends.")] = 100_000,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Send every request three times, and deliver every event many times: no effect may happen twice."""
    options = DuplicatesOptions(bus=bus, deliveries=deliveries)
    _campaign(lambda folder, say: duplicates(options, folder, say), output, f"duplicates-{bus}")


@commands.command("pause")
def pause_command(
    *,
    bus: BusOption = "postgres",
    seed: SeedOption = 1,
    most: Annotated[int, typer.Option(min=1, help="Pauses to try, the first ones of the list.")] = len(PAUSES),
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Pause one of two order processes while it holds a batch, a lock or orders, until the other has taken over."""
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
    """Restart PostgreSQL under load, in turn with a fast and an immediate shutdown; the latter is like a crash."""
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
    """Delete the event log under load: it is filled again, every event is delivered again, and no effect is visible."""
    _break("broker-wipe", mode, bus, seed, times, output)


@commands.command("broker-kill")
def broker_kill_command(
    *,
    mode: ModeOption = "services",
    seed: SeedOption = 1,
    times: TimesOption = 6,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Kill the NATS server under load, and start it again with its data."""
    _break("broker-kill", mode, "nats", seed, times, output)


@commands.command("rolling-restart")
def rolling_restart_command(
    *,
    bus: BusOption = "postgres",
    seed: SeedOption = 1,
    times: TimesOption = 20,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Restart order and inventory in turn under load, two processes of each, one after the other.

    No customer may see an error: a balancer retries a request that one edge loses or rejects at the other, once, with
    the same id.
    """
    options = RollingOptions(bus=bus, seed=seed, times=times)
    _campaign(lambda folder, say: rolling(options, folder, say), output, f"rolling-restart-{bus}")


@commands.command("bad-input")
def bad_input_command(
    *,
    seed: SeedOption = 1,
    cases: Annotated[int, typer.Option(min=1, help="Calls in all.")] = 20_000,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Send invalid gRPC requests to both services: drawn from their descriptors, and arbitrary bytes.

    No call may end as INTERNAL or hang, and no process may end.
    """
    options = BadInputOptions(seed=seed, cases=cases)
    _campaign(lambda folder, say: bad_input(options, folder, say), output, "bad-input")


@commands.command("network")
def network_command(
    *,
    bus: BusOption = "nats",
    seed: SeedOption = 1,
    fault: Annotated[list[Impairment] | None, typer.Option(help="Fault to try; may be repeated. Default: all.")] = None,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Break each network connection of the platform in each way under load: resets, a blackhole, and more.

    No answer may come after its deadline, and afterwards the platform must work as before. Takes ten seconds for each
    fault on each connection.
    """
    options = NetworkOptions(bus=bus, seed=seed, faults=tuple(fault or Impairment))
    _campaign(lambda folder, say: network(options, folder, say), output, f"network-{bus}")


@commands.command("outage")
def outage_command(
    *,
    how: Annotated[
        How, typer.Option(help="What replaces inventory: a server that rejects calls, or none.")
    ] = "refusing",
    guarded: Annotated[
        bool,
        typer.Option(
            "--guarded/--unguarded", help="Call it with circuit breaker, throttle and retry budget, or without."
        ),
    ] = True,
    seed: SeedOption = 1,
    rate: Annotated[float, typer.Option(min=1.0, help="Orders per second, in an open loop.")] = 20.0,
    away: Annotated[float, typer.Option(min=5.0, help="Seconds of the outage.")] = AWAY_SECONDS,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Stop inventory for a while under load, and count every attempt to call it.

    With guards there are at most 1.15 attempts per request, the breaker opens within 2 s, and the platform works as
    before within 12 s after inventory is back.
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
    rate: Annotated[
        float, typer.Option(min=1.0, help="Orders per second of the normal customers, in an open loop.")
    ] = 6.0,
    seconds: Annotated[float, typer.Option(min=1.0, help="Seconds of each attack, and of the pause after it.")] = 10.0,
    attack: Annotated[
        list[str] | None, typer.Option(help=f"Attack to run; may be repeated. Default: all of {', '.join(NAMES)}.")
    ] = None,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Attack the platform as a few hostile clients would, while normal customers place orders.

    The attacks are connections that send only headers, endless headers, thousands of idle connections, forged tokens,
    health watches, unknown fields, stray messages, a log that is not read, a silent connection, and an unavailable
    inventory. Goodput of the normal customers must stay at 90 % of that without an attack, every answer must be true,
    and memory must stay bounded.
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


def _campaign(campaign: Callable[[Path, Say], Coroutine[Any, Any, Report]], output: Path, name: str) -> None:
    """Run a campaign, print and write its report, and exit with 1 if something is violated."""
    console = Console(highlight=False)
    directory = _make_directory(output, name)
    began = time.monotonic()

    def say(sentence: str) -> None:
        console.print(f"{time.monotonic() - began:6.1f} s  {sentence}", markup=False, soft_wrap=True)

    report = _run(lambda: campaign(directory, say), console)
    report.figures["seconds"] = round(time.monotonic() - began, 1)
    write_whole(directory / "result.json", report.as_document())
    print_report(console, report)
    console.print(f"written to {directory / 'result.json'}", markup=False)
    raise typer.Exit(_EXIT_VIOLATED if report.violations else 0)


def _run(campaign: Callable[[], Coroutine[Any, Any, Result]], console: Console, *, hint: str = "") -> Result:
    """Run to the end, or until a signal; `hint` says how to continue then."""
    try:
        return run_interruptible(campaign, again=lambda: console.print("already stopping"))
    except Interrupted as interruption:
        message, status = f"interrupted; everything is stopped{hint}", SIGNAL_BASE + interruption.number
        raise CommandFailed(message, status=status) from interruption


def _make_directory(output: Path, name: str) -> Path:
    """Make a folder for one campaign, named by the campaign and its start in UTC. Raises OSError."""
    directory = output / f"{name}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
    directory.mkdir(parents=True)
    return directory

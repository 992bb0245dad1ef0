"""`plumb chaos`: one file a campaign, named here and imported when it is called."""

from typing import ClassVar

from observability.cli.group import CommandEntry, LazyGroup, new_app

_EXIT_FAILED = 2


def _campaign(path: str, summary: str) -> CommandEntry:
    return CommandEntry(f"observability.cli.chaos.{path}", summary, failed=_EXIT_FAILED)


class Chaos(LazyGroup):
    """All campaigns."""

    entries: ClassVar = {
        "kill": _campaign(
            "kill:kill_command", "Kill processes with SIGKILL under load: at every durable step, and at random moments."
        ),
        "move": _campaign(
            "move:move_command",
            "Move the logical shards of customers from server to server, and kill each move at one of its steps.",
        ),
        "storm": _campaign(
            "storm:storm_command", "Let 400 customers order the last 100 units of one SKU at the same time."
        ),
        "duplicates": _campaign(
            "duplicates:duplicates_command",
            "Send every request three times, and deliver every event many times: no effect may happen twice.",
        ),
        "pause": _campaign(
            "pause:pause_command",
            "Pause one of two order processes that holds a batch, a lock or orders, until the other has taken over.",
        ),
        "postgres-restart": _campaign(
            "server_restart:postgres_restart_command",
            "Restart PostgreSQL under load, in turn with a fast and an immediate shutdown; the latter is like a crash.",
        ),
        "broker-wipe": _campaign(
            "server_restart:broker_wipe_command",
            "Delete the event log under load: it is filled again, and events that are delivered again have no effect.",
        ),
        "broker-kill": _campaign(
            "server_restart:broker_kill_command", "Kill the NATS server under load, and start it again with its data."
        ),
        "rolling-restart": _campaign(
            "rolling_restart:rolling_restart_command",
            "Restart order and inventory in turn under load, two processes of each, one after the other.",
        ),
        "bad-input": _campaign(
            "bad_input:bad_input_command",
            "Send invalid gRPC requests to both services: drawn from their descriptors, and arbitrary bytes.",
        ),
        "network": _campaign(
            "network:network_command",
            "Break each network connection of the platform in each way under load: resets, a blackhole, and more.",
        ),
        "outage": _campaign(
            "outage:outage_command", "Stop inventory for a while under load, and count every attempt to call it."
        ),
        "abuse": _campaign(
            "abuse:abuse_command",
            "Attack the platform as a few hostile clients would, while normal customers place orders.",
        ),
    }


commands = new_app(
    help_text="Start a platform, break it in a named way, and check that no data is lost, duplicated or stuck.",
    cls=Chaos,
)


@commands.callback()
def chaos() -> None:
    """Start a platform, break it in a named way, and check that no data is lost, duplicated or stuck."""

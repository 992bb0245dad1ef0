"""The notification process: `python -m services.notification serve`."""

from collections.abc import Callable
from contextlib import AsyncExitStack

from observability.telemetry.setup import Runtime
from services.infra import lifecycle, program
from services.infra.admin import admin_server
from services.infra.readiness import Readiness
from services.infra.settings import read_settings
from services.notification.application.ports import Sender
from services.notification.bootstrap import make_sender, open_notification
from services.notification.settings import NotificationSettings


async def serve(
    settings: NotificationSettings,
    runtime: Runtime,
    *,
    sender_of: Callable[[NotificationSettings], Sender] = make_sender,
) -> None:
    """Consume and send until a signal, then drain."""
    telemetry = runtime.for_context("notification")
    async with AsyncExitStack() as stack:
        parts, checks = await open_notification(settings, telemetry=telemetry, stack=stack, sender_of=sender_of)
        readiness = Readiness(checks)
        admin = admin_server(settings.admin_listen, runtime=runtime, readiness=readiness)
        await lifecycle.serve(
            [admin, *parts.workers], readiness=readiness, settings=settings, log=telemetry.log, outputs=runtime.outputs
        )


def command(arguments: list[str]) -> None:
    """Run the command."""
    if arguments != ["serve"]:
        raise SystemExit("usage: python -m services.notification serve")
    settings = read_settings(NotificationSettings)
    lifecycle.run("notification", settings, lambda runtime: serve(settings, runtime))


if __name__ == "__main__":
    program.main("notification", command)

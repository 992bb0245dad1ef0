"""Notification service for experiments: `python -m observability.experiments.notification_process serve`."""

from observability.experiments.adapters import chosen_adapter
from services.infra import lifecycle, program
from services.infra.settings import read_settings
from services.notification.__main__ import serve
from services.notification.bootstrap import make_sender
from services.notification.settings import NotificationSettings


def command(_arguments: list[str]) -> None:
    """Run the service. There is no migrate command, as the shop's own programs migrate the lab's databases."""
    settings = read_settings(NotificationSettings)
    lifecycle.run(
        "notification",
        settings,
        lambda runtime: serve(
            settings, runtime, sender_of=chosen_adapter(runtime.for_context("notification"), make_sender)
        ),
    )


if __name__ == "__main__":
    program.main("notification", command)

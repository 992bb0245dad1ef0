"""Configuration of Alertmanager: receivers, repeat intervals and inhibition rules."""

from observability.prometheus.build.model import Document
from observability.prometheus.build.pace import HOUR, MINUTE, Pace

# The address is no secret, the token in the file is: version 0.25 reads no address from a file.
WEBHOOK_URL = "http://alert-webhook:8080"
CREDENTIALS_FILE = "/run/secrets/alert_webhook_token"

PAGE = 'severity="critical"'
WARNING = 'severity="warning"'


def alertmanager_configuration(
    *, webhook_url: str = WEBHOOK_URL, credentials_file: str | None = CREDENTIALS_FILE, scale: int = 1
) -> Document:
    """Return the configuration that posts to `webhook_url`/page, /ticket and /watchdog, with the file's token."""
    pace = Pace(scale)
    return {
        "global": {"resolve_timeout": pace(5 * MINUTE)},
        "route": route(pace),
        "inhibit_rules": inhibit_rules(),
        "receivers": [receiver(name, webhook_url, credentials_file) for name in ("page", "ticket", "watchdog")],
    }


def route(pace: Pace) -> Document:
    """Return the routes: pages soon and again each hour, warnings twice a day, the watchdog all the time."""
    return {
        "receiver": "ticket",
        "group_by": ["alertname", "context", "job"],
        "group_wait": pace(30),
        "group_interval": pace(5 * MINUTE),
        "repeat_interval": pace(12 * HOUR),
        "routes": [
            {
                "receiver": "watchdog",
                "matchers": ['alertname="ShopWatchdog"'],
                "group_wait": "0s",
                "group_interval": pace(1 * MINUTE),
                "repeat_interval": pace(5 * MINUTE),
            },
            {
                "receiver": "page",
                "matchers": [PAGE],
                "group_by": ["alertname"],
                "group_wait": pace(10),
                "group_interval": pace(1 * MINUTE),
                "repeat_interval": pace(1 * HOUR),
            },
        ],
    }


def inhibit_rules() -> list[Document]:
    """Return the inhibition rules.

    A page mutes the warnings that affect the same customers: its causes and its own slower burns. ShopServiceDown
    mutes the latency alert, which is its symptom, and the warnings of the same process.
    """
    down = 'alertname="ShopServiceDown"'
    return [
        {"source_matchers": [PAGE], "target_matchers": [WARNING, 'affects!=""'], "equal": ["affects"]},
        {"source_matchers": [down], "target_matchers": ['alertname="ShopOrderPlacementSlow"']},
        {"source_matchers": [down], "target_matchers": [WARNING, 'affects!=""'], "equal": ["job", "instance"]},
    ]


def receiver(name: str, webhook_url: str, credentials_file: str | None) -> Document:
    """Return a receiver that gets a notification when an alert begins and when it ends."""
    webhook: Document = {"url": f"{webhook_url}/{name}", "send_resolved": True}
    if credentials_file is not None:
        webhook["http_config"] = {"authorization": {"credentials_file": credentials_file}}
    return {"name": name, "webhook_configs": [webhook]}

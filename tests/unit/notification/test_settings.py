"""Invalid settings of notification are refused."""

from pathlib import Path

import pytest

from services.infra.settings import BadSettings, read_settings
from services.notification.settings import NotificationSettings


def settings(monkeypatch: pytest.MonkeyPatch, **variables: str) -> NotificationSettings:
    """Read the settings from an environment with these NOTIFICATION_ variables."""
    given = {"DATABASE_DSN": "postgresql://u:hidden@h/d", "EVENT_LOG_URL": "postgresql://u:hidden@h/log", **variables}
    for name, value in given.items():
        monkeypatch.setenv(f"NOTIFICATION_{name}", value)
    return read_settings(NotificationSettings)


def test_two_addresses_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a mail server, confirmations go to a folder; no repr shows a secret."""
    read = settings(monkeypatch)
    assert (read.smtp_host, read.outbox_folder) == (None, Path("out/notifications"))
    assert "hidden" not in repr(read)


@pytest.mark.parametrize(
    "variables",
    [
        {"SENDER_ADDRESS": "nobody"},
        {"SENDER_ADDRESS": "a@b.example\r\nBcc: c@d.example"},
        {"RECIPIENT_TEMPLATE": "{name}@customers.example"},
        {"RECIPIENT_TEMPLATE": "{customer_id}"},
        {"SMTP_USERNAME": "u"},
        {"SMTP_PASSWORD": "p"},
        {"SMTP_PASSWORD_FILE": "/nowhere"},
        {"SMTP_USERNAME": "u", "SMTP_PASSWORD": "p", "SMTP_HOST": "mail.example", "SMTP_STARTTLS": "false"},
    ],
)
def test_what_cannot_work_or_leaks_a_password_is_refused(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    with pytest.raises(BadSettings):
        settings(monkeypatch, **variables)


def test_the_password_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its last line end is not part of it."""
    (tmp_path / "password").write_text("p w\n")
    read = settings(monkeypatch, SMTP_USERNAME="u", SMTP_PASSWORD_FILE=str(tmp_path / "password"))
    assert read.read_smtp_password() == "p w"

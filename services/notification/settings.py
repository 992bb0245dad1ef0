"""Settings of the notification process."""

from email.errors import MessageError
from email.headerregistry import Address
from pathlib import Path
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, Field, FilePath, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from services.infra.address import is_loopback
from services.infra.settings import RunnableSettings, split_urls


def check_mail_address(text: str) -> str:
    """Return the text when it is an ASCII e-mail address, for use as a validator."""
    try:
        address = Address(addr_spec=text)
    except (MessageError, IndexError) as error:
        raise ValueError("must be an e-mail address") from error
    if not text.isascii() or not address.username or not address.domain:
        raise ValueError("must be an e-mail address")
    return text


def check_recipient_template(text: str) -> str:
    """Return the text when it makes an e-mail address for each customer id, for use as a validator."""
    try:
        check_mail_address(text.format(customer_id=UUID(int=0)))
    except (LookupError, AttributeError) as error:
        raise ValueError("may contain {customer_id} and no other field") from error
    return text


class NotificationSettings(RunnableSettings):
    """Read from NOTIFICATION_* variables."""

    model_config = SettingsConfigDict(**RunnableSettings.model_config | {"env_prefix": "NOTIFICATION_"})

    database_dsn: SecretStr = Field(description="postgresql:// address of notification's database.")
    database_pool_size: int = Field(4, ge=2, le=100, description="Most connections to the database.")
    event_log_url: SecretStr = Field(description="postgresql:// or nats:// address of the event log of the orders.")
    shard_event_log_urls: SecretStr = Field(
        SecretStr(""),
        description="Addresses of the event logs of further order databases, separated by spaces, in the order of"
        " ORDER_SHARD_EVENT_LOG_URLS.",
    )
    event_log_allow_unsafe_sync: bool = Field(
        False, description="Accept an event log that may lose acknowledged events in a power cut."
    )
    outbox_folder: Path = Field(
        Path("out/notifications"), description="Folder that confirmations are written to when smtp_host is not set."
    )
    smtp_host: str | None = Field(None, description="Host of the mail server; not set: mails go to outbox_folder.")
    smtp_port: int = Field(587, ge=1, le=65_535, description="Port of the mail server.")
    smtp_username: str | None = Field(None, description="User name of the login; not set: no login.")
    smtp_password: SecretStr | None = Field(None, description="Password of the login.")
    smtp_password_file: FilePath | None = Field(None, description="File with the password, instead of smtp_password.")
    smtp_starttls: bool = Field(
        True, description="Require STARTTLS; false: use it only when the mail server offers it."
    )
    sender_address: Annotated[str, AfterValidator(check_mail_address)] = Field(
        "orders@shop.example", description="E-mail address of the sender."
    )
    recipient_template: Annotated[str, AfterValidator(check_recipient_template)] = Field(
        "{customer_id}@customers.example", description="E-mail address of a customer; {customer_id} is its UUID."
    )

    @property
    def event_log_urls(self) -> list[str]:
        """The address of the event log of each server of orders."""
        return [self.event_log_url.get_secret_value(), *split_urls(self.shard_event_log_urls)]

    @model_validator(mode="after")
    def _check_login(self) -> Self:
        passwords = [given for given in (self.smtp_password, self.smtp_password_file) if given is not None]
        if len(passwords) != (0 if self.smtp_username is None else 1):
            raise ValueError("set smtp_username with one of smtp_password and smtp_password_file, or none of them")
        if self.smtp_username and not self.smtp_starttls and not is_loopback(self.smtp_host or "localhost"):
            raise ValueError("a login needs smtp_starttls: otherwise the password would be sent unencrypted")
        return self

    def read_smtp_password(self) -> str | None:
        """Return the password, or the content of its file; None without either. Raises OSError."""
        if self.smtp_password_file:
            return self.smtp_password_file.read_text(encoding="utf-8").rstrip("\r\n")
        return self.smtp_password.get_secret_value() if self.smtp_password else None

"""What does notification need to be told?"""

from email.errors import MessageError
from email.headerregistry import Address
from pathlib import Path
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, Field, FilePath, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from services.infra.address import is_loopback
from services.infra.settings import RunnableSettings


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
    """Return the text when an e-mail address comes of it, for use as a validator."""
    try:
        check_mail_address(text.format(customer_id=UUID(int=0)))
    except (LookupError, AttributeError) as error:
        raise ValueError("may hold {customer_id} and no other field") from error
    return text


class NotificationSettings(RunnableSettings):
    """Read from NOTIFICATION_* variables."""

    model_config = SettingsConfigDict(**RunnableSettings.model_config | {"env_prefix": "NOTIFICATION_"})

    database_dsn: SecretStr = Field(description="postgresql:// address of notification's own database.")
    database_pool_size: int = Field(4, ge=2, le=100, description="Most connections to the database.")
    event_log_url: SecretStr = Field(description="Address of the event log that the orders are published to.")
    event_log_allow_unsafe_sync: bool = Field(
        False, description="Accept an event log that may lose acknowledged events in a power cut."
    )
    outbox_folder: Path = Field(
        Path("out/notifications"), description="Folder the confirmations are written to when there is no smtp_host."
    )
    smtp_host: str | None = Field(None, description="Host of the mail server; without one, mail goes to the folder.")
    smtp_port: int = Field(587, ge=1, le=65_535, description="Port of the mail server.")
    smtp_username: str | None = Field(None, description="Name to log in with; without one there is no login.")
    smtp_password: SecretStr | None = Field(None, description="Password to log in with.")
    smtp_password_file: FilePath | None = Field(None, description="File that holds the password, instead of it.")
    smtp_starttls: bool = Field(
        True, description="Refuse a mail server without STARTTLS; otherwise it is used where it is offered."
    )
    sender_address: Annotated[str, AfterValidator(check_mail_address)] = Field(
        "orders@shop.example", description="E-mail address the confirmations come from."
    )
    recipient_template: Annotated[str, AfterValidator(check_recipient_template)] = Field(
        "{customer_id}@customers.example", description="E-mail address of a customer; {customer_id} is its UUID."
    )

    @model_validator(mode="after")
    def _check_login(self) -> Self:
        passwords = [given for given in (self.smtp_password, self.smtp_password_file) if given is not None]
        if len(passwords) != (0 if self.smtp_username is None else 1):
            raise ValueError("smtp_username needs one of smtp_password and smtp_password_file, and they need it")
        if self.smtp_username and not self.smtp_starttls and not is_loopback(self.smtp_host or "localhost"):
            raise ValueError("a login needs smtp_starttls: the password would cross the network in the clear")
        return self

    def read_smtp_password(self) -> str | None:
        """Return the password, from its file if it is there. Raises OSError."""
        if self.smtp_password_file:
            return self.smtp_password_file.read_text(encoding="utf-8").rstrip("\r\n")
        return self.smtp_password.get_secret_value() if self.smtp_password else None

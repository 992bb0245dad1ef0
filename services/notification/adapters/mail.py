"""The e-mail of a confirmation: one event always gives the same bytes and the same Message-ID."""

from dataclasses import dataclass
from email.message import EmailMessage

from services.notification.api import Notification
from services.notification.domain.confirmation import confirmation_of


@dataclass(frozen=True, slots=True)
class Addresses:
    """E-mail addresses of the sender and of customers; `recipient_template` contains `{customer_id}`."""

    sender: str
    recipient_template: str

    @property
    def domain(self) -> str:
        """Return the sender's domain."""
        return self.sender.rpartition("@")[2]


def mail_of(notification: Notification, addresses: Addresses) -> EmailMessage:
    """Return the e-mail, with the time of the order's completion as its Date."""
    confirmation = confirmation_of(notification)
    mail = EmailMessage()
    mail["From"] = addresses.sender
    mail["To"] = addresses.recipient_template.format(customer_id=notification.customer_id)
    mail["Subject"] = confirmation.subject
    mail["Date"] = notification.occur_time
    mail["Message-ID"] = f"<{notification.event_id}@{addresses.domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(confirmation.body)
    return mail

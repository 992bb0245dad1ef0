"""How does a confirmation look as an e-mail? The same event gives the same bytes, under the same Message-ID."""

from dataclasses import dataclass
from email.message import EmailMessage

from services.notification.api import Notification
from services.notification.domain.confirmation import confirmation_of


@dataclass(frozen=True, slots=True)
class Addresses:
    """Who writes, and to whom: `recipient_template` holds `{customer_id}`."""

    sender: str
    recipient_template: str

    @property
    def domain(self) -> str:
        """The sender's domain."""
        return self.sender.rpartition("@")[2]


def mail_of(notification: Notification, addresses: Addresses) -> EmailMessage:
    """Return the e-mail; its Date is when the order was completed."""
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

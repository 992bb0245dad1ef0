"""Why was a request refused, and which HTTP status says so?"""

from http import HTTPStatus


class ExportRefused(Exception):
    """A request that is not taken; the message is a plain sentence for its sender.

    `status` is the HTTP status; 408 and 503 invite the sender to come back, the others do not.
    """

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def too_large(limit_bytes: int, *, what: str) -> ExportRefused:
    """413 for a body over the limit, as sent or decompressed."""
    return ExportRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the {what} is larger than {limit_bytes:,} bytes")

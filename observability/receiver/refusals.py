"""Error for a request that the receiver refuses, with its HTTP status."""

from http import HTTPStatus


class ExportRefused(Exception):
    """The receiver refuses the request; the message is a sentence for the sender.

    `status` is the HTTP status; the sender should retry after 408 and 503 alone.
    """

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def too_large(limit_bytes: int, *, what: str) -> ExportRefused:
    """Return the refusal (413) of a body over the limit, as sent or decompressed."""
    return ExportRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the {what} is larger than {limit_bytes:,} bytes")

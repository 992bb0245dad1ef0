"""Ids of the traces in an answer of any trace store."""

from io import BytesIO

import orjson

from observability.analysis.readers.documents import spans_of_document
from observability.analysis.readers.fields import Texts
from observability.analysis.readers.unread import UnreadCounter


def trace_ids_in(page: bytes) -> frozenset[str]:
    """Return the ids; an answer may be one JSON value, or one a line. The reader of the files counts the rest."""
    texts, unread = Texts(), UnreadCounter()
    found: set[str] = set()
    for part in _values(page):
        found.update(span.trace_id for span in spans_of_document(part, texts, unread))
    return frozenset(found)


def _values(page: bytes) -> list[object]:
    try:
        return [orjson.loads(page)]
    except ValueError:
        pass  # Not one value: a value a line.
    values = []
    for line in BytesIO(page):
        try:
            values.append(orjson.loads(line))
        except ValueError:
            continue
    return values

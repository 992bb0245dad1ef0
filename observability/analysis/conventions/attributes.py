"""Attributes that have several names: the first that is there counts."""

from observability.analysis.spans import Span


def text_of(span: Span, names: tuple[str, ...]) -> str:
    """Return the first of these attributes that is text and not empty, else nothing."""
    attributes = span.attributes
    for name in names:
        if name in attributes and isinstance(found := attributes[name], str) and found:
            return found
    return ""

"""Lookup of an attribute that has different names in different conventions."""

from observability.analysis.spans import Span


def text_of(span: Span, names: tuple[str, ...]) -> str:
    """Return the first of these attributes that is text and not empty; the empty text without one."""
    attributes = span.attributes
    for name in names:
        if name in attributes and isinstance(found := attributes[name], str) and found:
            return found
    return ""

"""Operation names: a span's name without ids and numbers, so that all spans of an operation have the same name."""

import re
from functools import lru_cache

from observability.analysis.conventions.attributes import text_of
from observability.analysis.conventions.statements import is_statement, without_literals
from observability.analysis.spans import Span, once_per_span

ID = "{id}"
_MOST_NAMES = 1 << 16
# A name without any of these holds no id.
_SUSPECT = re.compile(r"""[0-9'"?@]""")
_QUERY_STRING = re.compile(r"\?[\w.%~+\[\]-]+=\S*")
_QUOTED = re.compile(r"""(?<!\w)'[^']*'(?!\w)|"[^"]*\"""")
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]+\.[\w.-]+")
# Letters beside digits are part of a word, as in v1, s3 and sha256; a part of a path such as 2.0 is a version. A word
# that is mostly digits, a long one with some, or hex with a digit, is an id.
_TOKEN = re.compile(
    r"""(?<![0-9A-Za-z])(?=[A-Za-z]*[0-9])(?:
        [0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}
        | [0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9.]+)?Z?
        | 0[xX][0-9a-fA-F]+
        | (?!(?<=/)[0-9]{1,2}\.[0-9]{1,2}(?=/)) (?<!/[0-9]\.) [0-9]+
        | [0-9a-fA-F]{8,}
        | (?:[A-Za-z]*[0-9]){5}[0-9A-Za-z]*
        | (?=(?:[A-Za-z]*[0-9]){3})[0-9A-Za-z]{20,}
    )(?![0-9A-Za-z])""",
    re.VERBOSE,
)
# Dates, times, addresses and decimal numbers are several tokens.
_TOKENS = re.compile(r"\{id\}(?:[-.:_]\{id\})+")
# Names of HTTP spans that tell nothing but the method.
_METHOD_ALONE = re.compile(r"(?:HTTP )?(?:(GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH)|HTTP|http\.request)")
_METHODS = ("http.request.method", "http.method")
_ROUTES = ("http.route", "url.template", "url.path", "http.target", "url.full", "http.url")
_ORIGIN = re.compile(r"^\w+://[^/?]*")


@once_per_span
def operation_of(span: Span) -> str:
    """Return the name of the span's operation: ids, numbers and quoted text in the span's name become `{id}`.

    An HTTP span that is named by its method alone gets its route, or else the template of its path.
    """
    if (match := _METHOD_ALONE.fullmatch(span.name)) and (route := text_of(span, _ROUTES)):
        method = match[1] or text_of(span, _METHODS) or span.name
        return template(f"{method} {_ORIGIN.sub('', route) or '/'}")
    return template(span.name)


@lru_cache(_MOST_NAMES)
def template(name: str) -> str:
    """Return a name with `{id}` in place of the ids, numbers and quoted texts that differ from call to call."""
    if not _SUSPECT.search(name):
        return name
    if is_statement(name):
        return without_literals(name)
    name = _QUOTED.sub(ID, _QUERY_STRING.sub("", name))
    return _TOKENS.sub(ID, _TOKEN.sub(ID, _EMAIL.sub(ID, name)))

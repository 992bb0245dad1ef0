"""Normalised database statements: without literals and comments, all executions of a statement have the same text."""

import re
from functools import lru_cache

_MOST_STATEMENTS = 1 << 16
# A bulk insert may have megabytes; its first rows say which statement it is.
_MOST_CHARACTERS = 8192
# Of a longer text, both ends are kept: two statements of one table differ in their conditions.
_HEAD, _TAIL = 160, 80
_VERBS = (
    "SELECT|INSERT|UPDATE|DELETE|MERGE|REPLACE|UPSERT|WITH|CALL|EXEC|EXECUTE|BEGIN|START|COMMIT|ROLLBACK|SAVEPOINT|"
    "RELEASE|SET|SHOW|CREATE|ALTER|DROP|TRUNCATE|EXPLAIN|LOCK|COPY|FETCH|PREPARE|VACUUM|ANALYZE|PRAGMA"
)
_VERB = re.compile(rf"[\s(]*({_VERBS})\b", re.IGNORECASE)
_STATEMENT = re.compile(
    r"[\s(]*(?:SELECT\s|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s|MERGE\s+INTO\s|REPLACE\s+INTO\s|"
    r"WITH\s+\S+\s+AS\s|CALL\s+\w)",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)|--[^\n]*", re.DOTALL)
# Literals, which are replaced, and quoted names, in which nothing is replaced.
_TOKEN = re.compile(
    r"""
    (?=[-+/`"'$%@:.0-9])(?:  # Fails fast: most characters begin nothing.
    (?P<comment> /\*.*?(?:\*/|\Z) | --[^\n]* )
    | (?P<name> `[^`]*` | "(?:[^"]|"")*" )
    | '(?:[^'\\]++|''|\\.)*+(?:'|\\?\Z)
    | \$(?P<tag>[A-Za-z_]*)\$.*?(?:\$(?P=tag)\$|\Z)
    | \$\d+ | %\(\w+\)s | %s | (?<!@)@\w+ | (?<![:\w]):[A-Za-z_]\w*
    | \b0[xX][0-9a-fA-F]+
    | (?<![\w)\]"'`.$])[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?!\w)
    )
    """,
    re.VERBOSE | re.DOTALL,
)
_UUID = re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b")
# Some dialects write text in double quotes, others names: what is compared with is text.
_QUOTED_NAME = re.compile(r'"[A-Za-z_][\w$ -]*"')
_COMPARISON = re.compile(r"(?:[=<>]|\bLIKE) ?\Z", re.IGNORECASE)
_COMMENTS = ("/*", "--")
_KEY = re.compile(r"[A-Za-z_]+(?=[:/.])")
_LIST = re.compile(r"\?(?:\s*,\s*\?)+")
# Rows of an INSERT: equal parts in parentheses.
_ROWS = re.compile(r"(\([^()]*(?:\([^()]*\)[^()]*)*\))(?:\s*,\s*\1)+")
# The columns of a long select list tell little.
_COLUMNS = re.compile(r"\b(SELECT(?: DISTINCT)?) (?:(?!FROM\b|SELECT\b)[^()]){60,}? FROM\b", re.IGNORECASE)


def verb_of(text: str) -> str:
    """Return the first word of a statement in capitals; empty when the text does not begin like a statement."""
    if text[:2] in _COMMENTS:
        text = _COMMENT.sub(" ", text[:_MOST_CHARACTERS])
    match = _VERB.match(text)
    return match[1].upper() if match else ""


def is_statement(text: str) -> bool:
    """Return whether a text is a whole statement, and not only a summary such as `SELECT items`."""
    match = _STATEMENT.match(text)
    return match is not None and (match[0].strip(" (").upper() != "SELECT" or " FROM " in text.upper())


@lru_cache(_MOST_STATEMENTS)
def without_literals(text: str) -> str:
    """Return a statement in one line with `?` for each literal and parameter, shortened in the middle.

    Lists of literals and repeated rows count once, comments are left out.
    """
    text = text[:_MOST_CHARACTERS]
    text = _TOKEN.sub(_replaced, _UUID.sub("?", text) if "-" in text else text)
    text = " ".join(text.split()).rstrip("; ")
    if "?" in text and "," in text:
        text = _ROWS.sub(r"\1", _LIST.sub("?", text))
    if len(text) > _HEAD:
        text = _COLUMNS.sub(r"\1 ... FROM", text)
    return text if len(text) <= _HEAD + _TAIL else f"{text[:_HEAD]} ... {text[-_TAIL:]}"


@lru_cache(_MOST_STATEMENTS)
def store_command(text: str) -> str:
    """Return a command of a key-value store with the beginning of its first key, without values."""
    command, _, rest = text.strip().partition(" ")
    key = rest.split(" ", 1)[0].strip("\"'")
    kept = _KEY.match(key)
    return command.upper() + (f" {kept[0]}:?" if kept else " ?" if key else "")


def _replaced(match: re.Match[str]) -> str:
    if match["comment"] is not None:
        return " "
    if (name := match["name"]) is None:
        return "?"
    is_name = name[0] == "`" or _QUOTED_NAME.fullmatch(name)
    before = match.string[max(0, match.start() - 6) : match.start()]
    compared = name[0] == '"' and _COMPARISON.search(before) and match.string[match.end() : match.end() + 1] != "."
    return name if is_name and not compared else "?"

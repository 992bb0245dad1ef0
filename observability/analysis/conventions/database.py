"""Database calls: recognises their spans, and reads the database system and the statement."""

import re
from functools import lru_cache

from observability.analysis.conventions.attributes import text_of
from observability.analysis.conventions.operations import operation_of
from observability.analysis.conventions.statements import is_statement, store_command, verb_of, without_literals
from observability.analysis.spans import Span, SpanKind, once_per_span

# In-memory key-value stores.
STORES = frozenset({"valkey", "redis", "memcached", "keydb", "dragonfly"})
_SYSTEMS = STORES | {
    "cassandra", "clickhouse", "cockroachdb", "couchbase", "couchdb", "db2", "dynamodb", "elasticsearch", "hbase",
    "influxdb", "jdbc", "mariadb", "mongo", "mongodb", "mssql", "mysql", "neo4j", "opensearch", "oracle", "postgres",
    "postgresql", "scylladb", "spanner", "sql", "sqlite", "sqlserver",
}  # fmt: skip

# Stable and old names of OpenTelemetry, then OpenTracing's.
_SYSTEM = ("db.system.name", "db.system", "db.type")
NAMESPACE = ("db.namespace", "db.name", "db.instance", "db.cassandra.keyspace", "db.redis.database_index")
_SUMMARY = ("db.query.summary",)
# The third is used by Brave, HotROD, OpenCensus and Datadog, the fourth by Micrometer, the others by Datadog.
_TEXT = (
    "db.query.text", "db.statement", "sql.query", "jdbc.query[0]", "mongodb.query", "redis.raw_command",
    "memcached.query",
)  # fmt: skip
_OPERATION = ("db.operation.name", "db.operation")
_COLLECTION = (
    "db.collection.name", "db.sql.table", "db.mongodb.collection", "db.cassandra.table", "db.cosmosdb.container",
)  # fmt: skip
# Attributes that name the library or the peer of any call, which may be a database.
_PARTS = ("component", "peer.service")
_WORD = re.compile(r"[a-z0-9]+")
# The wait for a pooled connection: pg-pool.connect of Node.js, pool.acquire of pgx and SQLx, pool.waiting of Datadog,
# HikariDataSource.getConnection of Java, prisma:engine:connection of Prisma, and the like.
_ACQUIRE = re.compile(
    r"pool\w*[._: ](connect|acquire|checkout|get|waiting)|\w*DataSource\.getConnection|prisma:engine:connection",
    re.IGNORECASE,
)
# SQLAlchemy's name, which other libraries give to the opening of a connection: those record no database or a statement.
_CHECKOUT = "connect"
_ACQUIRING_KINDS = frozenset({SpanKind.CLIENT, SpanKind.INTERNAL, SpanKind.UNSPECIFIED})
# What a call with one of these attributes asks is no database, whatever its name.
_OTHER_CALLS = ("http.request.method", "http.method", "rpc.system.name", "rpc.system", "messaging.system")


@once_per_span
def is_database_call(span: Span) -> bool:
    """Return whether a span is a call of a database."""
    if span.kind is not SpanKind.CLIENT:
        return False
    attributes = span.attributes
    return (
        "db.system.name" in attributes
        or "db.system" in attributes
        or looks_like_database_call(span)
        or _models_a_database(span)
    )


def looks_like_database_call(span: Span) -> bool:
    """Return whether a span has the attributes or the name of a database call, whatever its kind."""
    if any(text_of(span, names) for names in (_SYSTEM, _TEXT, _OPERATION)):
        return True
    if any(name in span.attributes for name in _OTHER_CALLS):
        return False
    return any(_system_in(text_of(span, (part,))) for part in _PARTS) or is_statement(span.name)


def _models_a_database(span: Span) -> bool:
    """Return whether the span's service stands for a database, as hand-made spans of a client do."""
    return bool(_system_in(span.service)) and not any(name in span.attributes for name in _OTHER_CALLS)


@once_per_span
def database_system(span: Span) -> str:
    """Return the name of the database system in lower case; empty when it is unknown."""
    if named := text_of(span, _SYSTEM):
        return named.lower()
    named = next((found for part in _PARTS if (found := _system_in(text_of(span, (part,))))), "")
    return named or _system_in(span.service)


def namespace_of(span: Span) -> str:
    """Return the name of the database; empty when it is unknown."""
    return text_of(span, NAMESPACE)


@once_per_span
def summary_of(span: Span) -> str:
    """Return what identifies a statement: its summary, or else its text, both without literals, or else its name."""
    if summary := text_of(span, _SUMMARY):
        return without_literals(summary)
    text = text_of(span, _TEXT)
    if text and database_system(span) in STORES:
        return store_command(text)
    if text and verb_of(text):
        return without_literals(text)
    named = " ".join(filter(None, (text_of(span, _OPERATION), text_of(span, _COLLECTION))))
    if text and named:
        # The summary, because the text is a document (as of MongoDB) whose form differs from call to call.
        return without_literals(named)
    return without_literals(text) if text else operation_of(span)


@once_per_span
def name_of(span: Span) -> str:
    """Return the name of a call's operation: the statement of a database call, else the template of the span's name."""
    return summary_of(span) if is_database_call(span) else operation_of(span)


@once_per_span
def acquires_a_connection(span: Span) -> bool:
    """Return whether a span is the wait for a connection of a pool, by the names that instrumentations give it."""
    if span.kind not in _ACQUIRING_KINDS:
        return False
    return _is_checkout(span) if span.name == _CHECKOUT else _ACQUIRE.search(span.name) is not None


def _is_checkout(span: Span) -> bool:
    return bool(text_of(span, _SYSTEM)) and not text_of(span, (*_TEXT, *_OPERATION))


def executes_a_statement(span: Span) -> bool:
    """Return whether a span is a database call that neither gets a connection nor begins or ends a transaction."""
    return is_database_call(span) and not is_transaction_control(span) and not acquires_a_connection(span)


def is_transaction_control(span: Span) -> bool:
    """Return whether a database span only begins or ends a transaction."""
    return _verb(span) in {"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "START"}


def begins_a_transaction(span: Span) -> bool:
    """Return whether a database span begins a transaction."""
    return _verb(span) in {"BEGIN", "START"}


def ends_a_transaction(span: Span) -> bool:
    """Return whether a database span ends a transaction."""
    return _verb(span) in {"COMMIT", "ROLLBACK"}


def ends_a_change(span: Span) -> bool:
    """Return whether a database span makes a change durable: a COMMIT, or a write outside a transaction."""
    return _verb(span) in {"COMMIT", "INSERT", "UPDATE", "DELETE", "MERGE"}


@once_per_span
def _verb(span: Span) -> str:
    """Return the first word of what is asked, in capitals."""
    operation = text_of(span, _OPERATION)
    return (operation or verb_of(text_of(span, _TEXT)) or span.name).split(" ", 1)[0].upper()


@lru_cache(1 << 12)
def _system_in(text: str) -> str:
    """Return the database system that a text names as one of its words, else nothing."""
    return next((word for word in _WORD.findall(text.lower()) if word in _SYSTEMS), "")

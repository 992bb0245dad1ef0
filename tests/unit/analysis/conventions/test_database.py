"""Classification of database calls, in the attributes of many instrumentations."""

from dataclasses import replace

import pytest

from observability.analysis.conventions.database import (
    acquires_a_connection,
    ends_a_change,
    executes_a_statement,
    is_database_call,
    is_transaction_control,
    namespace_of,
    summary_of,
)
from observability.analysis.spans import Attribute, Span, SpanKind
from tests.each import for_each
from tests.unit.analysis.seeing import call, query

Attributes = dict[str, Attribute]

_SELECT = "SELECT * FROM users WHERE id = 42"
_SELECTED = "SELECT * FROM users WHERE id = ?"
# A database call as many record it, and the summary of its statement.
CALLS: dict[str, tuple[str, Attributes, str]] = {
    "OpenTelemetry": ("SELECT", {"db.system.name": "postgresql", "db.query.text": _SELECT}, _SELECTED),
    "OpenTelemetry with a summary": (
        "SELECT",
        {"db.system.name": "mysql", "db.query.summary": "SELECT users"},
        "SELECT users",
    ),
    "OpenTelemetry before 2025": ("SELECT app", {"db.system": "postgresql", "db.statement": _SELECT}, _SELECTED),
    "OpenTelemetry without a statement": (
        "users.find",
        {"db.system": "mongodb", "db.operation": "find"},
        "users.find",
    ),
    "OpenTelemetry with a document": (
        "find app.users",
        {
            "db.system": "mongodb",
            "db.statement": '{"find": "users", "_id": 7}',
            "db.operation": "find",
            "db.mongodb.collection": "users",
        },
        "find users",
    ),
    "OpenTracing": ("Query", {"component": "java-jdbc", "db.type": "sql", "db.statement": _SELECT}, _SELECTED),
    "OpenTracing without a statement": ("Query", {"component": "java-redis", "peer.service": "redis"}, "Query"),
    "HotROD": ("SQL SELECT", {"peer.service": "mysql", "sql.query": _SELECT}, _SELECTED),
    "OpenCensus and Brave": ("sql:query", {"sql.query": _SELECT}, _SELECTED),
    "Micrometer": ("query", {"jdbc.query[0]": _SELECT, "jdbc.row-count": "1"}, _SELECTED),
    "Datadog": ("redis.command", {"component": "redis", "redis.raw_command": "GET user:42"}, "GET user:?"),
    "a cache": ("GET", {"db.system": "redis", "db.statement": "SET user:42 alice"}, "SET user:?"),
    "a statement as the name": (_SELECT, {}, _SELECTED),
}

OTHER_CALLS: list[Attributes] = [
    {},
    {"http.request.method": "GET", "peer.service": "redis"},
    {"rpc.system": "grpc", "component": "sql"},
    {"peer.service": "orders"},
]

# Statements of one form, in several spellings.
SAME: dict[str, tuple[str, ...]] = {
    "SELECT a FROM t WHERE x IN (?)": (
        "SELECT a FROM t WHERE x IN (1, 2,3)",
        "SELECT a\n  FROM t -- comment\n WHERE x IN ('it''s')",
        "/*traceparent='00-1'*/ SELECT a FROM t WHERE x IN ($1, $2);",
        "SELECT a FROM t WHERE x IN (:a, @b, %s, %(c)s, ?)",
        "SELECT a FROM t WHERE x IN (-1.5e3, 0xFF, .5)",
    ),
    "INSERT INTO t (a, b) VALUES (?)": (
        "INSERT INTO t (a, b) VALUES (1, 'x')",
        "INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y'), (3, 'z')",
    ),
    'SELECT "u"."id" FROM "u" WHERE "u"."id" = ?': (
        'SELECT "u"."id" FROM "u" WHERE "u"."id" = 1',
        'SELECT "u"."id" FROM "u" WHERE "u"."id" = "bob"',
        'SELECT "u"."id" FROM "u" WHERE "u"."id" = 6fa459ea-ee8a-3ca4-894e-db77e160355e',
    ),
    "UPDATE t1 SET a = ?": ("UPDATE t1 SET a = 'cut off", "UPDATE t1 SET a = $tag$ it's $tag$"),
    "SELECT x::int, @@v, `a 1` FROM t": ("SELECT x::int, @@v, `a 1` FROM t",),
    "SELECT items FOR UPDATE": ("SELECT items FOR UPDATE",),
}


@for_each(CALLS)
def test_a_database_call_is_recognised_and_summarised(name: str) -> None:
    operation, attributes, summary = CALLS[name]
    span = replace(call(operation, 0, 1).span, attributes=attributes)
    assert is_database_call(span)
    assert summary_of(span) == summary


@for_each([(wanted, text) for wanted, texts in SAME.items() for text in texts])
def test_statements_that_differ_in_literals_have_one_summary(case: tuple[str, str]) -> None:
    wanted, text = case
    assert summary_of(replace(query("query", 0, 1).span, attributes={"db.query.text": text})) == wanted


def test_the_columns_of_a_long_select_list_are_left_out() -> None:
    columns = ", ".join(f"t.column_{number} AS t_column_{number}" for number in range(40))
    text = f"SELECT {columns} FROM t WHERE t.id = 5"
    assert (
        summary_of(replace(query("query", 0, 1).span, attributes={"db.statement": text}))
        == "SELECT ... FROM t WHERE t.id = ?"
    )


def test_a_long_statement_keeps_both_ends() -> None:
    text = "UPDATE t SET " + " AND ".join(f"column_{number} = b" for number in range(40)) + " WHERE c = 1"
    summary = summary_of(replace(query("query", 0, 1).span, attributes={"db.statement": text}))
    assert summary.startswith("UPDATE t SET column_0 = b")
    assert summary.endswith(" WHERE c = ?")
    assert len(summary) < len(text) / 2


@for_each(OTHER_CALLS)
def test_a_call_of_something_else_is_no_database_call(attributes: Attributes) -> None:
    assert not is_database_call(replace(call("SELECT", 0, 1).span, attributes=attributes))


def test_a_call_of_a_service_that_is_named_like_a_database_is_one() -> None:
    assert is_database_call(call("GetDriver", 0, 1, service="redis-manual").span)
    assert not is_database_call(call("GetDriver", 0, 1, service="drivers").span)


def test_only_calls_can_be_database_calls() -> None:
    assert not is_database_call(replace(query("SELECT", 0, 1).span, kind=SpanKind.SERVER))


@for_each(["db.namespace", "db.name", "db.instance"])
def test_the_database_has_a_name(attribute: str) -> None:
    assert namespace_of(replace(query("SELECT", 0, 1).span, attributes={attribute: "main"})) == "main"


@pytest.mark.parametrize("name", ["BEGIN", "commit", "ROLLBACK TO here", "SAVEPOINT here", "START TRANSACTION"])
def test_transaction_bounds_are_recognised_by_the_first_word(name: str) -> None:
    assert is_transaction_control(query(name, 0, 1).span)


def test_the_operation_counts_before_the_name() -> None:
    assert is_transaction_control(_with({"db.operation.name": "COMMIT"}, name="main"))
    assert not is_transaction_control(_with({"db.operation.name": "SELECT"}, name="COMMIT"))


def test_the_statement_counts_before_the_name() -> None:
    assert is_transaction_control(_with({"db.statement": "/* app */ commit"}, name="main"))
    assert ends_a_change(_with({"db.statement": "UPDATE things SET a = 1"}, name="main"))


@pytest.mark.parametrize("name", ["COMMIT", "INSERT things", "update things", "DELETE things", "MERGE INTO things"])
def test_a_commit_and_a_change_make_a_change_last(name: str) -> None:
    assert ends_a_change(query(name, 0, 1).span)


@pytest.mark.parametrize("name", ["SELECT things", "BEGIN", "ROLLBACK"])
def test_reading_and_giving_up_change_nothing(name: str) -> None:
    assert not ends_a_change(query(name, 0, 1).span)


def _with(attributes: Attributes, *, name: str) -> Span:
    return replace(query(name, 0, 1).span, attributes=attributes)


_POOLED: Attributes = {"db.system": "postgresql", "db.name": "app"}


@pytest.mark.parametrize(
    "name",
    [
        "connect",
        "pg-pool.connect",
        "pgxpool.acquire",
        "sqlx.pool.acquire",
        "pool.waiting",
        "HikariDataSource.getConnection",
        "prisma:engine:connection",
    ],
)
def test_the_wait_for_a_pooled_connection_is_no_statement(name: str) -> None:
    span = _with(_POOLED, name=name)
    assert acquires_a_connection(span)
    assert not executes_a_statement(span)


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        # ioredis of Node.js, a call of something else, and the opening of a connection below the wait for it.
        ("connect", {"db.system": "redis", "db.statement": "connect"}),
        ("connect", {"rpc.system": "grpc"}),
        ("connect", {}),
        ("pg.connect", _POOLED),
        ("reconnect", _POOLED),
    ],
)
def test_other_connections_are_no_wait_for_a_pool(name: str, attributes: Attributes) -> None:
    assert not acquires_a_connection(_with(attributes, name=name))

"""Idempotency keys: the key and digest of a request, inserted in the transaction of its effect.

A naive version looks the key up first and inserts it after the effect: two concurrent calls then both take effect.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from hashlib import sha256
from uuid import UUID

import orjson

from services.infra.postgres import Database, Transaction
from services.infra.postgres_errors import LockTimeout
from services.kernel.errors import IdempotencyInProgress, RequestIdReused, Unavailable
from services.kernel.fields import ALWAYS_DIGESTED

RETRY_AFTER_SECONDS = 1.0
# Length of a digest of form 1; later forms have one more byte in front, the number of the form.
DIGEST_BYTES = 32

# Purpose: one row per key, for ever; the second of two concurrent calls waits for the first.
INSERT = """
    INSERT INTO idempotency_keys (scope, request_id, digest, resource_id) VALUES ($1, $2, $3, $4)
    ON CONFLICT (scope, request_id) DO NOTHING RETURNING resource_id"""
INSERT_IN_SHARD = """
    INSERT INTO idempotency_keys (scope, request_id, digest, resource_id, logical_shard) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (scope, request_id, logical_shard) DO NOTHING RETURNING resource_id"""


def first_form(command: object) -> bytes:
    """Return the SHA-256 of a command's type and of the fields that identify its content.

    Left out are fields with `compare=False`, which concern the answer and may differ in a repeat, and fields with their
    default value: a command that was stored before such a field existed is the same command.
    """
    # asyncpg's UUIDs are a subclass that orjson does not know; as text they are the same.
    content = orjson.dumps(command, default=as_plain, option=orjson.OPT_PASSTHROUGH_DATACLASS)
    return sha256(type(command).__name__.encode() + content).digest()


def as_plain(value: object) -> object:
    """Return a dataclass as a dictionary of its digested fields, and any other value as text."""
    if not is_dataclass(value) or isinstance(value, type):
        return str(value)
    always, by_default = digested_fields(type(value))
    content = {name: getattr(value, name) for name in always}
    return content | {name: getattr(value, name) for name, default in by_default if getattr(value, name) != default}


@cache
def digested_fields(kind: type) -> tuple[list[str], list[tuple[str, object]]]:
    """Return the fields that are always digested, and each field that is left out at its default, with that default."""
    compared = [field for field in fields(kind) if field.compare]
    always = [field for field in compared if field.default is MISSING or field.metadata == ALWAYS_DIGESTED]
    return [field.name for field in always], [(field.name, field.default) for field in compared if field not in always]


# A form never changes, since stored rows hold digests of it. A new form is added here, and written only once every
# process knows it. tests/unit/infra/golden has a digest of each command.
FORMS: Mapping[int, Callable[[object], bytes]] = {1: first_form}


def matches(digest: bytes, command: object) -> bool:
    """Return whether a stored digest is that of a command, computed in the form of the stored one.

    Raises Unavailable for a form that only a newer version of this service knows.
    """
    form = 1 if len(digest) == DIGEST_BYTES else digest[0]
    if form not in FORMS:
        raise Unavailable(RETRY_AFTER_SECONDS)
    return digest[-DIGEST_BYTES:] == FORMS[form](command)


async def claim(
    transaction: Transaction,
    *,
    scope: str,
    request_id: str,
    command: object,
    resource_id: UUID,
    logical_shard: int | None = None,
) -> UUID | None:
    """Insert the key; return None when it is new, else the resource id of the first call with it.

    The table of a sharded database has a column for the logical shard, which depends on the scope alone. A second call
    waits here until the first has committed. Raises RequestIdReused when the content differs, and IdempotencyInProgress
    when the first call holds the key for longer than the role's lock_timeout.
    """
    digest = first_form(command)
    insert = INSERT if logical_shard is None else INSERT_IN_SHARD
    arguments = (scope, request_id, digest, resource_id, *(() if logical_shard is None else (logical_shard,)))
    try:
        inserted = await transaction.fetch("INSERT idempotency_keys", insert, *arguments)
    except LockTimeout as error:
        raise IdempotencyInProgress from error
    if inserted:
        return None
    found = await find(transaction, scope=scope, request_id=request_id, command=command)
    assert found is not None, "keys are never deleted"
    return found


async def find(reader: Transaction | Database, *, scope: str, request_id: str, command: object) -> UUID | None:
    """Return the resource id of the first call with the key; None for a key that no call has stored.

    Raises RequestIdReused when the content differs.
    """
    # Purpose: digest and resource of the first call with this key.
    select = "SELECT digest, resource_id FROM idempotency_keys WHERE scope = $1 AND request_id = $2"
    rows = await reader.fetch("SELECT idempotency_keys", select, scope, request_id)
    if not rows:
        return None
    if not matches(rows[0]["digest"], command):
        raise RequestIdReused
    found: UUID = rows[0]["resource_id"]
    return found

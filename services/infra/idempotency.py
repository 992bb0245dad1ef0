"""Idempotency keys: a request's key and digest, inserted in the transaction of its effect.

The naive version looks the key up first and inserts it after the effect: two calls at once then both take effect.
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
# A digest of the first form is these bytes alone; one of a later form has the number of the form before them.
DIGEST_BYTES = 32


def first_form(command: object) -> bytes:
    """Return the SHA-256 of a command's type, and of those of its fields that tell commands apart.

    Left out are fields with `compare=False`, which are about the answer and may differ in a repeat, and fields that
    have their default: a command that was stored before there was such a field is the same command.
    """
    # asyncpg's UUIDs are a subclass that orjson does not know; as text they are the same.
    content = orjson.dumps(command, default=plain, option=orjson.OPT_PASSTHROUGH_DATACLASS)
    return sha256(type(command).__name__.encode() + content).digest()


def plain(value: object) -> object:
    """Return a dataclass as a dictionary of the fields that count, and everything else as text."""
    if not is_dataclass(value) or isinstance(value, type):
        return str(value)
    always, by_default = counted(type(value))
    content = {name: getattr(value, name) for name in always}
    return content | {name: getattr(value, name) for name, default in by_default if getattr(value, name) != default}


@cache
def counted(kind: type) -> tuple[list[str], list[tuple[str, object]]]:
    """Return the fields of a dataclass that are always digested, and with its default each that is left out with it."""
    those = [field for field in fields(kind) if field.compare]
    always = [field for field in those if field.default is MISSING or field.metadata == ALWAYS_DIGESTED]
    return [field.name for field in always], [(field.name, field.default) for field in those if field not in always]


# A form is never changed: rows hold digests of it. A better one is added here, and its number put before its digests
# once every process knows it. tests/unit/infra/golden has a digest of each command.
FORMS: Mapping[int, Callable[[object], bytes]] = {1: first_form}


def matches(digest: bytes, command: object) -> bool:
    """Say whether a stored digest is that of a command, in the form in which it was stored.

    Raises Unavailable for a form that only a newer version knows: it must be asked.
    """
    form = 1 if len(digest) == DIGEST_BYTES else digest[0]
    if form not in FORMS:
        raise Unavailable(RETRY_AFTER_SECONDS)
    return digest[-DIGEST_BYTES:] == FORMS[form](command)


async def claim(
    transaction: Transaction, *, scope: str, request_id: str, command: object, resource_id: UUID
) -> UUID | None:
    """Insert the key; return None when it is new, else the resource id of the first call with it.

    A second call waits here until the first has committed. Raises RequestIdReused when the content differs, and
    IdempotencyInProgress when the first call holds the key for longer than the role's lock_timeout.
    """
    digest = first_form(command)
    # Purpose: one row a key, for ever; the second of two calls at once waits for the first.
    insert = """
        INSERT INTO idempotency_keys (scope, request_id, digest, resource_id) VALUES ($1, $2, $3, $4)
        ON CONFLICT (scope, request_id) DO NOTHING RETURNING resource_id"""
    try:
        inserted = await transaction.fetch("INSERT idempotency_keys", insert, scope, request_id, digest, resource_id)
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
    # Purpose: what the first call with this key was about.
    select = "SELECT digest, resource_id FROM idempotency_keys WHERE scope = $1 AND request_id = $2"
    rows = await reader.fetch("SELECT idempotency_keys", select, scope, request_id)
    if not rows:
        return None
    if not matches(rows[0]["digest"], command):
        raise RequestIdReused
    found: UUID = rows[0]["resource_id"]
    return found

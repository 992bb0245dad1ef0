"""Idempotency keys: a request's key and digest, inserted in the transaction of its effect.

The naive version looks the key up first and inserts it after the effect: two calls at once then both take effect.
"""

from dataclasses import fields, is_dataclass
from hashlib import sha256
from uuid import UUID

import orjson

from services.infra.postgres import Database, Transaction
from services.infra.postgres_errors import LockTimeout
from services.kernel.errors import IdempotencyInProgress, RequestIdReused


def digest(command: object) -> bytes:
    """Return the SHA-256 of a command in canonical form: its type, and in order those of its fields that are compared.

    A field with `compare=False` is about the answer: it may differ in a repeat.
    """
    assert is_dataclass(command)
    content = {field.name: getattr(command, field.name) for field in fields(command) if field.compare}
    # asyncpg's UUIDs are a subclass that orjson does not know; as text they are the same.
    return sha256(type(command).__name__.encode() + orjson.dumps(content, default=str)).digest()


async def claim(
    transaction: Transaction, *, scope: str, request_id: str, command: object, resource_id: UUID
) -> UUID | None:
    """Insert the key; return None when it is new, else the resource id of the first call with it.

    A second call waits here until the first has committed. Raises RequestIdReused when the content differs, and
    IdempotencyInProgress when the first call holds the key for longer than the role's lock_timeout.
    """
    body = digest(command)
    # Purpose: one row a key, for ever; the second of two calls at once waits for the first.
    insert = """
        INSERT INTO idempotency_keys (scope, request_id, digest, resource_id) VALUES ($1, $2, $3, $4)
        ON CONFLICT (scope, request_id) DO NOTHING RETURNING resource_id"""
    try:
        inserted = await transaction.fetch("INSERT idempotency_keys", insert, scope, request_id, body, resource_id)
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
    if rows[0]["digest"] != digest(command):
        raise RequestIdReused
    found: UUID = rows[0]["resource_id"]
    return found

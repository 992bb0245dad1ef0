"""Translation of the driver's errors."""

import asyncpg
import pytest

from services.infra.postgres_errors import LockTimeout, TransactionAborted, translated
from services.kernel.errors import DeadlineExceeded, Overloaded, ServiceError, Unavailable


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (asyncpg.LockNotAvailableError("lock timeout"), LockTimeout),
        (asyncpg.SerializationError("could not serialize access"), TransactionAborted),
        (asyncpg.DeadlockDetectedError("deadlock detected"), TransactionAborted),
        (asyncpg.TooManyConnectionsError("too many clients"), Overloaded),
        (TimeoutError(), DeadlineExceeded),
        (asyncpg.QueryCanceledError("statement timeout"), DeadlineExceeded),
        (ConnectionResetError(), Unavailable),
        (asyncpg.ConnectionDoesNotExistError("connection was closed"), Unavailable),
        (asyncpg.AdminShutdownError("terminating connection"), Unavailable),
        (asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction"), Unavailable),
        (asyncpg.InterfaceError("connection is closed"), Unavailable),
        # The server has said that it ends, and has not hung up yet.
        (asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress"), Unavailable),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_that_is_no_bug_is_translated(error: Exception, meaning: type[ServiceError]) -> None:
    with pytest.raises(ServiceError) as caught, translated():
        raise error
    assert type(caught.value) is meaning


@pytest.mark.parametrize("error", [asyncpg.DataError("invalid input"), asyncpg.UndefinedTableError("no such table")])
def test_a_bug_passes_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)), translated():
        raise error

"""Translation of the PostgreSQL driver's errors; an error that is not named here is a bug and passes unchanged."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from services.kernel.errors import DeadlineExceeded, Overloaded, Unavailable

RETRY_AFTER_SECONDS = 1.0


class LockTimeout(Overloaded):
    """A row was locked for longer than lock_timeout, so the transaction was rolled back."""


class TransactionAborted(Overloaded):
    """PostgreSQL rolled the transaction back to resolve a conflict with another."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise the kernel's error for each error of the driver.

    Unavailable does not say whether the statement took effect: a connection lost during COMMIT leaves that open.
    """
    try:
        yield
    except asyncpg.LockNotAvailableError as error:
        raise LockTimeout(RETRY_AFTER_SECONDS) from error
    except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError) as error:
        raise TransactionAborted(RETRY_AFTER_SECONDS) from error
    except asyncpg.InsufficientResourcesError as error:
        raise Overloaded(RETRY_AFTER_SECONDS) from error
    except (TimeoutError, asyncpg.QueryCanceledError) as error:
        raise DeadlineExceeded from error
    except asyncpg.InternalClientError as error:
        # A server announces its end before it closes the connection; a statement sent in between fails like this.
        raise Unavailable(RETRY_AFTER_SECONDS) from error
    except asyncpg.DataError:  # a subclass of InterfaceError, but caused by our arguments: a bug
        raise
    except (
        OSError,
        asyncpg.PostgresConnectionError,
        # A write came to a standby: the primary was demoted, and we are still connected to it.
        asyncpg.ReadOnlySQLTransactionError,
        asyncpg.OperatorInterventionError,
        asyncpg.InterfaceError,
    ) as error:
        raise Unavailable(RETRY_AFTER_SECONDS) from error

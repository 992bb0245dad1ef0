"""Addresses of databases: another login on the same server."""

import pytest

from services.local.servers.databases import replace_login


@pytest.mark.parametrize(
    ("admin", "expected"),
    [
        ("postgresql://admin:a@host:5433/postgres", "postgresql://order:p@host:5433/order"),
        ("postgres://host/postgres?sslmode=require", "postgres://order:p@host/order?sslmode=require"),
        ("postgresql://admin@[::1]:5432/", "postgresql://order:p@[::1]:5432/order"),
        ("postgresql:///postgres?host=/run&user=admin&password=a", "postgresql://order:p@/order?host=%2Frun"),
    ],
)
def test_the_login_changes_and_the_server_stays(admin: str, expected: str) -> None:
    assert replace_login(admin, user="order", password="p", database="order") == expected

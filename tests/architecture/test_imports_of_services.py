"""A service imports, before it reads its settings, nothing that only some settings need."""

import subprocess
import sys

import pytest

# With what asks for it: a bus of NATS, a cache, mail over SMTP, and spans that leave over gRPC.
ASKED_FOR = {"nats", "valkey", "aiosmtplib", "opentelemetry.exporter.otlp.proto.grpc"}
# What no migration needs.
OF_SERVING = {"grpc", "fastapi", "uvicorn", "opentelemetry.sdk", "structlog", "prometheus_client"}


def modules_after(module: str) -> set[str]:
    """Return the modules that a fresh Python has imported after it imported this one."""
    program = f"import sys; import {module}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


@pytest.mark.parametrize("name", ["order", "inventory", "notification", "monolith"])
def test_a_service_imports_only_what_its_settings_ask_for(name: str) -> None:
    assert not modules_after(f"services.{name}.__main__") & ASKED_FOR


@pytest.mark.parametrize("name", ["order", "inventory", "notification"])
def test_a_migration_imports_no_service(name: str) -> None:
    assert not modules_after(f"services.{name}.migrate") & (ASKED_FOR | OF_SERVING)

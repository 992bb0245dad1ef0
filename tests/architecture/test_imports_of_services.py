"""Checks that optional dependencies are not imported when a service, the receiver or a migration is imported."""

import subprocess
import sys

# With what asks for it: a bus of NATS, a cache, mail over SMTP, and spans that leave over gRPC.
ASKED_FOR = {"nats", "valkey", "aiosmtplib", "opentelemetry.exporter.otlp.proto.grpc"}
# What no migration needs.
OF_SERVING = {"grpc", "fastapi", "uvicorn", "opentelemetry.sdk", "structlog", "prometheus_client"}


def modules_after(*modules: str) -> set[str]:
    """Return the modules that a fresh Python has imported after it imported these."""
    program = f"import sys; import {', '.join(modules)}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


def test_a_service_imports_only_what_its_settings_need() -> None:
    services = ("order", "inventory", "notification", "monolith")
    assert not modules_after(*(f"services.{name}.__main__" for name in services)) & ASKED_FOR


def test_a_receiver_that_does_not_forward_imports_no_client() -> None:
    assert not modules_after("observability.receiver.__main__") & {"aiohttp", "grpc", *ASKED_FOR}


def test_a_migration_imports_no_service() -> None:
    services = ("order", "inventory", "notification")
    assert not modules_after(*(f"services.{name}.migrate" for name in services)) & (ASKED_FOR | OF_SERVING)

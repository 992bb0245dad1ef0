"""Stand-in images for those that cannot be pulled, made of Debian's packages and of programs built here.

Not the real images: other builds and versions of the same programs, at the places where the real ones have them.
"""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.stack import programs
from tests.stack.engine import Engine
from tests.stack.kept import kept

PACKAGES = (
    "busybox",
    "ca-certificates",
    "postgresql",
    "prometheus",
    "prometheus-alertmanager",
    "prometheus-postgres-exporter",
    "python3",
    "python3-pip",
    "python3-venv",
)
RELEASE = "bookworm"
PYTHON = "stand-in/python:3.11"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
BOOTSTRAP_SECONDS = 900
# There is no stand-in for these.
ABSENT = {"loki", "grafana"}
# A build of this machine fetches packages, and believes whom this machine believes.
PYTHON_DOCKERFILE = f"""FROM stand-in/debian:{RELEASE}
COPY ca-certificates.crt {CERTIFICATES}
"""
DOCKERFILE = f"""FROM {PYTHON}
RUN ln -sf /usr/lib/postgresql/*/bin/* /usr/local/bin/ && \\
    ln -s /usr/bin/prometheus-alertmanager /usr/bin/alertmanager && \\
    ln -s /usr/bin/prometheus-postgres-exporter /usr/bin/postgres_exporter && \\
    ln -s /bin/busybox /usr/local/bin/wget && \\
    ln -s /bin/busybox /usr/local/bin/nc && \\
    usermod --uid 999 postgres && \\
    install -d -o 999 -g 999 -m 700 /var/lib/postgresql/data && \\
    install -d -o 65534 -g 65534 /prometheus /alertmanager
COPY nats-server valkey-server /usr/local/bin/
COPY jaeger /cmd/jaeger/jaeger-linux
COPY collector /otelcol-contrib
"""


def make_stand_ins(engine: Engine, services: dict[str, Any], folder: Path) -> list[str]:
    """Give the engine an image under each name that docker-compose.yml pulls; return the names."""
    # One waits for the network, the others need the processor.
    with ThreadPoolExecutor(1) as bootstrap:
        debian = bootstrap.submit(kept, "debian", f"{RELEASE} {' '.join(PACKAGES)}", _bootstrap)
        built = {
            "nats-server": programs.nats_server(),
            "valkey-server": programs.valkey_server(),
            "jaeger": programs.jaeger(),
            "collector": programs.collector(),
        }
        tar = debian.result() / "debian.tar"
    base = f"stand-in/debian:{RELEASE}"
    # The name of the cache's folder says what is in the image: the same one need not be brought in again.
    if tar.parent.name not in engine.run("docker", "images", "--format", "{{.Tag}}", "stand-in/debian"):
        engine.run("docker", "import", tar, f"stand-in/debian:{tar.parent.name}")
    engine.run("docker", "tag", f"stand-in/debian:{tar.parent.name}", base)
    shutil.copy(CERTIFICATES, folder / "ca-certificates.crt")
    for name, program in built.items():
        shutil.copy(program, folder / name)
    _build(engine, folder, PYTHON_DOCKERFILE, PYTHON)
    _build(engine, folder, DOCKERFILE, "stand-in/services:1.0")
    names = {service["image"] for name, service in services.items() if "build" not in service and name not in ABSENT}
    for name in names:
        engine.run("docker", "tag", "stand-in/services:1.0", name)
    return sorted(names)


def _build(engine: Engine, folder: Path, dockerfile: str, tag: str) -> None:
    (folder / "Dockerfile").write_text(dockerfile, encoding="utf-8")
    engine.run("docker", "build", "--quiet", "--tag", tag, folder)


def _bootstrap(folder: Path) -> None:
    """Debian with these packages, as a tar; PostgreSQL's own cluster would only take room."""
    settings = '"$1/etc/postgresql-common"'
    hook = f"mkdir -p {settings} && echo create_main_cluster=false >{settings}/createcluster.conf"
    command = [programs.need("mmdebstrap"), "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    programs.run(
        [*command, f"--essential-hook={hook}", RELEASE, folder / "debian.tar"], timeout=BOOTSTRAP_SECONDS, folder=folder
    )

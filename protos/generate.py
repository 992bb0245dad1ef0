"""Generation of protos/gen from the .proto files, and the check that it is current.

    python protos/generate.py            write protos/gen
    python protos/generate.py --check    list stale files, write nothing, exit 1 if there are any
    python protos/generate.py --lint     lint the .proto files with buf

Works without a network: the compiler and Google's protos come from installed packages.
"""

import argparse
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

SOURCES = Path(__file__).resolve().parent
GENERATED = SOURCES / "gen"


class CompilerError(Exception):
    """The protobuf compiler rejected the .proto files; it has printed the reasons to stderr."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the three jobs above; return the exit code."""
    parser = argparse.ArgumentParser(description="Generate protos/gen from the .proto files.")
    job = parser.add_mutually_exclusive_group()
    job.add_argument("--check", action="store_true", help="only list stale files; exit 1 if there are any")
    job.add_argument("--lint", action="store_true", help="lint the .proto files with buf")
    options = parser.parse_args(arguments)
    try:
        if options.lint:
            return lint()
        fresh = generated_files()
    except CompilerError as error:
        print(error, file=sys.stderr)
        return 1
    stale = stale_files(fresh)
    if options.check:
        print("\n".join(f"stale: protos/gen/{path}" for path in stale) or "protos/gen is current.")
        return 1 if stale else 0
    for path in stale:
        _write(GENERATED / path, fresh.get(path))
    print(f"protos/gen: {len(fresh)} files, {len(stale)} changed.")
    return 0


def generated_files() -> dict[Path, bytes]:
    """Return the files that protos/gen should hold: content by path in protos/gen."""
    with tempfile.TemporaryDirectory(prefix="plumbline-protos-") as folder:
        scripts = Path(sysconfig.get_path("scripts"))
        _compile(
            *(f"--plugin=protoc-gen-{name}={scripts / f'protoc-gen-{name}'}" for name in ("mypy", "mypy_grpc")),
            *(f"--{output}_out={folder}" for output in ("python", "grpc_python")),
            *(f"--{output}_out=quiet:{folder}" for output in ("mypy", "mypy_grpc")),
        )
        root = Path(folder)
        written = {path.relative_to(root): path.read_bytes() for path in root.rglob("*.py*")}
    packages = {parent for path in written for parent in path.parents if parent != Path()}
    for package in packages:
        name = ".".join(package.parts)
        written[package / "__init__.py"] = f'"""Generated from the .proto files of {name}: make protos."""\n'.encode()
    return written


def stale_files(fresh: dict[Path, bytes]) -> list[Path]:
    """Return the paths in protos/gen that are missing, differ from `fresh`, or should not exist; sorted."""
    committed = {
        path.relative_to(GENERATED): path.read_bytes()
        for path in GENERATED.rglob("*")
        if path.suffix in {".py", ".pyi"}
    }
    return sorted(path for path in committed.keys() | fresh.keys() if committed.get(path) != fresh.get(path))


def lint() -> int:
    """Run `buf lint` with protos/buf.yaml; return its exit code.

    It reads a self-contained image with comments, so that buf needs no registry for Google's protos.
    """
    with tempfile.TemporaryDirectory(prefix="plumbline-protos-") as folder:
        image = Path(folder) / "shop.binpb"
        _compile("--include_imports", "--include_source_info", f"--descriptor_set_out={image}")
        buf = Path(sysconfig.get_path("scripts")) / "buf"
        return subprocess.run([buf, "lint", image, "--config", SOURCES / "buf.yaml"], check=False).returncode


def _compile(*outputs: str) -> None:
    protos = sorted(path.relative_to(SOURCES).as_posix() for path in SOURCES.glob("shop/**/*.proto"))
    well_known = files("grpc_tools") / "_proto"
    googleapis = sysconfig.get_path("purelib")
    folders = [f"-I{folder}" for folder in (SOURCES, googleapis, well_known)]
    if protoc.main(["protoc", *folders, *outputs, *protos]) != 0:
        raise CompilerError("The protobuf compiler failed: correct the errors above, then run make protos.")


def _write(path: Path, content: bytes | None) -> None:
    """Write the file atomically, since another process may import it meanwhile; None removes the file."""
    if content is None:
        path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(path)


if __name__ == "__main__":
    sys.exit(main())

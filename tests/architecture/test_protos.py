"""Checks that the generated code is current, and that a stale one is found."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE_SECONDS

PROTOS = Path(__file__).parents[2] / "protos"


@pytest.fixture
def protos(tmp_path: Path) -> Path:
    """Return a copy of protos/, to be changed."""
    return Path(shutil.copytree(PROTOS, tmp_path / "protos", ignore=shutil.ignore_patterns("__pycache__")))


def test_committed_code_matches_the_compiler(protos: Path) -> None:
    """The code generated anew, from nothing, equals the committed code byte for byte."""
    shutil.rmtree(protos / "gen")
    generate(protos)
    assert contents(protos / "gen") == contents(PROTOS / "gen")


def test_check_says_that_all_is_current() -> None:
    assert generate(PROTOS, "--check").returncode == 0


def test_changed_comment_makes_its_stubs_stale(protos: Path) -> None:
    proto = protos / "shop/order/v1/order_service.proto"
    proto.write_text(proto.read_text().replace("// GetOrder reads", "// GetOrder fetches"))
    result = generate(protos, "--check")
    assert (result.returncode, "stale: protos/gen/shop/order/v1/order_service_pb2_grpc.pyi" in result.stdout) == (
        1,
        True,
    )


def test_left_over_file_is_stale_and_then_removed(protos: Path) -> None:
    left_over = protos / "gen/shop/order/v1/gone_pb2.py"
    left_over.write_text("")
    assert generate(protos, "--check").returncode == 1
    generate(protos)
    assert not left_over.exists()


def test_broken_proto_is_an_error_that_names_it(protos: Path) -> None:
    proto = protos / "shop/order/v1/order_service.proto"
    proto.write_text(proto.read_text() + "message {\n")
    result = generate(protos)
    assert result.returncode == 1
    assert "order_service.proto" in result.stderr


@pytest.mark.parametrize("flaw", ["message Uncommented {}", "// A name.\nmessage not_camel_case {}"])
def test_flaw_of_style_is_refused(protos: Path, flaw: str) -> None:
    assert generate(protos, "--lint").returncode == 0
    proto = protos / "shop/order/v1/order_service.proto"
    proto.write_text(f"{proto.read_text()}\n{flaw}\n")
    assert generate(protos, "--lint").returncode != 0


def contents(folder: Path) -> dict[Path, bytes]:
    """Return the folder's Python files by their path in it."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.suffix in {".py", ".pyi"}}


def generate(protos: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the generator that lies in this folder."""
    command = [sys.executable, str(protos / "generate.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)


def test_strangers_generate_code_with_buf_and_without_a_registry(protos: Path, tmp_path: Path) -> None:
    """As a client of another language does: `buf generate protos` with a plugin of its own."""
    scripts = Path(sys.executable).parent
    plugin = {"local": str(scripts / "protoc-gen-mypy"), "out": str(tmp_path / "out")}
    template = json.dumps({"version": "v2", "plugins": [plugin]})
    environment = {"PATH": os.defpath, "HOME": str(tmp_path), "HTTPS_PROXY": "http://127.0.0.1:1"}
    run = subprocess.run(
        [scripts / "buf", "generate", protos, "--template", template],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert run.stderr.count("Failure") == run.returncode == 0
    assert (tmp_path / "out/shop/order/v1/order_service_pb2.pyi").exists()

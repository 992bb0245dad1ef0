"""Messages of the read model's commands when there is no platform, or none that answers."""

import re
from pathlib import Path

import pytest

from tests.integration.read_model.commanding import Platform, plumb

COMMANDS = (("projection", "rebuild"), ("deadletters", "list"), ("deadletters", "replay"))


def test_a_missing_platform_is_an_error_that_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 1."""
    monkeypatch.chdir(tmp_path)
    for command in COMMANDS:
        result = plumb(*command)
        assert result.exit_code == 1
        assert result.stderr == (
            f"plumb {' '.join(command)}: no platform is running: start one with `plumb up`, or name its file with "
            "--endpoints PATH\n"
        )


def test_an_endpoints_file_that_is_none_is_a_usage_error(tmp_path: Path) -> None:
    """Exit 2, and which program writes one."""
    (tmp_path / "none.json").write_text("{}")
    for command in COMMANDS:
        for name in ("none.json", "missing.json"):
            result = plumb(*command, "--endpoints", str(tmp_path / name))
            assert result.exit_code == 2
            assert result.stderr.startswith(f"plumb {' '.join(command)}: cannot use the endpoints file ")
            assert "`plumb up` writes one" in result.stderr


def test_a_stopped_platform_is_one_plain_line(platform: Platform) -> None:
    """Exit 1, without a stack and without a password."""
    text = platform.endpoints.read_text()
    platform.endpoints.write_text(re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:1", text))
    passwords = set(re.findall(r"postgresql://[^:]+:([^@]+)@", text))
    assert passwords
    for command in COMMANDS:
        result = platform.plumb(*command)
        assert result.exit_code == 1
        # The progress bar leaves an empty one where no terminal is.
        (line,) = filter(None, result.stderr.splitlines())
        assert line.startswith(f"plumb {' '.join(command)}: ")
        assert "127.0.0.1" in line
        assert not any(password in result.output for password in passwords)


def test_an_unknown_option_is_a_usage_error(platform: Platform) -> None:
    """Exit 2; for a consumer the ones that there are."""
    for command in COMMANDS:
        assert platform.plumb(*command, "--nonsense").exit_code == 2
    for command in COMMANDS[1:]:
        result = platform.plumb(*command, "--consumer", "nobody")
        assert result.exit_code == 2
        assert all(name in result.stderr for name in ("nobody", "order_summaries", "notification"))

"""Does what can go wrong at the command line end in one clear line and the right code?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stream.broker import EmbeddedBroker, free_port
from tests.worker_process import write_config

BODY = {"window": {"length": "5m"}}


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """A command and what it wrote."""
    return subprocess.run(
        [sys.executable, "-m", "stream", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def assert_one_line(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """One line on standard error with these words, no stack trace, this exit code."""
    assert result.returncode == code, result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize("command", ["worker", "topics create", "alerts", "reference list"])
def test_a_broker_that_does_not_answer_is_one_line(tmp_path: Path, command: str) -> None:
    port = free_port()
    path = write_config(tmp_path, f"127.0.0.1:{port}", "none-", BODY)
    result = run(*command.split(), "-c", str(path))
    assert_one_line(result, 1, "no Kafka broker answers", str(port), "driftline broker")


@pytest.mark.kafka
def test_missing_topics_are_one_line_that_says_how_to_create_them(
    tmp_path: Path, broker: EmbeddedBroker, topic_prefix: str
) -> None:
    path = write_config(tmp_path, broker.bootstrap, topic_prefix, BODY)
    result = run("worker", "-c", str(path))
    assert_one_line(result, 1, f"{topic_prefix}predictions", "driftline topics create -c FILE")


def test_a_configuration_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "nothing.yaml"
    assert_one_line(run("worker", "-c", str(path)), 2, str(path))


def test_a_configuration_that_is_no_yaml_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("window: {length: 5m\nmodels", encoding="utf-8")
    assert_one_line(run("check", "-c", str(path)), 2, "broken.yaml:")


def test_all_mistakes_of_a_configuration_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("window: {lenght: 5m}\nweb: {port: x}\n", encoding="utf-8")
    result = run("check", "-c", str(path))
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 2
    assert "length" in result.stderr


def test_an_unknown_command_or_option_is_exit_code_2() -> None:
    assert run("nonsense").returncode == 2
    assert run("check", "--nonsense").returncode == 2
    assert "Traceback" not in run("nonsense").stderr


@pytest.mark.parametrize(
    "command",
    ["demo", "worker", "broker", "topics", "topics create", "publish", "replay", "reference",
     "reference build", "reference publish", "reference list", "reference show", "alerts",
     "check"],
)  # fmt: skip
def test_every_command_has_help(command: str) -> None:
    result = run(*command.split(), "--help")
    assert result.returncode == 0
    assert command in ("topics", "reference") or "Example: driftline" in result.stdout

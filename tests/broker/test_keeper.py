"""The process between us and Kafka, with a command that only waits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.kafka.install import FILES
from tests.kafka_fixture import wait_until

WAITS = "import signal; signal.pause()"


def keep(doomed: str, *command: str) -> subprocess.Popen[bytes]:
    keeper = [sys.executable, "-I", "-S", str(FILES / "keeper.py"), str(os.getpid()), doomed]
    pipe = subprocess.PIPE
    return subprocess.Popen([*keeper, *command], bufsize=0, stdin=pipe, stdout=pipe)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A keeper of a command that waits, the command's process id; the folder is `doomed`."""
    (tmp_path / "doomed").mkdir()
    with keep(str(tmp_path / "doomed"), sys.executable, "-c", WAITS) as keeper:
        assert keeper.stdout is not None
        yield keeper, int(keeper.stdout.readline())


def order(keeper: subprocess.Popen[bytes], letter: bytes) -> None:
    assert keeper.stdin is not None
    keeper.stdin.write(letter)
    keeper.wait(10)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("letter", [b"s", b"k"])
def test_an_order_ends_the_command_and_keeps_the_folder(kept, tmp_path: Path, letter: bytes):
    keeper, pid = kept
    order(keeper, letter)
    assert is_gone(pid)
    assert (tmp_path / "doomed").exists()


def test_a_closed_pipe_ends_the_command_and_removes_the_folder(kept, tmp_path: Path):
    keeper, pid = kept
    keeper.stdin.close()
    keeper.wait(10)
    assert is_gone(pid)
    assert not (tmp_path / "doomed").exists()


def test_sigterm_to_the_keeper_ends_the_command(kept):
    keeper, pid = kept
    keeper.send_signal(signal.SIGTERM)
    keeper.wait(10)
    assert is_gone(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_sigkill_to_the_keeper_ends_the_command(kept):
    keeper, pid = kept
    keeper.kill()
    keeper.wait(10)
    assert wait_until(lambda: is_gone(pid))


def test_the_exit_code_is_the_commands():
    with keep("", sys.executable, "-c", "raise SystemExit(7)") as keeper:
        assert keeper.wait(10) == 7

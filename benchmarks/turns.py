"""Turns: a peer that lives in another environment in, the CPU seconds of one turn of it out.

In    a program that measures itself when a line asks for it (peer_tables.py)
Out   CPU seconds, so that ours and the peer can take turns in one run
Not   making the environment (peers.py)
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from benchmarks import peers
from stream.errors import SetupError

ROOT = Path(__file__).parents[1]


class Turns:
    """A running peer."""

    def __init__(self, process: subprocess.Popen[str], log: IO[str]) -> None:
        self._process, self._log = process, log

    def take(self, name: str) -> float:
        """CPU seconds of one turn. Raises SetupError with the peer's last word if it has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(name + "\n")
            self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            self._log.seek(0)
            last = (self._log.read().strip().splitlines() or ["it said nothing"])[-1]
            raise SetupError(f"{name} ended: {last}")
        return float(answer)


@contextlib.contextmanager
def peer(module: str, *words: str) -> Iterator[Turns]:
    """A peer of benchmarks/ in the environment of peers.py. Raises SetupError if there is none."""
    command = [str(peers.python()), "-m", f"benchmarks.{module}", *words]
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as log,
        subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            yield Turns(process, log)
        finally:
            process.kill()

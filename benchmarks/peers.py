"""Peers: the interpreter of an environment that holds what cannot live beside Driftline.

In    benchmarks/peers.lock, made from benchmarks/peers.in: versions and hashes
Out   a Python with whylogs (which needs a numpy before 2), Evidently, Quix Streams and Bytewax, in
      .cache/; made by the first benchmark that asks, which takes a minute and a gigabyte
Not   what is measured there (peer_*.py, bench_*.py)
"""

from __future__ import annotations

import subprocess
import sys
import zlib
from functools import cache
from pathlib import Path

from stream.errors import SetupError

LOCK = Path(__file__).with_name("peers.lock")
CACHE = Path(__file__).parents[1] / ".cache"


@cache
def python() -> Path:
    """The interpreter. Raises SetupError if the packages cannot be installed, as without a net."""
    folder = CACHE / f"peers-{zlib.crc32(LOCK.read_bytes()):08x}"
    interpreter, stamp = folder / "bin" / "python", folder / "ready"
    if not stamp.exists():
        print("  installing peers …", flush=True)
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        pip = [str(interpreter), "-m", "pip", "--disable-pip-version-check", "install", "-q"]
        _run([*pip, "--no-deps", "--require-hashes", "-r", str(LOCK)])
        stamp.touch()
    return interpreter


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise SetupError(f"the peers cannot be installed, so they are not measured: {why}")

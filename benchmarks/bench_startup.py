"""Startup: how long compiling takes, and a worker from launch to its first events.

In    nothing; an embedded Kafka with a small backlog, an empty folder for numba's cache
Out   rows in seconds of wall time: all kernels read from numba's cache beside compiled from
      scratch; a worker with a warm cache from launch to the first fetch counted on /metrics
Not   a worker with a cold cache: that is the sum of the two
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import backlog, worker
from benchmarks.measuring import Pair, Row, alone, compared
from benchmarks.processes import ROOT, running
from stream.broker import EmbeddedBroker

RUNS, COLD_RUNS, N_EVENTS = 5, 2, 4_000
COMPILE = """
import time
from kernels import warmup
start = time.perf_counter()
warmup.compile_all()
print(time.perf_counter() - start)
"""


def rows(quick: bool = False) -> list[Row]:
    """Kernels, then workers."""
    kernels = [_cached_and_cold() for _ in range(1 if quick else COLD_RUNS)]
    starts = _worker_starts(1 if quick else RUNS)
    return [
        compared(
            "startup/kernels/cached_vs_cold", kernels, "seconds", lambda ours, peer: peer / ours
        ),
        alone("startup/worker/launch_to_first_fetch", starts, "seconds"),
    ]


def _cached_and_cold() -> Pair:
    """Seconds that all kernels take from a cache, and into an empty one."""
    with tempfile.TemporaryDirectory(prefix="driftline-numba-") as cache:
        cold = _compile_seconds(Path(cache))
        print(f"  kernels compiled in {cold:.1f} s", flush=True)
        return _compile_seconds(Path(cache)), cold


def _compile_seconds(cache: Path | None = None) -> float:
    environment = os.environ | ({"NUMBA_CACHE_DIR": str(cache)} if cache else {})
    done = subprocess.run(
        [sys.executable, "-c", COMPILE],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def _worker_starts(runs: int) -> list[float]:
    """Seconds of each start."""
    _compile_seconds()  # the cache that workers share is warm from here on
    with tempfile.TemporaryDirectory(prefix="driftline-bench-") as name:
        folder = Path(name)
        with EmbeddedBroker(say=print) as broker:
            worker.write_reference(folder)
            backlog.create_topics(broker.bootstrap, backlog.JSON)
            backlog.publish(broker.bootstrap, backlog.JSON, N_EVENTS)
            return [_start(folder, broker.bootstrap, at) for at in range(runs)]


def _start(folder: Path, bootstrap: str, at: int) -> float:
    name = f"start-{at}"
    program = worker.program(folder, bootstrap, backlog.JSON, name, 0)
    launched = time.perf_counter()
    with running(program, folder / f"{name}.log") as process:
        process.until_counted(1)
        took_s = time.perf_counter() - launched
    print(f"  worker start {at + 1}: {took_s:.2f} s", flush=True)
    return took_s


if __name__ == "__main__":
    for row in rows():
        print(row)

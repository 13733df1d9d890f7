"""Processes: the words of a command in, events per CPU-second of that process out.

In    a program that reads a topic and says on /metrics how many events it has counted
Out   events and CPU seconds between the first and the last of them; the process is ended after it
Not   what the programs do (stream worker, peer_faust.py, peer_getmany.py)

CPU seconds and not wall time: broker, program and this process share the machine.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NamedTuple

import orjson

from benchmarks.measuring import cpu_seconds
from stream.broker import free_port
from stream.errors import BusError

ROOT = Path(__file__).parents[1]
LIMIT_S = 55.0  # of one run, from launch to the last event
STOP_S = 10.0
POLL_S = 0.05  # a scrape costs the program up to some milliseconds; all are asked as often
LOGICAL = ("labels", "partials", "windows", "alerts", "dead-letters", "judge-state")


@dataclass(frozen=True, slots=True)
class Program:
    """A program to measure.

    words    what follows `python -m`; "PORT" stands for the port of its /metrics
    counter  how the lines of its counter of events begin
    """

    words: tuple[str, ...]
    counter: str


class Sample(NamedTuple):
    """What a process had counted and used at one moment."""

    events: int
    cpu_s: float


@contextlib.contextmanager
def running(program: Program, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The process and the port of its /metrics; told to stop, and made to, at the end."""
    port = free_port()
    words = [str(port) if word == "PORT" else word for word in program.words]
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", *words], cwd=ROOT, stdout=said, stderr=said
        )
        try:
            yield process, port
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def events_per_cpu_second(program: Program, target: int, log: Path) -> float:
    """Run a program until it has counted `target` events.

    Raises BusError if it ends before, or does not get there within `LIMIT_S`.
    """
    deadline = time.monotonic() + LIMIT_S
    with running(program, log) as (process, port):
        first = until_counted(process, port, program.counter, 1, deadline)
        last = until_counted(process, port, program.counter, target, deadline)
        if last.events == first.events:
            raise BusError(f"all {last.events} events were counted at once: too few to measure")
    return (last.events - first.events) / max(last.cpu_s - first.cpu_s, 0.01)


def until_counted(
    process: subprocess.Popen[bytes], port: int, counter: str, target: int, deadline: float
) -> Sample:
    """The first sample with `target` events or more. Raises BusError."""
    events = 0
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise BusError(f"the process ended with code {process.returncode}: {process.args!r}")
        events = _counted(port, counter)
        if events >= target:
            return Sample(events, cpu_seconds(process.pid))
        time.sleep(POLL_S)
    raise BusError(f"only {events} of {target} events after {LIMIT_S:g} s: {process.args!r}")


def _counted(port: int, counter: str) -> int:
    link = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        link.request("GET", "/metrics")
        lines = link.getresponse().read().decode().splitlines()
    except (OSError, HTTPException):  # not up yet
        return 0
    finally:
        link.close()
    return int(sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(counter)))


def worker_program(folder: Path, bootstrap: str, topic: str, name: str) -> Program:
    """A Driftline worker with a group and topics of its own, all but the predictions.

    A later worker would else read the partials of an earlier one as well.
    """
    return Program(
        ("stream", "worker", "-c", str(write_config(folder, bootstrap, topic, name)),
         "--web-port", "PORT"),
        "driftline_events_total{",
    )  # fmt: skip


def write_config(folder: Path, bootstrap: str, topic: str, name: str) -> Path:
    """The configuration of a worker; the model's reference is the file beside it."""
    topics = {"predictions": topic} | {logical: f"{name}-{logical}" for logical in LOGICAL}
    body = {
        "bus": {"bootstrap": bootstrap, "group_prefix": name, "topics": topics},
        "window": {"length": "5m", "pane": "1m", "grace": "30s"},
        "models": {"bench": {"kind": "binary", "reference": {"training": "reference.json"}}},
    }
    path = folder / f"{name}.yaml"
    path.write_bytes(orjson.dumps(body))  # JSON is YAML too
    return path


def fold(samples: Sequence[float]) -> str:
    """Figures of one round for the progress line."""
    return ", ".join(f"{sample:,.0f}" for sample in samples)

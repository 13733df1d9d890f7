"""Processes: the words of a command in, events per CPU-second of that process out.

In    a program that reads a topic and says on /metrics how many events it has counted
Out   events and CPU seconds from the first of them until the last is counted and nothing that it
      brought about is left to do; the process is ended after it
Not   what the programs do (worker.py, peer_faust.py, peer_getmany.py)

CPU seconds and not wall time: broker, program and this process share the machine.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NamedTuple

from benchmarks.measuring import cpu_seconds
from stream.broker import free_port
from stream.errors import BusError

ROOT = Path(__file__).parents[1]
LIMIT_S = 55.0  # of one run, from launch to the last event
STOP_S = 10.0
SOON_S = 0.02  # between looks for the first event: until then a scrape is cheap
POLL_S = 0.2  # between later ones: each costs the program some milliseconds
WINDOWS = "driftline_windows_closed_total "


@dataclass(frozen=True, slots=True)
class Program:
    """A program to measure.

    words    what follows `python -m`; "PORT" stands for the port of its /metrics
    counter  how the lines of its counter of events begin
    windows  that must be judged, too, before its work is done
    python   the interpreter
    core     the only one it may run on; None for all
    """

    words: tuple[str, ...]
    counter: str
    windows: int = 0
    python: str = sys.executable
    core: int | None = None


class Sample(NamedTuple):
    """What a process had counted and used at one moment."""

    events: int
    cpu_s: float


class Running:
    """A program as a process."""

    def __init__(self, program: Program, log: Path, limit_s: float) -> None:
        self._program, self._log, self._limit_s = program, log, limit_s
        self._port = free_port()
        words = [str(self._port) if word == "PORT" else word for word in program.words]
        self._deadline = time.monotonic() + limit_s
        with log.open("wb") as said:
            self._process = subprocess.Popen(
                [program.python, "-m", *words], cwd=ROOT, stdout=said, stderr=said
            )
        if program.core is not None:  # before it has threads
            os.sched_setaffinity(self._process.pid, {program.core})

    def until_counted(self, target: int) -> Sample:
        """The first look that finds `target` events or more. Raises BusError as `_until`."""
        return self._until(self._program.counter, target, SOON_S if target == 1 else POLL_S)

    def until_answers(self) -> None:
        """Return when it answers. Raises BusError as `_until`."""
        self._until("driftline_build_info{", 1, SOON_S)

    def page(self, start: str) -> list[str]:
        """The lines of its metrics that begin so."""
        return [line for line in _metrics(self._port) if line.startswith(start)]

    def counted(self) -> int:
        """Events so far."""
        return counted(self._port, self._program.counter)

    def until_done(self) -> float:
        """CPU seconds when every window is judged. Raises BusError as `_until`."""
        return self._until(WINDOWS, self._program.windows, POLL_S).cpu_s

    def _until(self, counter: str, target: int, pause_s: float) -> Sample:
        """Raises BusError if the process ends before, or its time is up."""
        events = 0
        while time.monotonic() < self._deadline:
            if self._process.poll() is not None:
                raise BusError(f"it ended with code {self._process.returncode}: {self._said()}")
            events = counted(self._port, counter)
            if events >= target:
                return Sample(events, cpu_seconds(self._process.pid))
            time.sleep(pause_s)
        raise BusError(
            f"{counter} is {events} of {target} after {self._limit_s:g} s: {self._said()}"
        )

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def stop(self) -> None:
        """Tell it to stop, and make it."""
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _said(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return " | ".join(lines[-5:]) or "it said nothing"


@contextlib.contextmanager
def running(program: Program, log: Path, limit_s: float = LIMIT_S) -> Iterator[Running]:
    """The program as a process, which is ended at the end.

    limit_s  from launch to the last event
    """
    one = Running(program, log, limit_s)
    try:
        yield one
    finally:
        one.stop()


def events_per_cpu_second(program: Program, target: int, log: Path) -> float:
    """Run a program until it has counted `target` events.

    Raises BusError as `Running.until_counted` does, or if it counts too few to measure.
    """
    with running(program, log) as one:
        first, last = one.until_counted(1), one.until_counted(target)
        done_cpu_s = one.until_done() if program.windows else last.cpu_s
    if last.events == first.events:
        raise BusError(f"all {last.events} events were counted at once: too few to measure")
    return (last.events - first.events) / max(done_cpu_s - first.cpu_s, 0.01)


def counted(port: int, counter: str) -> int:
    """Events so far; 0 while nobody answers."""
    lines = _metrics(port)
    return int(sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(counter)))


def _metrics(port: int) -> list[str]:
    """The lines of /metrics; none while nobody answers."""
    link = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        link.request("GET", "/metrics")
        return link.getresponse().read().decode().splitlines()
    except (OSError, HTTPException):
        return []
    finally:
        link.close()

"""Bus: what an event costs a worker that reads it from Kafka, beside two plain readers.

In    nothing; an embedded Kafka with a backlog of generated events (workloads.py)
Out   rows: name, ours and peer (medians, events per CPU-second of the process), ratio with its
      spread, unit, runs
Not   latency; more than one worker; the broker's own cost, which is the same for all

Each run starts four processes one after the other, so that all see the same machine: our worker on
single events, our worker on columnar batches, a textbook Faust agent, aiokafka's getmany.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import backlog, worker
from benchmarks.measuring import Row, compared
from benchmarks.processes import Program, events_per_cpu_second
from stream.broker import EmbeddedBroker

UNIT = "events per CPU-second"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to run."""

    runs: int
    events: int  # on each topic
    faust_events: int  # it would need a minute for all of them
    passes: int  # of getmany over the topic, so that it is busy for a second or two


FULL = Plan(runs=3, events=200_000, faust_events=60_000, passes=4)
QUICK = Plan(runs=1, events=80_000, faust_events=8_000, passes=4)


def rows(quick: bool = False) -> list[Row]:
    """One row per comparison, from the same runs."""
    plan = QUICK if quick else FULL
    with tempfile.TemporaryDirectory(prefix="driftline-bench-") as name:
        folder = Path(name)
        with EmbeddedBroker(say=print) as broker:
            _fill(folder, broker.bootstrap, plan)
            runs = [_Run(folder, broker.bootstrap, plan, at).all() for at in range(plan.runs)]
    json, columnar, faust, getmany = zip(*runs, strict=True)
    return [
        compared("pipeline/json/vs_textbook_faust", zip(json, faust, strict=True), UNIT),
        compared("pipeline/json/vs_aiokafka_getmany", zip(json, getmany, strict=True), UNIT),
        compared("pipeline/columnar/vs_textbook_faust", zip(columnar, faust, strict=True), UNIT),
    ]


def _fill(folder: Path, bootstrap: str, plan: Plan) -> None:
    worker.write_reference(folder)
    for topic in (backlog.JSON, backlog.COLUMNAR):
        print(f"  publishing {plan.events:,} events on {topic} …", flush=True)
        backlog.create_topics(bootstrap, topic)
        backlog.publish(bootstrap, topic, plan.events)


class _Run:
    """One run of every program."""

    def __init__(self, folder: Path, bootstrap: str, plan: Plan, at: int) -> None:
        self._folder, self._bootstrap, self._plan, self._at = folder, bootstrap, plan, at

    def all(self) -> tuple[float, float, float, float]:
        """Events per CPU-second: ours, ours on columnar batches, Faust, getmany."""
        plan = self._plan
        return (
            self._measure("ours", lambda: self._worker(backlog.JSON), plan.events),
            self._measure("ours, columnar", lambda: self._worker(backlog.COLUMNAR), plan.events),
            self._measure("textbook Faust", self._faust, plan.faust_events),
            self._measure("aiokafka getmany", self._getmany, plan.events * plan.passes),
        )

    def _measure(self, name: str, program: Callable[[], Program], target: int) -> float:
        log = self._folder / f"{name}-{self._at}.log"
        rate = events_per_cpu_second(program(), target, log)
        print(f"  run {self._at + 1} of {self._plan.runs}: {name} {rate:,.0f}", flush=True)
        return rate

    def _worker(self, topic: str) -> Program:
        name = f"worker-{topic}-{self._at}"
        return worker.program(self._folder, self._bootstrap, topic, name, self._plan.events)

    def _faust(self) -> Program:
        words = ("benchmarks.peer_faust", self._bootstrap, backlog.JSON, f"faust-{self._at}")
        return Program((*words, "PORT", str(self._folder)), "events_total ")

    def _getmany(self) -> Program:
        words = ("benchmarks.peer_getmany", self._bootstrap, backlog.JSON, f"getmany-{self._at}")
        return Program((*words, "PORT", str(self._plan.events)), "events_total ")


if __name__ == "__main__":
    for row in rows():
        print(row)

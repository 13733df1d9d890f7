"""Shapes: what an event costs a worker when many of them share a message; and a second worker.

In    nothing; an embedded Kafka with the same events as arrays, columnar batches, Arrow streams
Out   rows: ours in events per CPU-second beside the textbook Faust agent, which reads them one to a
      message; two workers beside one in events per second of wall time
Not   one event per message (bench_bus.py)

Arrays, batches and streams take their turn with Faust in every run. Each of two workers has a
core of its own, and so has the one beside them: alone it would use a second for its threads. The
broker needs some of a core, too, which is said: with two cores they share.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
import time
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from benchmarks import backlog, worker
from benchmarks.measuring import Row, compared, cpu_seconds
from benchmarks.processes import POLL_S, Program, events_per_cpu_second, running
from stream.broker import EmbeddedBroker
from stream.errors import BusError

RATE, WALL = "events per CPU-second", "events per second"
ROWS = {
    "bench-arrays": "pipeline/arrays/vs_textbook_faust",
    "bench-columnar": "pipeline/columnar/vs_textbook_faust",
    "bench-arrow": "pipeline/arrow/vs_textbook_faust",
}
LIMIT_S = 60.0
# What is read faster gets more, or memory that is taken once would be most of what it costs.
TIMES_AS_MANY = {"bench-columnar": 2, "bench-arrow": 3}
SETTLED = 12  # that part of the events each worker counts before the clock runs
BUSY_SHARE = 0.75  # of the events, when it stops


def rows(quick: bool = False) -> list[Row]:
    """One row per form of a message, then the second worker."""
    runs, events = (1, 200_000) if quick else (3, 4_000_000)
    pairs: dict[str, list[tuple[float, float]]] = {topic: [] for topic in ROWS}
    with tempfile.TemporaryDirectory(prefix="driftline-bench-") as name:
        folder = Path(name)
        with EmbeddedBroker(say=print) as broker:
            worker.write_reference(folder)
            for topic in (backlog.JSON, *ROWS):
                n = events * TIMES_AS_MANY.get(topic, 1)
                print(f"  publishing {n:,} events on {topic} …", flush=True)
                backlog.create_topics(broker.bootstrap, topic)
                backlog.publish(broker.bootstrap, topic, n)
            for at in range(runs):
                faust = _faust(folder, broker.bootstrap, events, at)
                for topic, measured in pairs.items():
                    measured.append((_ours(folder, broker.bootstrap, topic, events, at), faust))
            both = [_two_and_one(folder, broker, events, at) for at in range(runs)]
    found = [compared(ROWS[topic], measured, RATE) for topic, measured in pairs.items()]
    pairs_of_rates = [(two.rate, one.rate) for two, one in both]
    broker_busy = statistics.median(two.broker_busy for two, _ in both)
    unit = f"{WALL}; the broker used {broker_busy:.0%} of a core beside two"
    return [*found, compared("pipeline/workers2/vs_workers1", pairs_of_rates, unit)]


def _ours(folder: Path, bootstrap: str, topic: str, events: int, at: int) -> float:
    size = backlog.FORMS[topic][1]
    name, n = f"{topic}-{at}", events * TIMES_AS_MANY.get(topic, 1) // size * size
    program = worker.program(folder, bootstrap, topic, name, n)
    rate = events_per_cpu_second(program, n, folder / f"{name}.log")
    print(f"  run {at + 1}: {topic} {rate:,.0f}", flush=True)
    return rate


def _faust(folder: Path, bootstrap: str, events: int, at: int) -> float:
    group = f"faust-{at}"
    words = ("benchmarks.peer_faust", bootstrap, backlog.JSON, group, "PORT", str(folder))
    program = Program(words, "events_total ")
    return events_per_cpu_second(program, int(events * 0.015), folder / f"{group}.log")


class _Wall(NamedTuple):
    """Events per second of all workers, and the share of a core that the broker used."""

    rate: float
    broker_busy: float


def _two_and_one(folder: Path, broker: EmbeddedBroker, events: int, at: int) -> tuple[_Wall, _Wall]:
    two, one = (_wall_rate(folder, broker, events, at, workers) for workers in (2, 1))
    print(f"  run {at + 1}: two workers {two.rate:,.0f}, one {one.rate:,.0f}", flush=True)
    return two, one


def _wall_rate(folder: Path, broker: EmbeddedBroker, events: int, at: int, workers: int) -> _Wall:
    """While all have something to read: from when every worker has counted a good many.

    Before that they share out the partitions and stand still for it; at the end one may be done
    before the other. What one has counted of a pane and hands over, the other counts once more:
    that is work, too.
    """
    name = f"wall-{workers}-{at}"
    program = worker.program(folder, broker.bootstrap, backlog.JSON, name, events)
    with contextlib.ExitStack() as stack:
        ones = [
            stack.enter_context(running(replace(program, core=core), folder / f"{name}-{i}.log"))
            for i, core in zip(range(workers), cycle(sorted(os.sched_getaffinity(0))))
        ]
        for one in ones:
            one.until_counted(events // SETTLED)
        first, used_s = sum(one.counted() for one in ones), cpu_seconds(broker.pid or 0)
        started = time.perf_counter()
        while time.perf_counter() - started < LIMIT_S:
            counted = sum(one.counted() for one in ones)
            if counted >= events * BUSY_SHARE:
                passed = time.perf_counter() - started
                used_s = cpu_seconds(broker.pid or 0) - used_s
                return _Wall((counted - first) / passed, used_s / passed)
            time.sleep(POLL_S)
    raise BusError(f"not enough of {events} events were counted within {LIMIT_S:g} s")

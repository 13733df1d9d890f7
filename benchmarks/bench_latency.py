"""Latency: from the moment a window is complete to its alert on the topic, under load.

In    nothing; an embedded Kafka, a publisher of live events at half of what a worker can
Out   rows: seconds, median and 99th percentile over the alerts of all models and windows
Not   how long an event waits for its window to end: that is the window's length

A window is complete when the watermark passes its end: an event that is GRACE_MS younger has been
published. From then on the clock runs, until the broker stamps the alert. Every model breaks its
objective of service in every second window, so every window brings an alert of each model, first
or resolved.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks import backlog, live, worker
from benchmarks.measuring import Row, alone, cpu_seconds
from benchmarks.processes import ROOT, Program, running
from stream.broker import EmbeddedBroker
from stream.errors import BusError

MODELS = 20
GRACE_MS = 1_000
PROBE = 500_000  # events whose reading says what a worker can


def rows(quick: bool = False) -> list[Row]:
    """Median and 99th percentile."""
    windows = 2 if quick else 6
    with tempfile.TemporaryDirectory(prefix="driftline-bench-") as name:
        folder = Path(name)
        with EmbeddedBroker(say=print) as broker:
            rate = _half_of_capacity(folder, broker.bootstrap, PROBE // (10 if quick else 1))
            lags_s, busy = _lags(folder, broker.bootstrap, rate, windows)
    print(f"  {len(lags_s)} alerts at {rate:,} events/s; the worker used {busy:.0%} of a core")
    cuts = statistics.quantiles(lags_s, n=100)
    return [
        alone("latency/window_end_to_alert_p50_s", [cuts[49]], "seconds"),
        alone("latency/window_end_to_alert_p99_s", [cuts[98]], "seconds"),
        alone("latency/at_events_per_second", [rate], "events per second"),
        alone("latency/worker_busy", [busy], "share of a core"),
    ]


def _half_of_capacity(folder: Path, bootstrap: str, events: int) -> int:
    """Half of the events a second that a worker reads of a backlog, by wall time."""
    worker.write_reference(folder)
    backlog.create_topics(bootstrap, backlog.JSON)
    backlog.publish(bootstrap, backlog.JSON, events)
    program = worker.program(folder, bootstrap, backlog.JSON, "probe", events)
    with running(program, folder / "probe.log") as one:
        first, started_ms = one.until_counted(1), live.now_ms()
        last = one.until_counted(events)
        took_s = (live.now_ms() - started_ms) / 1000
    if last.events == first.events:
        raise BusError(f"all {events} events were counted at once: too few to measure")
    return int((last.events - first.events) / took_s / 2)


def _lags(folder: Path, bootstrap: str, rate: int, windows: int) -> tuple[list[float], float]:
    """Seconds from complete to alerted, and the share of a core that the worker was busy."""
    program = _program(folder, bootstrap)
    with running(program, folder / "live.log") as one:
        end_ms = (live.now_ms() // live.SLICE_MS + 2 + windows) * live.SLICE_MS
        until_ms = end_ms + 2 * GRACE_MS
        with _publishing(bootstrap, rate, until_ms):
            first = one.until_counted(1)
            started_ms, used_s = live.now_ms(), cpu_seconds(one.pid)
            one.until_counted(first.events + (until_ms - started_ms) * rate // 1100)
            busy = (cpu_seconds(one.pid) - used_s) / (live.now_ms() - started_ms) * 1000
        ends = {end_ms - i * live.SLICE_MS for i in range(windows)}
        return asyncio.run(_read_lags(bootstrap, ends)), busy


def _program(folder: Path, bootstrap: str) -> Program:
    names = {logical: f"live-{logical}" for logical in ("predictions", *worker.OWN_TOPICS)}
    rule = {"name": "slow", "objective": "latency_p50_ms", "above": 100, "for": "1 windows"}
    configuration = {
        "bus": {"bootstrap": bootstrap, "group_prefix": "live", "topics": names},
        "window": {"length": "10s", "pane": "10s", "grace": f"{GRACE_MS}ms"},
        "models": {f"m{i:02d}": {"rules": [rule]} for i in range(MODELS)},
    }
    path = folder / "live.yaml"
    path.write_bytes(orjson.dumps(configuration))
    backlog.create_topics(bootstrap, names["predictions"], path)
    words = ("stream", "worker", "-c", str(path), "--web-port", "PORT")
    return Program(words, "driftline_events_total{")


@contextlib.contextmanager
def _publishing(bootstrap: str, rate: int, until_ms: int) -> Iterator[None]:
    words = (bootstrap, "live-predictions", str(rate), str(MODELS), str(until_ms))
    command = [sys.executable, "-m", "benchmarks.live", *words]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ, stdout=subprocess.PIPE)
    try:
        yield
        said, _ = process.communicate(timeout=60)
        sent, late_ms = map(int, said.split())
        print(f"  {sent:,} events published, the last {late_ms} ms late", flush=True)
    finally:
        process.kill()
        process.wait()


async def _read_lags(bootstrap: str, ends: set[int]) -> list[float]:
    """By every alert of these windows."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        known = consumer.partitions_for_topic("live-alerts") or await _partitions(consumer)
        tps = [TopicPartition("live-alerts", partition) for partition in known]
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        lags_s: dict[tuple[str, int], float] = {}
        for _ in range(60):
            if len(lags_s) == len(ends) * MODELS:
                break
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    data = orjson.loads(record.value)["data"]
                    end = datetime.fromisoformat(data["window"]["end"])
                    end_ms = round(end.timestamp() * 1000)
                    if end_ms in ends:
                        lag_s = (record.timestamp - end_ms - GRACE_MS) / 1000
                        lags_s.setdefault((data["model"], end_ms), lag_s)
        expected = len(ends) * MODELS
        if len(lags_s) != expected:
            raise BusError(f"{len(lags_s)} of {expected} alerts are on the topic")
        return list(lags_s.values())
    finally:
        await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer) -> set[int]:
    consumer.subscribe(["live-alerts"])
    await consumer.getmany(timeout_ms=100)
    known: set[int] = consumer.partitions_for_topic("live-alerts") or {0}
    consumer.unsubscribe()
    return known


if __name__ == "__main__":
    for row in rows():
        print(row)

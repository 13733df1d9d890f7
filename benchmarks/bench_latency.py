"""Latency: from the moment a window is complete to its alert on the topic, under load.

In    nothing; an embedded Kafka, a publisher of live events of some models, at half of what a
      worker can count of them in a second of CPU time
Out   rows: seconds, median and 99th percentile over the alerts of all models and windows, and how
      many of them until the last partial was sent; how busy the worker was, and for how long its
      event loop was held up at most
Not   how long an event waits for its window to end: that is the window's length

A window is complete when the watermark passes its end: an event that is GRACE_MS younger has been
published. From then on the clock runs, until the broker stamps the alert. On the way stands the
last marker that tells of it on the partials topic: what is before it is fetching and counting, what
comes after it is judging. Every model breaks its
objective of service in every second window, so every window brings an alert of each model, first
or resolved.
"""

from __future__ import annotations

import asyncio
import math
import statistics
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks import backlog, live, worker
from benchmarks.measuring import Row, alone, cpu_seconds
from benchmarks.processes import ROOT, Program, running
from stream.broker import EmbeddedBroker
from stream.detect.partials import Marker, read
from stream.errors import BusError

MODELS = (5, 20)  # their windows end at the same moment, and are judged one after the other
GRACE_MS = 1_000
TRY_S = 5  # of publishing as fast as possible, beside the worker
TRY_RATE = 1_000_000
PUBLISHED_SHARE = 0.7  # of what the publisher can; else it would be late, not the worker
LIMIT_S = 170.0
HELD = "driftline_loop_held_seconds_bucket"


def rows(quick: bool = False) -> list[Row]:
    """Median and 99th percentile, by how many models there are."""
    return [row for models in MODELS for row in _rows(models, 2 if quick else 6)]


def _rows(models: int, windows: int) -> list[Row]:
    temporary = tempfile.TemporaryDirectory(prefix="driftline-bench-")
    with temporary as name, EmbeddedBroker(say=print) as broker:
        found = _live(Path(name), broker.bootstrap, windows, models)
    print(f"  {models} models: {len(found.lags_s)} alerts", flush=True)
    cuts = statistics.quantiles(found.lags_s, n=100)
    counted_s = sorted(found.counted_s)
    said = {
        "window_end_to_alert_p50_s": (cuts[49], "seconds"),
        "window_end_to_alert_p99_s": (cuts[98], "seconds"),
        "window_end_to_partials_p50_s": (statistics.median(counted_s), "seconds"),
        "window_end_to_partials_most_s": (counted_s[-1], "seconds"),
        "at_events_per_second": (found.rate, "events per second"),
        "share_of_capacity": (found.share, "of what the worker can count"),
        "worker_busy": (found.busy, "share of a core"),
        "loop_held_most_s": (found.held_s, "seconds at most"),
    }
    return [alone(f"latency/{models}_models/{n}", [v], unit) for n, (v, unit) in said.items()]


class _Live(NamedTuple):
    """What was measured: at which rate, which share that is of what the worker can count, seconds
    from complete to alerted, the same of each window until all partials were sent, share of a core
    used, and the smallest bound of `driftline_loop_held_seconds` that holds for every look.
    """

    rate: int
    share: float
    lags_s: list[float]
    counted_s: list[float]
    busy: float
    held_s: float


def _live(folder: Path, bootstrap: str, windows: int, models: int) -> _Live:
    with running(_program(folder, bootstrap, models), folder / "live.log", LIMIT_S) as one:
        one.until_answers()
        used_s = cpu_seconds(one.pid)
        can = _publish(bootstrap, models, TRY_RATE, live.now_ms() + TRY_S * 1000)
        first = one.until_counted(can)
        capacity = can / (cpu_seconds(one.pid) - used_s)
        rate = int(min(capacity / 2, can / TRY_S * PUBLISHED_SHARE))
        held_before = one.page(HELD)
        started_ms, used_s = live.now_ms(), cpu_seconds(one.pid)
        end_ms = (started_ms // live.SLICE_MS + 1 + windows) * live.SLICE_MS
        until_ms = end_ms + 2 * GRACE_MS
        sent = _publish(bootstrap, models, rate, until_ms)
        one.until_counted(first.events + sent)
        busy = (cpu_seconds(one.pid) - used_s) / (live.now_ms() - started_ms) * 1000
        held_s = _most_held(held_before, one.page(HELD))
        ends = {end_ms - i * live.SLICE_MS for i in range(windows)}
        lags_s = asyncio.run(_read_lags(bootstrap, ends, models))
        counted_s = asyncio.run(_read_counted(bootstrap, ends))
        return _Live(rate, rate / capacity, lags_s, counted_s, busy, held_s)


def _most_held(before: list[str], after: list[str]) -> float:
    """The smallest bucket that all looks between two scrapes fall into."""
    grown = {bound: n - _buckets(before)[bound] for bound, n in _buckets(after).items()}
    return min(bound for bound, n in grown.items() if n == grown[math.inf])


def _buckets(lines: list[str]) -> dict[float, float]:
    rows = (line.split('"') for line in lines)
    return {float(row[1]): float(row[2].rsplit(" ", 1)[1]) for row in rows}


def _program(folder: Path, bootstrap: str, models: int) -> Program:
    names = {logical: f"live-{logical}" for logical in ("predictions", *worker.OWN_TOPICS)}
    rule = {"name": "slow", "objective": "latency_p50_ms", "above": 100, "for": "1 windows"}
    configuration = {
        "bus": {"bootstrap": bootstrap, "group_prefix": "live", "topics": names},
        "window": {"length": "10s", "pane": "10s", "grace": f"{GRACE_MS}ms"},
        "models": {f"m{i:02d}": {"rules": [rule]} for i in range(models)},
    }
    path = folder / "live.yaml"
    path.write_bytes(orjson.dumps(configuration))
    backlog.create_topics(bootstrap, names["predictions"], path)
    words = ("stream", "worker", "-c", str(path), "--web-port", "PORT")
    return Program(words, "driftline_events_total{")


def _publish(bootstrap: str, models: int, rate: int, until_ms: int) -> int:
    """Publish in a process of its own; how many events it sent."""
    words = (bootstrap, "live-predictions", str(rate), str(models), str(until_ms))
    command = [sys.executable, "-m", "benchmarks.live", *words]
    told = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=LIMIT_S)
    sent, late_ms = map(int, told.stdout.split())
    print(f"  {sent:,} events published, the last {late_ms} ms late", flush=True)
    return sent


async def _read_lags(bootstrap: str, ends: set[int], models: int) -> list[float]:
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
            if len(lags_s) == len(ends) * models:
                break
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    data = orjson.loads(record.value)["data"]
                    end = datetime.fromisoformat(data["window"]["end"])
                    end_ms = round(end.timestamp() * 1000)
                    if end_ms in ends:
                        lag_s = (record.timestamp - end_ms - GRACE_MS) / 1000
                        lags_s.setdefault((data["model"], end_ms), lag_s)
        expected = len(ends) * models
        if len(lags_s) != expected:
            raise BusError(f"{len(lags_s)} of {expected} alerts are on the topic")
        return list(lags_s.values())
    finally:
        await consumer.stop()


async def _read_counted(bootstrap: str, ends: set[int]) -> list[float]:
    """By window: until the last source told that it is beyond the window's end."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        known = consumer.partitions_for_topic("live-partials") or {0}
        tps = [TopicPartition("live-partials", partition) for partition in known]
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        told: dict[tuple[int, int], int] = {}  # by window and source, when
        last = await consumer.end_offsets(tps)
        while [tp for tp in tps if await consumer.position(tp) < last[tp]]:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    item = read(record.value)
                    if isinstance(item, Marker):
                        for end_ms in ends:
                            if item.watermark_ms >= end_ms:
                                told.setdefault((end_ms, item.source), record.timestamp)
        return [
            (max(at for (end_ms, _), at in told.items() if end_ms == end) - end - GRACE_MS) / 1000
            for end in ends
        ]
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

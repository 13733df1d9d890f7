"""Soak: an hour of traffic at half of what a worker carries in, a verdict on memory and lag out.

    python -m benchmarks.soak [--minutes 60] [--rate EVENTS_PER_SECOND] [--report FILE]

In    nothing; an embedded Kafka, and live traffic of one event per message; unless a rate is given,
      at half of what a worker counts of such traffic in a second of one core's time
Out   a report as JSON: samples, the slope of the memory after warm-up, the largest lag, the
      longest wait for an acknowledgement and for a commit, the events counted in a second of wall
      and of CPU time; exit code 1 if a bound is broken
Not   faults (`make chaos`)

The topic keeps some gigabytes: at 100,000 events a second an hour is some 70.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import backlog, bench_recovery
from benchmarks.measuring import cpu_seconds
from benchmarks.processes import counted
from benchmarks.worker import write_reference
from stream.broker import EmbeddedBroker
from stream.bus.connection import Connection
from stream.bus.topics import CONFIGS, TopicPlan, create_missing

WARM_SHARE, LONGEST_WARM_S = 0.6, 600.0  # beyond `revise_for`, which memory is kept for
SAMPLE_S = 5.0
MOST_SLOPE = 1.0  # MiB of resident memory per 10 minutes
MOST_LAG_S = 10.0  # of traffic
MOST_WAIT_S = 30.0  # for an acknowledgement, or between two commits
LEAST_SHARE = 0.98  # of the rate must be counted
FLOOD_RATE = 2_000_000.0  # more than anything publishes
START_S, MEASURED_S = 60.0, 20.0
EVENTS = "driftline_events_total{"
KEPT = {"retention.bytes": str(2**30), "segment.bytes": str(2**28)}  # of each partition

Sample = dict[str, float]


def main(words: Sequence[str] | None = None) -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument(
        "--rate", type=float, help="events per second; half the capacity if left out"
    )
    parser.add_argument("--report", type=Path, default=Path("soak-report.json"))
    given = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="driftline-soak-") as name:
        folder = Path(name)
        write_reference(folder)
        with EmbeddedBroker(say=print) as broker:
            rate = given.rate or capacity(broker.bootstrap, folder) / 2
            print(f"{given.minutes:g} minutes at {rate:,.0f} events per second", flush=True)
            samples = soak(broker.bootstrap, folder, rate, given.minutes * 60)
    found = verdict(samples, rate)
    given.report.write_text(json.dumps({"rate": rate, **found, "samples": samples}, indent=1))
    print(json.dumps(found, indent=1))
    print(f"written: {given.report}")
    return 1 if found["broken"] else 0


def capacity(bootstrap: str, folder: Path) -> float:
    """Events of live traffic that one worker counts in a second of CPU time."""
    path = _prepared("capacity", bootstrap, folder)
    worker, port = bench_recovery.start(path)
    try:
        with bench_recovery.traffic_at("capacity", bootstrap, FLOOD_RATE):
            deadline = time.monotonic() + START_S
            while not counted(port, EVENTS):
                if time.monotonic() > deadline:
                    raise SystemExit(f"the worker counts nothing: {path.with_suffix('.log')}")
                time.sleep(0.1)
            time.sleep(MEASURED_S / 2)
            events, cpu_s = counted(port, EVENTS), cpu_seconds(worker.pid)
            time.sleep(MEASURED_S)
            return (counted(port, EVENTS) - events) / (cpu_seconds(worker.pid) - cpu_s)
    finally:
        worker.terminate()
        worker.wait(30)


def _prepared(topic: str, bootstrap: str, folder: Path) -> Path:
    """A topic that keeps little, and a worker's configuration to read it."""
    plan = TopicPlan(topic, backlog.PARTITIONS, {**CONFIGS["predictions"], **KEPT})
    asyncio.run(create_missing(Connection(bootstrap), [plan]))
    return bench_recovery.configuration(folder, bootstrap, topic, "soak", static=False)


def soak(bootstrap: str, folder: Path, rate: float, seconds: float) -> list[Sample]:
    """What was sampled while the traffic ran."""
    path = _prepared("soak", bootstrap, folder)
    samples: list[Sample] = []
    worker, port = bench_recovery.start(path)
    try:
        with bench_recovery.traffic_at("soak", bootstrap, rate) as publisher:
            started = time.monotonic()
            while (passed := time.monotonic() - started) < seconds:
                time.sleep(SAMPLE_S)
                if publisher.poll() is not None:
                    raise SystemExit(f"the publisher ended with code {publisher.returncode}")
                samples.append(_sample(worker, port, passed))
    finally:
        worker.terminate()
        worker.wait(30)
    return samples


def _sample(worker: subprocess.Popen[bytes], port: int, passed: float) -> Sample:
    if worker.poll() is not None:
        raise SystemExit(f"the worker ended with code {worker.returncode}")
    pages = int(Path(f"/proc/{worker.pid}/statm").read_text().split()[1])
    health: dict[str, Any] = bench_recovery.health(port)
    stages = health.get("stages", {}).values()
    return {
        "seconds": round(passed, 1),
        "rss_mib": pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        "lag_events": next((stage["lag"] for stage in stages), 0),
        "events": counted(port, EVENTS),
        "cpu_s": cpu_seconds(worker.pid),
        "waiting_s": max([one["waiting_seconds"] for one in health.get("sending", [])] or [0.0]),
        "uncommitted_s": max([stage["last_commit_seconds"] or 0.0 for stage in stages] or [0.0]),
    }


def verdict(samples: list[Sample], rate: float) -> dict[str, Any]:
    """The figures that are promised, and which bound is broken."""
    warm_s = min(LONGEST_WARM_S, WARM_SHARE * samples[-1]["seconds"])
    warm = [sample for sample in samples if sample["seconds"] >= warm_s]
    times, sizes = ([sample[name] for sample in warm] for name in ("seconds", "rss_mib"))
    slope = float(np.polyfit(times, sizes, 1)[0]) * 600
    most = {name: max(sample[name] for sample in warm) for name in warm[0]}
    wall_s, events, cpu_s = (warm[-1][n] - warm[0][n] for n in ("seconds", "events", "cpu_s"))
    bounds = {
        "memory_slope_mib_per_10_min": (round(slope, 3), MOST_SLOPE),
        "most_lag_s_of_traffic": (round(most["lag_events"] / rate, 2), MOST_LAG_S),
        "most_waiting_s": (most["waiting_s"], MOST_WAIT_S),
        "most_uncommitted_s": (most["uncommitted_s"], MOST_WAIT_S),
    }
    broken = [name for name, (figure, limit) in bounds.items() if figure > limit]
    if events < LEAST_SHARE * rate * wall_s:
        broken.append("counted_per_s")
    return {
        **{name: figure for name, (figure, _) in bounds.items()},
        "most_rss_mib": round(most["rss_mib"], 1),
        "counted_per_s": round(events / wall_s),
        "counted_per_cpu_s": round(events / max(cpu_s, 0.01)),
        "broken": broken,
    }


if __name__ == "__main__":
    sys.exit(main())

"""Pipeline: what the way from bytes to judged windows costs, without a bus.

In    nothing; flights of examples/flights as JSON bytes in memory, in the three shapes a message
      may have, and the January before them as the reference
Out   rows: name, ours and peer (medians, events per CPU-second), ratio with its spread, unit, runs
Not   Kafka (bench_bus.py); reading the file, building the reference, compiling (done before)

The peer is orjson.loads of the same bytes and nothing more: the ratio is the share of our speed to
that of a program that parses and forgets.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import orjson

from benchmarks import workloads
from benchmarks.measuring import Pair, Row, compared
from stream.clock import SystemClock
from stream.detect.detector import Detector
from stream.detect.references import Reference
from stream.detect.specs import DAY_MS, WEEK_MS, DetectorSpec, ModelSpec, TimeSpec
from stream.replay.player import play
from stream.replay.sources import Message, open_source
from stream.settings import default_rules

FLIGHTS = Path(__file__).parents[1] / "examples" / "flights" / "flights.parquet"
# Weeks: some 6,000 flights each. Of shorter windows judging would cost more than decoding.
SPEC = DetectorSpec(
    time=TimeSpec(pane_ms=DAY_MS),
    default=ModelSpec(name="*", lengths_ms=(WEEK_MS,), rules=default_rules({})),
)
RUNS, N_EVENTS = 5, 60_000
QUICK_RUNS, QUICK_EVENTS = 2, 8_000
SLICE = 2_000  # events given to the detector at once, about as many as a lane fetches


def rows(quick: bool = False) -> list[Row]:
    """One row per shape of message."""
    runs, n = (QUICK_RUNS, QUICK_EVENTS) if quick else (RUNS, N_EVENTS)
    events = [orjson.loads(value) for value in _values("stream", n)]
    training = _values("reference", n)
    reference = workloads.reference_of(training, "arrival-delay", "1")
    shapes = {
        "one_event_per_message": (workloads.singles(events), 1),
        "arrays_of_100": (workloads.arrays(events, 100), 100),
        "columnar_batches_of_256": (workloads.batches(events, 256), 256),
    }
    return [
        compared(
            f"pipeline/decode/{shape}",
            list(_pairs(values, size, n, runs, reference)),
            "events per CPU-second",
        )
        for shape, (values, size) in shapes.items()
    ]


def _values(split: str, n: int) -> list[bytes]:
    source = open_source(FLIGHTS, None, {"split": split})
    return [message.value for message in islice((m for chunk in source for m in chunk), n)]


def _pairs(
    values: list[bytes], size: int, n: int, runs: int, reference: Reference
) -> Iterator[Pair]:
    """Events per CPU-second of each run, ours and the peer's in turn, after one run for nothing."""
    per_slice = max(1, SLICE // size)
    slices = [
        [Message(value, None, b"") for value in values[i : i + per_slice]]
        for i in range(0, len(values), per_slice)
    ]
    for at in range(runs + 1):
        pair = (
            n / _cpu_seconds(lambda: _play(slices, n, reference)),
            n / _cpu_seconds(lambda: _parse(values)),
        )
        if at:
            yield pair


def _play(slices: Sequence[list[Message]], n: int, reference: Reference) -> None:
    detector = Detector(SPEC, lambda _model, _version: reference)
    played = play(slices, detector, topic="predictions", now_ms=SystemClock().now_ms)
    counted = sum(step.counted.total() for step in played)
    if counted != n:  # a figure of a run that lost something would be worthless
        raise AssertionError(f"{counted} of {n} events counted")


def _parse(values: Sequence[bytes]) -> None:
    for value in values:
        orjson.loads(value)


def _cpu_seconds(call: Callable[[], None]) -> float:
    gc.collect()  # not the garbage of the run before
    start = time.process_time()
    call()
    return time.process_time() - start


if __name__ == "__main__":
    for row in rows():
        print(row)

"""Decode: CPU per event from the bytes of a fetch to packed partials, by stage, without a bus.

In    nothing; synthetic events of 20 numbers and 3 categories, and a reference of them
Out   rows: `stages/…` in CPU microseconds per event, one event per message; `decode/…` in events
      per CPU-second for every form of a message, beside orjson.loads of the same bytes
Not   fetching and sending (bench_bus.py), judging (bench_pipeline.py)

Stages: join (values to one buffer), decode (to columns), update (sketches), close (rows of sketches
to states), pack (states to bytes), assign (all else: watermark, duplicates, panes, slots).
"""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import orjson

from benchmarks import workloads
from benchmarks.measuring import Pair, Row, alone, compared
from stream.detect.configurations import Configurations
from stream.detect.ingest import ingestor
from stream.detect.ingest.blocks import block_of
from stream.detect.ingest.events import Messages
from stream.detect.ingest.fast import FastReader
from stream.detect.ingest.ingestor import Ingestor, Sketchbook
from stream.detect.ingest.sketches import StreamSketches
from stream.detect.partials import pack
from stream.detect.references import Reference
from stream.detect.specs import DetectorSpec, LimitSpec

RUNS, N_EVENTS = 7, 40_960
QUICK_RUNS, QUICK_EVENTS = 2, 8_192
SLICE = 2_048  # events given to the detector at once, about as many as a lane fetches
STAGES = ("join", "decode", "assign", "update", "close", "pack")
UNIT = "CPU µs per event"


def rows(quick: bool = False) -> list[Row]:
    """A row per stage and one per form of a message."""
    runs, n = (QUICK_RUNS, QUICK_EVENTS) if quick else (RUNS, N_EVENTS)
    events = [event for chunk in workloads.chunks(n) for event in chunk]
    singles = workloads.singles(events)
    reference = workloads.reference_of(singles[:8_192], workloads.MODEL, workloads.VERSION)
    spent = [_stages(singles, reference) for _ in range(runs + 1)][1:]
    found = [alone(f"stages/{stage}", [run[stage] for run in spent], UNIT) for stage in STAGES]
    forms = {
        "one_event_per_message": (singles, 1),
        "arrays_of_100": (workloads.arrays(events, 100), 100),
        "columnar_batches_of_256": (workloads.batches(events, 256), 256),
    }
    found += [
        compared(f"decode/{form}", list(_pairs(values, size, n, runs)), "events per CPU-second")
        for form, (values, size) in forms.items()
    ]
    streams = _fetches(workloads.streams(events, 4_096), 4_096)
    reader = FastReader(LimitSpec())
    seconds = [_cpu_seconds(lambda: _decode(reader, streams)) for _ in range(runs + 1)][1:]
    name = "decode/arrow_streams_of_4096"
    return [*found, alone(name, [n / s for s in seconds], "events per CPU-second")]


def _stages(values: Sequence[bytes], reference: Reference) -> dict[str, float]:
    """CPU microseconds per event of each stage."""
    spent: Counter[str] = Counter()
    fetches = _fetches(values, 1)

    def clocked(stage: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            start = time.process_time()
            answer = call(*arguments, **named)
            spent[stage] += time.process_time() - start
            return answer

        return timed

    with ExitStack() as stack:
        for stage, owner, name in (
            ("join", ingestor, "block_of"),
            ("decode", FastReader, "read"),
            ("update", StreamSketches, "update"),
            ("close", StreamSketches, "close"),
        ):
            timed = clocked(stage, getattr(owner, name))
            stack.enter_context(patch.object(owner, name, timed))
        whole = _cpu_seconds(lambda: _ingest(fetches, reference, clocked("pack", pack)))
    spent["assign"] = whole - spent.total()
    return {stage: spent[stage] / len(values) * 1e6 for stage in STAGES}


def _ingest(fetches: Sequence[Messages], reference: Reference, send: Callable[..., Any]) -> None:
    spec = DetectorSpec()
    one = Ingestor(
        Sketchbook(Configurations(spec), lambda _m, _v: reference), partition=0, partitions=1
    )
    counted = 0
    for intake in (*map(one.add, fetches), one.finish()):
        counted += intake.counted.total()
        for partial in intake.partials:
            send(partial)
    expected = sum(len(fetch.values) for fetch in fetches)
    if counted != expected:  # a figure of a run that lost something would be worthless
        raise AssertionError(f"{counted} of {expected} events counted")


def _pairs(values: Sequence[bytes], size: int, n: int, runs: int) -> Iterator[Pair]:
    reader, fetches = FastReader(LimitSpec()), _fetches(values, size)
    for at in range(runs + 1):
        ours = _cpu_seconds(lambda: _decode(reader, fetches))
        peer = _cpu_seconds(lambda: [orjson.loads(value) for value in values])
        if at:  # after one run for nothing
            yield n / ours, n / peer


def _decode(reader: FastReader, fetches: Sequence[Messages]) -> None:
    for fetch in fetches:
        if reader.read(block_of(fetch)).dead:
            raise AssertionError("a message was refused")


def _fetches(values: Sequence[bytes], size: int) -> list[Messages]:
    """Messages of `size` events each, as a lane would hand them over."""
    per_fetch, never_ms = max(1, SLICE // size), 2**62
    return [
        Messages("p", 0, part, range(i, i + len(part)), [never_ms] * len(part))
        for i in range(0, len(values), per_fetch)
        if (part := values[i : i + per_fetch])
    ]


def _cpu_seconds(call: Callable[[], object]) -> float:
    gc.collect()  # not the garbage of the run before
    start = time.process_time()
    call()
    return time.process_time() - start


if __name__ == "__main__":
    for row in rows():
        print(row)

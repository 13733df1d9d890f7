"""Example runs: the example data in, what both halves of the detector make of them out.

In    the Parquet files of examples/flights and examples/carloan
Out   `run`: reference, partials, window summaries and alerts of one split, computed once
Not   what they are compared with (tests/stream/test_reference_tables.py, test_frozen_edges.py)
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from stream.detect.detector import Detector
from stream.detect.ingest.events import Messages, Reader
from stream.detect.ingest.ingestor import Intake
from stream.detect.partials import Marker, Partial, pack, read
from stream.detect.profiles import ProfileBuilder
from stream.detect.references import Reference
from stream.detect.specs import DAY_MS, DetectorSpec, LimitSpec, ModelSpec, RuleSpec, TimeSpec
from stream.detect.times import time_ms
from stream.replay.sources import open_source

ROOT = Path(__file__).parents[1]
LENGTHS_DAYS = {"flights": 7, "carloan": 14, "carloan_dq": 14}
NEVER_AHEAD_MS = 2**53


class Run(NamedTuple):
    """What became of one split of one example."""

    reference: Reference
    parts: dict[str, Partial]  # by start of their window, each of which is one pane
    windows: dict[str, dict[str, Any]]  # by start
    alerts: list[dict[str, Any]]


@cache
def trained(example: str) -> Reference:
    builder = None
    for batch in fetches(example, "reference"):
        for run in Reader(LimitSpec()).read(batch).runs:
            builder = builder or ProfileBuilder(run.model, run.version)
            builder.add(run)
    assert builder is not None
    return builder.build()


def fetches(example: str, split: str) -> Iterator[Messages]:
    """The rows of a split as they would come from a topic."""
    folder, offset = example.removesuffix("_dq"), 0
    source = open_source(ROOT / f"examples/{folder}/{example}.parquet", where={"split": split})
    for chunk in source:
        values, n = [message.value for message in chunk], len(chunk)
        yield Messages("p", 0, values, range(offset, offset + n), [NEVER_AHEAD_MS] * n)
        offset += n


@cache
def run(example: str, split: str) -> Run:
    """A whole split through both halves of the detector."""
    known, length_ms = trained(example), LENGTHS_DAYS[example] * DAY_MS
    model = ModelSpec(name=known.model, lengths_ms=(length_ms,), rules=RULES)
    spec = DetectorSpec(time=TimeSpec(pane_ms=length_ms), models={known.model: model})
    detector = Detector(spec, lambda _model, _version: known)
    worker, judge = detector.ingestor(0, 1), detector.judge()
    intakes = [worker.add(batch) for batch in fetches(example, split)]
    items = [item for intake in [*intakes, worker.finish()] for item in handed_out(intake)]
    verdicts = judge.add(list(enumerate(items)))
    assert not any(intake.dead or intake.late for intake in intakes)
    windows = {window["start"]: window for window in verdicts.windows if window["count"]}
    parts = {p.pane * length_ms: p for p in items if isinstance(p, Partial)}
    by_start = {start: parts[time_ms(start)] for start in windows}
    return Run(known, by_start, windows, verdicts.alerts)


def handed_out(intake: Intake) -> Iterator[Partial | Marker]:
    yield from (read(pack(part)) for part in intake.partials)
    if intake.marker is not None:
        yield intake.marker


RULES = (
    RuleSpec(name="feature-drift", measure="psi"),
    RuleSpec(name="prediction-drift", measure="psi", on=("predictions",)),
)

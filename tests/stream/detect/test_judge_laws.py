"""Laws of the judge: what is told of windows does not depend on when a judge starts again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stream.detect.detector import Detector
from stream.detect.ingest.ingestor import Intake
from stream.detect.judge.judge import JudgeProgress
from stream.detect.judge.records import Ledger, Memory, Stored, choose
from stream.detect.partials import Marker, Partial
from stream.detect.references import Reference
from stream.detect.specs import ModelSpec, RuleSpec, TimeSpec
from tests.builders import event, messages, reference, spec

MODEL = ModelSpec(
    name="m",
    lengths_ms=(60_000, 180_000),
    segments=("site",),
    rules=(RuleSpec(name="drift", measure="psi"),),
)
SPEC = spec(MODEL, time=TimeSpec(pane_ms=60_000, grace_ms=10_000, revise_for_ms=240_000))
TRAINED = reference([event(0, {"x": i % 10}) for i in range(500)])
Item = tuple[int, Partial | Marker]
Counts = dict[str, int]  # by window, of its last revision


def detector() -> Detector:
    def reference_of(_model: str, _version: str) -> Reference:
        return TRAINED

    return Detector(SPEC, reference_of)


def log(rng: np.random.Generator) -> list[Item]:
    """Half an hour of two source partitions that run apart, fall silent and have late events."""
    sides = detector()
    workers = [sides.ingestor(source, 2) for source in range(2)]
    offsets, second, items = [0, 0], 0, list[Partial | Marker]()
    for _ in range(40):
        source, n = int(rng.integers(2)), int(rng.integers(0, 40))
        second += int(rng.integers(0, 60))
        batch = [odd_event(rng, second) for _ in range(n)]
        more = messages(*batch, first_offset=offsets[source])
        intake: Intake = workers[source].add(more) if n else workers[source].idle(5_000)
        offsets[source] += n
        items += [*intake.partials, *([intake.marker] if intake.marker else [])]
    return list(enumerate(items))


def odd_event(rng: np.random.Generator, second: float) -> dict[str, Any]:
    behind = rng.integers(0, 150) if rng.random() < 0.1 else rng.integers(-9, 9)
    site = {"site": "ab"[int(rng.integers(2))]}
    return event(max(0, second - int(behind)), {"x": int(rng.integers(10))}, segment=site)


def told(items: list[Item], next_offset: int, progress: JudgeProgress, memory: Memory) -> Counts:
    """What a judge that starts there says last of each window."""
    judge = detector().judge(next_offset=next_offset, progress=progress, memory=memory)
    windows = [window for item in items for window in judge.add([item]).windows]
    return {window["window_id"]: window["count"] for window in windows}


@pytest.mark.parametrize("turn", range(20))
def test_a_judge_that_starts_again_says_the_same_last_and_repeats_nothing(
    rng: np.random.Generator, turn: int
) -> None:
    items = log(rng)
    crash = int(rng.integers(len(items)))
    judge, expected = detector().judge(), Counts()
    for item in items[:crash]:
        judge.add([item])
    changes, (safe_offset, progress) = judge.changes(), judge.commit_point()
    assert changes is not None
    written = Ledger(0, Memory()).records(*changes)
    memory, _ = choose(Stored(key, value, at) for at, (key, value) in enumerate(written))
    for item in items[crash:]:
        expected |= {window["window_id"]: window["count"] for window in judge.add([item]).windows}
    assert told(items[safe_offset:], safe_offset, progress, memory) == expected, turn


@pytest.mark.parametrize("turn", range(5))
def test_the_last_revision_of_a_window_has_all_its_events(
    rng: np.random.Generator, turn: int
) -> None:
    """Whatever is neither revised nor handed out as an orphan is counted exactly once."""
    items = log(rng)
    for source in range(2):
        end = Marker(source=source, sources=2, watermark_ms=2**62, is_idle=True)
        items.append((len(items), end))
    judge, windows, orphans = detector().judge(), dict[str, dict[str, Any]](), 0
    for item in items:
        verdicts = judge.add([item])
        windows |= {window["window_id"]: window for window in verdicts.windows}
        orphans += sum(o.partial.state.events for o in verdicts.orphans if not o.partial.stream[2])
    minutes = [w for w in windows.values() if w["segment"] is None and length_s(w) == 60]
    sent = {
        (one.stream, one.source, one.pane, one.part): one.state.events
        for _, one in items
        if isinstance(one, Partial) and not one.stream.segment
    }
    assert sum(window["count"] for window in minutes) + orphans == sum(sent.values())
    assert len(minutes) > 10, turn


def length_s(window: dict[str, Any]) -> int:
    start, end = (np.datetime64(window[key].removesuffix("Z")) for key in ("start", "end"))
    return int((end - start) / np.timedelta64(1, "s"))

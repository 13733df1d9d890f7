"""Adaptive: without training data the first windows are what later ones are compared with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stream.detect.configurations import Configurations
from stream.detect.judge.adaptive import LEAST_EVENTS, Starts
from stream.detect.judge.gather import Seen
from stream.detect.judge.parts import Window
from stream.detect.judge.records import StreamRecord, pack_stream, read_stream
from stream.detect.specs import ModelSpec, RuleSpec
from stream.detect.states import WindowState
from tests.builders import M, Pipeline, event, ingestor, messages, reference, spec

PSI = RuleSpec(name="drift", measure="psi", reference="adaptive")
MODEL = ModelSpec(name="m", lengths_ms=(60_000,), rules=(PSI,), adaptive_windows=2)


def minute(k: int, mean: float = 0.0, n: int = 300) -> list[dict[str, Any]]:
    values = np.random.default_rng(k).normal(mean, 1.0, n).tolist()
    return [event(60 * k + 1, {"x": v, "c": "ab"[i % 2]}) for i, v in enumerate(values)]


def windows_of(*rows: list[dict[str, Any]], model: ModelSpec = MODEL) -> list[dict[str, Any]]:
    pipeline, found = Pipeline(spec(model)), []
    for events in rows:
        found += pipeline.feed(*events).windows
    return found + pipeline.finish().windows


def compared_with(window: dict[str, Any]) -> set[str]:
    return set(window["features"]["x"]["measures"])


def test_the_first_windows_are_compared_with_nothing_and_later_ones_with_them() -> None:
    found = windows_of(*(minute(k) for k in range(5)))
    assert ["adaptive" in compared_with(window) for window in found] == [
        False,
        False,
        True,
        True,
        True,
    ]
    ids = {window["reference_ids"].get("adaptive") for window in found[2:]}
    assert len(ids) == 1
    measures = found[3]["features"]["x"]["measures"]["adaptive"]
    assert measures["n_reference"] == 600
    assert measures["verdict"] == "ok"


def test_a_drift_from_the_first_windows_is_seen_however_slowly_it_came() -> None:
    found = windows_of(*(minute(k, mean=0.1 * max(0, k - 1)) for k in range(14)))
    verdicts = [w["features"]["x"]["measures"]["adaptive"]["verdict"] for w in found[2:]]
    assert verdicts[0] == "ok"
    assert verdicts[-1] == "breach"


def test_a_window_that_is_too_small_is_not_taken() -> None:
    found = windows_of(minute(0), minute(1, n=LEAST_EVENTS - 1), minute(2), minute(3))
    assert ["adaptive" in compared_with(window) for window in found] == [False, False, False, True]
    assert found[3]["features"]["x"]["measures"]["adaptive"]["n_reference"] == 600


def test_a_window_in_an_incident_is_not_taken() -> None:
    missing = RuleSpec(name="missing", kind="quality", measure="missing_ratio", above=0.5)
    model = replace(MODEL, rules=(PSI, missing))
    broken = [event(61, {"x": None}) for _ in range(300)]
    found = windows_of(minute(0), broken, minute(2), minute(3), model=model)
    assert ["adaptive" in compared_with(window) for window in found] == [False, False, False, True]


def test_a_model_that_does_not_ask_for_it_has_none() -> None:
    found = windows_of(*(minute(k) for k in range(4)), model=replace(MODEL, adaptive_windows=0))
    assert not any("adaptive" in compared_with(window) for window in found)


def test_training_comes_first() -> None:
    pipeline = Pipeline(spec(MODEL), reference(minute(0)))
    for k in range(4):
        pipeline.feed(*minute(k))
    [*_, last] = pipeline.finish().windows
    assert "training" in compared_with(last)
    assert "adaptive" not in compared_with(last)


def state_of(k: int) -> WindowState:
    worker = ingestor()
    worker.add(messages(*minute(k)))
    [part] = worker.finish().partials
    return part.state


def windows(n: int) -> list[Window]:
    return [Window(M, 60_000, 60_000 * k) for k in range(n)]


@pytest.mark.parametrize("taken", [1, 2])
def test_what_was_taken_outlives_the_judge(taken: int) -> None:
    first, again = Starts(Configurations(spec(MODEL))), Starts(Configurations(spec(MODEL)))
    whole = windows(4)
    for k in range(taken):
        first.take(whole[k], state_of(k))
    record = StreamRecord(Seen(0, 0), first=list(first.rows(M)))
    again.restore(M, read_stream(pack_stream(M, record)).first)
    for starts in (first, again):
        for k in range(taken + 1):  # those that were taken are not taken again
            starts.take(whole[k], state_of(k))
    known, restored = first.reference(whole[3]), again.reference(whole[3])
    assert known is not None
    assert restored is not None
    assert known.id == restored.id
    assert known.state.events == restored.state.events == 600
    x, y = (one.state.features["feature.x"].number for one in (known, restored))
    assert x is not None
    assert y is not None
    assert x.cells.tolist() == y.cells.tolist()


def test_a_window_is_not_compared_with_itself() -> None:
    starts, whole = Starts(Configurations(spec(MODEL))), windows(3)
    for k in range(2):
        starts.take(whole[k], state_of(k))
    assert [starts.reference(window) is None for window in whole] == [True, True, False]
    starts.drop(M)
    assert starts.reference(whole[2]) is None

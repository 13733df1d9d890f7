"""Caps: what publishers may cost is bounded, and who comes first in the log is served first.

Panes of 60 s, grace 10 s. What is configured always has room; nobody who was let in is put out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stream.detect.configurations import Configurations
from stream.detect.ingest.ingestor import FEW_MODELS, Ingestor, Intake, Sketchbook
from stream.detect.specs import DetectorSpec, FeatureSpec, LimitSpec, ModelSpec
from tests.builders import (
    MINUTE,
    Pipeline,
    by_key,
    columnar,
    cut,
    event,
    ingestor,
    messages,
    no_reference,
    reference,
    spec,
)


def refused(intake: Intake) -> list[tuple[str, str | None, int, int]]:
    return [(x.reason, x.field, x.offset, x.count) for x in intake.dead]


def counted(intake: Intake) -> dict[tuple[str, str, str], int]:
    """Events by stream."""
    return {tuple(p.stream): p.state.events for p in intake.partials}  # type: ignore[misc]


def fed(limits: LimitSpec, *values: Any, model: ModelSpec | None = None) -> Intake:
    worker = ingestor(spec(model, limits=limits))
    return worker.add(messages(*values)).then(worker.finish())


def test_models_nobody_configured_have_so_much_room_and_configured_ones_always() -> None:
    names = ["a", "b", "c", "a", "m", "c"]  # m is configured
    intake = fed(LimitSpec(max_models=2), *[event(1, model=name) for name in names])
    assert refused(intake) == [("too_many_models", "model", i, 1) for i in (2, 5)]
    assert counted(intake) == {("a", "1", ""): 2, ("b", "1", ""): 1, ("m", "1", ""): 1}
    assert intake.dead[0].detail == (
        "model c: its pane and partition have as many as limits.max_models"
    )


def test_with_no_room_for_strangers_only_configured_models_are_watched() -> None:
    intake = fed(LimitSpec(max_models=0), event(1, model="a"), event(1))
    assert refused(intake) == [("too_many_models", "model", 0, 1)]
    assert counted(intake) == {("m", "1", ""): 1}


def test_a_pane_has_its_own_room() -> None:
    #   0s         60s
    #   [----A-----)[----B-----)      a takes the place of A, b that of B
    values = [event(1, model="a"), event(61, model="b"), event(2, model="b"), event(62, model="a")]
    intake = fed(LimitSpec(max_models=1), *values)
    assert refused(intake) == [("too_many_models", "model", i, 1) for i in (2, 3)]


def test_versions_of_a_model_have_so_much_room() -> None:
    versions = ["1", "2", "3", "2"]
    intake = fed(LimitSpec(max_versions=2), *[event(1, version=v) for v in versions])
    assert refused(intake) == [("too_many_versions", "version", 2, 1)]
    assert intake.dead[0].detail == (
        "version m/3: its pane and partition have as many as limits.max_versions"
    )


def test_refused_events_of_one_message_are_one_letter() -> None:
    many = [event(1, model=f"m{i}") for i in range(50)]
    intake = fed(LimitSpec(max_models=3), many, many)
    assert refused(intake) == [("too_many_models", "model", i, 47) for i in (0, 1)]


def test_untimely_events_of_one_message_are_one_letter() -> None:
    batch = columnar([1, 2, 3, 300], {})
    intake = fed(LimitSpec(), event(300), batch, event(2))
    assert refused(intake) == [("too_late", "ts", 1, 3), ("too_late", "ts", 2, 1)]


def test_an_event_refused_for_its_time_takes_no_room() -> None:
    values = [event(300, model="a"), event(5, model="o"), event(301, model="p")]
    intake = fed(LimitSpec(max_models=2), *values)
    assert refused(intake) == [("too_late", "ts", 1, 1)]


@pytest.mark.parametrize("announced", ["configured", "in the reference", "not at all"])
def test_features_beyond_the_cap_are_left_out_and_counted(announced: str) -> None:
    values = [event(i, {f"new-{i}": i, f"new-{i + 1}": i, "x": 1}) for i in range(4)]
    features = {"x": FeatureSpec(name="x")} if announced == "configured" else {}
    model = ModelSpec(name="m", lengths_ms=(60_000,), features=features)
    known = {("m", "1"): reference([event(0, {"x": 1})])} if "reference" in announced else {}
    worker = ingestor(spec(model, limits=LimitSpec(max_feature_names=3)), known)
    worker.add(messages(*values))
    [part] = worker.finish().partials
    names = {name.removeprefix("feature."): s.observed() for name, s in part.state.features.items()}
    room = {"new-0": 1, "new-1": 2, "x": 4}  # the event before the name decides
    if announced == "not at all":
        assert (names, part.state.dropped) == (room, 5)
    else:
        assert (names, part.state.dropped) == (room | {"new-2": 2}, 3)
    assert part.state.events == 4


def test_a_window_says_how_many_values_were_left_out() -> None:
    pipeline = Pipeline(spec(limits=LimitSpec(max_feature_names=1)))
    pipeline.feed(event(1, {"x": 1, "y": None, "z": "t"}), event(2, {"y": [1]}))
    [window] = pipeline.finish().windows
    assert (window["count"], window["features_dropped"]) == (2, 3)
    assert list(window["features"]) == ["x"]


def test_segments_beyond_the_cap_are_one() -> None:
    model = ModelSpec(name="m", lengths_ms=(60_000,), segments=("site", "kind"))
    sites = ["a", "b", "a", "c", "d", None, "b"]
    values = [event(1, segment={"site": s, "kind": "k"}) for s in sites]
    found = counted(fed(LimitSpec(max_segments=2), *values, model=model))
    assert {segment: n for (_, _, segment), n in found.items()} == {
        "": 7,
        "kind=k": 7,
        "site=a": 2,
        "site=b": 2,
        "site=_other": 2,
    }


def test_sketches_do_not_grow_with_names_that_never_come_back() -> None:
    limits = LimitSpec(max_feature_names=10)
    book = Sketchbook(Configurations(spec(limits=limits)), no_reference)
    worker = Ingestor(book, partition=0, partitions=1)
    for pane in range(100):
        values = [event(60 * pane + i, {f"{pane}-{i}": i}) for i in range(20)]
        worker.add(messages(*values, first_offset=20 * pane))
        assert len(book.current("m", "1", pane)._features) <= 3 + 3 * limits.max_feature_names


def test_sketches_of_models_that_never_come_back_are_forgotten() -> None:
    book = Sketchbook(Configurations(spec()), no_reference)
    worker = Ingestor(book, partition=0, partitions=1)
    for pane in range(40):
        values = [event(60 * pane, model=f"{pane}-{i}") for i in range(50)]
        worker.add(messages(*values, first_offset=50 * pane))
    assert len(book._current) <= 2 * FEW_MODELS


TIGHT = LimitSpec(max_models=1, max_versions=2, max_feature_names=3, max_segments=2)
CAPPED = DetectorSpec(
    time=MINUTE,
    limits=TIGHT,
    models={"m": ModelSpec(name="m", lengths_ms=(60_000,), segments=("site",))},
    config_hash="c0",
)


def drawn(rng: np.random.Generator) -> dict[str, Any]:
    names = rng.choice(list("abcdefgh"), int(rng.integers(0, 4)), replace=False).tolist()
    late_s = int(rng.integers(0, 120)) * int(rng.random() < 0.2)
    return event(
        max(0, int(rng.integers(0, 400)) - late_s),
        {name: 1 for name in names},
        model="mmopq"[int(rng.integers(5))],
        version="123"[int(rng.integers(3))],
        segment={"site": "uvwx"[int(rng.integers(4))]},
        id=f"e-{rng.integers(100)}",
    )


@pytest.mark.parametrize("turn", range(30))
def test_what_is_let_in_is_a_function_of_the_log(rng: np.random.Generator, turn: int) -> None:
    log = messages(*sorted((drawn(rng) for _ in range(120)), key=lambda e: e["ts"] // 40_000))
    whole, worker, place = ingestor(CAPPED), ingestor(CAPPED), 0
    expected = [whole.add(log), whole.finish()]
    intakes = list[Intake]()
    while place < len(log.values):
        step = int(rng.integers(1, 40))
        intakes.append(worker.add(cut(log, place, place + step)))
        place += step
        if rng.random() < 0.3:
            offset, progress = worker.commit_point()
            worker, place = ingestor(CAPPED, next_offset=offset, progress=progress), offset
    intakes.append(worker.finish())
    assert by_key(intakes) == by_key(expected), turn
    letters = {(x.offset, x.reason, x.detail, x.count) for i in intakes for x in i.dead}
    assert letters == {(x.offset, x.reason, x.detail, x.count) for x in expected[0].dead}, turn
    assert any(x.reason == "too_many_models" for x in expected[0].dead)

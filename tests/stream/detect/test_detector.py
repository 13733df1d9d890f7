"""Detector: no stream of messages, however odd, stops it, and everything it says is plain JSON."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest

from stream.detect.detector import Detector
from stream.detect.judge.judge import Verdicts
from stream.detect.specs import FeatureSpec, LimitSpec, ModelSpec, RuleSpec
from stream.settings import default_rules
from stream.settings.sections import LEVELLESS_MEASURES, MEASURES, OBJECTIVES
from tests.builders import Pipeline, at, event, messages, no_reference, reference, spec

FEATURES = {
    "limited": FeatureSpec(name="limited", low=-1, high=1, max_missing=0.1),
    "allowed": FeatureSpec(name="allowed", kind="category", allowed=("a", "b")),
    "known": FeatureSpec(name="known", kind="category", allowed_from_reference=True),
    "vector": FeatureSpec(name="vector", kind="vector"),
}
EVERY_RULE = (
    *default_rules(FEATURES),
    *(
        RuleSpec(
            name=f"{measure}-{which}",
            measure=measure,
            reference=which,
            on=("features", "predictions"),
            above=0.1 if measure in LEVELLESS_MEASURES else None,
        )
        for measure in MEASURES
        for which in ("training", "previous")
    ),
    *(
        RuleSpec(name=f"{o}-{b}", objective=o, **{b: 1.0})
        for o in OBJECTIVES
        for b in ("above", "below")
    ),  # type: ignore[arg-type]
)
EVERYTHING = ModelSpec(
    name="m",
    lengths_ms=(60_000, 180_000),
    segments=("known",),
    features=FEATURES,
    rules=EVERY_RULE,
    false_alarms_per_week=1e6,
)
LARGEST = float(np.finfo(float).max)
ODD = [0, 1, -0.0, 5e-324, 1e-310, LARGEST, -LARGEST, 1e300, 2**64 - 1, -(2**63), 0.1, 7.5,
       float("nan"), float("inf"), float("-inf"), None, True, "a", "b", "z", "", "x" * 9_999,
       "\x00", "\x1f", "😀", [], [1, 2], [1e300, 1e300], [None], ["x"], {},
       {"a": {"b": []}}]  # fmt: skip
NAMES = (
    "limited",
    "allowed",
    "known",
    "vector",
    "plain",
    "prediction.score",
    "",
    "feature.x",
    "a.b",
)


def odd_events(rng: np.random.Generator, second: float, n: int) -> list[dict[str, Any]]:
    """Events in which a feature mostly has one odd value, and sometimes any other."""
    favourites = {name: ODD[rng.integers(len(ODD))] for name in NAMES}
    rows = []
    for _ in range(n):
        features = {
            name: value if rng.random() < 0.7 else ODD[rng.integers(len(ODD))]
            for name, value in favourites.items()
            if rng.random() < 0.9
        }
        rows.append(
            event(
                second + rng.integers(-40, 40),
                features,
                prediction={"score": ODD[rng.integers(13)], "label": ODD[rng.integers(8, 21)]},
                latency_ms=ODD[rng.integers(11)],
                status=("ok", "error")[int(rng.integers(2))],
            )
        )
    return rows


def as_json(verdicts: Verdicts) -> tuple[int, int]:
    """How many windows and alerts; all of them can be written and read again, and add up."""
    for told in (*verdicts.windows, *verdicts.alerts):
        assert orjson.loads(orjson.dumps(told)) == told
    assert [name for window in verdicts.windows for name in uneven(window)] == []
    return len(verdicts.windows), len(verdicts.alerts)


def uneven(window: dict[str, Any]) -> list[str]:
    """Features whose values, missing values and infinities are not all events of the window."""
    found = []
    for name, told in window["features"].items():
        missing = [told[kind] for kind in ("nulls", "absent", "nans", "mistyped")]
        parts = [told["count"], told["infs"], *missing]
        is_even = sum(parts) == window["count"] and sum(missing) == told["missing"]
        found += [] if is_even and min(parts) >= 0 else [name]
    return found


@pytest.mark.parametrize("is_trained", [False, True])
@pytest.mark.parametrize("turn", range(4))
def test_nothing_that_can_be_sent_stops_it(
    rng: np.random.Generator, is_trained: bool, turn: int
) -> None:
    trained = reference(odd_events(rng, 0, 200)) if is_trained else None
    pipeline = Pipeline(spec(EVERYTHING, limits=LimitSpec(max_extra_categories=4)), trained)
    n_windows = n_alerts = 0
    for minute in range(6):
        count = as_json(pipeline.feed(*odd_events(rng, 60 * minute, 60 if minute != turn else 0)))
        n_windows, n_alerts = n_windows + count[0], n_alerts + count[1]
    count = as_json(pipeline.finish())
    assert n_windows + count[0] > 12
    assert n_alerts + count[1] > 5
    assert orjson.dumps([[x.reason, x.field, x.detail] for x in pipeline.dead])


def test_one_odd_value_in_all_events_stops_nothing(rng: np.random.Generator) -> None:
    usual = rng.normal(size=100).tolist()
    trained = reference([event(0, {f"f{i}": v for i in range(len(ODD))}) for v in usual])
    pipeline = Pipeline(spec(EVERYTHING), trained)
    pipeline.feed(*[event(1, {f"f{i}": odd for i, odd in enumerate(ODD)}) for _ in range(60)])
    assert as_json(pipeline.finish())[0] == 2


def test_training_on_one_odd_value_stops_nothing(rng: np.random.Generator) -> None:
    trained = reference([event(0, {f"f{i}": odd for i, odd in enumerate(ODD)}) for _ in range(60)])
    pipeline = Pipeline(spec(EVERYTHING), trained)
    usual = rng.normal(size=100).tolist()
    pipeline.feed(*[event(1, {f"f{i}": v for i in range(len(ODD))}) for v in usual])
    assert as_json(pipeline.finish())[0] == 2


def test_halves_made_by_one_detector_share_its_spec_and_references() -> None:
    detector = Detector(spec(), no_reference)
    worker, judge = detector.ingestor(0, 1, next_offset=5), detector.judge(next_offset=7)
    assert worker.commit_point()[0] == 5
    assert judge.commit_point()[0] == 7
    assert worker.add(messages(event(1), first_offset=5)).counted == {("m", "1"): 1}


def test_each_window_is_compared_with_the_reference_its_panes_were_counted_under() -> None:
    #   0s         60s        120s
    #   [----A-----)[----B-----)      the new reference is in force from 60 s on
    old, new = (reference([event(i, {"x": i % k}) for i in range(300)]) for k in (3, 5))
    new.from_ms, new.before = at(60), old
    pipeline = Pipeline(spec(), new)
    windows = pipeline.feed(*[event(i, {"x": i % 3}) for i in range(0, 140, 2)]).windows
    windows += pipeline.finish().windows
    found = [window["reference_ids"].get("training") for window in windows if window["count"]]
    assert found == [old.id, new.id, new.id]

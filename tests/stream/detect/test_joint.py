"""Joint: what a window knows of features side by side, of arrays, attributions and variety."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels.sketches import covariance, hyperloglog, vectors
from stream.detect.joint import PANE_ROWS, WINDOW_ROWS, JointState
from stream.detect.partials import Partial, pack, read
from stream.detect.references import Reference
from stream.detect.specs import DEFAULT_KEY, FeatureSpec, ModelSpec
from stream.detect.states import WindowState
from tests.builders import (
    M,
    Pipeline,
    columnar,
    cut,
    event,
    ingestor,
    messages,
    reference,
    spec,
)

NAMES = ("a", "b", "c")


def table(n: int, seed: int = 1) -> NDArray[np.float64]:
    """Three features (n, 3) that vary together."""
    rng = np.random.default_rng(seed)
    return rng.normal([1.0, 20.0, -3.0], [1.0, 4.0, 0.5], (n, 3)) + rng.normal(0, 1, (n, 1))


def events_of(values: NDArray[np.float64], **more: Any) -> list[dict[str, Any]]:
    named = [dict(zip(NAMES, row, strict=True)) for row in values.tolist()]
    return [
        event(1, {k: None if np.isnan(v) else v for k, v in row.items()}, **more) for row in named
    ]


def part_of(
    events: list[dict[str, Any]], known: Reference | None, cuts: int = 1, first_offset: int = 0
) -> Partial:
    worker = ingestor(references={("m", "1"): known} if known else {})
    batch = messages(*events, first_offset=first_offset)
    for start in range(0, len(events), -(-len(events) // cuts)):
        worker.add(cut(batch, start, start + -(-len(events) // cuts)))
    [part] = worker.finish().partials
    return part


def joint_of(part: Partial) -> JointState:
    assert part.state.joint is not None
    return part.state.joint


KNOWN = reference(events_of(table(2_000)))


def test_small_parts_keep_every_event() -> None:
    values = table(PANE_ROWS)
    found = joint_of(part_of(events_of(values), KNOWN)).values()
    assert np.array_equal(found[np.argsort(found[:, 0])], values[np.argsort(values[:, 0])])


def test_correlations_are_those_of_the_events() -> None:
    values = table(700)
    values[::10, 1] = np.nan
    counts, found = joint_of(part_of(events_of(values), KNOWN)).correlations()
    whole = ~np.isnan(values[:, 1])
    assert counts.tolist() == [[700, 630, 700], [630, 630, 630], [700, 630, 700]]
    expected = np.corrcoef(values[whole].T)
    assert found[0, 1] == pytest.approx(expected[0, 1], abs=1e-12)
    assert found[0, 2] == pytest.approx(np.corrcoef(values.T[[0, 2]])[0, 1], abs=1e-12)


def test_a_part_is_the_same_however_fetches_are_cut() -> None:
    values = table(900)
    values[::7, 2] = np.nan
    events = events_of(values, attributions={"a": 0.25, "b": -1})
    assert pack(part_of(events, KNOWN)) == pack(part_of(events, KNOWN, cuts=37))


def test_a_window_samples_more_than_its_panes() -> None:
    state = WindowState()
    for pane in range(4):
        events = events_of(table(500, pane))
        state.merge(part_of(events, KNOWN, first_offset=500 * pane).state)
    assert state.joint is not None
    assert state.joint.events == 2_000
    assert PANE_ROWS < len(state.joint.values()) <= min(WINDOW_ROWS, 4 * PANE_ROWS)


def test_merging_leaves_the_parts_alone() -> None:
    part = part_of(events_of(table(50)), KNOWN)
    before, state = pack(part), WindowState()
    state.merge(part.state)
    state.merge(part.state)
    assert pack(part) == before
    assert joint_of(part).events == 50


def test_parts_with_other_features_are_counted_apart() -> None:
    other = reference(events_of(table(100) * 5))
    state = part_of(events_of(table(30)), KNOWN).state
    state.merge(part_of(events_of(table(40)), other).state)
    assert state.joint is not None
    assert (state.joint.events, state.joint.apart) == (30, 40)


@pytest.mark.parametrize(
    "trained", [None, reference([event(0, {"a": 1}), event(0, {"a": 2})])], ids=["none", "one"]
)
def test_without_two_numbers_in_the_reference_nothing_is_side_by_side(
    trained: Reference | None,
) -> None:
    assert part_of(events_of(table(5)), trained).state.joint is None


def test_a_feature_that_is_a_category_is_not_a_number() -> None:
    model = ModelSpec(name=M.model, features={"b": FeatureSpec(name="b", kind="category")})
    worker = ingestor(spec(model), {("m", "1"): KNOWN})
    worker.add(messages(*events_of(table(5))))
    [part] = worker.finish().partials
    assert joint_of(part).names == ("feature.a", "feature.c")


def test_of_many_features_the_first_are_taken() -> None:
    rng = np.random.default_rng(1)
    rows = [
        {f"x{i:02d}": v for i, v in enumerate(row)} for row in rng.normal(size=(20, 40)).tolist()
    ]
    known = reference([event(0, row) for row in rows])
    assert known.state.joint is not None
    assert known.state.joint.names == tuple(f"feature.x{i:02d}" for i in range(covariance.MOST))


def test_the_reference_has_a_sample_and_correlations_of_its_own() -> None:
    joint = KNOWN.state.joint
    assert joint is not None
    assert (len(joint.values()), joint.events) == (WINDOW_ROWS, 2_000)
    np.testing.assert_allclose(joint.correlations()[1], np.corrcoef(table(2_000).T), atol=1e-12)


@pytest.mark.parametrize("n", [1, 40, 3_000])
@pytest.mark.parametrize("kind", [float, str])
def test_a_window_says_how_many_values_are_different(n: int, kind: type) -> None:
    events = [event(1, {"x": kind(i % n)}) for i in range(3_100)]
    part = part_of(events, None)
    again = read(pack(part))
    assert isinstance(again, Partial)
    feature = again.state.features["feature.x"]
    state = feature.number if kind is float else feature.category
    assert state is not None
    found = state.distinct(DEFAULT_KEY)
    assert found is not None
    assert abs(found - n) <= hyperloglog.GUARANTEE * n


@given(st.integers(0, 30), st.integers(0, 600))
def test_listed_and_unlisted_values_count_once(listed: int, unlisted: int) -> None:
    known = reference([event(0, {"x": v, "y": 1}) for v in range(30)])
    events = [event(1, {"x": v}) for v in (*range(listed), *range(100, 100 + unlisted))]
    if not events:
        return
    number = part_of(events, known).state.features["feature.x"].number
    assert number is not None
    whole = number.distinct(DEFAULT_KEY)
    assert whole is not None
    assert abs(whole - listed - unlisted) <= max(hyperloglog.GUARANTEE * (listed + unlisted), 2)
    assert number.is_atomic == (unlisted == 0)


def test_attributions_are_averaged_by_magnitude() -> None:
    shares = [{"a": 0.5, "b": -2}, {"a": -0.5, "b": None}, {"a": "x"}, None]
    events = [event(1, {"a": 1}, **({"attributions": s} if s else {})) for s in shares]
    assert part_of(events, None).state.attributions == {"a": (2, 1.0, 0.5), "b": (1, 2.0, 4.0)}


def test_a_batch_has_attributions_too() -> None:
    columns = {"features": {"a": [1, 2]}, "attributions": {"a": [3, -4]}}
    worker = ingestor()
    worker.add(messages(columnar([1, 2], columns)))
    [part] = worker.finish().partials
    assert part.state.attributions == {"a": (2, 7.0, 25.0)}


@pytest.mark.parametrize("wrong", [7, "x", [1]])
def test_attributions_are_an_object(wrong: Any) -> None:
    [letter] = ingestor().add(messages(event(1, {"a": 1}, attributions=wrong))).dead
    assert (letter.reason, letter.field) == ("wrong_type", "attributions")


def test_arrays_are_summed_by_dimension_and_compared_with_the_references_mean() -> None:
    known = reference([event(0, {"e": [3.0, 4.0], "n": 1})] * 3)
    arrays = [[3.0, 4.0], [-3.0, -4.0], [4.0, -3.0], [1.0], [None, 1.0], [0.0, 0.0]]
    feature = part_of([event(1, {"e": a}) for a in arrays], known).state.features["feature.e"]
    assert feature.arrays is not None
    assert feature.cosine is not None
    assert (feature.arrays.count[0], feature.arrays.apart[0].tolist()) == (4, [1, 1])
    assert vectors.means(feature.arrays, 0).tolist() == [1.0, -0.75]
    assert (feature.cosine.count, feature.cosine.moments.low[0]) == (3, -1.0)
    assert feature.cosine.moments.high[0] == 1.0


def test_without_reference_the_first_array_of_a_part_says_which_length_counts() -> None:
    events = [event(1, {"e": a}) for a in ([1.0], [2.0, 3.0], [5.0])]
    feature = part_of(events, None).state.features["feature.e"]
    assert feature.arrays is not None
    assert (feature.arrays.length[0], feature.arrays.apart[0, 0]) == (1, 1)
    assert feature.cosine is None


def test_a_window_tells_all_of_it() -> None:
    known = reference([event(0, {"a": v, "b": v * v, "e": [1.0, 2.0]}) for v in range(50)])
    rows = [{"a": v, "b": -v, "e": [2.0, 1.0]} for v in range(40)]
    more = {"attributions": {"a": 1.5, "b": -2}}
    worker = Pipeline(spec(), known)
    worker.feed(*[event(1, row, **more) for row in rows])
    [window] = worker.finish().windows
    a, e = window["features"]["a"], window["features"]["e"]
    assert (a["distinct"], a["distinct_exact"], a["skewness"]) == (40, True, 0.0)
    assert a["kurtosis"] == pytest.approx(-1.2, abs=0.01)
    b = window["features"]["b"]
    assert abs(b["distinct"] - 40) <= hyperloglog.GUARANTEE * 40
    assert b["distinct_exact"] is False
    assert (e["kind"], e["dimensions"], e["other_length"], e["not_finite"]) == ("vector", 2, 0, 0)
    assert e["cosine"]["mean"] == pytest.approx(0.8)
    assert window["attributions"] == {
        "b": {"mean_abs": 2.0, "count": 40},
        "a": {"mean_abs": 1.5, "count": 40},
    }
    joint = {"features": ["a", "b"], "events": 40, "apart": 0, "rows": 40}
    assert window["joint"] | joint == window["joint"]

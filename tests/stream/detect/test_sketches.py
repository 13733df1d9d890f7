"""Sketches: values of any type are counted as what they are, per part and in bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kernels.sketches import logbins, moments
from stream.detect.ingest.sketches import StreamSketches
from stream.detect.partials import pack
from stream.detect.references import Reference
from stream.detect.specs import FeatureSpec, LimitSpec, ModelSpec
from stream.detect.states import FeatureState, WindowState
from tests.builders import decode, event, partial, reference

NAN, INF = float("nan"), float("inf")
MIXED = [1, 2.5, True, "a", "a", None, NAN, INF, -INF, [3, 4], ["x"], {}, "b"]


def counted(
    values: list[Any],
    *,
    kind: str | None = None,
    trained: Reference | None = None,
    limits: LimitSpec | None = None,
) -> WindowState:
    """The state of one part that got these values of the feature x, and once none."""
    features = {"x": FeatureSpec(name="x", kind=kind)} if kind else {}
    limits = limits or LimitSpec()
    sketches = StreamSketches(ModelSpec(name="m", features=features), trained, limits)
    [run] = decode(*[event(0, {"x": v}) for v in values], event(0), limits=limits).runs
    slot = sketches.open()
    sketches.update(np.full(len(values) + 1, slot, np.int32), run)
    return sketches.close(slot)


def x_of(state: WindowState) -> FeatureState:
    return state.features["feature.x"]


def kinds_of(feature: FeatureState) -> dict[str, int]:
    assert feature.number is not None
    kinds = feature.number.moments.kinds[0].tolist()
    names = ("nulls", "absents", "nans", "mistyped", "+inf", "-inf")
    return {name: kind for name, kind in zip(names, kinds, strict=True) if kind}


def test_without_reference_and_configuration_every_type_is_counted_apart() -> None:
    feature = x_of(counted(MIXED))
    assert feature.number is not None
    assert feature.category is not None
    assert feature.number.count == 3  # 1, 2.5, and the length of [3, 4]
    assert kinds_of(feature) == {"nans": 1, "+inf": 1, "-inf": 1}
    assert feature.category.counts == {"a": 2, "b": 1, "true": 1}
    assert (feature.nulls, feature.mistyped, feature.is_vector) == (1, 2, True)
    assert feature.number.values == {1.0: 1, 2.5: 1, 5.0: 1}


def test_a_number_takes_numbers_alone() -> None:
    feature = x_of(counted(MIXED, kind="number"))
    assert feature.number is not None
    assert (feature.number.count, feature.category, feature.is_vector) == (2, None, False)
    assert (feature.nulls, feature.mistyped) == (1, 7)


def test_a_category_takes_texts_booleans_and_numbers() -> None:
    feature = x_of(counted(MIXED, kind="category"))
    assert feature.category is not None
    assert feature.category.counts == {
        "1": 1, "2.5": 1, "true": 1, "a": 2, "b": 1, "inf": 1, "-inf": 1
    }  # fmt: skip
    assert (feature.number, feature.nulls, feature.mistyped) == (None, 1, 4)


def test_a_vector_counts_by_its_length() -> None:
    feature = x_of(counted([[3, 4], [6, 8], [None], "text", None], kind="vector"))
    assert feature.number is not None
    assert (feature.number.moments.low[0], feature.number.moments.high[0]) == (5, 10)
    assert kinds_of(feature) == {"nans": 1}
    assert (feature.kind, feature.nulls, feature.mistyped) == ("vector", 1, 1)


@pytest.mark.parametrize("value", [None, {}, [{}]])
def test_a_feature_without_a_value_is_still_known(value: Any) -> None:
    feature = x_of(counted([value]))
    assert (feature.number, feature.category) == (None, None)
    assert feature.nulls + feature.mistyped == 1


def test_a_feature_no_event_has_is_not_in_the_part() -> None:
    assert counted([]).features == {}


def test_the_reference_tells_kind_grid_and_vocabulary() -> None:
    trained = reference([event(0, {"x": v}) for v in [1, 1, 2, 5, 5, 5]])
    feature = x_of(counted([1, 5, 5, 7, "1"], trained=trained))
    assert feature.number is not None
    assert feature.number.grid == trained.grid("feature.x")
    assert feature.number.values == {1.0: 1, 5.0: 2}
    assert (feature.number.count, feature.mistyped) == (4, 1)
    assert not feature.number.is_atomic


def test_configuration_outweighs_the_reference() -> None:
    trained = reference([event(0, {"x": v}) for v in [1, 1, 2]])
    feature = x_of(counted([1, 2, 2], kind="category", trained=trained))
    assert feature.category is not None
    assert feature.category.counts == {"1": 1, "2": 2}


def test_a_feature_the_reference_has_only_nulls_of_takes_any_type() -> None:
    trained = reference([event(0, {"x": None, "y": 1})] * 3)
    feature = x_of(counted(["a", "a", 3], trained=trained))
    assert feature.category is not None
    assert feature.category.counts == {"a": 2}


def test_numbers_outside_the_grid_are_counted_at_its_end() -> None:
    trained = reference([event(0, {"x": v}) for v in np.linspace(0, 1, 600).tolist()])
    feature = x_of(counted([0.5, 1e300, -1e300, 1e-300], trained=trained))
    assert feature.number is not None
    assert feature.number.clamped == 2
    assert feature.number.cells.sum() == 4
    assert feature.number.cells[[0, logbins.CELLS - 1]].tolist() == [1, 1]


def test_moments_of_a_part_are_those_of_its_values(rng: np.random.Generator) -> None:
    numbers = rng.normal(50, 3, 500)
    feature = x_of(counted(numbers.tolist()))
    assert feature.number is not None
    found = feature.number.moments
    unit = feature.number.grid.unit
    assert moments.mean(found, 0, unit) == pytest.approx(numbers.mean(), rel=1e-12)
    assert moments.variance(found, 0, unit, 1) == pytest.approx(numbers.var(ddof=1), rel=1e-9)


def test_errors_are_counted_and_events_of_no_part_are_not() -> None:
    sketches = StreamSketches(ModelSpec(name="m"), None, LimitSpec())
    [run] = decode(event(0, {"x": 1}, status="error"), event(0, {"x": 2}), event(0, {"x": 3})).runs
    one, two = sketches.open(), sketches.open()
    sketches.update(np.array([one, -1, two], np.int32), run)
    first, second = sketches.close(one), sketches.close(two)
    assert [(s.events, s.errors) for s in (first, second)] == [(1, 1), (1, 0)]
    assert x_of(second).number.moments.low[0] == 3  # type: ignore[union-attr]


def test_rows_are_used_again_and_more_are_made_when_needed() -> None:
    sketches = StreamSketches(ModelSpec(name="m"), None, LimitSpec())
    [run] = decode(event(0, {"x": 1, "c": "a"})).runs
    slots = [sketches.open() for _ in range(11)]
    assert len(set(slots)) == sketches.open_slots == 11
    for slot in slots:
        sketches.update(np.array([slot], np.int32), run)
    states = [sketches.close(slot) for slot in slots]
    assert [s.events for s in states] == [1] * 11
    assert sketches.open_slots == 0
    assert sketches.close(sketches.open()).features == {}


def test_unseen_categories_are_counted_up_to_the_limit() -> None:
    trained = reference([event(0, {"x": v}) for v in "aab"])
    values = [*"aab", *"cccddeef", "c"]
    feature = x_of(counted(values, trained=trained, limits=LimitSpec(max_extra_categories=3)))
    assert feature.category is not None
    counts = feature.category.counts
    assert (counts["a"], counts["b"], len(counts)) == (2, 1, 5)
    assert feature.category.count == len(values)
    # Of c four came, of each other two or one: what is counted of them may be theirs or not.
    assert counts["c"] >= 4
    assert feature.category.uncertain >= 1


@pytest.mark.parametrize("size", [1, 37, 599])
def test_batches_change_no_byte_while_sketches_move(size: int) -> None:
    """More slots and registers instead of hashes come between batches: arrays are made anew."""
    rows = [{"x": i * 1.5, "n": i % 3, "c": f"c{i % 4}", "y": -i} for i in range(600)]
    trained = reference(
        event(i, {"x": 0.1 * i, "n": i % 2, "c": f"c{i % 2}", "y": 1.0}) for i in range(900)
    )
    whole, cut = (_packed_in_batches(rows, trained, n) for n in (len(rows), size))
    assert whole == cut


def _packed_in_batches(rows: list[dict[str, Any]], trained: Reference, size: int) -> list[bytes]:
    """What two parts have, the second of which is opened after the first batch."""
    sketches = StreamSketches(ModelSpec(name="m"), trained, LimitSpec())
    slots = [sketches.open()]
    for start in range(0, len(rows), size):
        some = enumerate(rows[start : start + size], start)
        events = [event(i, row, id=f"e-{i}") for i, row in some]
        [run] = decode(*events).runs
        numbers = np.arange(start, start + len(events))
        mine = np.where(numbers % 3 == 0, -1, slots[0]).astype(np.int32)
        sketches.update(mine, run)
        if start == 0:
            slots.append(sketches.open())
        sketches.update(np.where(numbers % 3 == 0, slots[1], -1).astype(np.int32), run)
    return [pack(partial(0, state=sketches.close(slot))) for slot in slots]

"""Profiles: training data become a reference, which is read again exactly as it was written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.sketches import moments
from stream.detect.grids import NORMAL_IQR
from stream.detect.profiles import (
    ProfileBuilder,
    content_id,
    from_document,
    to_document,
)
from stream.detect.references import DECILES, VOCABULARY_SIZE, Reference
from stream.detect.specs import FeatureSpec
from stream.errors import FormatError
from tests.builders import decode, event, reference

NAN, INF = float("nan"), float("inf")
ANY = [0, 1, 2.5, -0.0, 1e300, -1e300, 1e-310, 2**63, NAN, INF, -INF, None, "a", "b", "ü€", True,
       [3, 4], [], ["x"], {}]  # fmt: skip


def trained(values: Iterable[Any]) -> Reference:
    return reference([event(0, {} if v is ... else {"x": v}) for v in values])


def on_disk(known: Reference) -> Any:
    return orjson.loads(orjson.dumps(to_document(known)))


def test_a_reference_needs_an_event() -> None:
    with pytest.raises(FormatError, match="no events of m/1"):
        ProfileBuilder("m", "1").build()


def test_a_number_with_few_values_is_counted_one_by_one_with_exact_deciles() -> None:
    values = [float(v % 12) for v in range(500)]
    known = trained([*values, None, ...])
    number = known.state.features["feature.x"].number
    assert number is not None
    assert known.kind("feature.x") == "number"
    assert known.numbers("feature.x").tolist() == [float(v) for v in range(12)]
    assert known.edges_of("feature.x").tolist() == np.unique(np.quantile(values, DECILES)).tolist()
    assert (known.state.events, known.observed("feature.x")) == (502, 500)
    assert known.state.features["feature.x"].nulls == 1


@pytest.mark.parametrize(
    ("distinct", "is_atomic"), [(VOCABULARY_SIZE, True), (VOCABULARY_SIZE + 1, False)]
)
def test_up_to_512_distinct_values_are_a_vocabulary(distinct: int, is_atomic: bool) -> None:
    known = trained([float(v) for v in range(distinct)] * 2)
    assert len(known.numbers("feature.x")) == (distinct if is_atomic else 0)


def test_a_grid_lies_at_the_median_in_units_of_the_spread(rng: np.random.Generator) -> None:
    values = rng.normal(100, 7, 20_000)
    grid = trained(values.tolist()).grid("feature.x")
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    assert grid.anchor == pytest.approx(median)
    assert 1 / grid.inverse_scale == pytest.approx((high - low) / NORMAL_IQR)


@pytest.mark.parametrize(
    "values",
    [[5.0] * 50, [0.0] * 50, [0.0] * 90 + [1.0] * 10, [1e308, -1e308] * 20, [1e-320, 2e-320] * 20,
     [INF] * 50, [None] * 50, [NAN] * 50, [1e300] * 50, [1.0]],
)  # fmt: skip
def test_odd_numbers_have_a_grid_and_a_reference_that_can_be_used(values: list[Any]) -> None:
    known = from_document(on_disk(trained(values)))
    grid = known.grid("feature.x")
    assert np.isfinite(grid).all()
    assert np.isfinite(known.edges_of("feature.x")).all()


def test_the_more_frequent_type_is_the_kind() -> None:
    known = trained(["a", "b", "a", 7])
    assert (known.kind("feature.x"), known.categories("feature.x")) == ("category", ["a", "b"])
    assert known.state.features["feature.x"].mistyped == 1
    known = trained(["a", 7, 8])
    assert (known.kind("feature.x"), known.categories("feature.x")) == ("number", [])
    assert trained([[1, 2], [3], None]).kind("feature.x") == "vector"


def test_a_configured_kind_outweighs_the_more_frequent_type() -> None:
    values = [1, 2, 2.5, "1", None, {}]
    known = {}
    for kind in ("category", "number"):
        builder = ProfileBuilder("m", "1", {"x": FeatureSpec(name="x", kind=kind)})
        builder.add(decode(*[event(0, {"x": v}) for v in [*values, "a", "b", "c", "d"]]).runs[0])
        known[kind] = builder.build().state.features["feature.x"]
    category, number = known["category"].category, known["number"].number
    assert category is not None
    assert number is not None
    assert category.counts == {"1": 2, "2": 1, "2.5": 1, "a": 1, "b": 1, "c": 1, "d": 1}
    assert (known["category"].nulls, known["category"].mistyped) == (1, 1)
    assert (number.count, known["number"].nulls, known["number"].mistyped) == (3, 1, 6)


@pytest.mark.parametrize("others", [[], ["text"] * 3, [[1, 2]], [{}]])
def test_nulls_are_counted_in_any_company(others: list[Any]) -> None:
    feature = trained([None, None, *others]).state.features["feature.x"]
    assert feature.nulls == 2
    assert feature.mistyped == others.count({})


def test_predictions_are_profiled_and_latencies_are_not() -> None:
    known = reference([event(0, prediction={"score": 0.5, "label": "x"}, latency_ms=3)] * 3)
    assert sorted(known.state.features) == ["prediction.label", "prediction.score"]


def test_long_categories_that_are_cut_alike_are_one() -> None:
    known = trained(["x" * 300 + "1", "x" * 300 + "2", "a"])
    counts = known.state.features["feature.x"].category
    assert counts is not None
    assert sorted(counts.counts.values()) == [1, 2]


@given(st.lists(st.sampled_from(ANY), min_size=1, max_size=20), st.integers(1, 20))
def test_the_same_events_in_other_batches_are_the_same_reference(
    values: list[Any], size: int
) -> None:
    rows = [event(0, {"x": v}, id=f"e{at}") for at, v in enumerate(values)]
    builder = ProfileBuilder("m", "1")
    for start in range(0, len(rows), size):
        for run in decode(*rows[start : start + size]).runs:
            builder.add(run)
    assert builder.build().id == reference(rows).id


@given(st.lists(st.sampled_from([*ANY, ...]), min_size=1, max_size=20))
def test_a_reference_is_read_as_it_was_written(values: list[Any]) -> None:
    known = trained(values)
    again = from_document(on_disk(known))
    assert again.id == known.id == content_id(again)
    assert on_disk(again) == on_disk(known)
    assert again.grid("feature.x") == known.grid("feature.x")
    assert again.edges_of("feature.x").tolist() == known.edges_of("feature.x").tolist()
    for name, feature in known.state.features.items():
        same = again.state.features[name]
        assert (same.kind, same.observed()) == (feature.kind, feature.observed())
        if feature.number and same.number:
            assert moments.mean(same.number.moments, 0, same.number.grid.unit) == pytest.approx(
                moments.mean(feature.number.moments, 0, feature.number.grid.unit), nan_ok=True
            )


def test_other_data_have_another_id() -> None:
    assert len({trained(v).id for v in ([1, 2], [1, 3], [1, 2, None], ["1", "2"])}) == 4


def damaged(change: Any) -> Any:
    body = on_disk(trained([1, 2, 2, 3]))
    change(body)
    return body


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        7,
        {},
        {"schema": "driftline.reference/9"},
        damaged(lambda b: b.pop("events")),
        damaged(lambda b: b.update(features=[])),
        damaged(lambda b: b["features"]["feature.x"].pop("nulls")),
        damaged(lambda b: b["features"]["feature.x"]["number"].pop("cells")),
        damaged(lambda b: b["features"]["feature.x"]["number"].update(cells=[[99_999], [1]])),
        damaged(lambda b: b["features"]["feature.x"]["number"].update(cells=[["a"], [1]])),
        damaged(lambda b: b["features"]["feature.x"]["number"].update(grid=[1])),
        damaged(lambda b: b["features"]["feature.x"]["number"].update(edges=["x"])),
        damaged(lambda b: b["features"]["feature.x"]["number"].update(values=[[1], []])),
        damaged(lambda b: b["features"]["feature.x"]["number"]["moments"].update(sums=[1])),
        damaged(lambda b: b["features"]["feature.x"].update(category=7)),
    ],
)
def test_a_document_that_is_no_reference_is_refused(body: Any) -> None:
    with pytest.raises(FormatError, match="reference"):
        from_document(body)


def test_a_changed_number_is_noticed() -> None:
    body = deepcopy(on_disk(trained([1, 2, 2, 3])))
    body["events"] += 1
    with pytest.raises(FormatError, match="damaged: its content has another id"):
        from_document(json.loads(json.dumps(body)))

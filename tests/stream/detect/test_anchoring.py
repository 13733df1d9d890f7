"""Anchoring: numbers no reference knows are as well resolved as those of a reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from stream.detect.ingest.anchoring import SAMPLE
from stream.detect.partials import Partial, pack, read
from stream.detect.specs import DEFAULT_KEY
from stream.detect.states import MOST_LISTED, NumberState
from tests.builders import cut, event, ingestor, messages
from tests.datasets import SMOOTH, dataset

PROBABILITIES = np.linspace(0.01, 0.99, 99)


def part_of(values: Sequence[float], cuts: int = 1, first: int = 0) -> Partial:
    """The part of events with these values, fetched in pieces; read again from its bytes."""
    batch, worker = messages(*[event(1, {"x": v}) for v in values]), ingestor(next_offset=first)
    size = -(-len(values) // cuts)
    for start in range(0, len(values), size):
        worker.add(cut(batch, start, start + size))
    [part] = worker.finish().partials
    again = read(pack(part))
    assert isinstance(again, Partial)
    return again


def number_of(part: Partial) -> NumberState:
    number = part.state.features["feature.x"].number
    assert number is not None
    return number


@pytest.mark.parametrize("name", [n for n in SMOOTH if n not in ("denormals", "huge")])
def test_a_smooth_feature_is_resolved_to_a_few_percent_of_rank(name: str) -> None:
    data = dataset(name, 3 * SAMPLE)
    number = number_of(part_of(data.values.tolist()))
    errors = data.rank_errors(number.quantiles(PROBABILITIES), PROBABILITIES)
    assert errors.max() <= (0.1 if name.startswith("sorted") else 0.03)


def test_years_do_not_share_a_cell() -> None:
    rng = np.random.default_rng(3)
    years = rng.normal(2000, 3, 5_000)
    found = number_of(part_of(years.tolist())).quantiles(PROBABILITIES)
    assert np.abs(found - np.quantile(years, PROBABILITIES)).max() < 0.2


@pytest.mark.parametrize("n", [5, SAMPLE - 1, SAMPLE, SAMPLE + 1, 4 * SAMPLE])
def test_how_fetches_are_cut_changes_no_byte(n: int) -> None:
    values = np.random.default_rng(n).normal(50, 2, n).round(1).tolist()
    whole = pack(part_of(values))
    assert [pack(part_of(values, cuts)) for cuts in (2, 3, 7)] == [whole] * 3


def test_few_different_values_are_counted_one_by_one() -> None:
    values = [float(i % MOST_LISTED) - 100 for i in range(5_000)]
    number = number_of(part_of(values))
    assert number.is_atomic
    assert number.values == dict(Counter(values))
    assert number.quantiles(PROBABILITIES).tolist() == np.quantile(values, PROBABILITIES).tolist()


def test_one_value_too_many_and_none_is_listed() -> None:
    number = number_of(part_of([float(i % (MOST_LISTED + 1)) for i in range(5_000)]))
    assert number.values == {}
    assert number.cells.sum() == 5_000
    found = number.distinct(DEFAULT_KEY)
    assert found is not None
    assert abs(found - MOST_LISTED - 1) <= 26


def test_parts_of_like_traffic_share_a_grid_or_two() -> None:
    rng = np.random.default_rng(11)
    grids = {
        sigma: {number_of(part_of(rng.normal(20, sigma, 1_500).tolist())).grid for _ in range(6)}
        for sigma in (2, 3, 4)  # 3 lies between two powers of two
    }
    assert (len(grids[2]), len(grids[4])) == (1, 1)
    assert len(grids[3]) <= 2


def test_parts_on_different_grids_merge() -> None:
    rng = np.random.default_rng(5)
    parts = [rng.normal(100, 5, 2_000), rng.normal(130, 20, 2_000), rng.normal(90, 1, 2_000)]
    numbers = [number_of(part_of(values.tolist())) for values in parts]
    assert len({number.grid for number in numbers}) == 3
    whole = NumberState.empty(numbers[0].grid)
    for number in numbers:
        whole.merge(number)
    everything = np.sort(np.concatenate(parts))
    assert whole.cells.sum() == whole.count == 6_000
    ranks = np.searchsorted(everything, whole.quantiles(PROBABILITIES)) / 6_000
    assert np.abs(ranks - PROBABILITIES).max() < 0.02


def test_windows_of_ever_new_values_do_not_list_them_all() -> None:
    whole = NumberState.empty(number_of(part_of([0.0, 1.0])).grid)
    for pane in range(4):
        whole.merge(number_of(part_of([float(400 * pane + i) for i in range(400)])))
    assert whole.values == {}
    assert whole.cells.sum() == 1_600
    found = whole.distinct(DEFAULT_KEY)
    assert found is not None
    assert abs(found - 1_600) <= 80


def parts_of(rows: list[dict[str, Any]], seconds: list[float], sizes: list[int]) -> list[bytes]:
    """The parts of events with these features, fetched in pieces of these sizes."""
    batch = messages(*[event(second, row) for second, row in zip(seconds, rows, strict=True)])
    worker, start = ingestor(), 0
    for size in sizes:
        worker.add(cut(batch, start, start + size))
        start += size
    return [pack(part) for part in worker.finish().partials]


def test_how_fetches_are_cut_changes_no_byte_of_parts_side_by_side() -> None:
    rng = np.random.default_rng(8)
    rows: list[dict[str, Any]] = [{"x": v, "y": 1.5} for v in rng.normal(50, 2, 6_000).tolist()]
    rows[1_800:2_400:2] = [{"x": "text", "y": None}] * 300
    rows[3_000:3_050] = [{"y": 2.5}] * 50
    seconds = rng.choice([59.0, 61.0], 6_000).tolist()  # two panes are open all the time
    whole = parts_of(rows, seconds, [6_000])
    assert len(whole) == 2
    for size in (2_500, 600, 90, 7):
        assert parts_of(rows, seconds, [size] * -(-6_000 // size)) == whole


def test_values_that_came_with_texts_do_not_pass_those_that_came_before() -> None:
    rng = np.random.default_rng(9)
    rows: list[dict[str, Any]] = [{"x": v} for v in rng.normal(50, 2, SAMPLE - 1).tolist()]
    rows += [{"x": v} for v in rng.normal(5e6, 2e5, SAMPLE).tolist()]  # tell in the grid, if first
    rows += [{"x": "text"}]
    sizes = [333, 333, 333, SAMPLE + 1]
    assert parts_of(rows, [1.0] * 2_000, sizes) == parts_of(rows, [1.0] * 2_000, [2_000])

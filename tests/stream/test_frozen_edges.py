"""Frozen edges: measures of a continuous feature are exact on the edges its reference has.

Counts come from sketch cells, and edges are borders of cells: what is measured on them is what the
raw values give on the same edges, for every window of the examples.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from kernels.sketches import logbins
from stream.detect.references import DECILES, Reference
from stream.detect.specs import DAY_MS
from stream.detect.times import time_ms
from tests.example_runs import LENGTHS_DAYS, ROOT, run
from tests.oracles import divergences as oracle

pytestmark = pytest.mark.slow

MEASURES = ("psi", "jensen_shannon", "hellinger", "kl", "total_variation", "l_infinity")
REFERENCE = ""  # in place of a window's start


@pytest.mark.parametrize("example", LENGTHS_DAYS)
def test_measures_of_a_continuous_feature_are_exact_on_the_edges_of_the_reference(
    example: str,
) -> None:
    whole = run(example, "stream")
    told = [
        (start, name, values)
        for start, window in whole.windows.items()
        for name, values in told_of(whole.reference, window).items()
    ]
    far = {}
    for start, name, measures in told:
        pair = [counted(whole.reference, example, name, side) for side in (REFERENCE, start)]
        for measure in MEASURES:
            exact = getattr(oracle, measure)(*pair)
            # A square root of a rounding error is 1e-8.
            if measures[measure] != pytest.approx(exact, rel=1e-9, abs=2e-8):
                far[start, name, measure] = (measures[measure], exact)
    assert len(told) > 40
    assert far == {}


@pytest.mark.parametrize("example", LENGTHS_DAYS)
def test_psi_on_exact_deciles_lies_where_the_cells_at_its_edges_allow(example: str) -> None:
    """The bound of docs/measures.md: a bin differs by no more than the cells its edges are in."""
    whole, compared = run(example, "stream"), 0
    for start, window in whole.windows.items():
        for name, measures in told_of(whole.reference, window).items():
            now = whole.parts[start].state.features[name].number
            known = whole.reference.state.features[name].number
            assert now is not None
            assert known is not None
            edges = np.unique(np.quantile(observed(example, name, REFERENCE), DECILES))
            at = [logbins.cell_of(edge, *known.grid) for edge in edges.tolist()]
            shares, slacks = [], []
            for side, cells in ((REFERENCE, known.cells), (start, now.cells_on(known.grid))):
                counts = counted(whole.reference, example, name, side)
                held = cells[at] / counts.sum()  # of the cells in which exact edges lie
                slack = np.concatenate([[0], held]) + np.concatenate([held, [0]])
                shares.append(counts / counts.sum())
                slacks.append(np.append(slack, 0.0))
                exact = on_exact(example, name, side, edges)
                assert (np.abs(exact / exact.sum() - shares[-1]) <= slack_of(slacks[-1])).all()
            pair = [on_exact(example, name, side, edges) for side in (REFERENCE, start)]
            low, high = reachable(shares, slacks)
            assert low - 1e-9 <= oracle.psi(*pair) <= high + 1e-9
            assert low - 1e-9 <= measures["psi"] <= high + 1e-9
            compared += 1
    assert compared > 40


def slack_of(slack: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(slack + 1e-12)


def reachable(
    shares: list[NDArray[np.float64]], slacks: list[NDArray[np.float64]]
) -> tuple[float, float]:
    """The least and the largest psi of shares so far from these; a term is convex in both."""
    ends = [
        [np.maximum(share + sign * slack, oracle.FLOOR) for sign in (-1, 1)]
        for share, slack in zip(shares, slacks, strict=True)
    ]
    corners = np.array([(q - p) * np.log(q / p) for p in ends[0] for q in ends[1]])
    do_meet = (ends[0][0] <= ends[1][1]) & (ends[1][0] <= ends[0][1])
    least = np.where(do_meet, 0.0, corners.min(axis=0))
    return float(least.sum()), float(corners.max(axis=0).sum())


def observed(example: str, name: str, start: str) -> NDArray[np.float64]:
    """Values of a window that are not missing."""
    values = raw(example, name)[columns(example)["window"] == (time_ms(start) if start else -1)]
    return np.asarray(values[~np.isnan(values)])


def on_exact(
    example: str, name: str, start: str, edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Counts on exact deciles, and of missing values: the bins of the tables in tests/data."""
    is_here = columns(example)["window"] == (time_ms(start) if start else -1)
    seen = observed(example, name, start)
    counts = np.bincount(np.searchsorted(edges, seen, "left"), minlength=len(edges) + 1)
    return np.append(counts, is_here.sum() - len(seen)).astype(float)


def told_of(reference: Reference, window: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Measures of a window by the full name of a continuous feature."""
    features = {f"feature.{name}": told for name, told in window["features"].items()}
    features["prediction.score"] = window["prediction"]
    continuous = {
        name
        for name, known in reference.state.features.items()
        if known.number and known.number.count and not known.number.is_atomic
    }
    return {
        name: told["measures"]["training"]
        for name, told in features.items()
        if name in continuous and told["measures"]["training"]["psi"] is not None
    }


def counted(reference: Reference, example: str, name: str, start: str) -> NDArray[np.float64]:
    """Raw values by bin; one on an edge belongs to the bin its cell belongs to."""
    values = raw(example, name)[columns(example)["window"] == (time_ms(start) if start else -1)]
    seen = values[~np.isnan(values)]
    edges, (anchor, _) = reference.edges_of(name), reference.grid(name)
    left, right = (np.searchsorted(edges, seen, side) for side in ("left", "right"))
    counts = np.bincount(np.where(seen < anchor, left, right), minlength=len(edges) + 1)
    return np.append(counts, len(values) - len(seen)).astype(float)


def raw(example: str, name: str) -> NDArray[np.float64]:
    column = "y_score" if name == "prediction.score" else name.removeprefix("feature.")
    return np.asarray(columns(example)[column], float)


@cache
def columns(example: str) -> dict[str, NDArray[Any]]:
    """The file's columns, and of each row the start of its window, -1 in the reference."""
    path = ROOT / f"examples/{example.removesuffix('_dq')}/{example}.parquet"
    table = pq.read_table(path)  # type: ignore[no-untyped-call]
    length_ms = LENGTHS_DAYS[example] * DAY_MS
    starts = table["event_time"].cast("int64").to_numpy() // length_ms * length_ms
    found = {name: table[name].to_numpy() for name in table.schema.names}
    return found | {"window": np.where(found["split"] == "stream", starts, -1)}

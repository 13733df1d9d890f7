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

from stream.detect.references import Reference
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

"""Peers: on the bins of another tool a measure has the nine digits that tool gave.

tests/data/peers.csv.gz holds what Evidently, NannyML and TFDV themselves returned for the example
data; how each of them bins stands in tests/oracles/peers.py. Where a peer's definition is another
one than ours the way from ours to theirs is part of the test.
"""

from __future__ import annotations

import csv
import gzip
import math
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from kernels.measures import distances, divergences, significance
from tests.oracles import peers

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
DATA = {
    "flights": ("examples/flights/flights.parquet", 7),
    "carloan": ("examples/carloan/carloan.parquet", 14),
    "carloan_dq": ("examples/carloan/carloan_dq.parquet", 14),
}
DAY_MS = 86_400_000
NINE_DIGITS = 5e-9
NINE_OF_A_ROOT = 1e-8  # the square root of a divergence that is a few units of rounding

Values = NDArray[Any]
Row = dict[str, str]


class Table:
    """One example: columns of its two splits, and windows of the second."""

    def __init__(self, path: Path, days: int) -> None:
        table = pq.read_table(path)  # type: ignore[no-untyped-call]
        split = np.array(table["split"].to_pylist())
        self._columns = {
            name: self._column(table[name].to_pylist())
            for name in table.schema.names
            if name not in ("split", "event_id", "event_time", "label_time")
        }
        self._reference = split == "reference"
        self._stream = np.flatnonzero(split == "stream")
        starts = table["event_time"].cast("int64").to_numpy()[self._stream]
        self._starts = starts // (days * DAY_MS) * (days * DAY_MS)

    @staticmethod
    def _column(values: list[Any]) -> Values:
        """Numbers as float64; texts as integers, -1 where there is none."""
        texts = sorted({value for value in values if isinstance(value, str)})
        if not texts:
            return np.array(values, float)
        codes = {text: code for code, text in enumerate(texts)}
        return np.array([codes.get(value, -1) for value in values])

    def reference(self, name: str) -> Values:
        return self._observed(self._columns[name][self._reference])

    def window(self, name: str, window: str) -> Values:
        """By its start, or by first and last row of the stream."""
        if "T" in window:
            start = np.datetime64(window.removesuffix("Z"), "ms").astype(np.int64)
            rows = self._stream[self._starts == start]
        else:
            first, last = map(int, window.split("-"))
            rows = self._stream[first : last + 1]
        return self._observed(self._columns[name][rows])

    @staticmethod
    def _observed(column: Values) -> Values:
        return np.asarray(column[~np.isnan(column) if column.dtype == float else column >= 0])


@cache
def data(name: str) -> Table:
    path, days = DATA[name]
    return Table(ROOT / path, days)


@cache
def told(path: Path) -> tuple[Row, ...]:
    with gzip.open(path, "rt") as file:
        return tuple(csv.DictReader(file))


def rows(tool: str, measure: str, name: str) -> list[Row]:
    found = told(ROOT / "tests/data/peers.csv.gz")
    wanted = {"tool": tool, "measure": measure, "data": name}
    return [row for row in found if row | wanted == row]


def sides(table: Table, found: list[Row]) -> Iterator[tuple[Values, Values, float]]:
    """Both sides' observed values, and what the tool said."""
    for row in found:
        before, now = table.reference(row["feature"]), table.window(row["feature"], row["window"])
        if len(now):
            yield before, now, float(row["value"])


def ks(before: Values, now: Values) -> float:
    return distances.ks(*(np.cumsum(side) for side in peers.by_value(before, now)))


def wasserstein(before: Values, now: Values) -> float:
    points = np.unique(np.concatenate([before, now]))
    return distances.wasserstein(points, *peers.by_value(before, now))


def wasserstein_normed(before: Values, now: Values) -> float:
    return wasserstein(before, now) / max(float(before.std()), 1e-3)


def on(bins: Callable[..., Any], measure: Callable[..., float]) -> Callable[..., float]:
    return lambda before, now: measure(*bins(before, now))


def nats(before: Values, now: Values) -> float:
    """Evidently's Jensen-Shannon distance has natural logarithms."""
    distance = divergences.jensen_shannon(*peers.evidently(before, now))
    return float(distance * math.sqrt(math.log(2.0)))


def bits(before: Values, now: Values) -> float:
    """TFDV's is the divergence, the square of the distance."""
    return float(divergences.jensen_shannon(*peers.by_value(before, now)) ** 2)


EVERYWHERE = [
    ("evidently", "jensenshannon", nats),
    ("evidently", "wasserstein_norm", wasserstein_normed),
    ("tfdv", "linf", on(peers.by_value, divergences.l_infinity)),
    ("tfdv", "jsd", bits),
    ("nannyml", "jensen_shannon", on(peers.nannyml, divergences.jensen_shannon)),
    ("nannyml", "hellinger", on(peers.nannyml, divergences.hellinger)),
    ("nannyml", "l_infinity", on(peers.by_value, divergences.l_infinity)),
    ("nannyml", "kolmogorov_smirnov_exact", ks),
    ("nannyml", "wasserstein_exact", wasserstein),
]


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize(
    ("tool", "measure", "ours"), EVERYWHERE, ids=[f"{tool} {name}" for tool, name, _ in EVERYWHERE]
)
def test_a_measure_is_that_of_the_peer(
    tool: str, measure: str, ours: Callable[[Values, Values], float], name: str
) -> None:
    found = rows(tool, measure, name)
    if not found:
        pytest.skip(f"{tool} was not run on {name}")
    compared = [(ours(before, now), expected) for before, now, expected in sides(data(name), found)]
    far = [
        pair for pair in compared if abs(pair[0] - pair[1]) > NINE_DIGITS * pair[1] + NINE_OF_A_ROOT
    ]
    assert far == []


@pytest.mark.parametrize("name", DATA)
def test_psi_is_evidentlys_where_no_share_is_below_the_floor(name: str) -> None:
    """Evidently raises empty bins only, to 1e-4; a bin with one of 26 921 stays what it is."""
    compared = 0
    for before, now, expected in sides(data(name), rows("evidently", "psi", name)):
        counts = peers.evidently(before, now)
        shares = np.concatenate([side / side.sum() for side in counts])
        if shares[shares > 0].min() > divergences.FLOOR:
            compared += 1
            assert divergences.psi(*counts) == pytest.approx(expected, rel=NINE_DIGITS, abs=1e-13)
    assert compared > 100


@pytest.mark.parametrize("name", ["carloan", "carloan_dq"])
def test_chi_square_is_nannymls_where_yates_does_not_correct_it(name: str) -> None:
    compared = 0
    for before, now, expected in sides(data(name), rows("nannyml", "chi2", name)):
        statistic, freedom = significance.chi_square(*peers.by_value(before, now))
        if freedom > 1:
            compared += 1
            assert statistic == pytest.approx(expected, rel=NINE_DIGITS)
        else:
            assert statistic > expected
    assert compared >= 10

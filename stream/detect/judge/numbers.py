"""Numbers: all numeric features of a window in, what is read off their sketches in one go out.

In    `NumberState`s of a window, and of a reference with its frozen edges
Out   `Shape`: moments and quantiles; `Beside`: histograms on the edges, and distances of values
Not   what follows from them (measures.py), how a window tells of them (summaries.py)

A window has hundreds of features: kernels are called once for all of those that are cells alone.
Values that are counted one by one are looked at feature by feature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.measures import cells, distances
from kernels.sketches import logbins, moments
from kernels.sketches.moments import Moments
from stream.detect.grids import edges_of
from stream.detect.judge.noise import SMALLEST_N
from stream.detect.references import Reference
from stream.detect.states import NumberState

Counts = NDArray[np.float64]
LEAST_SPREAD = 1e-3  # of a reference, as peers have it: a constant has no unit to divide by


class Shape(NamedTuple):
    """What is read off one number; NaN where it is undefined."""

    mean: float
    variance: float  # over n
    sample_variance: float  # over n - 1
    skewness: float
    kurtosis: float
    quantiles: list[float]


class Beside(NamedTuple):
    """A number beside its reference: bins (k + 2,), the last one for missing values.

    outside    values below and above those of the reference, to a cell
    distances  of the observed values, by measure; none of too few
    culprit    the value that most others passed
    observed   finite values of window and reference, of which the distances are
    """

    edges: NDArray[np.float64]
    before: Counts
    now: Counts
    outside: tuple[int, int]
    distances: dict[str, float]
    culprit: float | None = None
    observed: tuple[int, int] = (0, 0)


def shapes(
    numbers: Mapping[str, NumberState], probabilities: NDArray[np.float64]
) -> dict[str, Shape]:
    """What is read off each number that has a value."""
    names = [name for name, number in numbers.items() if number.count]
    told = [numbers[name] for name in names]
    if not told:
        return {}
    units = np.array([number.grid.unit for number in told])
    found = np.empty((len(told), 5))
    moments.describe(_stacked(told), units, found)
    quantiles = np.empty((len(told), len(probabilities)))
    smooth = [at for at, number in enumerate(told) if not number.values]
    if smooth:
        quantiles[smooth] = _quantiles([told[at] for at in smooth], probabilities)
    for at, number in enumerate(told):
        if number.values:
            quantiles[at] = number.quantiles(probabilities)
    rows = zip(names, found.tolist(), quantiles.tolist(), strict=True)
    return {name: Shape._make([*row, of]) for name, row, of in rows}


def _quantiles(
    numbers: Sequence[NumberState], probabilities: NDArray[np.float64]
) -> NDArray[np.float64]:
    out = np.empty((len(numbers), len(probabilities)))
    counts = np.stack([number.cells for number in numbers])
    borders = np.stack([edges_of(number.grid) for number in numbers])
    lows, highs = _spans(numbers).T.copy()
    logbins.quantiles_each(counts, borders, lows, highs, probabilities, out)
    return out


def _stacked(numbers: Sequence[NumberState]) -> Moments:
    return Moments(*map(np.concatenate, zip(*(n.moments for n in numbers), strict=True)))


def _spans(numbers: Sequence[NumberState]) -> NDArray[np.float64]:
    """Smallest and largest value of each (n, 2)."""
    return np.array([(n.moments.low[0], n.moments.high[0]) for n in numbers])


def beside(
    numbers: Mapping[str, NumberState | None], events: int, reference: Reference
) -> dict[str, Beside]:
    """Numbers of a window of so many events, each beside that of the reference.

    numbers  by feature; None if the window has none. The reference has all of them.
    """
    edges, pairs = reference.edges_of_all(numbers), {}
    for name, now in numbers.items():
        known = _known(reference, name)
        pairs[name] = now or NumberState.empty(known.grid), known
    smooth = [name for name, (now, known) in pairs.items() if not (now.values or known.values)]
    sizes = events, reference.state.events
    found = {}
    if smooth:
        now_, before_ = ([pairs[name][side] for name in smooth] for side in (0, 1))
        rows = _of_cells(now_, before_, [edges[name] for name in smooth], sizes)
        found = dict(zip(smooth, rows, strict=True))
    return {
        name: found[name] if name in found else _of_values(*pair, edges[name], sizes)
        for name, pair in pairs.items()
    }


def _known(reference: Reference, name: str) -> NumberState:
    feature = reference.feature(name)
    assert feature is not None  # who calls looked
    assert feature.number is not None
    return feature.number


def _of_cells(
    now: Sequence[NumberState],
    known: Sequence[NumberState],
    edges: Sequence[NDArray[np.float64]],
    sizes: tuple[int, int],
) -> list[Beside]:
    spans = _spans(known)
    borders = np.stack([edges_of(number.grid) for number in known])
    after = np.stack([n.cells_on(k.grid) for n, k in zip(now, known, strict=True)])
    before = np.stack([number.cells for number in known])
    ends = np.cumsum([len(of) for of in edges])
    sides, bins = [], int(ends[-1]) + 2 * len(edges)
    for counts, numbers, events in ((before, known, sizes[1]), (after, now, sizes[0])):
        kinds = np.concatenate([number.moments.kinds for number in numbers])
        infinite, out = kinds[:, [moments.NEG_INFS, moments.POS_INFS]].copy("C"), np.empty(bins)
        cells.histograms_each(counts, borders, np.concatenate(edges), ends, infinite, events, out)
        sides.append(np.split(out, ends[:-1] + 2 * np.arange(1, len(ends))))
    outside = np.empty((len(now), 2), np.int64)
    cells.outside_each(after, infinite, borders, spans, outside)
    found = _distances(before, after, borders, now, known)
    rows = zip(edges, *sides, outside.tolist(), found, strict=True)
    return [Beside(of, was, is_, (low, high), *far) for of, was, is_, (low, high), far in rows]


def _distances(
    before: NDArray[np.int64],
    after: NDArray[np.int64],
    borders: NDArray[np.float64],
    now: Sequence[NumberState],
    known: Sequence[NumberState],
) -> list[tuple[dict[str, float], float | None, tuple[int, int]]]:
    """Exact within cells that are spread evenly; nothing where a side has too few values."""
    sizes = [(n.count, k.count) for n, k in zip(now, known, strict=True)]
    if max(min(size) for size in sizes) < SMALLEST_N:
        return [({}, None, (0, 0)) for _ in sizes]
    of_known, of_now = _spans(known), _spans(now)
    lows, highs = np.minimum(of_known[:, 0], of_now[:, 0]), np.maximum(of_known[:, 1], of_now[:, 1])
    found = np.empty((len(sizes), 4))
    cells.distances_each(before, after, borders, np.column_stack([lows, highs]), found)
    described = np.empty((len(sizes), 5))
    moments.describe(_stacked(known), np.array([n.grid.unit for n in known]), described)
    return [
        (_named(ks, far, energy, variance), at, size)
        if min(size) >= SMALLEST_N
        else ({}, None, (0, 0))
        for size, (ks, at, far, energy), variance in zip(
            sizes, found.tolist(), described[:, 1].tolist(), strict=True
        )
    ]


def _named(ks: float, wasserstein: float, energy: float, variance: float) -> dict[str, float]:
    spread = max(sqrt(variance), LEAST_SPREAD)
    return {
        "ks": ks,
        "wasserstein": wasserstein,
        "wasserstein_normed": wasserstein / spread,
        "energy": energy,
        "energy_normed": energy / sqrt(spread),
    }


class _Side(NamedTuple):
    """Values that are counted one by one, ascending, and the other values by cell."""

    number: NumberState
    values: NDArray[np.float64]
    counts: Counts
    rest: Counts

    @classmethod
    def of(cls, number: NumberState, known: NumberState) -> _Side:
        items = sorted(number.values.items())
        values = np.array([v for v, _ in items], float)
        counts = np.array([c for _, c in items], float)
        if number.is_atomic:
            return cls(number, values, counts, np.zeros(logbins.CELLS))
        rest = number.cells_on(known.grid).astype(float)
        for value, count in items:
            rest[logbins.cell_of(value, *known.grid)] -= count
        return cls(number, values, counts, np.maximum(rest, 0))

    def bins(self, edges: NDArray[np.float64], at: NDArray[np.float64], events: int) -> Counts:
        """Counts between edges, outer bins open, infinities among them; then what is missing."""
        n = len(edges) + 1
        bins = np.searchsorted(edges, self.values, side="left")
        found = np.bincount(bins, self.counts, minlength=n).astype(np.float64)
        if self.rest.any():
            bins = np.searchsorted(edges, at, side="left")
            found += np.bincount(bins, self.rest, minlength=n)
        kinds = self.number.moments.kinds[0]
        found[0] += kinds[moments.NEG_INFS]
        found[-1] += kinds[moments.POS_INFS]
        return np.append(found, events - found.sum())


def _of_values(
    now: NumberState, known: NumberState, edges: NDArray[np.float64], sizes: tuple[int, int]
) -> Beside:
    """Where values of a side are counted one by one: exact on these."""
    borders = edges_of(known.grid)
    # A cell's upper border tells its bin, as edges are borders; beside atoms its middle does.
    at = _middles(borders) if known.is_atomic else borders[1:]
    after, before = _Side.of(now, known), _Side.of(known, known)
    of_before, of_now = before.bins(edges, at, sizes[1]), after.bins(edges, at, sizes[0])
    told = Beside(edges, of_before, of_now, _outside(after, known), {})
    observed = now.count, known.count
    if min(observed) < SMALLEST_N:
        return told
    far, culprit = _far(after, before)
    return told._replace(distances=far, culprit=culprit, observed=observed)


def _outside(side: _Side, known: NumberState) -> tuple[int, int]:
    """Values below and above what the reference has; those within a cell of its ends are inside."""
    if not known.count:
        return 0, 0
    low, high = known.moments.low[0], known.moments.high[0]
    first, last = (logbins.cell_of(end, *known.grid) for end in (low, high))
    kinds, values, counts = side.number.moments.kinds[0], side.values, side.counts
    below = counts[values < low].sum() + side.rest[:first].sum() + kinds[moments.NEG_INFS]
    above = counts[values > high].sum() + side.rest[last + 1 :].sum() + kinds[moments.POS_INFS]
    return int(below), int(above)


def _middles(borders: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(borders[:-1] / 2 + borders[1:] / 2)


def _far(now: _Side, known: _Side) -> tuple[dict[str, float], float]:
    """Distances of the observed values, and the value that most others passed."""
    if known.number.is_atomic:
        points, before, after = _on_points(now, known)
        wasserstein = distances.wasserstein(points, before, after)
        energy = distances.energy(points, before, after)
    else:
        low = min(now.number.moments.low[0], known.number.moments.low[0])
        high = max(now.number.moments.high[0], known.number.moments.high[0])
        grid = known.number.grid
        borders = np.clip(edges_of(grid), low, high)
        before, after = (side.number.cells_on(grid).astype(float) for side in (known, now))
        points = borders[1:]
        wasserstein = distances.wasserstein_cells(borders, before, after)
        energy = distances.energy_cells(borders, before, after)
    cumulative = np.cumsum(before), np.cumsum(after)
    ks, at = distances.ks(*cumulative), distances.ks_at(*cumulative)
    variance = moments.variance(known.number.moments, 0, known.number.grid.unit, 0)
    return _named(ks, wasserstein, energy, variance), float(points[at])


def _on_points(now: _Side, known: _Side) -> tuple[NDArray[np.float64], Counts, Counts]:
    """Both sides on shared support points: values, and middles of cells for what is unseen."""
    values = np.union1d(known.values, now.values)
    before, after = np.zeros(len(values)), np.zeros(len(values))
    before[np.searchsorted(values, known.values)] = known.counts
    after[np.searchsorted(values, now.values)] = now.counts
    if now.number.is_atomic:
        return values, before, after
    filled = np.flatnonzero(now.rest)
    low, high = now.number.moments.low[0], now.number.moments.high[0]
    points = np.clip(_middles(edges_of(known.number.grid))[filled], low, high)
    order = np.argsort(np.concatenate([values, points]), kind="stable")
    return (
        np.concatenate([values, points])[order],
        np.concatenate([before, np.zeros(len(filled))])[order],
        np.concatenate([after, now.rest[filled]])[order],
    )

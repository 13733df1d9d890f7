"""Cells: sketches of many features in two windows in, counts on edges and distances out.

In    cells (sketches/logbins.py) of both windows on one grid per feature, one row each
Out   histograms of both on the reference's edges, how far apart their values lie
Not   the distances (distances.py), what the histograms say (histograms.py)

A window has hundreds of features, and each of these steps is short: called one by one from Python
they would cost more than they do.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kernels.jit import kernel
from kernels.measures import distances

KS, KS_AT, WASSERSTEIN, ENERGY = range(4)  # columns of `distances_each`


@kernel
def histograms_each(
    cells: NDArray[np.int64],
    borders: NDArray[np.float64],
    edges: NDArray[np.float64],
    ends: NDArray[np.int64],
    infinities: NDArray[np.int64],
    events: int,
    out: NDArray[np.float64],
) -> None:
    """Write counts of the values of each row between its edges, and of events without any.

    cells    (n_rows, CELLS)
    borders  (n_rows, CELLS + 1)  of these cells; edges are some of them
    edges    (n_edges,)   of all rows, one row after another
    ends     (n_rows,)    where the edges of each end
    infinities  (n_rows, 2)  negative and positive ones: they are values
    out      (n_edges + 2 * n_rows,)  for each row its bins, outer ones open, and what is missing

    A bin is closed at its upper edge.
    """
    first, at = 0, 0
    for row in range(ends.size):
        last = at + ends[row] - first
        out[at : last + 2] = 0.0
        bin_ = at
        for cell in range(cells.shape[1]):
            while bin_ < last and edges[first + bin_ - at] < borders[row, cell + 1]:
                bin_ += 1
            out[bin_] += max(cells[row, cell], 0)
        out[at] += infinities[row, 0]
        out[last] += infinities[row, 1]
        out[last + 1] = events - out[at : last + 1].sum()
        first, at = ends[row], last + 2


@kernel
def outside_each(
    cells: NDArray[np.int64],
    infinities: NDArray[np.int64],
    borders: NDArray[np.float64],
    spans: NDArray[np.float64],
    out: NDArray[np.int64],
) -> None:
    """Write how many values of each row lie below and above a span, but for a cell, to `out`.

    cells, infinities, borders  as above
    spans  (n_rows, 2)  smallest and largest value; if not finite nothing is outside
    out    (n_rows, 2)
    """
    for row in range(spans.shape[0]):
        low, high = spans[row]
        out[row] = 0
        if not (math.isfinite(low) and math.isfinite(high)):
            continue
        first, last = _cell_of(low, borders[row]), _cell_of(high, borders[row])
        out[row, 0], out[row, 1] = infinities[row]
        for cell in range(first):
            out[row, 0] += max(cells[row, cell], 0)
        for cell in range(last + 1, cells.shape[1]):
            out[row, 1] += max(cells[row, cell], 0)


@kernel
def _cell_of(value: float, borders: NDArray[np.float64]) -> int:
    """The cell of a value: closed at its border towards the anchor, which is the middle one."""
    low, high = 0, borders.size - 2
    is_above = value >= borders[borders.size // 2]
    while low < high:
        middle = (low + high + 1) // 2
        if borders[middle] <= value if is_above else borders[middle] < value:
            low = middle
        else:
            high = middle - 1
    return low


@kernel
def distances_each(
    before: NDArray[np.int64],
    now: NDArray[np.int64],
    borders: NDArray[np.float64],
    spans: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Write KS, the point of it, Wasserstein-1 and energy distance of each row to `out`.

    before, now  (n_rows, CELLS)
    borders      (n_rows, CELLS + 1)  of the cells of both
    spans        (n_rows, 2)  smallest and largest value of either: no cell reaches further
    out          (n_rows, 4)  NaN where a side is empty
    """
    n_cells = before.shape[1]
    reference, current = np.zeros(n_cells), np.zeros(n_cells)
    edges = np.zeros(n_cells + 1)
    for row in range(before.shape[0]):
        reference[:], current[:] = before[row], now[row]
        for at in range(n_cells + 1):
            edges[at] = min(max(borders[row, at], spans[row, 0]), spans[row, 1])
        out[row, WASSERSTEIN] = distances.wasserstein_cells(edges, reference, current)
        out[row, ENERGY] = distances.energy_cells(edges, reference, current)
        for cell in range(1, n_cells):
            reference[cell] += reference[cell - 1]
            current[cell] += current[cell - 1]
        out[row, KS] = distances.ks(reference, current)
        at = distances.ks_at(reference, current)
        out[row, KS_AT] = edges[at + 1] if at >= 0 else np.nan

"""Grids: where the cells of a number's sketch lie.

In    a sample of its values
Out   `Grid`, which a part of a pane, a window and a reference each carry with their counts
Not   counting (kernels/sketches/logbins.py), whose sample it is (profiles.py, ingest/anchoring.py)
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.sketches import logbins


class Grid(NamedTuple):
    """Where the cells of a number's sketch lie; inverse_scale 0 is the grid of bare float bits."""

    anchor: float
    inverse_scale: float

    @property
    def shift(self) -> float:
        """Where moments are centred: the anchor, or NaN for the first value seen."""
        return self.anchor if self.inverse_scale else float("nan")

    @property
    def unit(self) -> float:
        """What deviations are multiplied with before their powers are summed."""
        return self.inverse_scale or 1.0


RAW = Grid(0.0, 0.0)
NORMAL_IQR = 1.349  # interquartile range of a normal distribution, in standard deviations


@lru_cache(maxsize=512)
def edges_of(grid: Grid) -> NDArray[np.float64]:
    """Edges of the cells of a grid (CELLS + 1,), not to be changed: finding them takes 0.6 ms."""
    return logbins.cell_edges(*grid)


@np.errstate(over="ignore", divide="ignore", invalid="ignore")  # near the largest and least float
def grid_of(finite: NDArray[np.float64]) -> Grid:
    """Anchored at the median, in units of the interquartile range / 1.349, which is the standard
    deviation where values are normal; RAW where that is no scale.
    """
    if not len(finite):
        return Grid(0.0, 1.0)
    low, anchor, high = np.quantile(finite, [0.25, 0.5, 0.75])
    scale = (high - low) / NORMAL_IQR
    if not scale:
        scale = float(np.std(finite)) or max(abs(anchor), 1.0) * 2.0**-10
    if not (np.isfinite(scale) and np.isfinite(1 / scale)):
        return RAW
    return Grid(float(anchor), float(1 / scale))


@np.errstate(over="ignore", divide="ignore", invalid="ignore")
def even_grid(finite: NDArray[np.float64]) -> Grid:
    """As `grid_of`, with a power of two as scale and a multiple of it as anchor.

    Samples of like values mostly have the same one.
    """
    anchor, inverse_scale = grid_of(finite)
    if not inverse_scale:
        return RAW
    unit = 2.0 ** np.round(np.log2(inverse_scale))
    even = np.round(anchor * unit) / unit
    return Grid(float(even), float(unit)) if np.isfinite(even) and 0 < unit < np.inf else RAW

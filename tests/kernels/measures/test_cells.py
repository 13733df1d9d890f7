"""Cells: many features at once give what numpy and the plain kernels give for each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernels.measures import cells, distances
from kernels.sketches import logbins

GRIDS = [(10.0, 0.5), (0.0, 4.0), (0.0, 0.0)]
BORDERS = [logbins.cell_edges(*grid) for grid in GRIDS]
AT = [(760, 770, 790), (), (700, 900)]  # of edges among borders

Counts = NDArray[np.int64]


def counted(rng: np.random.Generator, n: int) -> Counts:
    state = logbins.empty(3, np.int64)
    for slot, grid in enumerate(GRIDS):
        logbins.update(state, np.full(n, slot, np.int32), rng.normal(8.0, 4.0, n), *grid)
    return state.counts


def test_histograms_are_those_of_values_at_the_upper_borders_of_their_cells(
    rng: np.random.Generator,
) -> None:
    counts, infinite = counted(rng, 500), np.array([[2, 3]] * 3)
    edges = [borders[list(at)] for borders, at in zip(BORDERS, AT, strict=True)]
    ends, flat = np.cumsum([len(of) for of in edges]), np.concatenate(edges)
    out = np.zeros(len(flat) + 6)
    cells.histograms_each(counts, np.stack(BORDERS), flat, ends, infinite, 510, out)
    expected = list[float]()
    for row, of in enumerate(edges):
        at = np.searchsorted(of, BORDERS[row][1:], side="left")
        bins = np.bincount(at, counts[row], minlength=len(of) + 1)
        bins[0] += 2
        bins[-1] += 3
        expected += [*bins.tolist(), 5.0]
    assert out.tolist() == expected


def test_outside_is_what_lies_in_cells_beyond_those_of_the_ends(rng: np.random.Generator) -> None:
    counts, infinite = counted(rng, 500), np.ones((3, 2), np.int64)
    spans = np.array([[4.0, 9.0], [-np.inf, np.inf], [6.0, 6.5]])
    out = np.full((3, 2), 9, np.int64)
    cells.outside_each(counts, infinite, np.stack(BORDERS), spans, out)
    assert out[1].tolist() == [0, 0]
    for row in (0, 2):
        first, last = (logbins.cell_of(end, *GRIDS[row]) for end in spans[row])
        below, above = counts[row, :first].sum(), counts[row, last + 1 :].sum()
        assert out[row].tolist() == [below + 1, above + 1]
        assert below > 0


def test_distances_are_those_of_each_row(rng: np.random.Generator) -> None:
    before, now = counted(rng, 400), counted(rng, 300)
    now[2] = 0
    spans, out = np.array([[-5.0, 21.0], [-4.0, 20.0], [-4.0, 20.0]]), np.zeros((3, 4))
    cells.distances_each(before, now, np.stack(BORDERS), spans, out)
    assert np.isnan(out[2]).all()
    for row in (0, 1):
        p, q = before[row].astype(float), now[row].astype(float)
        edges, cumulative = np.clip(BORDERS[row], *spans[row]), (np.cumsum(p), np.cumsum(q))
        assert out[row].tolist() == [
            distances.ks(*cumulative),
            edges[1:][distances.ks_at(*cumulative)],
            distances.wasserstein_cells(edges, p, q),
            distances.energy_cells(edges, p, q),
        ]

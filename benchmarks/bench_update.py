"""Update: what one value costs in the sketches, beside numpy on the whole column and a bare sum.

In    nothing; a seeded column of normal values, 2 % of them NaN, larger than the caches of a core
Out   rows: name, ours and peer (medians, ns per value), ratio with its spread, unit, runs
Not   compiling (done before), decoding, closing a window

vs_numpy says how many times as long numpy takes for less (mean, std, min, max, missing, 20 bins, no
quantiles, no merging); vs_sum how many times as long we take as reading and adding the values.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from benchmarks.measuring import Pair, Row, compared
from kernels.sketches import logbins, moments

RUNS, QUICK_RUNS = 7, 2
N_VALUES = 4_000_000
ANCHOR, INVERSE_SCALE = 10.0, 1.0 / 3.0
UNIT = "ns per value"
Floats = NDArray[np.float64]


def rows(quick: bool = False) -> list[Row]:
    """One row per comparison, both measured in the same minute."""
    runs = QUICK_RUNS if quick else RUNS
    values = _column()
    slots = np.zeros(values.size, np.int32)
    shape, cells = moments.empty(1), logbins.empty(1)

    def update() -> None:
        moments.update(shape, slots, values, ANCHOR, INVERSE_SCALE)
        logbins.update(cells, slots, values, ANCHOR, INVERSE_SCALE)

    numpy_runs = _interleaved(update, lambda: _numpy_summary(values), runs)
    sum_runs = _interleaved(update, lambda: _sum(values), runs)
    return [
        compared("kernels/update/vs_numpy", numpy_runs, UNIT, lambda ours, peer: peer / ours),
        compared("kernels/fused/vs_sum", sum_runs, UNIT),
    ]


def _column() -> Floats:
    rng = np.random.default_rng(1)
    values = rng.normal(10.0, 3.0, N_VALUES)
    values[rng.random(N_VALUES) < 0.02] = np.nan
    return values


def _numpy_summary(values: Floats) -> tuple[Any, ...]:
    is_missing = np.isnan(values)
    seen = values[~is_missing]
    histogram, _ = np.histogram(seen, bins=20)
    return is_missing.sum(), seen.mean(), seen.std(), seen.min(), seen.max(), histogram


@njit(nogil=True, fastmath=True)  # free order of additions: limited by memory, not by latency
def _sum(values: Floats) -> float:
    total = 0.0
    for value in values:
        total += value
    return total


def _interleaved(ours: Callable[[], object], peer: Callable[[], object], runs: int) -> list[Pair]:
    """(ours, peer) in ns per value of each run; in turn, so that both see the same machine."""
    ours()
    peer()
    return [(_timed(ours), _timed(peer)) for _ in range(runs)]


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - start) / N_VALUES


if __name__ == "__main__":
    for row in rows():
        print(row)

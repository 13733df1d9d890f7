"""Libraries: sketches of others on one column, as they are fed at their fastest.

In    a column of float64
Out   by name: how many of the values a turn takes, and the turn; or why it cannot be taken
Not   peers in another environment (turns.py), ours (bench_update.py)

The extra `bench` of pyproject.toml has them. Slow ones get fewer values: figures are per value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FEW = 20_000  # of a library that takes values one by one


class Library(NamedTuple):
    """A turn of a peer."""

    name: str
    values: int
    turn: Callable[[Floats], object]


def found() -> tuple[list[Library], dict[str, str]]:
    """Libraries that are installed, and by name why the others are not measured."""
    libraries, missing = [], {}
    for name, values, make in (
        ("kll", 1_000_000, _kll),
        ("tdigest", 1_000_000, _tdigest),
        ("ddsketch", FEW, _ddsketch),
        ("datasketches_hll", FEW, _hll),
    ):
        try:
            libraries.append(Library(name, values, make()))
        except ImportError as error:
            missing[name] = str(error)
    return libraries, missing


def _kll() -> Callable[[Floats], object]:
    from datasketches import kll_doubles_sketch

    def turn(values: Floats) -> object:
        sketch = kll_doubles_sketch(200)
        sketch.update(values)
        return sketch

    return turn


def _tdigest() -> Callable[[Floats], object]:
    from fastdigest import TDigest

    return TDigest.from_values


def _ddsketch() -> Callable[[Floats], object]:
    from ddsketch import DDSketch

    def turn(values: Floats) -> object:
        sketch = DDSketch(0.01)
        for value in values.tolist():
            sketch.add(value)
        return sketch

    return turn


def _hll() -> Callable[[Floats], object]:
    from datasketches import hll_sketch

    def turn(values: Floats) -> object:
        sketch = hll_sketch(12)
        for value in values.tolist():
            sketch.update(value)
        return sketch

    return turn


def numpy_summary(values: Floats) -> tuple[object, ...]:
    """What numpy has to say of a column: no quantiles, nothing to merge."""
    is_missing = np.isnan(values)
    seen = values[~is_missing]
    histogram, _ = np.histogram(seen, bins=20)
    return is_missing.sum(), seen.mean(), seen.std(), seen.min(), seen.max(), histogram

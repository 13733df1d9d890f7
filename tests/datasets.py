"""Datasets: a name in, a stream of values that knows its exact quantiles out.

In    how many values, and a seed
Out   Dataset: values, the grid that a reference of the same kind gives, exact quantiles and ranks
Not   drifts (stream/replay/scenarios.py)

Twenty-odd kinds, chosen to break sketches: atoms, offsets, tails, gaps, orders, ends of float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LARGEST = float(np.finfo(np.float64).max)


@dataclass(frozen=True)
class Dataset:
    """Values in order of arrival, beside the grid made from another sample of the same kind."""

    name: str
    values: Floats  # (n,) NaN and infinities among them
    anchor: float  # median of the reference sample
    inverse_scale: float  # 1.349 / interquartile range of the reference sample
    has_atoms: bool  # single values with a large share

    @property
    def finite(self) -> Floats:
        """The finite values, ascending."""
        return np.sort(self.values[np.isfinite(self.values)])

    def quantiles(self, probabilities: Floats) -> Floats:
        """Exact quantiles of the finite values by numpy's default definition."""
        return _without_overflow(np.quantile, self.finite, probabilities)

    def rank_errors(self, estimates: Floats, probabilities: Floats) -> Floats:
        """How far each probability lies outside the shares below, and up to, its estimate."""
        ordered = self.finite
        below = np.searchsorted(ordered, estimates, side="left") / ordered.size
        up_to = np.searchsorted(ordered, estimates, side="right") / ordered.size
        return np.maximum(0.0, np.maximum(below - probabilities, probabilities - up_to))


def dataset(name: str, n: int, seed: int = 1) -> Dataset:
    """The named stream with n values; its grid comes from another seed."""
    make, has_atoms = _KINDS[name]
    values = np.ascontiguousarray(make(np.random.default_rng(seed), n), np.float64)
    reference = make(np.random.default_rng(seed + 1_000_003), max(n, 1_000))
    anchor, inverse_scale = _grid(reference[np.isfinite(reference)])
    return Dataset(name, values, anchor, inverse_scale, has_atoms)


def _grid(reference: Floats) -> tuple[float, float]:
    """Anchor and inverse scale; where the middle half is one value, its size gives the scale."""
    lower, middle, upper = _without_overflow(np.quantile, reference, np.array([0.25, 0.5, 0.75]))
    scale = (upper / 1.349 - lower / 1.349) or reference.std() or abs(middle) or 1.0
    return float(middle), float(min(1.0 / scale, 1e308))


def _without_overflow(
    quantile: Callable[[Floats, Floats], Floats], values: Floats, at: Floats
) -> Floats:
    """numpy subtracts neighbours, which overflows at the ends of float64: halve first."""
    if np.abs(values).max() > LARGEST / 2:
        return quantile(values / 2, at) * 2
    return quantile(values, at)


def _mixed(rng: np.random.Generator, n: int) -> Floats:
    parts = np.stack([rng.normal(0, 1, n), np.zeros(n), rng.lognormal(3, 1, n)])
    return parts[rng.choice(3, n, p=[0.6, 0.3, 0.1]), np.arange(n)]


def _bimodal(rng: np.random.Generator, n: int) -> Floats:
    return np.where(rng.random(n) < 0.4, rng.normal(-10, 1, n), rng.normal(10, 2, n))


def _zoom_in(rng: np.random.Generator, n: int) -> Floats:
    """From both ends towards the middle: each value lies between the two before it."""
    ordered = np.sort(rng.normal(0, 1, n))
    return ordered[np.stack([np.arange(n), n - 1 - np.arange(n)]).T.ravel()[:n]]


def _spiked(rng: np.random.Generator, n: int, spikes: list[float]) -> Floats:
    values = rng.normal(10, 3, n)
    hit = rng.random(n) < 0.05
    values[hit] = rng.choice(spikes, hit.sum())
    return values


_KINDS: dict[str, tuple[Callable[[np.random.Generator, int], Floats], bool]] = {
    "normal": (lambda rng, n: rng.normal(10, 3, n), False),
    "uniform": (lambda rng, n: rng.random(n), False),
    "exponential": (lambda rng, n: rng.exponential(2.0, n), False),
    "lognormal": (lambda rng, n: rng.lognormal(0, 1.5, n), False),
    "negative": (lambda rng, n: -rng.gamma(2.0, 5.0, n) - 1.0, False),
    "bimodal": (_bimodal, False),
    "u_shaped": (lambda rng, n: rng.beta(0.5, 0.5, n), False),
    "laplace": (lambda rng, n: rng.laplace(-5.0, 0.2, n), False),
    "temperatures": (lambda rng, n: rng.normal(293.15, 8.0, n), False),
    "unix_times": (lambda rng, n: 1.7e9 + 86_400.0 * rng.random(n), False),
    "student_t2": (lambda rng, n: rng.standard_t(2, n), False),
    "heavy_tail": (lambda rng, n: rng.pareto(1.0, n), False),
    "large_offset": (lambda rng, n: 1e9 + rng.normal(0, 1e-3, n), False),
    "denormals": (lambda rng, n: rng.random(n) * 2e-308, False),
    "huge": (lambda rng, n: (2.0 * rng.random(n) - 1.0) * 1.7e308, False),
    "ends": (lambda rng, n: rng.choice([-1e308, 1e308], n), True),
    "zoom_in": (_zoom_in, False),
    "sorted_forward": (lambda rng, n: np.sort(rng.normal(0, 1, n)), False),
    "sorted_backward": (lambda rng, n: np.sort(rng.normal(0, 1, n))[::-1], False),
    "with_nan": (lambda rng, n: _spiked(rng, n, [np.nan]), False),
    "with_infinities": (lambda rng, n: _spiked(rng, n, [np.inf, -np.inf]), False),
    "constant": (lambda rng, n: np.full(n, 3.7), True),
    "zipf": (lambda rng, n: np.minimum(rng.zipf(1.3, n), 10**15).astype(np.float64), True),
    "integers": (lambda rng, n: rng.integers(0, 100, n).astype(np.float64), True),
    "coin": (lambda rng, n: rng.integers(0, 2, n).astype(np.float64), True),
    "mixed": (_mixed, True),
}
NAMES = tuple(_KINDS)
SMOOTH = tuple(name for name, (_, has_atoms) in _KINDS.items() if not has_atoms)

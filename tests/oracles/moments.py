"""Moments, plainly: all values kept, every number computed from them in long double."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def kinds(values: Floats, null_bits: int, absent_bits: int, mistyped_bits: int) -> list[int]:
    """How many values are null, absent, NaN, mistyped, +inf, -inf."""
    bits = [int(value) for value in values.view(np.uint64)]
    reasons = [bits.count(null_bits), bits.count(absent_bits), bits.count(mistyped_bits)]
    nans = int(np.isnan(values).sum()) - sum(reasons)
    infinities = [int((values == np.inf).sum()), int((values == -np.inf).sum())]
    return [reasons[0], reasons[1], nans, reasons[2], *infinities]


def mean(values: Floats) -> float:
    """Mean of the finite values."""
    return float(_exact(values).mean())


def variance(values: Floats, ddof: int) -> float:
    """Variance of the finite values over n - ddof."""
    return float(_exact(values).var(ddof=ddof))


def skewness(values: Floats) -> float:
    """Third standardised moment of the finite values, not corrected for bias."""
    deviations = _exact(values) - _exact(values).mean()
    return float((deviations**3).mean() / (deviations**2).mean() ** 1.5)


def kurtosis(values: Floats) -> float:
    """Fourth standardised moment of the finite values, less 3."""
    deviations = _exact(values) - _exact(values).mean()
    return float((deviations**4).mean() / (deviations**2).mean() ** 2 - 3)


def _exact(values: Floats) -> NDArray[np.longdouble]:
    return values[np.isfinite(values)].astype(np.longdouble)

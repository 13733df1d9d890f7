"""Histograms: one call gives what seven calls give, to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from kernels.measures import divergences, histograms, significance

BEFORE = np.array([3.0, 0.0, 12.0, 5.0, 2.0])


@pytest.mark.parametrize(
    "now", [[3, 0, 12, 5, 2], [0, 9, 1, 0, 0], [1e9, 1, 1, 1, 7], [0, 0, 0, 0, 4], [0] * 5]
)
def test_measured_is_every_measure_with_and_without_the_last_bin(now: list[float]) -> None:
    after = np.array(now, float)
    for found, (p, q) in zip(
        histograms.measured(BEFORE, after),
        [(BEFORE, after), (BEFORE[:-1], after[:-1])],
        strict=True,
    ):
        plain = [getattr(divergences, name)(p, q) for name in histograms.MEASURES[:-1]]
        plain.append(significance.chi_square(p, q)[0])
        np.testing.assert_array_equal(found, plain)

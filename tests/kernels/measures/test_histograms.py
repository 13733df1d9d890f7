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


def test_many_pairs_are_measured_as_one_by_one(rng: np.random.Generator) -> None:
    sizes = [2, 5, 11, 40, 3]
    before = [rng.integers(0, 30, n).astype(float) for n in sizes]
    now = [rng.integers(0, 9, n).astype(float) for n in sizes]
    now[4][:] = 0
    is_number, out = np.array([True, False, True, False, True]), np.zeros((5, 17))
    together = np.concatenate(before), np.concatenate(now)
    histograms.measured_each(*together, np.cumsum(sizes), is_number, 5.0, out)
    for row, (p, q) in enumerate(zip(before, now, strict=True)):
        often = significance.believed(p, q) if is_number[row] else p + q
        pooled = significance.pooled(p, q, often, 5.0)
        chance = significance.chi_square(*pooled) if len(pooled[0]) > 1 else (0.0, 0)
        at = divergences.culprit(p, q)
        expected = np.concatenate([*histograms.measured(p, q), [at], chance])
        np.testing.assert_array_equal(out[row], expected)

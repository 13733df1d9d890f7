"""Attributions: NDCG is SageMaker's, and 1 only while the order of features stays."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kernels.measures import attributions
from tests.oracles import attributions as oracle


def test_ndcg_equals_the_published_formula(rng: np.random.Generator) -> None:
    for n in (1, 2, 7, 40):
        reference, current = rng.normal(size=(2, n))
        names = [f"f{at}" for at in range(n)]
        expected = oracle.ndcg(
            dict(zip(names, reference.tolist(), strict=True)),
            dict(zip(names, current.tolist(), strict=True)),
        )
        assert attributions.ndcg(reference, current) == pytest.approx(expected, rel=1e-12)


def test_ndcg_of_two_features_that_changed_places() -> None:
    found = attributions.ndcg(np.array([3.0, 1.0]), np.array([0.2, 0.9]))
    log3 = math.log2(3.0)
    assert found == pytest.approx((1.0 + 3.0 / log3) / (3.0 + 1.0 / log3))


def test_an_order_that_stays_is_one_whatever_the_sizes() -> None:
    reference = np.array([0.5, 0.1, 0.3])
    assert attributions.ndcg(reference, np.array([9.0, 0.001, 0.002])) == 1.0
    assert attributions.ndcg(reference, -reference) == 1.0


def test_features_of_equal_weight_may_change_places() -> None:
    assert attributions.ndcg(np.array([1.0, 1.0]), np.array([0.0, 5.0])) == 1.0


def test_an_attribution_that_is_not_there_is_the_least() -> None:
    reference = np.array([1.0, 2.0, 0.5])
    missing = attributions.ndcg(reference, np.array([1.0, math.nan, 0.5]))
    assert missing == attributions.ndcg(reference, np.array([1.0, 0.0, 0.5]))
    assert missing < 1.0


@pytest.mark.parametrize("reference", [[], [0.0, 0.0], [math.nan]])
def test_a_reference_without_attributions_has_no_answer(reference: list[float]) -> None:
    assert math.isnan(attributions.ndcg(np.array(reference), np.ones(len(reference))))

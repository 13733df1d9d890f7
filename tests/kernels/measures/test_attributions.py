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


KEY = np.uint64(3), np.uint64(4)


def test_simulated_orders_are_as_far_off_as_those_of_numpy(rng: np.random.Generator) -> None:
    common, errors = 0.8 ** np.arange(6.0), np.full(6, 0.1)
    draws = rng.normal(common, errors, (2, 4_000, 6))
    plain = np.array([1 - attributions.ndcg(*pair) for pair in zip(*draws, strict=True)])
    median = float(np.median(plain))
    counted = [
        attributions.simulated(common, errors, errors, median, (np.uint64(seed), np.uint64(0)))
        for seed in range(40)
    ]
    reached, drawn = sum(one[0] for one in counted), sum(one[1] for one in counted)
    assert reached / drawn == pytest.approx(0.5, abs=0.05)
    assert np.mean([one[2] for one in counted]) == pytest.approx(plain.mean(), rel=0.2)


def test_a_simulation_ends_once_enough_draws_reached_the_deficit() -> None:
    ones = np.ones(3)
    assert attributions.simulated(ones, ones, ones, 0.0, KEY)[:2] == (attributions.ENOUGH,) * 2
    never = attributions.simulated(ones, ones, ones, 1.0, KEY)
    assert never[:2] == (0, attributions.DRAWS)
    assert attributions.simulated(ones, ones, ones, 1.0, KEY) == never


def test_without_errors_every_draw_has_the_same_order() -> None:
    common, none = np.array([3.0, 2.0, 1.0]), np.zeros(3)
    assert attributions.simulated(common, none, none, 1e-6, KEY) == (0, attributions.DRAWS, 0.0)

"""Array measures: how the mean of embeddings turned and moved, and how rarely by chance."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from kernels.jit import IS_COMPILED
from stream.detect.judge import chances
from stream.detect.judge.measures import Comparison, compare
from tests.builders import event, ingestor, messages, reference
from tests.oracles import embeddings as oracle

Rows = NDArray[np.float64]
RUNS = 2_000 if IS_COMPILED else 200


def beside(before: Rows, now: Rows) -> Comparison:
    known = reference([event(1, {"x": row}) for row in before.tolist()])
    worker = ingestor(references={("m", "1"): known})
    worker.add(messages(*[event(1, {"x": row}) for row in now.tolist()]))
    [part] = worker.finish().partials
    compared = compare("feature.x", part.state.features["feature.x"], len(now), known)
    assert compared is not None
    return compared


def test_the_measures_are_those_of_numpy(rng: np.random.Generator) -> None:
    before, now = rng.normal(1, 2, (300, 8)), rng.normal(0.5, 1, (80, 8))
    compared = beside(before, now)
    centre, centre_now = before.mean(axis=0), now.mean(axis=0)
    spread = np.sqrt(((before - centre) ** 2).sum(axis=1).mean())
    shift = np.linalg.norm(centre_now - centre) / spread
    assert compared.values["mean_shift"] == pytest.approx(shift, rel=1e-9)
    assert compared.values["cosine"] == pytest.approx(oracle.cosine(centre, centre_now), rel=1e-9)
    assert compared.p_values["mean_shift"] == compared.p_values["cosine"]
    assert compared.null_expectation["mean_shift"] == pytest.approx(np.sqrt(1 / 300 + 1 / 80))


def test_arrays_of_another_length_are_not_compared(rng: np.random.Generator) -> None:
    compared = beside(rng.normal(size=(60, 8)), rng.normal(size=(60, 9)))
    assert "mean_shift" not in compared.values


@pytest.mark.parametrize(("n", "m"), [(29, 60), (60, 29)])
def test_below_thirty_arrays_there_is_no_measure(n: int, m: int, rng: np.random.Generator) -> None:
    assert "cosine" not in beside(rng.normal(size=(m, 4)), rng.normal(size=(n, 4))).values


@pytest.mark.parametrize("decay", [0.0, 0.5, 5.0], ids=["round", "long", "a line"])
def test_the_chance_of_a_shift_holds_however_dimensions_depend(
    decay: float, rng: np.random.Generator
) -> None:
    """Vectors whose spread is the same in all directions, in some, in one."""
    spreads = np.exp(-decay * np.arange(6))
    n, m = 60, 400
    means = [rng.normal(size=(RUNS, 6)) * spreads / np.sqrt(size) for size in (n, m)]
    shifts = np.linalg.norm(means[0] - means[1], axis=1) / np.linalg.norm(spreads)
    p_values = np.array([chances.mean_shift_chance(shift, n, m) for shift in shifts.tolist()])
    for level in (0.2, 0.05, 0.01):
        assert (p_values <= level).sum() <= stats.binom.ppf(0.999, RUNS, level)
    expected = chances.mean_shift_expectation(n, m)
    assert np.sqrt((shifts**2).mean()) == pytest.approx(expected, rel=0.1)


def test_a_shift_of_half_a_spread_is_no_chance() -> None:
    assert chances.mean_shift_chance(0.5, 200, 2_000) < 1e-10
    assert chances.mean_shift_chance(0.0, 200, 2_000) == 1.0
    assert np.isnan(chances.mean_shift_chance(0.1, 0, 100))

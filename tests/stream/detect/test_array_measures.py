"""Array measures: how the mean of embeddings turned and moved, and how rarely by chance."""

from __future__ import annotations

import numpy as np
import orjson
import pytest
from numpy.typing import NDArray
from scipy import stats

from kernels.jit import IS_COMPILED
from kernels.measures import embeddings
from kernels.sketches import rows
from stream.detect.ingest.slices import KEY as SLICED_BY
from stream.detect.judge import chances
from stream.detect.judge.measures import Comparison, compare, weigh
from stream.detect.judge.noise import Noise
from stream.detect.partials import Partial, pack, read
from stream.detect.profiles import from_document, to_document
from stream.detect.slices import DIRECTIONS, SLICE_ROWS
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


def test_the_sliced_distance_is_that_of_the_sampled_arrays(rng: np.random.Generator) -> None:
    before, now = rng.normal(1, 2, (200, 8)), rng.normal(0.5, 1, (80, 8))
    compared = beside(before, now)
    along = embeddings.directions(DIRECTIONS, 8, SLICED_BY)
    spread = np.sqrt(((before - before.mean(axis=0)) ** 2).sum(axis=1).mean() / 8)
    plain = oracle.sliced_wasserstein(before, now, along) / spread
    assert compared.values["sliced_wasserstein"] == pytest.approx(plain, rel=1e-9)
    assert compared.p_values["sliced_wasserstein"] < 1e-4


def test_a_cloud_that_splits_about_its_mean_is_found_by_slices_alone(
    rng: np.random.Generator,
) -> None:
    """Directions and means stay; the halves move apart as far as the rest shrinks."""
    before = rng.normal(3, 1, (250, 6))
    now = rng.normal(3, 0.3, (200, 6))
    now[:, 0] += np.where(np.arange(200) % 2, 0.95, -0.95)
    now -= now.mean(axis=0) - before.mean(axis=0)
    compared = beside(before, now)
    assert compared.p_values["mean_shift"] > 0.5
    assert compared.p_values["sliced_wasserstein"] < 1e-6
    value, expected = (
        part["sliced_wasserstein"] for part in (compared.values, compared.null_expectation)
    )
    assert value > expected + 0.1


@pytest.mark.slow
def test_unchanged_arrays_are_rarely_far_apart(rng: np.random.Generator) -> None:
    runs = 200 if IS_COMPILED else 3
    pairs = [(rng.standard_t(3, (250, 6)), rng.standard_t(3, (60, 6))) for _ in range(runs)]
    p_values = np.array([beside(*pair).p_values["sliced_wasserstein"] for pair in pairs])
    for level in (0.2, 0.05):
        assert (p_values <= level).sum() <= stats.binom.ppf(0.999, runs, level)


def test_of_arrays_that_depend_on_one_another_fewer_are_taken(rng: np.random.Generator) -> None:
    compared = beside(rng.normal(size=(200, 4)), rng.normal(size=(100, 4)) + 0.4)
    alone = compared.p_values["sliced_wasserstein"]
    weigh(compared, Noise(1.5))
    assert compared.p_values["sliced_wasserstein"] > alone
    weigh(compared, Noise(5.0))
    assert "sliced_wasserstein" not in compared.values


def test_a_sample_of_arrays_travels_with_partials_and_references(rng: np.random.Generator) -> None:
    known = reference([event(1, {"x": row}) for row in rng.normal(size=(300, 4)).tolist()])
    again = from_document(orjson.loads(orjson.dumps(to_document(known))))
    states = [one.state.features["feature.x"].slices for one in (known, again)]
    assert states[0] is not None
    assert states[1] is not None
    assert rows.pack(states[0], 0) == rows.pack(states[1], 0)
    assert states[0].used[0] == SLICE_ROWS
    worker = ingestor(references={("m", "1"): again})
    worker.add(messages(*[event(1, {"x": row}) for row in rng.normal(size=(40, 4)).tolist()]))
    [part] = worker.finish().partials
    sent = read(pack(part))
    assert isinstance(sent, Partial)
    assert pack(sent) == pack(part)
    sampled = sent.state.features["feature.x"].slices
    assert sampled is not None
    assert sampled.used[0] == 40


def test_a_window_samples_the_same_arrays_however_they_come(rng: np.random.Generator) -> None:
    known = reference([event(1, {"x": row}) for row in rng.normal(size=(60, 4)).tolist()])
    given = [event(1, {"x": row}) for row in rng.normal(size=(500, 4)).tolist()]
    packed = []
    for cut in (500, 37):
        worker = ingestor(references={("m", "1"): known})
        for at in range(0, 500, cut):
            worker.add(messages(*given[at : at + cut], first_offset=at))
        [part] = worker.finish().partials
        packed.append(pack(part))
    assert packed[0] == packed[1]

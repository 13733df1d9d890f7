"""Confusion, residuals and scores: against sums over every pair, on every data set."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kernels.sketches import confusion, residuals, scores
from tests.datasets import NAMES, dataset
from tests.laws import MANY
from tests.oracles import outcomes as oracle

FEW = MANY // 5
ZEROS = np.zeros(FEW, np.int32)


def scored(p: NDArray[np.float64], labels: NDArray[np.int32]) -> scores.Scores:
    state = scores.empty(1)
    scores.update(state, np.zeros(len(p), np.int32), p, labels)
    return state


def probabilities(name: str) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Scores from a data set by its own scale, and labels that follow them, though not quite."""
    data = dataset(name, FEW)
    with np.errstate(over="ignore"):
        z = np.clip((data.values - data.anchor) * data.inverse_scale, -30.0, 30.0)
    p = 1.0 / (1.0 + np.exp(-np.where(np.isnan(z), 0.0, z)))
    rng = np.random.default_rng(5)
    return p, (rng.random(FEW) < 0.1 + 0.7 * p).astype(np.int32)


@pytest.mark.parametrize("name", NAMES)
def test_scores_keep_what_they_promise(name: str) -> None:
    p, labels = probabilities(name)
    state, told = scored(p, labels), (p.tolist(), labels.tolist())
    found, bound = scores.auc(state, 0)
    assert found == pytest.approx(oracle.auc(*told), abs=bound + 1e-12)
    exact = oracle.log_loss(*told, scores.SMALLEST)
    assert -1e-12 <= exact - scores.log_loss(state, 0) <= scores.LOG_LOSS_ERROR
    assert scores.brier(state, 0) == pytest.approx(oracle.brier(*told), rel=1e-12)
    entropy = oracle.log_loss([labels.mean()] * FEW, labels.tolist(), 0.0)
    allowed = scores.LOG_LOSS_ERROR / entropy
    assert scores.rig(state, 0) == pytest.approx(oracle.rig(*told, scores.SMALLEST), abs=allowed)


def test_few_scores_share_a_cell_so_that_auc_is_nearly_exact() -> None:
    p, labels = probabilities("normal")
    assert scores.auc(scored(p, labels), 0)[1] < 0.02


def test_calibration_puts_neighbours_together() -> None:
    p = np.repeat([0.1, 0.3, 0.9], [500, 300, 200])
    labels = (np.arange(1000) % 10 < np.repeat([1, 4, 8], [500, 300, 200])).astype(np.int32)
    out = np.zeros((10, 3))
    n_groups = scores.calibration(scored(p, labels), 0, out)
    expected = [[500, 0.1, 0.1], [300, 0.3, 0.4], [200, 0.9, 0.8]]
    np.testing.assert_allclose(out[:n_groups], expected, rtol=1e-12)


def test_calibration_groups_hold_all_events_once() -> None:
    p, labels = probabilities("lognormal")
    out = np.zeros((10, 3))
    n_groups = scores.calibration(scored(p, labels), 0, out)
    assert 5 <= n_groups <= 10
    assert out[:n_groups, 0].sum() == FEW
    assert out[:n_groups, 0] @ out[:n_groups, 1] == pytest.approx(p.sum(), rel=1e-9)
    assert out[:n_groups, 0] @ out[:n_groups, 2] == pytest.approx(labels.sum())


def test_certain_scores_that_were_wrong_cost_a_bounded_loss() -> None:
    state = scored(np.array([0.0, 1.0]), np.array([1, 0], np.int32))
    assert scores.log_loss(state, 0) == pytest.approx(-math.log(scores.SMALLEST))
    assert scores.auc(state, 0) == (0.0, 0.0)


def test_what_is_no_probability_or_no_label_is_refused() -> None:
    p = np.array([-0.1, 1.1, np.nan, np.inf, 0.5, 0.5, 0.5])
    state = scored(p, np.array([0, 1, 0, 1, 2, -1, 1], np.int32))
    assert (state.refused[0], state.counts.sum()) == (6, 1)


def test_nothing_has_no_performance() -> None:
    state = scores.empty(1)
    asked = (scores.log_loss, scores.brier, scores.rig)
    assert np.isnan([*(ask(state, 0) for ask in asked), *scores.auc(state, 0)]).all()
    assert scores.calibration(state, 0, np.zeros((10, 3))) == 0


@pytest.mark.parametrize("name", NAMES)
def test_residuals_keep_what_they_promise(name: str) -> None:
    guesses, truths = dataset(name, FEW).values, dataset(name, FEW, seed=2).values
    if np.nanmax(np.abs(guesses[np.isfinite(guesses)])) > 1e150:
        guesses, truths = guesses / 1e200, truths / 1e200
    truths[::10] = 0.0
    state = residuals.empty(1)
    residuals.update(state, ZEROS, guesses, truths)
    exact = oracle.errors(guesses.tolist(), truths.tolist())
    tiny = residuals.RELATIVE_ERROR
    assert residuals.bias(state, 0) == pytest.approx(exact["bias"], abs=tiny * exact["mae"])
    assert residuals.mae(state, 0) == pytest.approx(exact["mae"], rel=tiny, abs=0)
    assert residuals.rmse(state, 0) == pytest.approx(exact["rmse"], rel=tiny, abs=0)
    assert residuals.mape(state, 0) == pytest.approx(exact["mape"], rel=tiny, abs=0)
    finite = np.isfinite(guesses) & np.isfinite(truths)
    assert state.pairs[0].tolist() == [
        finite.sum(),
        (finite & (truths != 0)).sum(),
        (~finite).sum(),
    ]


def test_errors_beyond_float64_are_no_number() -> None:
    state = residuals.empty(1)
    residuals.update(state, ZEROS[:1], np.array([1e200]), np.array([0.0]))
    assert residuals.mae(state, 0) == 1e200
    assert np.isnan([residuals.rmse(state, 0), residuals.mape(state, 0)]).all()


@pytest.mark.parametrize("name", NAMES)
def test_confusion_is_exact_on_every_data_set(name: str) -> None:
    """Classes are the signs of what is left of the anchor."""
    sides = []
    for seed in (1, 2):
        data = dataset(name, FEW, seed=seed)
        with np.errstate(over="ignore", invalid="ignore"):
            signs = np.sign(data.values - data.anchor) + 1
        sides.append(np.nan_to_num(signs, nan=-1.0).astype(np.int32))
    actual, predicted = sides
    state = confusion.empty(1, 3)
    confusion.update(state, np.zeros(FEW, np.int32), actual, predicted)
    expected = np.zeros((3, 3), int)
    kept = (actual >= 0) & (predicted >= 0)
    np.add.at(expected, (actual[kept], predicted[kept]), 1)
    assert state.counts[0].tolist() == expected.tolist()
    assert state.refused[0] == (~kept).sum()
    assert confusion.accuracy(state, 0) == expected.trace() / kept.sum()


def test_confusion_of_three_classes() -> None:
    actual = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, -1, 3], np.int32)
    predicted = np.array([0, 0, 1, 1, 0, 2, 2, 2, 0, 0, 0], np.int32)
    state = confusion.empty(1, 4 - 1)
    confusion.update(state, np.zeros(11, np.int32), actual, predicted)
    assert state.counts[0].tolist() == [[2, 1, 0], [1, 1, 0], [1, 0, 3]]
    assert state.refused[0] == 2
    assert confusion.accuracy(state, 0) == 6 / 9
    assert [confusion.precision(state, 0, c) for c in range(3)] == [2 / 4, 1 / 2, 1.0]
    assert [confusion.recall(state, 0, c) for c in range(3)] == [2 / 3, 1 / 2, 3 / 4]
    assert [confusion.f1(state, 0, c) for c in range(3)] == [4 / 7, 2 / 4, 6 / 7]
    assert confusion.macro_f1(state, 0) == pytest.approx((4 / 7 + 1 / 2 + 6 / 7) / 3)


def test_a_class_that_never_came_has_no_ratios_and_does_not_count() -> None:
    state = confusion.empty(1, 3)
    confusion.update(state, ZEROS[:2], np.array([0, 1], np.int32), np.array([0, 0], np.int32))
    assert np.isnan([confusion.precision(state, 0, 1), confusion.recall(state, 0, 2)]).all()
    assert np.isnan(confusion.f1(state, 0, 2))
    assert confusion.macro_f1(state, 0) == pytest.approx((2 / 3 + 0) / 2)
    assert np.isnan(confusion.accuracy(confusion.empty(1, 2), 0))


def _classes(n_slots: int) -> confusion.Confusion:
    return confusion.empty(n_slots, 2)


@pytest.mark.parametrize(
    ("module", "empty"),
    [(confusion, _classes), (residuals, residuals.empty), (scores, scores.empty)],
)
def test_bytes_that_are_not_as_written_are_refused(module: Any, empty: Any) -> None:
    raw = module.pack(empty(1), 0)
    assert len(raw) < 40
    for broken in (raw[:-1], raw + b"\x00", b"XX" + raw[2:], raw[:2] + b"\x07" + raw[3:]):
        with pytest.raises(ValueError, match=r"CF|RS|SC"):
            module.unpack(broken)

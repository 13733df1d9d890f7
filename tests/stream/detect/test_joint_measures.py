"""Joint measures: what changed across features is found, named, and rarely said without cause."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from kernels.jit import IS_COMPILED
from stream.detect.contributions import Attribution
from stream.detect.joint import WINDOW_ROWS
from stream.detect.judge import joint
from stream.detect.judge.joint import JointComparison
from stream.detect.judge.measures import Comparison, compare
from stream.detect.judge.noise import Noise
from stream.detect.references import Reference
from stream.detect.specs import ModelSpec, RuleSpec
from stream.detect.states import WindowState
from tests.builders import Pipeline, event, ingestor, messages, reference, spec
from tests.oracles import attributions as oracle_attributions
from tests.oracles import twosample as oracle_twosample

Rows = NDArray[np.float64]
NAMES = ("a", "b", "c")
N, M = 100, 800  # all of a window's events are in its sample
RUNS = 200 if IS_COMPILED else 3


def rows(n: int, rng: np.random.Generator, r: float = 0.0) -> Rows:
    """Events (n, 3); a and b have the correlation r, and c a heavy tail."""
    values = rng.normal(size=(n, 3))
    values[:, 1] = r * values[:, 0] + np.sqrt(1 - r * r) * values[:, 1]
    values[:, 2] = np.exp(2 * values[:, 2])
    return values


def events(values: Rows, second: float = 1, **more: Any) -> list[dict[str, Any]]:
    return [event(second, dict(zip(NAMES, row, strict=True)), **more) for row in values.tolist()]


def window(given: list[dict[str, Any]], known: Reference) -> WindowState:
    worker = ingestor(references={("m", "1"): known})
    worker.add(messages(*given))
    [part] = worker.finish().partials
    return part.state


def beside(
    before: list[dict[str, Any]],
    now: list[dict[str, Any]],
    comparisons: Mapping[str, Comparison] | None = None,
) -> JointComparison:
    known = reference(before)
    return joint.compare(window(now, known), known, comparisons or {})


def test_the_pair_that_changed_most_is_named_with_scipys_correlations(
    rng: np.random.Generator,
) -> None:
    before, now = rows(M, rng, 0.7), rows(N, rng, 0.0)
    found = beside(events(before), events(now))
    told = found.detail["correlation"]
    assert told["pair"] == ["a", "b"]
    expected = [stats.spearmanr(side[:, 0], side[:, 1]).statistic for side in (before, now)]
    assert [told["reference"], told["current"]] == pytest.approx(expected, rel=1e-9)
    assert found.values["correlation"] == pytest.approx(abs(expected[1] - expected[0]), rel=1e-9)
    assert found.p_values["correlation"] < 1e-6
    assert found.sizes["correlation"] == (N, M)


def test_the_coefficient_is_the_plain_one_of_the_sampled_rows(rng: np.random.Generator) -> None:
    known = reference(events(rows(M, rng)))
    state = window(events(rows(N, rng)), known)
    assert known.state.joint is not None
    assert state.joint is not None
    before = known.state.joint.values()[: joint.MOST_ROWS]
    scores = oracle_twosample.scores(before, state.joint.values())
    plain = oracle_twosample.coefficient(oracle_twosample.dissimilarities(scores), len(before))
    found = joint.compare(state, known, {})
    assert found.values["two_sample"] == pytest.approx(plain, rel=1e-9)
    assert found.null_expectation["two_sample"] == pytest.approx(plain, rel=0.5)
    assert found.sizes["two_sample"] == (N, joint.MOST_ROWS)


def test_columns_that_come_apart_are_found_though_each_keeps_its_shares(
    rng: np.random.Generator,
) -> None:
    found = beside(events(rows(M, rng, 0.95)), events(rows(N, rng, 0.0)))
    assert found.p_values["two_sample"] < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("measure", ["correlation", "two_sample"])
def test_unchanged_events_are_rarely_an_alarm(measure: str, rng: np.random.Generator) -> None:
    known = reference(events(rows(M, rng, 0.5)))
    p_values = [
        joint.compare(window(events(rows(N, rng, 0.5)), known), known, {}).p_values[measure]
        for _ in range(RUNS)
    ]
    # 1.5: all windows are beside one reference, whose noise they share.
    assert sum(p <= 0.05 for p in p_values) <= stats.binom.ppf(0.999, RUNS, 1.5 * 0.05)


def test_a_missing_value_leaves_the_other_pairs_alone(rng: np.random.Generator) -> None:
    before, now = rows(M, rng, 0.7), rows(N, rng, 0.0)
    given = events(now)
    for one in given[:60]:
        one["features"]["c"] = None
    found = beside(events(before), given)
    assert found.detail["correlation"]["pair"] == ["a", "b"]
    assert found.sizes["correlation"] == (N, M)


@pytest.mark.parametrize(("n", "m"), [(29, M), (N, 29)])
def test_below_thirty_events_there_is_no_joint_measure(
    n: int, m: int, rng: np.random.Generator
) -> None:
    assert beside(events(rows(m, rng)), events(rows(n, rng))).values == {}


def test_one_feature_has_nothing_beside_it() -> None:
    given = [event(1, {"a": float(at)}) for at in range(50)]
    assert beside(given, given).values == {}


@pytest.mark.parametrize(("factor", "kept"), [(1.0, N), (1.2, N), (1.5, 50), (5.0, 6)])
def test_a_sample_of_events_that_depend_on_one_another_is_thinned(
    factor: float, kept: int, rng: np.random.Generator
) -> None:
    known = reference(events(rows(M, rng)))
    state = window(events(rows(N, rng)), known)
    compared = compare("feature.b", state.features["feature.b"], N, known)
    assert compared is not None
    noisy = replace(compared, noise=Noise(factor))
    found = joint.compare(state, known, {"feature.b": noisy})
    expected = {"correlation": (kept, M), "two_sample": (kept, joint.MOST_ROWS)}
    assert found.sizes == (expected if kept >= 30 else {})


def test_the_order_of_attributions_is_compared_by_ndcg() -> None:
    before, now = {"a": 0.5, "b": -0.3, "c": 0.1}, {"a": 0.1, "b": 0.2, "new": -0.9}
    found = beside(
        [event(1, {"a": 1.0}, attributions=before)] * 40,
        [event(1, {"a": 1.0}, attributions=now)] * 30,
    )
    names = sorted({*before, *now})
    ndcg = oracle_attributions.ndcg(
        *({name: side.get(name, 0.0) for name in names} for side in (before, now))
    )
    assert found.values["attribution_drift"] == pytest.approx(1 - ndcg, rel=1e-9)
    told = {"ndcg": pytest.approx(ndcg), "first": "new"}
    assert found.detail["attribution_drift"] == told
    assert found.sizes["attribution_drift"] == (30, 40)


def told(
    measure: str, before: list[dict[str, Any]], now: Callable[[float], list[dict[str, Any]]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Windows and alerts of one rule, over two minutes of such events."""
    rule = RuleSpec(name="r", measure=measure)
    model = ModelSpec(name="m", lengths_ms=(60_000,), rules=(rule,), keep_previous=False)
    line = Pipeline(spec(model), reference(before))
    for one in (*now(1), *now(61)):
        line.feed(one)
    verdicts = line.finish()
    return verdicts.windows, [alert["data"] for alert in verdicts.alerts]


def test_a_pair_that_comes_apart_is_told_by_name(rng: np.random.Generator) -> None:
    before = events(rows(M, rng, 0.9))
    # A first window of dependent events is judged with caution: it takes some hundred.
    windows, alerts = told("correlation", before, lambda s: events(rows(900, rng), s))
    assert [(alert["rule"], alert["feature"], alert["reason"]) for alert in alerts] == [
        ("r", None, "first")
    ]
    assert "a and b move together otherwise than in training" in alerts[0]["summary"]
    assert alerts[0]["evidence"]["pair"] == ["a", "b"]
    measures = windows[0]["joint"]["measures"]["training"]
    assert measures["correlation"]["value"] == alerts[0]["measure"]["value"]
    assert windows[0]["verdict"] == "breach"


@pytest.mark.parametrize("measure", ["correlation", "two_sample", "attribution_drift"])
def test_unchanged_windows_are_ok(measure: str, rng: np.random.Generator) -> None:
    weights = {"a": 0.5, "b": 0.2}
    before = events(rows(M, rng, 0.9), attributions=weights)
    windows, alerts = told(
        measure, before, lambda s: events(rows(900, rng, 0.9), s, attributions=weights)
    )
    assert alerts == []
    assert [one["verdict"] for one in windows] == ["ok", "ok"]


def test_a_changed_order_of_attributions_is_told() -> None:
    def given(second: float, **weights: float) -> list[dict[str, Any]]:
        return [event(second, {"a": 1.0}, attributions=weights)] * 40

    windows, alerts = told("attribution_drift", given(1, a=3, b=1), lambda s: given(s, a=1, b=3))
    assert "b weighs most, NDCG 0.797" in alerts[0]["summary"]
    assert windows[0]["attribution_drift"]["training"]["ndcg"] == pytest.approx(0.797, abs=1e-3)


def attributed(rng: np.random.Generator, means: Rows, size: int) -> WindowState:
    """A window of attributions as large as they vary, that lean against one another."""
    drawn = rng.exponential(size=(size, len(means))) * means
    drawn -= 0.3 * (drawn.mean(axis=1, keepdims=True) - means.mean())
    sizes = np.abs(drawn)
    totals = zip(sizes.sum(axis=0).tolist(), (sizes**2).sum(axis=0).tolist(), strict=True)
    known = {f"f{i:02d}": Attribution(size, *sums) for i, sums in enumerate(totals)}
    return WindowState(events=size, attributions=known)


@pytest.mark.slow
@pytest.mark.parametrize(
    "means",
    [np.ones(8), 1 / np.arange(1, 9.0), np.array([1, 1, 0.2, 0.2, 0.1]), np.array([1, 0.9])],
)
@pytest.mark.parametrize(("n", "m"), [(50, 500), (500, 500), (2_000, 300)])
def test_the_chance_of_an_order_of_attributions_keeps_its_level(
    means: Rows, n: int, m: int, rng: np.random.Generator
) -> None:
    found = []
    for _ in range(RUNS):
        known = Reference("r", "m", "1", attributed(rng, means, m))
        found.append(joint.compare(attributed(rng, means, n), known, {}))
    p_values = np.array([one.p_values["attribution_drift"] for one in found])
    for level in (0.2, 0.05, 0.01):
        assert (p_values <= level).sum() <= stats.binom.ppf(0.999, RUNS, level)


def test_a_rare_order_has_the_chance_of_the_noise_it_takes(rng: np.random.Generator) -> None:
    """Two features 10 errors apart changed places: no draw shows it, the scaled ones do."""
    means, n, m = np.array([1.0, 0.5]), 400, 4_000
    known = Reference("r", "m", "1", attributed(rng, means, m))
    now = attributed(rng, means[::-1], n)
    found = joint.compare(now, known, {})
    assert found.p_values["attribution_drift"] < 1e-6
    noisy = attributed(rng, means[::-1] / 4 + 0.5, 40)
    assert joint.compare(noisy, known, {}).p_values["attribution_drift"] > 1e-6


def test_without_squares_there_is_no_chance_and_so_no_measure(rng: np.random.Generator) -> None:
    means = np.array([1.0, 0.5])
    known = Reference("r", "m", "1", attributed(rng, means, 100))
    known.state.attributions["f00"] = Attribution.read(100, 100.0)
    assert joint.compare(attributed(rng, means, 100), known, {}).values == {}


def test_a_model_without_numbers_side_by_side_has_not_enough_for_a_joint_rule() -> None:
    given = [event(1, {"a": float(at)}) for at in range(50)]
    windows, alerts = told("two_sample", given, lambda s: [event(s, {"a": 1.0})] * 50)
    assert alerts == []
    assert [one["verdict"] for one in windows] == ["not_enough_data"] * 2


def test_a_sample_has_room_for_what_the_tests_use() -> None:
    assert joint.MOST_ROWS <= WINDOW_ROWS

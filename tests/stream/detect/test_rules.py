"""Rules: a window breaches when the change is both significant and large enough to matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from stream.detect.judge import rules
from stream.detect.judge.findings import BREACH, NO_DATA, NOT_ENOUGH, OK, Finding, Reading
from stream.detect.judge.levels import level_of
from stream.detect.judge.measures import compare
from stream.detect.judge.parts import Due, Window
from stream.detect.judge.summaries import summarise
from stream.detect.references import Reference
from stream.detect.specs import WEEK_MS, FeatureSpec, ModelSpec, RuleSpec
from stream.detect.states import FeatureState, WindowState
from tests.builders import M, at, event, ingestor, messages, reference, spec

PSI = RuleSpec(name="drift", measure="psi")
HOUR_MS = 3_600_000
Rows = Sequence[Mapping[str, Any]]


def rows(**columns: Sequence[Any]) -> list[dict[str, Any]]:
    """Events by columns; `...` stands for an event without that feature."""
    return [
        event(1, {k: v for k, v in zip(columns, values, strict=True) if v is not ...})
        for values in zip(*columns.values(), strict=True)
    ]


def reading(
    now: Rows | None, trained: Rows | None = None, model: ModelSpec | None = None, minutes: int = 60
) -> Reading:
    """A window of these events beside a reference of those."""
    known = {"training": reference(trained)} if trained else {}
    state = None if now is None else _state(now, known.get("training"), model)
    due = Due(Window(M, 60_000 * minutes, at(0)), 0, state, {})
    names = set(state.features if state else ())
    names |= {name for one in known.values() for name in one.state.features}
    comparisons = {
        which: {
            name: compared
            for name in sorted(names)
            if state is not None
            and (
                compared := compare(
                    name, state.features.get(name, FeatureState()), state.events, one
                )
            )
        }
        for which, one in known.items()
    }
    return Reading(due, summarise(due, {}, {}, "c0", "predictions"), known, comparisons)


def _state(now: Rows, known: Reference | None, model: ModelSpec | None) -> WindowState:
    references = {("m", "1"): known} if known else {}
    worker = ingestor(spec(model), references)
    worker.add(messages(*now))
    [part] = worker.finish().partials
    return part.state


def watched(rule: RuleSpec = PSI, **more: Any) -> ModelSpec:
    return ModelSpec(name="m", lengths_ms=(HOUR_MS,), rules=(rule,), **more)


def only(rule: RuleSpec, model: ModelSpec, read: Reading) -> Finding:
    [finding] = rules.apply(rule, model, read)
    return finding


def test_the_alarm_budget_is_shared_by_windows_and_rules() -> None:
    two = ModelSpec(name="m", rules=(PSI, RuleSpec(name="b", measure="ks")))
    sla = ModelSpec(name="m", rules=(PSI, RuleSpec(name="c", objective="error_ratio", above=1)))
    per_window = two.lengths_ms[0] / WEEK_MS
    assert level_of(two, PSI) == pytest.approx(per_window / 2)
    assert level_of(sla, PSI) == pytest.approx(per_window)


def test_a_rule_on_longer_windows_may_take_more_of_the_budget_in_each() -> None:
    hourly = RuleSpec(name="r", measure="psi", length_ms=HOUR_MS)
    assert level_of(ModelSpec(name="m", rules=(hourly,)), hourly) == pytest.approx(
        HOUR_MS / WEEK_MS
    )


def test_a_rule_that_waits_for_a_second_window_may_be_more_sensitive_in_each() -> None:
    patient = RuleSpec(name="r", measure="psi", hold=2)
    model = ModelSpec(name="m", rules=(patient,))
    assert level_of(model, patient) ** 2 == pytest.approx(model.lengths_ms[0] / WEEK_MS)


def test_a_generous_budget_never_goes_beyond_one_in_twenty() -> None:
    assert level_of(watched(false_alarms_per_week=1_000), PSI) == 0.05
    assert level_of(watched(), RuleSpec(name="r", measure="psi", length_ms=4 * WEEK_MS)) == 0.05


def test_a_large_change_of_many_values_is_a_breach(rng: np.random.Generator) -> None:
    read = reading(rows(x=rng.normal(1, 1, 500)), rows(x=rng.normal(0, 1, 2_000)))
    finding = only(PSI, watched(), read)
    assert (finding.verdict, finding.feature, finding.reference) == (
        BREACH,
        "feature.x",
        "training",
    )
    assert finding.value > finding.threshold
    assert finding.q_value is not None
    assert finding.q_value < level_of(watched(), PSI)


def test_the_noise_of_a_small_window_is_no_breach(rng: np.random.Generator) -> None:
    trained, model = rows(x=rng.normal(0, 1, 2_000)), ModelSpec(name="m", lengths_ms=(60_000,))
    windows = [reading(rows(x=rng.normal(0, 1, 40)), trained, minutes=1) for _ in range(30)]
    findings = [only(PSI, model, window) for window in windows]
    assert {finding.verdict for finding in findings} == {NOT_ENOUGH}
    assert max(finding.value for finding in findings) > 0.2  # a fixed threshold would have fired


def test_a_trifle_in_a_large_window_is_no_breach(rng: np.random.Generator) -> None:
    read = reading(rows(x=rng.normal(0.1, 1, 20_000)), rows(x=rng.normal(0, 1, 20_000)))
    finding = only(PSI, watched(), read)
    assert finding.verdict == OK
    assert finding.q_value is not None
    assert finding.q_value < 1e-6  # a p-value alone would have fired


def test_a_fixed_threshold_replaces_the_usual_one(rng: np.random.Generator) -> None:
    read = reading(rows(x=rng.normal(0.5, 1, 2_000)), rows(x=rng.normal(0, 1, 2_000)))
    low, high = (RuleSpec(name="r", measure="psi", above=x) for x in (0.15, 0.9))
    assert only(low, watched(low), read).verdict == BREACH
    assert only(low, watched(low), read).threshold == 0.15
    assert only(high, watched(high), read).verdict == OK


def test_a_fixed_threshold_needs_significance_too(rng: np.random.Generator) -> None:
    rule = RuleSpec(name="r", measure="psi", above=0.01)
    trained = rows(x=rng.normal(0, 1, 2_000))
    finding = only(rule, watched(rule), reading(rows(x=rng.normal(0, 1, 400)), trained))
    assert finding.value > 0.01
    assert finding.verdict == OK


def test_fewer_than_thirty_values_are_not_enough() -> None:
    finding = only(PSI, watched(), reading(rows(x=range(29)), rows(x=range(100))))
    assert finding.verdict == NOT_ENOUGH


def test_a_window_without_events_has_no_data() -> None:
    finding = only(PSI, watched(), reading(None, rows(x=range(100))))
    assert (finding.verdict, finding.feature) == (NO_DATA, None)


def test_without_a_reference_a_drift_rule_finds_nothing() -> None:
    assert rules.apply(PSI, watched(), reading(rows(x=range(100)))) == []


def test_a_rule_for_another_reference_finds_nothing() -> None:
    rule = RuleSpec(name="r", measure="psi", reference="previous")
    assert rules.apply(rule, watched(rule), reading(rows(x=range(99)), rows(x=range(99)))) == []


def test_a_rule_looks_only_at_its_window_length() -> None:
    read = reading(rows(x=range(100)), rows(x=range(100)), minutes=1)
    assert rules.apply(PSI, watched(), read) == []
    minute = RuleSpec(name="r", measure="psi", length_ms=60_000)
    assert len(rules.apply(minute, watched(minute), read)) == 1


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        (("features",), ["feature.x", "feature.y"]),
        (("predictions",), ["prediction.score"]),
        (("x",), ["feature.x"]),
        (("y", "predictions"), ["feature.y", "prediction.score"]),
        (("score",), ["prediction.score"]),
        (("nobody",), []),
    ],
)
def test_a_rule_looks_at_what_it_names(on: tuple[str, ...], expected: list[str]) -> None:
    body = [event(1, {"x": i, "y": i % 7}, prediction=i / 100, latency_ms=i) for i in range(100)]
    rule = RuleSpec(name="r", measure="psi", on=on)
    findings = rules.apply(rule, watched(rule), reading(body, body))
    assert [finding.feature for finding in findings] == expected


def test_q_values_allow_for_the_number_of_features(rng: np.random.Generator) -> None:
    names = [f"f{i}" for i in range(20)]
    trained = rows(**{name: rng.normal(size=500) for name in names})
    now = rows(**{name: rng.normal(size=200) for name in names})
    findings = rules.apply(PSI, watched(), reading(now, trained))
    p_values = np.array([finding.p_value for finding in findings], float)
    smallest = min(finding.q_value or 0 for finding in findings)
    assert smallest == pytest.approx(np.min(np.sort(p_values) * 20 / np.arange(1, 21)))
    assert smallest > p_values.min()


MISSING = RuleSpec(name="missing", measure="missing_difference")


@pytest.mark.parametrize(
    ("n_missing", "verdict"), [(10, OK), (14, OK), (60, BREACH), (200, BREACH)]
)
def test_more_missing_values_than_before_are_a_breach(n_missing: int, verdict: str) -> None:
    trained = rows(x=[*range(950), *[None] * 50])
    finding = only(
        MISSING,
        watched(MISSING),
        reading(rows(x=[1] * (200 - n_missing) + [None] * n_missing), trained),
    )
    assert finding.verdict == verdict
    assert finding.value == pytest.approx(n_missing / 200 - 0.05)


def test_fewer_missing_values_than_before_are_no_breach() -> None:
    trained = rows(x=[*range(500), *[None] * 500])
    finding = only(MISSING, watched(MISSING), reading(rows(x=range(200)), trained))
    assert (finding.verdict, finding.p_value) == (OK, pytest.approx(1.0, abs=1e-6))


@pytest.mark.parametrize(
    ("k", "n", "k_reference", "m"),
    [(1, 10, 100, 10_000), (3, 30, 10, 1_000), (0, 30, 5, 100), (7, 100, 0, 100), (30, 30, 1, 900),
     (600, 1_000, 9_000, 20_000), (700, 1_000, 9_600, 20_000)],
)  # fmt: skip
def test_the_chance_of_more_missing_values_is_fishers(
    k: int, n: int, k_reference: int, m: int
) -> None:
    trained = rows(x=[None] * k_reference + [1] * (m - k_reference))
    finding = only(MISSING, watched(MISSING), reading(rows(x=[None] * k + [1] * (n - k)), trained))
    exact = stats.hypergeom.sf(k - 1, n + m, k + k_reference, n)
    assert finding.p_value == pytest.approx(exact, rel=0.1 if k + k_reference > 10_000 else 1e-6)


def test_one_value_that_is_missing_by_chance_is_no_breach_of_a_small_window() -> None:
    """With a hundredth missing before, one of ten is missing in every tenth window."""
    trained = rows(x=[None] * 20 + [1] * 1_980)
    finding = only(MISSING, watched(MISSING), reading(rows(x=[None] + [1] * 9), trained))
    assert finding.value > finding.threshold
    assert finding.verdict == OK


def test_infinities_are_not_missing() -> None:
    trained = rows(x=[float(v % 9) for v in range(900)] + [float("inf")] * 100)
    now = rows(x=[1.0] * 150 + [float("inf")] * 50)
    finding = only(MISSING, watched(MISSING), reading(now, trained))
    assert finding.value == 0


@pytest.mark.parametrize("absent", [None, ...])
def test_a_feature_that_vanished_is_missing_in_every_event(absent: Any) -> None:
    now = rows(x=[absent] * 50, y=range(50))
    finding = only(
        RuleSpec(name="r", measure="missing_difference", on=("x",)),
        watched(),
        reading(now, rows(x=range(100), y=range(100))),
    )
    assert (finding.verdict, finding.value, finding.n) == (BREACH, 1.0, 50)


def test_a_limit_on_missing_values_needs_no_reference() -> None:
    rule = RuleSpec(name="r", measure="missing_ratio", on=("x",))
    model = watched(rule, features={"x": FeatureSpec(name="x", max_missing=0.05)})
    found = [
        only(rule, model, reading(rows(x=[1] * (1_000 - k) + [None] * k), model=model))
        for k in (30, 60, 150)
    ]
    assert [finding.verdict for finding in found] == [OK, OK, BREACH]
    assert found[2].threshold == 0.05


def test_a_limit_on_missing_values_holds_for_a_feature_that_nobody_sends() -> None:
    rule = RuleSpec(name="r", measure="missing_ratio", on=("x",))
    model = watched(rule, features={"x": FeatureSpec(name="x", max_missing=0.05)})
    finding = only(rule, model, reading(rows(y=range(100)), model=model))
    assert (finding.verdict, finding.value) == (BREACH, 1.0)


def test_one_category_that_is_not_allowed_is_one_too_many() -> None:
    rule = RuleSpec(name="r", measure="unseen_ratio", on=("c",))
    model = watched(rule, features={"c": FeatureSpec(name="c", allowed=("a", "b"))})
    bad, good = (reading(rows(c=["a"] * 99 + [x]), model=model) for x in ("z", "b"))
    assert only(rule, model, bad).verdict == BREACH
    assert only(rule, model, bad).value == 0.01
    assert only(rule, model, good).verdict == OK


def test_a_tolerance_for_unseen_categories_needs_significance() -> None:
    rule = RuleSpec(name="r", measure="unseen_ratio", on=("c",), above=0.01)
    trained = rows(c=["a", "b"] * 100)
    few = reading(rows(c=["a"] * 197 + ["z"] * 3), trained)
    many = reading(rows(c=["a"] * 180 + ["z"] * 20), trained)
    assert only(rule, watched(rule), few).verdict == OK
    assert only(rule, watched(rule), many).verdict == BREACH


@pytest.mark.parametrize(("n_once", "verdict"), [(0, BREACH), (60, OK)])
def test_a_reference_of_rare_categories_expects_new_ones(n_once: int, verdict: str) -> None:
    rule = RuleSpec(name="r", measure="unseen_difference", on=("c",))
    once = [f"rare {at}" for at in range(n_once)]
    trained = rows(c=["a", "b"] * ((1_000 - n_once) // 2) + once)
    now = reading(rows(c=["a"] * 190 + [f"new {at % 5}" for at in range(10)]), trained)
    finding = only(rule, watched(rule), now)
    assert finding.verdict == verdict
    assert finding.value == pytest.approx(10 / 200 - n_once / 1_000)
    assert finding.detail["unseen_values"] == [f"new {at}" for at in range(5)]
    exact = stats.fisher_exact([[10, 190], [n_once, 1_000 - n_once]], alternative="greater")
    assert finding.p_value == pytest.approx(exact.pvalue, rel=1e-6)


RANGE = RuleSpec(name="range", measure="out_of_range_ratio", on=("x",))
RANGED = watched(RANGE, features={"x": FeatureSpec(name="x", kind="number", low=0, high=100)})


@pytest.mark.parametrize(
    ("odd", "n_odd"),
    [([], 0), ([0.0, 100.0], 0), ([101.0], 1), ([-5.0, 1e9], 2), ([float("inf")], 1),
     ([float("-inf")] * 3, 3), ([None, "x"], 0), ([-0.01], 1), ([100.01, 0.0, 100.0], 1)],
)  # fmt: skip
def test_numbers_outside_the_range_are_counted(odd: list[Any], n_odd: int) -> None:
    finding = only(RANGE, RANGED, reading(rows(x=[50.0] * 50 + odd), model=RANGED))
    values = 50 + sum(isinstance(v, float) for v in odd)
    assert finding.value == pytest.approx(n_odd / values)
    assert finding.verdict == (BREACH if n_odd else OK)
    assert finding.n == values


def test_a_number_at_the_border_of_the_range_lies_inside() -> None:
    model = watched(RANGE, features={"x": FeatureSpec(name="x", kind="number", low=-1, high=1)})
    finding = only(RANGE, model, reading(rows(x=[-1.0] * 50 + [1.0] * 50 + [2.0]), model=model))
    assert finding.value == pytest.approx(1 / 101)


def test_a_ratio_never_exceeds_one() -> None:
    finding = only(RANGE, RANGED, reading(rows(x=[float("inf")] * 50 + [1.0]), model=RANGED))
    assert finding.value == pytest.approx(50 / 51)


def test_ten_values_are_needed_for_a_ratio() -> None:
    finding = only(RANGE, RANGED, reading(rows(x=[500.0] * 9), model=RANGED))
    assert finding.verdict == NOT_ENOUGH


def service(n: int, **more: Any) -> Reading:
    """A window of n events whose latencies are 1 to n and of which each tenth failed."""
    body = [event(1, latency_ms=i + 1, status="error" if i % 10 == 9 else "ok") for i in range(n)]
    return reading([{**one, **more} for one in body])


@pytest.mark.parametrize(
    ("objective", "value"),
    [("latency_p50_ms", 50.5), ("latency_p95_ms", 95.05), ("latency_p99_ms", 99.01),
     ("latency_max_ms", 100), ("error_ratio", 0.1), ("rate_per_second", 100 / 3600)],
)  # fmt: skip
@pytest.mark.parametrize(("factor", "verdict"), [(0.9, BREACH), (1.1, OK)])
def test_an_objective_is_a_bound_on_the_service(
    objective: str, value: float, factor: float, verdict: str
) -> None:
    rule = RuleSpec(name="r", kind="sla", objective=objective, above=value * factor)
    finding = only(rule, watched(rule), service(100))
    assert finding.verdict == verdict
    assert finding.value == pytest.approx(value, rel=0.04)
    assert finding.threshold == value * factor


def test_an_objective_can_have_a_lower_bound() -> None:
    rule = RuleSpec(name="r", kind="volume", objective="rate_per_second", below=1.0)
    finding = only(rule, watched(rule), service(100))
    assert (finding.verdict, finding.threshold) == (BREACH, 1.0)


def test_a_stream_that_stops_is_below_any_bound_on_its_traffic() -> None:
    rule = RuleSpec(name="r", kind="volume", objective="rate_per_second", below=1.0)
    finding = only(rule, watched(rule), reading(None))
    assert (finding.verdict, finding.value) == (BREACH, 0.0)
    slow = RuleSpec(name="r", kind="sla", objective="latency_p95_ms", above=1.0)
    assert only(slow, watched(slow), reading(None)).verdict == NO_DATA


def test_of_two_bounds_the_one_that_is_broken_is_told() -> None:
    rule = RuleSpec(name="r", kind="volume", objective="rate_per_second", below=1.0, above=9.0)
    finding = only(rule, watched(rule), service(100))
    assert (finding.verdict, finding.threshold) == (BREACH, 1.0)


def test_latencies_of_fewer_than_ten_requests_are_not_enough() -> None:
    rule = RuleSpec(name="r", kind="sla", objective="latency_p95_ms", above=1.0)
    assert only(rule, watched(rule), service(9)).verdict == NOT_ENOUGH


def test_a_service_without_latencies_has_no_data_on_them() -> None:
    rule = RuleSpec(name="r", kind="sla", objective="latency_p95_ms", above=1.0)
    assert only(rule, watched(rule), reading(rows(x=range(20)))).verdict == NO_DATA

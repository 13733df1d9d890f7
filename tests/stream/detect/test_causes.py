"""Causes: what lies behind a drift is named when it leaves a clear trace, and not otherwise."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from stream.detect.specs import FeatureSpec, ModelSpec, RuleSpec
from tests.builders import Pipeline, event, reference, spec

PSI = RuleSpec(name="drift", measure="psi")
MISSING = RuleSpec(name="missing", kind="quality", measure="missing_difference")
UNSEEN = RuleSpec(name="unseen", kind="quality", measure="unseen_ratio")
SLOW = RuleSpec(name="slow", kind="sla", objective="latency_p95_ms", above=50)


def alert(before: list[Any], now: list[Any], rule: RuleSpec = PSI, **more: Any) -> dict[str, Any]:
    """The data of the one alert that a minute of these values brings about."""
    features = {"x": FeatureSpec(name="x", **more)} if more else {}
    model = ModelSpec(name="m", lengths_ms=(60_000,), rules=(rule,), features=features)
    known = reference([event(0, {"x": v}) for v in before]) if before else None
    pipeline = Pipeline(spec(model), known)
    pipeline.feed(*[event(1, {} if v is ... else {"x": v}) for v in now])
    [told] = pipeline.finish().alerts
    data: dict[str, Any] = told["data"]
    return data


def causes(data: dict[str, Any]) -> list[str]:
    return [hint["cause"] for hint in data["causes"]]


def test_another_unit_is_a_factor_between_all_quantiles(rng: np.random.Generator) -> None:
    before = rng.lognormal(2, 0.5, 2_000)
    data = alert(before.tolist(), (rng.lognormal(2, 0.5, 500) * 1000).tolist())
    assert causes(data) == ["unit_change"]
    [factor] = re.findall(r"current ≈ (\S+) × reference", data["causes"][0]["detail"])
    assert float(factor) == pytest.approx(1000, rel=0.1)
    assert f"{factor} × reference" in data["summary"]


def test_fahrenheit_is_a_factor_and_an_offset(rng: np.random.Generator) -> None:
    before = rng.normal(10, 8, 2_000)
    data = alert(before.tolist(), (rng.normal(10, 8, 2_000) * 1.8 + 32).tolist())
    assert causes(data) == ["unit_change"]


def test_a_value_that_never_changes_is_named(rng: np.random.Generator) -> None:
    data = alert(rng.normal(size=1_000).tolist(), [0.5] * 100)
    assert causes(data) == ["constant"]
    assert data["causes"][0]["detail"] == "every value is 0.5"


def test_a_shift_is_no_change_of_unit(rng: np.random.Generator) -> None:
    data = alert(rng.normal(0, 1, 2_000).tolist(), rng.normal(1, 1, 500).tolist())
    assert causes(data) == []


def test_many_missing_values_are_a_burst() -> None:
    data = alert(
        [float(v % 9) for v in range(900)], [float(v % 9) for v in range(60)] + [None] * 60
    )
    assert causes(data) == ["missing_burst"]
    assert data["causes"][0]["detail"] == "missing in 50.0% of the events, 0.0% before"


def test_missing_values_of_a_rule_on_them_are_a_burst() -> None:
    data = alert([1.0, 2.0] * 100, [1.0] * 60 + [None] * 40, MISSING)
    assert causes(data) == ["missing_burst"]
    assert data["summary"].startswith("m/1: x is missing in 40.0% of the events (0.0% before)")


@pytest.mark.parametrize("rule", [PSI, MISSING])
def test_a_feature_nobody_sends_any_more_is_missing(rule: RuleSpec) -> None:
    data = alert([1.0, 2.0] * 100, [...] * 60, rule)
    assert causes(data) == ["missing_feature"]


def test_new_categories_are_named() -> None:
    data = alert(["a", "b"] * 200, ["a"] * 50 + ["z"] * 30 + ["y"] * 20)
    assert causes(data) == ["new_category"]
    assert data["causes"][0]["detail"] == "not in the reference: z, y"


def test_values_that_are_not_allowed_are_named_though_training_had_them() -> None:
    data = alert(["a", "b", "z"] * 100, ["a"] * 50 + ["z"] * 30, UNSEEN, allowed=("a", "b"))
    assert data["evidence"]["unseen_values"] == ["z"]
    assert data["causes"][0]["detail"] == "not among the allowed values: z"
    assert "z (37.50% of the events)" in data["summary"]


def test_the_bins_that_moved_most_are_evidence() -> None:
    data = alert([*"aabbc"] * 800, [*"abbcc"] * 320)
    assert [row["bin"] for row in data["evidence"]["top_bins"]] == ["a", "c", "b"]
    assert data["evidence"]["labels"] == ["a", "b", "c", "unseen", "missing"]
    assert data["evidence"]["current"] == [320, 640, 640, 0, 0]
    assert "the share of a went from 40.0% to 20.0%" in data["summary"]


def test_a_slow_service_is_told_in_words_and_numbers() -> None:
    model = ModelSpec(name="m", lengths_ms=(60_000,), rules=(SLOW,))
    pipeline = Pipeline(spec(model))
    pipeline.feed(*[event(1, latency_ms=100) for _ in range(40)])
    [told] = pipeline.finish().alerts
    assert told["data"]["summary"] == (
        "m/1: p95 latency is 100 ms, limit 50 ms, 2024-10-04T00:00:00Z to 2024-10-04T00:01:00Z, "
        "40 events."
    )
    assert told["data"]["feature"] is None
    assert told["data"]["evidence"]["service"]["latency_ms"]["max"] == 100

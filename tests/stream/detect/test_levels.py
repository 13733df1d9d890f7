"""Levels: the alarm budget is shared by windows, rules, segments, and never spent twice."""

from __future__ import annotations

import pytest

from stream.detect.judge.levels import LARGEST_LEVEL, share_of
from stream.detect.specs import WEEK_MS, ModelSpec, RuleSpec

HOUR_MS = 3_600_000
PSI = RuleSpec(name="drift", measure="psi")


def model(*rules: RuleSpec, segments: tuple[str, ...] = ()) -> ModelSpec:
    return ModelSpec(name="m", lengths_ms=(HOUR_MS,), rules=rules, segments=segments)


def test_all_shares_of_a_model_without_segments_are_its_budget() -> None:
    creep = RuleSpec(name="creep", measure="psi", sequential=True)
    daily = RuleSpec(name="daily", measure="ks", length_ms=24 * HOUR_MS)
    rules = (PSI, creep, daily, RuleSpec(name="slow", objective="error_ratio", above=0.1))
    shares = [share_of(model(*rules), rule) for rule in rules if rule.measure]
    assert sum(share.of_budget for share in shares) == pytest.approx(1)
    assert sum(share.chance * share.windows_per_week for share in shares) == pytest.approx(1)


@pytest.mark.parametrize(("seen", "partitions"), [([1], 1), ([3], 1), ([2, 5, 0, 1], 4)])
def test_all_traffic_and_all_segments_of_all_partitions_stay_within_the_budget(
    seen: list[int], partitions: int
) -> None:
    one = model(PSI, segments=("site",))
    whole = share_of(one, PSI)
    each = [share_of(one, PSI, is_segment=True, segments=max(n, 1) * partitions) for n in seen]
    spent = whole.of_budget + sum(n * s.of_budget for n, s in zip(seen, each, strict=True))
    assert whole.of_budget == 0.5
    assert spent <= 1 + 1e-12


def test_windows_that_must_agree_are_independent_beside_a_large_reference_only() -> None:
    rule = RuleSpec(name="r", measure="psi", hold=2)
    share = share_of(model(rule), rule)
    chance = HOUR_MS / WEEK_MS
    assert share.level(100, 1e12) == pytest.approx(min(LARGEST_LEVEL, chance**0.5))
    strict = share._replace(chance=1e-6)
    assert strict.level(100, 1e12) == pytest.approx(1e-3)
    assert strict.level(1e12, 100) == pytest.approx(1e-6)
    assert strict.level(100, 100) == pytest.approx(1e-6**0.75)

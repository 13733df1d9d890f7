"""Ratios: shares of events that are missing, unseen or out of range in, findings out.

In    a `Reading`, what the model's features state
Out   one `Finding` per feature a rule is about
Not   distances between distributions (rules.py)

A share is beside the reference's, or beside a limit; that of unseen categories beside the share of
those which the reference has once, for one more event could have been any of these. Its p-value is
exact: in a small window a rare value is far more likely than the normal law says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from math import nan

import numpy as np
from scipy.special import betainc

from stream.detect.judge import chances
from stream.detect.judge.findings import (
    EFFECTS,
    NOT_ENOUGH,
    OK,
    Finding,
    Reading,
    is_meant,
    judge_all,
    reference_name,
)
from stream.detect.judge.levels import Share
from stream.detect.judge.measures import Comparison
from stream.detect.specs import ModelSpec, RuleSpec

RATIOS = (
    "missing_difference",
    "missing_ratio",
    "unseen_difference",
    "unseen_ratio",
    "out_of_range_ratio",
)
DIFFERENCES = ("missing_difference", "unseen_difference")
SMALLEST_N_RATIO = 10
UNSEEN_NAMED = 10  # values that are not allowed, in a finding

RatioOf = Callable[[str, RuleSpec, ModelSpec, Reading], tuple[int, int, int, int] | None]


def ratios(rule: RuleSpec, model: ModelSpec, reading: Reading, of_budget: Share) -> list[Finding]:
    """What the rule says of each feature it is about."""
    measure = rule.measure or ""
    count = _COUNTS[measure]
    findings = []
    names = set(reading.due.state.features if reading.due.state else {})
    names |= {name for known in reading.references.values() for name in known.state.features}
    names |= {f"feature.{name}" for name in model.features}  # though nobody may send it any more
    for name in sorted(n for n in names if is_meant(rule, n)):
        counted = count(name, rule, model, reading)
        if counted is None:
            continue
        k, n, k_reference, m = counted
        share, before = k / n if n else nan, k_reference / m if m else 0.0
        threshold, twice = _limit(name, rule, model), _seen(2, name, rule, reading)
        level, is_small = of_budget.level(n, max(m, 1)), n < SMALLEST_N_RATIO
        fires = _smallest_to_fire(level, k_reference, m, threshold, measure) if is_small else None
        findings.append(
            Finding(
                rule,
                name,
                NOT_ENOUGH if is_small else OK,
                measure,
                share - before if measure in DIFFERENCES else share,
                threshold,
                p_value=_chance(k, n, k_reference, m, threshold, measure, twice),
                level=level,
                n_fires=fires,
                share=of_budget,
                n=n,
                n_reference=m or None,
                reference=reference_name(rule, reading),
                comparison=_comparison(name, rule, reading),
                detail={"count": k, "ratio": share, "ratio_reference": before}
                | _named(name, rule, model, reading),
            )
        )
    judge_all(findings)
    return findings


def _limit(name: str, rule: RuleSpec, model: ModelSpec) -> float:
    """The share above which is too much."""
    spec = model.features.get(name.removeprefix("feature."))
    if rule.above is not None:
        return rule.above
    if rule.measure == "missing_ratio" and spec and spec.max_missing is not None:
        return spec.max_missing
    return EFFECTS[rule.measure or ""]


def _smallest_to_fire(
    level: float, k_reference: int, m: int, limit: float, measure: str
) -> int | None:
    """The smallest window that breaches if all of it is missing, unseen or out of range."""
    sizes = range(SMALLEST_N_RATIO, 10 * SMALLEST_N_RATIO)
    return next((n for n in sizes if _chance(n, n, k_reference, m, limit, measure) <= level), None)


def _named(name: str, rule: RuleSpec, model: ModelSpec, reading: Reading) -> dict[str, list[str]]:
    """The most frequent values that are not allowed, if that is what the rule is about."""
    if rule.measure not in ("unseen_ratio", "unseen_difference"):
        return {}
    unseen = _unseen_counts(name, rule, model, reading) or Counter()
    return {"unseen_values": sorted(unseen, key=lambda v: (-unseen[v], v))[:UNSEEN_NAMED]}


def _comparison(name: str, rule: RuleSpec, reading: Reading) -> Comparison | None:
    return reading.comparisons.get(reference_name(rule, reading) or "", {}).get(name)


def _chance(
    k: int, n: int, k_reference: int, m: int, limit: float, measure: str, twice: int = 0
) -> float:
    """One-sided p-value: two proportions, or one proportion against a limit. Both are exact: in a
    small window a rare value is far more likely than the normal law says.

    twice  categories that the reference has twice

    A value that the reference does not allow at all needs no test: one is one too many.
    """
    if not n:
        return nan
    if measure == "missing_difference":
        return chances.of_more(k, n, k_reference, m)
    if measure == "unseen_difference":
        return chances.of_unseen(k, n, k_reference, twice, m)
    if limit <= 0:
        return 0.0 if k else 1.0
    return float(betainc(k, n - k + 1, limit)) if k else 1.0  # binomial tail


def _missing(
    name: str, rule: RuleSpec, model: ModelSpec, reading: Reading
) -> tuple[int, int, int, int] | None:
    """Missing and all events, of the window and of the reference."""
    state = reading.due.state
    reference = reading.references.get(reference_name(rule, reading) or "")
    is_known = reference is not None and reference.feature(name) is not None
    spec = model.features.get(name.removeprefix("feature."))
    if rule.measure == "missing_difference" and not is_known:
        return None
    if rule.measure == "missing_ratio" and rule.above is None and not (
        spec and spec.max_missing is not None
    ):  # fmt: skip
        return None
    assert state is not None  # apply looked
    m = reference.state.events if reference and is_known else 0
    missing_before = m - reference.observed(name) if reference and is_known else 0
    feature = state.features.get(name)
    observed = feature.observed(reference.kind(name) if reference else None) if feature else 0
    return state.events - observed, state.events, missing_before, m


def _unseen(
    name: str, rule: RuleSpec, model: ModelSpec, reading: Reading
) -> tuple[int, int, int, int] | None:
    """Events with a category that is not allowed, and all events with a category."""
    counts, unseen = _categories(name, reading), _unseen_counts(name, rule, model, reading)
    if unseen is None or not counts:
        return None
    m = 0
    if rule.measure == "unseen_difference":
        m = sum(_known(name, rule, reading).values())
    return unseen.total(), sum(counts.values()), _seen(1, name, rule, reading), m


def _known(name: str, rule: RuleSpec, reading: Reading) -> Mapping[str, int]:
    """Counts of the reference's categories; none if some of them are only estimated."""
    reference = reading.references.get(reference_name(rule, reading) or "")
    feature = reference.feature(name) if reference else None
    category = feature.category if feature and feature.kind == "category" else None
    return category.counts if category and not category.uncertain else {}


def _seen(times: int, name: str, rule: RuleSpec, reading: Reading) -> int:
    """How many categories the reference has so many times; what an unseen one is measured by."""
    if rule.measure != "unseen_difference":
        return 0
    return sum(1 for count in _known(name, rule, reading).values() if count == times)


def _unseen_counts(
    name: str, rule: RuleSpec, model: ModelSpec, reading: Reading
) -> Counter[str] | None:
    """Counts of the categories that are not allowed; None if any is."""
    if rule.measure == "unseen_difference":
        known = _known(name, rule, reading)
        found = _categories(name, reading)
        return Counter({v: c for v, c in found.items() if v not in known}) if known else None
    spec = model.features.get(name.removeprefix("feature."))
    allowed: set[str] | None = set(spec.allowed) if spec and spec.allowed else None
    training = reading.references.get("training")
    if allowed is None and training and training.kind(name) == "category":
        allowed = set(training.categories(name))
    if allowed is None:
        return None
    return Counter({v: c for v, c in _categories(name, reading).items() if v not in allowed})


def _categories(name: str, reading: Reading) -> Mapping[str, int]:
    feature = reading.due.state.features.get(name) if reading.due.state else None
    return feature.category.counts if feature and feature.category else {}


def _out_of_range(
    name: str, rule: RuleSpec, model: ModelSpec, reading: Reading
) -> tuple[int, int, int, int] | None:
    """Numbers outside the configured range, to a cell of the sketch, and all numbers."""
    spec = model.features.get(name.removeprefix("feature."))
    feature = reading.due.state.features.get(name) if reading.due.state else None
    number = feature.number if feature else None
    if spec is None or (spec.low is None and spec.high is None) or number is None:
        return None
    low = -np.inf if spec.low is None else spec.low
    high = np.inf if spec.high is None else spec.high
    return number.outside(low, high), feature.observed("number") if feature else 0, 0, 0


_COUNTS: dict[str, RatioOf] = {
    "missing_difference": _missing,
    "missing_ratio": _missing,
    "unseen_difference": _unseen,
    "unseen_ratio": _unseen,
    "out_of_range_ratio": _out_of_range,
}

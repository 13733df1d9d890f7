"""Rules: a window's numbers in, findings out: ok, breach, no_data or not_enough_data.

In    a `Reading`: merged sketches, comparisons, the summary
Out   one `Finding` per rule and feature it looks at
Not   when an alert fires or resolves (alerts.py), what may be the cause (causes.py)

A measure breaches when both gates are open. Significance: its q-value (Benjamini-Hochberg over the
features the rule looks at) is at most the level that the model's alarm budget leaves for this
window and rule. Effect: the value exceeds `above`, or without one the measure's usual threshold
after its expectation on unchanged data is taken off. One gate alone fails at one end of n: fixed
thresholds fire on the noise of small windows, p-values on trifles in large ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isnan, nan
from typing import Any

import numpy as np
from scipy.special import betainc

from kernels.measures import significance
from stream.detect.judge import chances
from stream.detect.judge.gather import Due
from stream.detect.judge.measures import Comparison
from stream.detect.references import Reference
from stream.detect.specs import WEEK_MS, ModelSpec, RuleSpec

OK, BREACH, NO_DATA, NOT_ENOUGH = "ok", "breach", "no_data", "not_enough_data"

# Effects below these are not worth anybody's time, however significant.
EFFECTS = {
    "psi": 0.1, "psi_observed": 0.1, "kl": 0.1, "jensen_shannon": 0.1, "hellinger": 0.1,
    "total_variation": 0.1, "l_infinity": 0.1, "ks": 0.1, "wasserstein_normed": 0.1,
    "missing_difference": 0.05, "missing_ratio": 0.0, "unseen_ratio": 0.0,
    "out_of_range_ratio": 0.0,
}  # fmt: skip
LARGEST_LEVEL = 0.05  # a finding that one window in twenty makes by chance is no finding
RATIOS = ("missing_difference", "missing_ratio", "unseen_ratio", "out_of_range_ratio")
SMALLEST_N_RATIO = 10
UNSEEN_NAMED = 10  # values that are not allowed, in a finding


@dataclass(slots=True)
class Reading:
    """All that rules may look at in one window.

    comparisons  by reference name, then by feature
    """

    due: Due
    summary: dict[str, Any]
    references: Mapping[str, Reference]
    comparisons: Mapping[str, Mapping[str, Comparison]]


@dataclass(slots=True)
class Finding:
    """What one rule says of one feature (None: of the whole window)."""

    rule: RuleSpec
    feature: str | None
    verdict: str
    measure: str
    value: float = nan
    threshold: float = nan
    null_expectation: float | None = None
    p_value: float | None = None
    q_value: float | None = None
    level: float | None = None
    n: int = 0
    n_reference: int | None = None
    reference: str | None = None
    comparison: Comparison | None = None
    detail: dict[str, Any] = field(default_factory=dict)


def level_of(model: ModelSpec, rule: RuleSpec) -> float:
    """The chance of a breach on unchanged data that a rule may take in one window.

    The budget gives each measure rule its share of false alarms per window; a rule that waits for
    several windows in a row may be the more sensitive in each, as chances multiply.
    """
    sharing = max(1, sum(1 for other in model.rules if other.measure))
    length_ms = rule.length_ms or model.lengths_ms[0]
    chance = model.false_alarms_per_week * length_ms / WEEK_MS / sharing
    return min(LARGEST_LEVEL, float(chance ** (1 / rule.hold)))


def apply(rule: RuleSpec, model: ModelSpec, reading: Reading) -> list[Finding]:
    """All findings of a rule in a window; nothing if the rule looks at another window length."""
    length_ms = reading.due.window.length_ms
    if length_ms != (rule.length_ms or model.lengths_ms[0]):
        return []
    # That nothing came is no data for anything but the traffic itself, which is zero.
    if reading.due.state is None and rule.objective != "rate_per_second":
        return [Finding(rule, None, NO_DATA, rule.measure or rule.objective or "")]
    if rule.objective:
        return [_objective(rule, reading)]
    level = level_of(model, rule)
    assert rule.measure is not None  # settings lets exactly one of the two be set
    if rule.measure in RATIOS:
        return _ratios(rule, model, reading, level)
    return _distances(rule, reading, level)


def _reference_name(rule: RuleSpec, reading: Reading) -> str | None:
    if rule.reference:
        return rule.reference if rule.reference in reading.comparisons else None
    return next((name for name in ("training", "previous") if name in reading.comparisons), None)


def _is_meant(rule: RuleSpec, name: str) -> bool:
    """Whether a rule looks at a feature, by its full name."""
    section, _, short = name.partition(".")
    if section == "service":
        return False
    group = "predictions" if section == "prediction" else "features"
    return group in rule.on or short in rule.on or name in rule.on


def _distances(rule: RuleSpec, reading: Reading, level: float) -> list[Finding]:
    measure = rule.measure or ""
    name = _reference_name(rule, reading)
    findings = []
    for feature, comparison in sorted(reading.comparisons.get(name or "", {}).items()):
        if not _is_meant(rule, feature):
            continue
        value = comparison.values.get(measure, nan)
        null = comparison.null_expectation.get(measure)
        effect = rule.above if rule.above is not None else EFFECTS.get(measure, 0.1) + (null or 0)
        finding = Finding(
            rule,
            feature,
            NOT_ENOUGH if isnan(value) else OK,
            measure,
            value,
            effect,
            null_expectation=null,
            p_value=comparison.p_values.get(measure),
            level=level,
            n=comparison.n,
            n_reference=comparison.n_reference,
            reference=name,
            comparison=comparison,
        )
        findings.append(finding)
    _judge(findings, level)
    return findings


def _judge(findings: list[Finding], level: float) -> None:
    """Both gates, the first after correction for the number of features."""
    p_values = np.array([nan if f.p_value is None else f.p_value for f in findings])
    q_values = significance.benjamini_hochberg(p_values) if len(findings) else p_values
    for finding, q_value in zip(findings, q_values.tolist(), strict=True):
        finding.q_value = None if isnan(q_value) else q_value
        if finding.verdict == OK and q_value <= level and finding.value > finding.threshold:
            finding.verdict = BREACH


RatioOf = Callable[[str, RuleSpec, ModelSpec, Reading], tuple[int, int, int, int] | None]


def _ratios(rule: RuleSpec, model: ModelSpec, reading: Reading, level: float) -> list[Finding]:
    measure = rule.measure or ""
    count = _COUNTS[measure]
    findings = []
    names = set(reading.due.state.features if reading.due.state else {})
    names |= {name for known in reading.references.values() for name in known.state.features}
    names |= {f"feature.{name}" for name in model.features}  # though nobody may send it any more
    for name in sorted(n for n in names if _is_meant(rule, n)):
        counted = count(name, rule, model, reading)
        if counted is None:
            continue
        k, n, k_reference, m = counted
        share, before = k / n if n else nan, k_reference / m if m else 0.0
        spec = model.features.get(name.removeprefix("feature."))
        limit = rule.above
        if limit is None and measure == "missing_ratio" and spec and spec.max_missing is not None:
            limit = spec.max_missing
        threshold = EFFECTS[measure] if limit is None else limit
        findings.append(
            Finding(
                rule,
                name,
                NOT_ENOUGH if n < SMALLEST_N_RATIO else OK,
                measure,
                share - before if measure == "missing_difference" else share,
                threshold,
                p_value=_chance(k, n, k_reference, m, threshold, measure),
                level=level,
                n=n,
                n_reference=m or None,
                reference=_reference_name(rule, reading),
                comparison=_comparison(name, rule, reading),
                detail={"count": k, "ratio": share, "ratio_reference": before}
                | _named(name, rule, model, reading),
            )
        )
    _judge(findings, level)
    return findings


def _named(name: str, rule: RuleSpec, model: ModelSpec, reading: Reading) -> dict[str, list[str]]:
    """The most frequent values that are not allowed, if that is what the rule is about."""
    if rule.measure != "unseen_ratio":
        return {}
    unseen = _unseen_counts(name, model, reading) or Counter()
    return {"unseen_values": sorted(unseen, key=lambda v: (-unseen[v], v))[:UNSEEN_NAMED]}


def _comparison(name: str, rule: RuleSpec, reading: Reading) -> Comparison | None:
    return reading.comparisons.get(_reference_name(rule, reading) or "", {}).get(name)


def _chance(k: int, n: int, k_reference: int, m: int, limit: float, measure: str) -> float:
    """One-sided p-value: two proportions, or one proportion against a limit. Both are exact: in a
    small window a rare value is far more likely than the normal law says.

    A value that the reference does not allow at all needs no test: one is one too many.
    """
    if not n:
        return nan
    if measure == "missing_difference":
        return chances.of_more(k, n, k_reference, m)
    if limit <= 0:
        return 0.0 if k else 1.0
    return float(betainc(k, n - k + 1, limit)) if k else 1.0  # binomial tail


def _missing(
    name: str, rule: RuleSpec, model: ModelSpec, reading: Reading
) -> tuple[int, int, int, int] | None:
    """Missing and all events, of the window and of the reference."""
    state = reading.due.state
    reference = reading.references.get(_reference_name(rule, reading) or "")
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
    counts, unseen = _categories(name, reading), _unseen_counts(name, model, reading)
    return None if unseen is None or not counts else (unseen.total(), sum(counts.values()), 0, 0)


def _unseen_counts(name: str, model: ModelSpec, reading: Reading) -> Counter[str] | None:
    """Counts of the categories that are not allowed; None if any is."""
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
    "unseen_ratio": _unseen,
    "out_of_range_ratio": _out_of_range,
}


def _objective(rule: RuleSpec, reading: Reading) -> Finding:
    """A service level: latency quantile or error ratio against a fixed bound."""
    name = rule.objective or ""
    service = reading.summary["service"]
    n = service["requests"]
    finding = Finding(rule, None, OK, name, n=n)
    if name == "error_ratio":
        value = service["error_ratio"]
    elif name == "rate_per_second":
        value = service["rate_per_second"]
    else:
        latency = service["latency_ms"] or {}
        value = latency.get(name.removeprefix("latency_").removesuffix("_ms"))
    if value is None:
        finding.verdict = NO_DATA
        return finding
    finding.value = value
    is_over = rule.above is not None and value > rule.above
    is_under = rule.below is not None and value < rule.below
    bound = rule.below if is_under or rule.above is None else rule.above
    finding.threshold = nan if bound is None else bound
    if is_over or is_under:
        finding.verdict = BREACH if n >= SMALLEST_N_RATIO or is_under else NOT_ENOUGH
    return finding

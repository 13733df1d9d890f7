"""Causes: a finding in, hints at what may lie behind it and one plain sentence out.

In    `Finding` with its comparison, the window's states
Out   hints [{cause, confidence, detail}] and the sentence an alert carries
Not   whether there is an alert at all (rules.py, alerts.py)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.detect.judge.findings import Finding, Reading
from stream.detect.judge.measures import Comparison
from stream.detect.states import FeatureState, NumberState

SPREAD = np.array([0.05, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.95])
FIT = 0.995  # share of the spread of quantiles that a·reference + b must explain
POINT_MASS = 0.2  # a share of one value this much above the reference's looks like a fill value
TOP_BINS = 3
AGAINST = {
    "training": "training",
    "adaptive": "the first windows",
    "previous": "the previous window",
}


def hints(finding: Finding, reading: Reading) -> list[dict[str, Any]]:
    """What may be the cause, most likely first; often nothing can be said."""
    name, state = finding.feature, reading.due.state
    if name is None or state is None:
        return []
    feature = state.features.get(name)
    missing = finding.detail.get("ratio", 0.0)
    if feature is None or (finding.measure.startswith("missing") and missing >= 0.999):
        detail = f"{_short(name)} is missing in every event of the window"
        return [_hint("missing_feature", 1.0, detail)]
    if finding.measure.startswith("missing"):
        return [_hint("missing_burst", 0.9, f"{missing:.1%} of the values are missing")]
    if finding.measure.startswith("unseen"):
        shown = ", ".join(unseen_values(finding, reading))
        return [_hint("new_category", 0.9, f"not among the allowed values: {shown}")]
    return _of_distribution(finding, feature, reading)


def _hint(cause: str, confidence: float, detail: str) -> dict[str, Any]:
    return {"cause": cause, "confidence": confidence, "detail": detail}


def _of_distribution(
    finding: Finding, feature: FeatureState, reading: Reading
) -> list[dict[str, Any]]:
    comparison = finding.comparison
    reference = reading.references.get(finding.reference or "")
    known = reference.feature(finding.feature or "") if reference else None
    if comparison is None or known is None:
        return []
    found = []
    if comparison.kind == "category" and comparison.current[-2] > 0:
        shown = ", ".join(unseen_values(finding, reading))
        found.append(_hint("new_category", 0.7, f"not in the reference: {shown}"))
    missing_now = comparison.current[-1] / max(comparison.current.sum(), 1)
    missing_before = comparison.reference[-1] / max(comparison.reference.sum(), 1)
    if missing_now - missing_before > POINT_MASS:
        detail = f"missing in {missing_now:.1%} of the events, {missing_before:.1%} before"
        found.append(_hint("missing_burst", 0.9, detail))
    if feature.number and known.number and min(feature.number.count, known.number.count) >= 30:
        found += _of_numbers(feature.number, known.number)
    return found


@np.errstate(all="ignore")  # what overflows is not finite, so neither even nor linear
def _of_numbers(now: NumberState, known: NumberState) -> list[dict[str, Any]]:
    if now.moments.low[0] == now.moments.high[0] != known.moments.high[0]:
        return [_hint("constant", 0.9, f"every value is {now.moments.low[0]:.6g}")]
    before, after = known.quantiles(SPREAD), now.quantiles(SPREAD)
    if before[0] > 0 and after[0] > 0:
        # A unit is a factor: on the logarithmic scale all quantiles move by the same step.
        steps = np.log(after / before)
        factor = float(np.exp(np.median(steps)))
        is_even = np.ptp(steps) < 0.1 * abs(np.median(steps))
        if is_even and abs(np.log(factor)) > np.log(1.5):
            return [_hint("unit_change", 0.9, f"current ≈ {factor:.4g} × reference")]
    spread = np.ptp(before)
    if not spread:
        return []
    centred = before - before.mean()
    slope = centred @ (after - after.mean()) / (centred @ centred)
    offset = after.mean() - slope * before.mean()
    residual = np.sum((after - slope * before - offset) ** 2)
    total = np.sum((after - after.mean()) ** 2)
    is_linear = total > 0 and 1 - residual / total > FIT
    is_far = abs(slope - 1) > 0.5 or abs(offset) > spread
    if is_linear and is_far:
        detail = (
            f"current ≈ {slope:.4g} × reference {'+' if offset >= 0 else '−'} {abs(offset):.4g}"
        )
        return [_hint("unit_change", 0.6, detail)]
    return []


def unseen_values(finding: Finding, reading: Reading) -> list[str]:
    """The most frequent values of a category that the reference does not have, or a rule allow."""
    if "unseen_values" in finding.detail:
        return list(finding.detail["unseen_values"])
    state = reading.due.state
    feature = state.features.get(finding.feature or "") if state else None
    reference = reading.references.get(finding.reference or "")
    if feature is None or feature.category is None:
        return []
    known = set(reference.categories(finding.feature or "")) if reference else set()
    rest = {v: c for v, c in feature.category.counts.items() if v not in known}
    return sorted(rest, key=lambda v: (-rest[v], v))[:10]


def top_bins(comparison: Comparison) -> list[dict[str, Any]]:
    """The bins whose share moved most."""
    before = comparison.reference / max(comparison.reference.sum(), 1)
    now = comparison.current / max(comparison.current.sum(), 1)
    order = np.argsort(-np.abs(now - before), kind="stable")[:TOP_BINS]
    return [
        {"bin": comparison.labels[i], "reference": float(before[i]), "current": float(now[i])}
        for i in order.tolist()
    ]


def sentence(finding: Finding, reading: Reading, causes: list[dict[str, Any]]) -> str:
    """What happened, in words a person can act on."""
    return _placed(_what(finding, reading, causes), finding, reading)


def end_sentence(reason: str, finding: Finding, reading: Reading) -> str:
    """That an alert is over, and what the value is now."""
    whole = "the model" if finding.rule.measure else "the service"
    name = whole if finding.feature is None else _short(finding.feature)
    measure, value, threshold = finding.measure, finding.value, finding.threshold
    over = "is within its limit again" if reason == "resolved" else "was within its limit after all"
    return _placed(f"{name} {over}: {measure} {value:.3g}, limit {threshold:.3g}", finding, reading)


def _placed(what: str, finding: Finding, reading: Reading) -> str:
    stream, summary = reading.due.window.stream, reading.summary
    whose = f"{stream.model}/{stream.version}" + (f" ({stream.segment})" if stream.segment else "")
    return f"{whose}: {what}, {summary['start']} to {summary['end']}, {finding.n} events."


def _what(finding: Finding, reading: Reading, causes: list[dict[str, Any]]) -> str:
    measure, value, threshold = finding.measure, finding.value, finding.threshold
    if finding.feature is None:
        is_joint = finding.rule.measure is not None
        return _together(finding) if is_joint else _service(measure, value, threshold)
    name = _short(finding.feature)
    if measure.startswith("missing"):
        before, share = finding.detail.get("ratio_reference", 0.0), finding.detail["ratio"]
        return f"{name} is missing in {share:.1%} of the events ({before:.1%} before)"
    if measure.startswith("unseen"):
        values = ", ".join(unseen_values(finding, reading))
        return (
            f"{name} has values that the reference does not know: {values} "
            f"({finding.detail.get('ratio', value):.2%} of the events)"
        )
    if measure == "out_of_range_ratio":
        return f"{value:.2%} of {name} lie outside the allowed range"
    moved = ""
    if finding.comparison is not None:
        top = top_bins(finding.comparison)[0]
        shares = f"from {top['reference']:.1%} to {top['current']:.1%}"
        moved = f"; the share of {top['bin']} went {shares}"
    against = AGAINST[finding.reference or ""]
    hint = ""
    if causes:
        hint = f" ({causes[0]['cause'].replace('_', ' ')}: {causes[0]['detail']})"
    return (
        f"{name} drifted from {against}{hint}: {measure} {value:.3g}, limit {threshold:.3g}{moved}"
    )


def _together(finding: Finding) -> str:
    """What changed across features, of which each alone may be as it was."""
    detail, against = finding.detail, AGAINST[finding.reference or ""]
    limit = f"{finding.measure} {finding.value:.3g}, limit {finding.threshold:.3g}"
    if finding.measure == "correlation":
        one, other = detail["pair"]
        change = f"rank correlation {detail['current']:.2f}, {detail['reference']:.2f} there"
        return f"{one} and {other} move together otherwise than in {against}: {change}; {limit}"
    if finding.measure == "attribution_drift":
        return (
            f"the features do not weigh as in {against}: {detail['first']} weighs most, "
            f"NDCG {detail['ndcg']:.3f}; {limit}"
        )
    return f"the features together drifted from {against}: {limit}"


def _service(objective: str, value: float, bound: float) -> str:
    if objective == "error_ratio":
        return f"{value:.1%} of the requests failed, limit {bound:.1%}"
    if objective.startswith("latency_"):
        quantile = objective.removeprefix("latency_").removesuffix("_ms")
        return f"{quantile} latency is {value:.4g} ms, limit {bound:.4g} ms"
    return f"{objective} is {value:.4g}, limit {bound:.4g}"


def _short(name: str) -> str:
    section, _, short = name.partition(".")
    return f"prediction {short}" if section == "prediction" else short

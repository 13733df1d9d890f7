"""Rules: a window's numbers in, findings out: ok, breach, no_data or not_enough_data.

In    a `Reading`: merged sketches, comparisons, the summary
Out   one `Finding` per rule and feature it looks at
Not   when an alert fires or resolves (alerts.py), what may be the cause (causes.py); the law
      behind a p-value (noise.py, chances.py); where a level comes from (levels.py)

A measure breaches when both gates are open. Significance: its q-value (Benjamini-Hochberg over the
features the rule looks at) is at most the level that the model's alarm budget leaves for this
window and rule. Effect: the value exceeds `above`, or without one the measure's usual threshold
after its expectation on unchanged data is taken off. One gate alone fails at one end of n: fixed
thresholds fire on the noise of small windows, p-values on trifles in large ones.
"""

from __future__ import annotations

from math import isnan, nan

from stream.detect.judge import joint, sequential, widening
from stream.detect.judge.findings import (
    BREACH,
    EFFECTS,
    NO_DATA,
    NOT_ENOUGH,
    OK,
    Finding,
    Reading,
    is_meant,
    judge_all,
    reference_name,
)
from stream.detect.judge.levels import Share
from stream.detect.judge.ratios import RATIOS, SMALLEST_N_RATIO, ratios
from stream.detect.specs import ModelSpec, RuleSpec


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
    share = reading.share(model, rule)
    if rule.measure in RATIOS:
        return ratios(rule, model, reading, share)
    if rule.measure in joint.MEASURES:
        return _together(rule, reading, share)
    findings = _distances(rule, reading, share)
    if rule.sequential:
        sequential.judge(findings, reading)
        return findings
    return widening.judge(findings, model, reading)


def _distances(rule: RuleSpec, reading: Reading, share: Share) -> list[Finding]:
    measure = rule.measure or ""
    name = reference_name(rule, reading)
    findings = []
    for feature, comparison in sorted(reading.comparisons.get(name or "", {}).items()):
        if not is_meant(rule, feature):
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
            level=share.level(comparison.n, comparison.n_reference, comparison.noise.alike),
            n=comparison.n,
            n_reference=comparison.n_reference,
            reference=name,
            comparison=comparison,
            share=share,
        )
        findings.append(finding)
    return findings


def _together(rule: RuleSpec, reading: Reading, share: Share) -> list[Finding]:
    """One finding of all features at once; nothing if there is no reference to look at."""
    measure, name = rule.measure or "", reference_name(rule, reading)
    found = reading.joint.get(name or "")
    if found is None:
        return []
    value, null = found.values.get(measure, nan), found.null_expectation.get(measure)
    n, m = found.sizes.get(measure, (0, 0))
    finding = Finding(
        rule,
        None,
        NOT_ENOUGH if isnan(value) else OK,
        measure,
        value,
        EFFECTS[measure] + (null or 0) if rule.above is None else rule.above,
        null_expectation=null,
        p_value=found.p_values.get(measure),
        level=share.level(n, max(m, 1)),
        n=n,
        n_reference=m,
        reference=name,
        detail=found.detail.get(measure, {}),
        share=share,
    )
    judge_all([finding])
    return [finding]


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

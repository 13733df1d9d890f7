"""Sequential: window after window in, the evidence of a slow drift since it began out.

In    findings of a rule with `sequential: true`: chi-squares of one window each
Out   the same findings, judged on the evidence of all windows so far
Not   rules that look at one window (widening.py)

An e-detector (Shin, Ramdas, Rinaldo 2022): each window multiplies the evidence by the likelihood
ratio of its chi-square under "PSI is DRIFT" and under "PSI is no more than TRIFLE", and evidence
below 1 starts again at 1. Unchanged data multiply it by 1 or less on average, so the mean number of
windows to a false alarm is at least the threshold: features / chance per window. The reference's
own noise stays the same in all windows and would add up; it is part of what is called a trifle.

That is a theorem for independent windows with a known factor of noise. Of events that depend on
one another the factor is estimated, neighbouring windows are alike, and the tail of a chi-square is
that of its slowest part: evidence is taken by the noise of sums and that part alone, from when they
are learnt. How often it is wrong then is measured (docs/quality.md): no more often than promised.
"""

from __future__ import annotations

from math import isnan, log, pi, sqrt

from scipy.special import chdtri, gammaln, hyp0f1

from stream.detect.judge.findings import BREACH, NOT_ENOUGH, OK, Finding, Reading
from stream.detect.judge.measures import Comparison
from stream.detect.judge.noise import evenness
from stream.detect.judge.past import Evidence
from stream.detect.times import NEVER_MS

TRIFLE = 0.02  # psi that nobody need hear of, however long it lasts
DRIFT = 0.1  # psi above the trifle that is looked for
SURE = 0.01  # the chance that the reference's noise is larger than is allowed for
BEYOND = 2.0  # how far the evidence, a natural logarithm, may exceed the threshold: it has to end
EVIDENCE = "evidence"  # the name of the measure in findings
LARGE_ORDER = 20.0


def judge(findings: list[Finding], reading: Reading) -> None:
    """Turn findings of one window into findings of the evidence so far."""
    window, past = reading.due.window, reading.past
    for finding in findings:
        known, share = finding.comparison, finding.share
        assert share is not None
        key = (finding.rule.name, finding.feature or "")
        run_length = len(findings) / share.chance  # windows to a false alarm, on average
        evidence = past.evidence.get(key, Evidence())
        if known is not None and _counts(known) and reading.is_new:
            if evidence.log <= 0:
                evidence = Evidence(0.0, window.start_ms)
            grown = evidence.log + gain(known)
            evidence = Evidence(min(max(grown, 0.0), log(run_length) + BEYOND), evidence.since_ms)
            past.evidence[key] = evidence
        _tell(finding, evidence, run_length, window.end_ms)


def _counts(known: Comparison) -> bool:
    """Whether a window is evidence: not before it is known how much windows vary by themselves."""
    return known.noise.is_learnt and not isnan(known.statistic)


def _tell(finding: Finding, evidence: Evidence, run_length: float, end_ms: int) -> None:
    finding.detail = {
        "psi": finding.value,
        "average_run_length_windows": run_length,
    }
    is_known = finding.verdict != NOT_ENOUGH
    finding.measure, finding.value = EVIDENCE, evidence.log / log(10)
    finding.threshold, finding.null_expectation = log(run_length) / log(10), 0.0
    finding.p_value = None
    if evidence.since_ms > NEVER_MS:
        finding.span_ms = (evidence.since_ms, end_ms)
    if is_known:
        finding.verdict = BREACH if finding.value >= finding.threshold else OK


def gain(comparison: Comparison) -> float:
    """Logarithm of the likelihood ratio of one window: drift against trifle."""
    n, m = float(comparison.current.sum()), float(comparison.reference.sum())
    freedom = comparison.freedom
    if freedom < 1:
        return 0.0
    noise = comparison.noise.of_sum
    even = freedom * (evenness(noise.factor, freedom) if noise.is_uneven else 1.0)
    slowest = noise.factor * freedom / even
    # Beside a reference taken as it is, the chi-square has only the window's noise.
    statistic = comparison.statistic * (1 + n / m) / slowest
    usual = n / slowest * (TRIFLE + float(chdtri(freedom, SURE)) / m)
    looked_for = usual + n / slowest * DRIFT
    return (
        -(looked_for - usual) / 2
        + _log_density(even, looked_for * statistic)
        - _log_density(even, usual * statistic)
    )


def _log_density(freedom: float, product: float) -> float:
    """What the centre adds to the density of a chi-square off its centre: log ₀F₁(f/2; p/4).

    product  of centre and value. By Debye's expansion where hyp0f1 would not be finite.
    """
    a, root = freedom / 2, sqrt(product)
    if a < LARGE_ORDER and root < 500:
        return log(float(hyp0f1(a, product / 4)))
    order = a - 1
    if not root:
        return 0.0
    slant = sqrt(order * order + root * root)
    bessel = slant + order * log(root / (order + slant)) - log(2 * pi * slant) / 2
    return float(gammaln(a)) + (1 - a) * log(root / 2) + bessel

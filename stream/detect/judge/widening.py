"""Widening: findings of a window in, findings of as many windows as it takes to see something out.

In    what a rule found in one window of each feature, the windows before it (past.py)
Out   the same findings with their verdicts, or those of the wide window that ends here
Not   the power of a window (noise.py)

A window too small to find what it should (`power`) is judged all the same, on half of the budget: a
drastic change is told at once. The other half is for the wide window: windows are added up until
the power is reached, or for `widen` at most; then their sum is judged and the next one begins. A
wide window of k windows has k times the chance of one, for it ends k times as rarely: the budget
holds, because only the number of events decides when it ends, never what they say. Between two ends
the verdict is `not_enough_data`, unless the window alone breaches. No wide window ends before it is
known how much the windows that it is made of vary: of slow traffic the sum varies most.
"""

from __future__ import annotations

from dataclasses import replace
from math import isnan, nan

import numpy as np

from kernels.measures import significance
from stream.detect.judge import noise
from stream.detect.judge.findings import (
    BREACH,
    EFFECTS,
    NOT_ENOUGH,
    OK,
    Finding,
    Reading,
    judge_all,
)
from stream.detect.judge.levels import LARGEST_LEVEL, Share
from stream.detect.judge.measures import OBSERVED, ON_BINS, Comparison, measure_bins, weigh
from stream.detect.judge.past import PREVIOUS, Block, coarse
from stream.detect.specs import ModelSpec

CLEAR = 0.8  # of the effect: an alert ends below it, if noise allows
ATTAINABLE = 0.9  # of the power of endless windows is enough: the reference may allow no more


def judge(findings: list[Finding], model: ModelSpec, reading: Reading) -> list[Finding]:
    """Verdicts of one rule's findings, on the window or on a wide one that ends with it."""
    for finding in findings:
        finding.is_small = _can_widen(finding, model, reading) and not _is_enough(
            finding, model, len(findings)
        )
        if finding.is_small:
            finding.level = _half(finding).level(
                finding.n, finding.n_reference or 1, _alike(finding)
            )
    judge_all(findings)
    wide = [_wide(finding, model, reading, len(findings)) for finding in findings]
    _judge_wide(wide)
    chosen = [_chosen(own, other) for own, other in zip(findings, wide, strict=True)]
    for finding in chosen:
        finding.clear = _clear(finding)
        if finding.verdict == NOT_ENOUGH:
            _say_how_many(finding, model, reading, len(findings))
    return chosen


def _half(finding: Finding) -> Share:
    assert finding.share is not None  # rules.py gives every distance its share
    return finding.share._replace(chance=finding.share.chance / 2)


def _alike(finding: Finding) -> float:
    return finding.comparison.noise.alike if finding.comparison else 0.0


def _can_widen(finding: Finding, model: ModelSpec, reading: Reading) -> bool:
    """Only counts can be kept for so long, and only beside a reference that stays."""
    is_counted = finding.measure in ON_BINS or finding.measure in OBSERVED
    is_long = model.widen_ms >= 2 * reading.due.window.length_ms
    return is_counted and is_long and finding.reference != PREVIOUS


def _is_enough(
    finding: Finding, model: ModelSpec, family: int, comparison: Comparison | None = None
) -> bool:
    """Whether these counts find what they should with the power asked for."""
    known = comparison or finding.comparison
    n = float(known.current.sum()) if known else 0.0
    if known is None or min(n, known.n_reference) < noise.SMALLEST_N:
        return False
    level = _alone(finding, family)
    power = noise.power(model.power_psi, level, n, known.reference, known.noise)
    if power >= model.power:
        return True
    most = noise.power(model.power_psi, level, noise.LARGEST_N, known.reference, known.noise)
    return power >= ATTAINABLE * most


def _alone(finding: Finding, family: int) -> float:
    """The level for a feature that moves alone among all that the rule looks at."""
    assert finding.share is not None
    return finding.share.level(0.0) / family


def _wide(finding: Finding, model: ModelSpec, reading: Reading, family: int) -> Finding | None:
    """The finding of the wide window that ends with this one; None if none does."""
    key, blocks = (finding.rule.name, finding.feature or ""), reading.past.blocks
    known = finding.comparison
    if known is None or not reading.is_new or not _can_widen(finding, model, reading):
        return None
    if not finding.is_small:
        blocks.pop(key, None)
        return None
    window, now = reading.due.window, coarse(known)
    block = blocks.get(key)
    if (
        block is None
        or window.end_ms - block.start_ms > model.widen_ms
        or len(block.counts) != now.current.size
    ):
        block = blocks[key] = Block(window.start_ms, 0, [0.0] * now.current.size)
    counts = np.array(block.counts) + now.current
    block.counts, block.windows = counts.tolist(), block.windows + 1
    wide = replace(
        now,
        current=counts,
        n=int(counts.sum()),
        values={},
        p_values={},
        noise=known.noise.of_sum,
    )
    is_enough = _is_enough(finding, model, family, wide)
    is_full = window.end_ms + window.length_ms - block.start_ms > model.widen_ms
    if block.windows < 2 or not (is_enough or is_full) or wide.n < noise.SMALLEST_N:
        return None
    if not known.noise.is_learnt:
        return None
    del blocks[key]
    measure_bins(wide)
    weigh(wide, wide.noise)
    return _finding_of(finding, wide, block, window.end_ms, is_enough)


def _finding_of(
    own: Finding, wide: Comparison, block: Block, end_ms: int, is_enough: bool
) -> Finding:
    null = wide.null_expectation.get(own.measure)
    usual = EFFECTS.get(own.measure, 0.1) + (null or 0)
    return replace(
        own,
        verdict=OK,
        value=wide.values.get(own.measure, nan),
        threshold=usual if own.rule.above is None else own.rule.above,
        null_expectation=null,
        p_value=wide.p_values.get(own.measure),
        level=min(LARGEST_LEVEL, _half(own).chance * block.windows),
        n=wide.n,
        comparison=wide,
        windows=block.windows,
        span_ms=(block.start_ms, end_ms),
        is_small=not is_enough,
    )


def _judge_wide(wide: list[Finding | None]) -> None:
    """Both gates. Features whose wide window does not end now count as tested and quiet."""
    p_values = np.array([1.0 if f is None or f.p_value is None else f.p_value for f in wide])
    windows = np.array([1 if f is None else f.windows for f in wide])
    if not len(wide):
        return
    q_values = significance.benjamini_hochberg(p_values / windows) * windows
    for finding, q_value in zip(wide, q_values.tolist(), strict=True):
        if finding is None or isnan(finding.value):
            continue
        finding.q_value = min(q_value, 1.0)
        is_significant = finding.level is not None and q_value <= finding.level
        if is_significant and finding.value > finding.threshold:
            finding.verdict = BREACH


def _chosen(own: Finding, wide: Finding | None) -> Finding:
    """Which of the two is told."""
    if wide is not None and wide.verdict == BREACH:
        return wide
    if own.verdict == BREACH or not own.is_small:
        return own
    if wide is not None and not wide.is_small:
        return wide
    chosen = wide or own
    chosen.verdict = NOT_ENOUGH
    return chosen


def _clear(finding: Finding) -> float | None:
    """Below this the change that the rule is about can be ruled out, but for one window in six.

    A share of the threshold lies in the noise of a small window, and an alert would flap.
    """
    known, usual = finding.comparison, finding.null_expectation or 0.0
    effect = finding.threshold - usual
    if known is None or finding.measure not in ("psi", "psi_observed") or not effect > 0:
        return None
    n, m = float(known.current.sum()), float(known.reference.sum())
    if not (n and m):
        return None
    least = noise.least_of(effect, known.freedom, n, m, known.noise)
    return usual + min(least, CLEAR * effect)


def _say_how_many(finding: Finding, model: ModelSpec, reading: Reading, family: int) -> None:
    """How many events it takes to fire at all, and to find what should be found."""
    known = finding.comparison
    if known is None or not known.reference.sum():
        return
    level = _alone(finding, family)
    of = known.noise
    asked = f"{level:.1e} {model.power:g} {model.power_psi:g}"
    key = (finding.rule.name, known.feature, asked, f"{of.factor:.1f}", of.freedom < 100)
    sizes = reading.past.sizes
    if key not in sizes:
        sizes[key] = (
            noise.smallest_to_fire(level, known.reference, of),
            noise.smallest_to_find(model.power_psi, model.power, level, known.reference, of),
        )
    finding.n_fires, finding.n_finds = sizes[key]

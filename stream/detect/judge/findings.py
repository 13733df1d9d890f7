"""Findings: what rules read of a window, and what one of them says of one feature.

In    filled by the judge (`Reading`) and by rules (`Finding`)
Out   read by rules, alerts, causes
Not   how a verdict comes about (rules.py, ratios.py, widening.py, sequential.py)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isnan, nan
from typing import Any

import numpy as np

from kernels.measures import significance
from stream.detect.judge.joint import JointComparison
from stream.detect.judge.levels import Share, share_of
from stream.detect.judge.measures import Comparison
from stream.detect.judge.parts import Due
from stream.detect.judge.past import Past
from stream.detect.references import Reference
from stream.detect.specs import ModelSpec, RuleSpec

OK, BREACH, NO_DATA, NOT_ENOUGH = "ok", "breach", "no_data", "not_enough_data"

# Effects below these are not worth anybody's time, however significant.
EFFECTS = {
    "psi": 0.1, "psi_observed": 0.1, "kl": 0.1, "jensen_shannon": 0.1, "hellinger": 0.1,
    "total_variation": 0.1, "l_infinity": 0.1, "ks": 0.1, "wasserstein_normed": 0.1,
    "energy_normed": 0.1, "cosine": 0.1, "mean_shift": 0.1, "sliced_wasserstein": 0.1,
    "correlation": 0.2, "two_sample": 0.02, "attribution_drift": 0.1,
    "missing_difference": 0.05, "missing_ratio": 0.0, "unseen_ratio": 0.0,
    "unseen_difference": 0.01,
    "out_of_range_ratio": 0.0,
}  # fmt: skip


@dataclass(slots=True)
class Reading:
    """All that rules may look at in one window.

    comparisons  by reference name, then by feature; `joint` by reference name
    past       of the stream, up to the window before
    segments     among how many the budget of segments is shared
    """

    due: Due
    summary: dict[str, Any]
    references: Mapping[str, Reference]
    comparisons: Mapping[str, Mapping[str, Comparison]]
    past: Past = field(default_factory=Past)
    segments: int = 1
    joint: Mapping[str, JointComparison] = field(default_factory=dict)

    @property
    def is_new(self) -> bool:
        """Whether the window is judged for the first time."""
        window = self.due.window
        return not self.due.revision and self.past.is_new(window.length_ms, window.end_ms)

    def share(self, model: ModelSpec, rule: RuleSpec) -> Share:
        """What of the budget the rule may spend in this window."""
        is_segment = bool(self.due.window.stream.segment)
        return share_of(model, rule, is_segment=is_segment, segments=self.segments)


@dataclass(slots=True)
class Finding:
    """What one rule says of one feature (None: of the whole window).

    share     of the alarm budget that the level comes from
    windows   how many windows in a row it stands for
    span_ms   from when to when, if that is not the window itself
    n_fires   the smallest window that can breach at all; n_finds: that finds what it should
    clear     the value at which an alert may end; None: a share of the threshold
    is_small  the window is judged, but is too small to find what it should
    """

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
    share: Share | None = None
    windows: int = 1
    span_ms: tuple[int, int] | None = None
    n_fires: int | None = None
    n_finds: int | None = None
    clear: float | None = None
    is_small: bool = False


def reference_name(rule: RuleSpec, reading: Reading) -> str | None:
    """The reference a rule looks at in this window."""
    if rule.reference:
        return rule.reference if rule.reference in reading.comparisons else None
    names = ("training", "adaptive", "previous")
    return next((name for name in names if name in reading.comparisons), None)


def is_meant(rule: RuleSpec, name: str) -> bool:
    """Whether a rule looks at a feature, by its full name."""
    section, _, short = name.partition(".")
    if section == "service":
        return False
    group = "predictions" if section == "prediction" else "features"
    return group in rule.on or short in rule.on or name in rule.on


def judge_all(findings: list[Finding]) -> None:
    """Both gates, the first after correction for the number of features."""
    p_values = np.array([nan if f.p_value is None else f.p_value for f in findings])
    q_values = significance.benjamini_hochberg(p_values) if len(findings) else p_values
    for finding, q_value in zip(findings, q_values.tolist(), strict=True):
        finding.q_value = None if isnan(q_value) else q_value
        is_significant = finding.level is not None and q_value <= finding.level
        if finding.verdict == OK and is_significant and finding.value > finding.threshold:
            finding.verdict = BREACH

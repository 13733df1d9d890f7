"""Levels: an alarm budget in, the chance of a breach that a rule may take in one window out.

In    `ModelSpec` with `false_alarms_per_week`, one of its rules, how many segments share
Out   `Share`: the chance per window, the level of each test, and how they came about
Not   whether a window breaches (rules.py)

    chance per window = false alarms per week · share of the stream · share of the rule
                        / windows per week of the rule's length
    level of a test   = chance per window, or the root of it where several windows must agree

Every version of a model has the budget to itself. If the model has segments, the traffic as a whole
takes half of it and the segments share the other half: an equal part for each partition of the
partials topic, and in a partition for each segment seen in the last week. So the budget holds
however segments come, go and are spread over workers, and no judge has to ask another one.
"""

from __future__ import annotations

from typing import NamedTuple

from stream.detect.specs import WEEK_MS, ModelSpec, RuleSpec

LARGEST_LEVEL = 0.05  # a finding that one window in twenty makes by chance is no finding
OF_SEGMENTS = 0.5  # of the budget of a model with segments
OF_SEQUENTIAL = 0.2  # of what a rule that looks at single windows gets


class Share(NamedTuple):
    """What of a budget one rule may spend in one window of one stream.

    windows_per_week  of the rule's length
    of_budget         share of this rule on this stream
    chance            of a false alarm per window
    hold              windows that must agree
    """

    false_alarms_per_week: float
    windows_per_week: float
    of_budget: float
    chance: float
    hold: int

    def level(self, n: float = 0.0, m: float = 1.0, alike: float = 0.0) -> float:
        """The level of each window's test, at most LARGEST_LEVEL.

        n, m   sizes of window and reference
        alike  correlation of neighbouring windows by themselves

        Where h windows must agree their chances multiply, as far as they are independent. They
        share the reference's noise, n / (n + m) of all, and may be alike in the rest: their
        correlation is ρ, and together they are worth h / (1 + (h - 1)ρ) independent ones (the
        rate at which the tail of h normal variables of equal correlation falls).
        """
        of_reference = n / (n + m)
        shared = of_reference + (1 - of_reference) * alike
        independent = self.hold / (1 + (self.hold - 1) * shared)
        return min(LARGEST_LEVEL, float(self.chance ** (1 / independent)))


def share_of(
    model: ModelSpec, rule: RuleSpec, *, is_segment: bool = False, segments: int = 1
) -> Share:
    """The share of a rule in one window.

    segments  among how many the segments' half is shared
    """
    weights = {other.name: _weight(other) for other in model.rules if other.measure}
    of_rule = _weight(rule) / max(sum(weights.values()), _weight(rule))
    of_stream = 1.0
    if model.segments:
        of_stream = OF_SEGMENTS / max(segments, 1) if is_segment else 1 - OF_SEGMENTS
    windows = WEEK_MS / (rule.length_ms or model.lengths_ms[0])
    budget, share = model.false_alarms_per_week, of_rule * of_stream
    return Share(budget, windows, share, budget * share / windows, rule.hold)


def level_of(model: ModelSpec, rule: RuleSpec) -> float:
    """The level of a rule in one window of all traffic, were the reference free of noise."""
    return share_of(model, rule).level()


def _weight(rule: RuleSpec) -> float:
    return OF_SEQUENTIAL if rule.sequential else 1.0

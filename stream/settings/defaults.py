"""Default rules: what is known of a model's features in, the rules nobody had to write out.

In    the feature specs of a model
Out   rules: drift of features and predictions, missing values, and one per limit a feature states
Not   the rules written in the file (models.py); how a rule is judged (stream/detect/)

The table of these rules, with the reasons for their levels, stands in `docs/configuration.md`.
"""

from __future__ import annotations

from collections.abc import Mapping

from stream.detect.specs import FeatureSpec, RuleSpec

OPEN = (None, None)
CONFIRMED = 2  # windows: a drift whose level the budget sets is told when a second window agrees
UNSEEN_TOLERANCE = 0.01  # a reference is a sample: rare categories may be missing from it


def default_rules(features: Mapping[str, FeatureSpec]) -> tuple[RuleSpec, ...]:
    """The rules of a model that writes none: the alarm budget sets every drift level.

    Drift of a feature warns; drift of the predictions is critical, because it is what users meet.
    """
    return (
        RuleSpec(name="feature-drift", measure="psi", hold=CONFIRMED),
        RuleSpec(
            name="prediction-drift",
            measure="psi",
            on=("predictions",),
            severity="critical",
            hold=CONFIRMED,
        ),
        RuleSpec(name="missing", kind="quality", measure="missing_difference"),
        *limit_rules(features),
    )


def limit_rules(features: Mapping[str, FeatureSpec]) -> tuple[RuleSpec, ...]:
    """Rules for the limits features state; they hold beside rules written in the file too.

    One rule for each kind of limit: the alarm budget is shared between rules, and within a rule
    the number of features is allowed for. `max_missing` and `range` carry their own level.
    """
    specs = features.values()
    found = (
        _quality("max-missing", "missing_ratio", [f for f in specs if f.max_missing is not None]),
        _quality("range", "out_of_range_ratio", [f for f in specs if (f.low, f.high) != OPEN]),
        _quality("allowed", "unseen_ratio", [f for f in specs if f.allowed is not None]),
        _quality(
            "unseen",
            "unseen_ratio",
            [f for f in specs if f.allowed_from_reference],
            above=UNSEEN_TOLERANCE,
        ),
    )
    return tuple(rule for rule in found if rule.on)


def _quality(
    name: str, measure: str, features: list[FeatureSpec], *, above: float | None = None
) -> RuleSpec:
    on = tuple(feature.name for feature in features)
    return RuleSpec(name=name, kind="quality", measure=measure, on=on, above=above)

"""Rules and features: one entry of the file in, one frozen spec out.

In    an entry of `models.<model>.features` or `models.<model>.rules`
Out   `FeatureSpec`, `RuleSpec`
Not   the rules nobody wrote (defaults.py); how a rule is judged (stream/detect/)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from stream.detect.specs import FeatureSpec, ModelSpec, RuleSpec
from stream.settings.defaults import CONFIRMED
from stream.settings.document import Place
from stream.settings.mistakes import Checked, Mistakes
from stream.settings.sections import (
    LEVELLESS_MEASURES,
    MEASURES,
    OBJECTIVES,
    QUALITY_MEASURES,
    UNBOUNDED,
    FeatureSection,
    RuleSection,
)
from stream.settings.units import shown, written

_TARGETS = ("features", "predictions")


@dataclass(slots=True)
class RuleContext:
    """What a rule is checked against: its model, and the names taken so far."""

    model: ModelSpec
    mistakes: Mistakes
    lengths_known: bool  # False when a window length was unreadable: nothing to compare with
    names: set[str] = field(default_factory=set)


def feature_spec(name: str, raw: object, place: Place, mistakes: Mistakes) -> FeatureSpec:
    """Check one feature; a range makes it a number and allowed values a category."""
    checked = mistakes.section(FeatureSection, raw, place)
    section = checked.section
    mistakes.name(name, place)
    ranged, listed = "range" in checked.given, "allowed" in checked.given
    if name in _TARGETS:
        mistakes.add(place, f"{name} already means all of them; accepted: another feature name")
    if checked.sound("kind"):
        if ranged and section.kind not in {None, "number"}:
            mistakes.add((*place, "range"), f"a {section.kind} has no range; accepted: kind number")
        if listed and section.kind not in {None, "category"}:
            text = f"a {section.kind} has no allowed values; accepted: kind category"
            mistakes.add((*place, "allowed"), text)
    if ranged and listed and section.kind is None:
        mistakes.add(place, "range and allowed together; accepted: range for numbers, or allowed")
    low, high = section.range
    return FeatureSpec(
        name=name,
        kind=section.kind or ("number" if ranged else "category" if listed else None),
        low=low,
        high=high,
        max_missing=section.max_missing,
        allowed=section.allowed,
        allowed_from_reference=listed and checked.sound("allowed") and section.allowed is None,
    )


def rule_spec(raw: object, place: Place, context: RuleContext) -> RuleSpec:
    """Check one rule against its model."""
    checked = context.mistakes.section(RuleSection, raw, place)
    section = checked.section
    _check_name(checked, context)
    _check_condition(checked, context.mistakes)
    _check_target(checked, context)
    return RuleSpec(
        name=section.name or "",
        kind=section.kind or _kind(section),
        severity=section.severity,
        measure=section.measure,
        objective=section.objective,
        on=section.on,
        reference=section.reference,
        above=section.above,
        below=section.below,
        length_ms=section.window,
        hold=section.hold or (CONFIRMED if _is_budgeted_drift(section) else 1),
        keep_firing=section.keep_firing,
        repeat_ms=section.repeat,
        sequential=section.sequential,
        runbook=section.runbook or context.model.runbook,
    )


def _is_budgeted_drift(section: RuleSection) -> bool:
    is_drift = section.measure is not None and section.measure not in QUALITY_MEASURES
    return is_drift and section.above is None and not section.sequential


def _kind(section: RuleSection) -> str:
    if section.objective is not None:
        return "volume" if section.objective == "rate_per_second" else "sla"
    return "quality" if section.measure in QUALITY_MEASURES else "drift"


def _check_name(checked: Checked[RuleSection], context: RuleContext) -> None:
    name = checked.section.name
    if "name" not in checked.given:
        context.mistakes.add(checked.place, "a rule needs a name; accepted: name: and a short text")
    elif name is not None and name in context.names:
        text = f"{shown(name)} is the name of an earlier rule; accepted: a name of its own"
        context.mistakes.add((*checked.place, "name"), text)
    context.names.add(name or "")


def _check_condition(checked: Checked[RuleSection], mistakes: Mistakes) -> None:
    """One of measure and objective, with a level where no budget can set one."""
    section, place = checked.section, checked.place
    asked = checked.given & {"measure", "objective"}
    if len(asked) == 2:
        mistakes.add(place, "both measure and objective; accepted: one of them, two rules for both")
    elif not asked and not checked.given & set(RuleSection.planned()):
        names = f"measure ({', '.join(MEASURES)}) or objective ({', '.join(OBJECTIVES)})"
        mistakes.add(place, f"nothing to judge; accepted: {names}")
    elif asked and not checked.given & {"above", "below"} and checked.sound(*asked):
        name = section.objective or section.measure
        if section.objective is not None or section.measure in LEVELLESS_MEASURES:
            mistakes.add(place, f"{name} needs a level; accepted: above with a number")
    if "below" in checked.given and "measure" in checked.given:
        mistakes.add((*place, "below"), "a measure can only be too large; accepted: above")
    if section.sequential:
        _check_sequential(checked, mistakes)
    _check_levels(checked, mistakes)


def _check_sequential(checked: Checked[RuleSection], mistakes: Mistakes) -> None:
    """Evidence is added up for one measure alone, and the budget says how much it takes."""
    if checked.section.measure != "psi":
        text = "evidence is added up by psi only; accepted: measure: psi"
        mistakes.add((*checked.place, "sequential"), text)
    for key in sorted(checked.given & {"above", "for"}):
        text = "the budget says how much evidence it takes; accepted: leave it out"
        mistakes.add((*checked.place, key), text)


def _check_levels(checked: Checked[RuleSection], mistakes: Mistakes) -> None:
    """A level the measure can reach on one side and not reach on the other."""
    section, place = checked.section, checked.place
    name = section.objective or section.measure
    highest = math.inf if name in UNBOUNDED or name is None else 1.0
    for key, level in (("above", section.above), ("below", section.below)):
        if level is not None and not 0.0 <= level <= highest:
            limit = "0 or more" if highest == math.inf else "0 to 1, or 0% to 100%"
            mistakes.add((*place, key), f"{level:g} is out of reach of {name}; accepted: {limit}")
    if section.above is not None and section.below is not None and section.below >= section.above:
        text = f"{section.below:g} is not less than above: {section.above:g}"
        mistakes.add((*place, "below"), f"{text}; accepted: below less than above, a band")


def _check_target(checked: Checked[RuleSection], context: RuleContext) -> None:
    """What the rule looks at: features, a reference and a window length the model has."""
    section, place, model = checked.section, checked.place, context.model
    if section.objective is not None:
        for key in sorted(checked.given & {"on", "reference"}):
            text = "an objective is about the whole service; accepted: leave it out"
            context.mistakes.add((*place, key), text)
    for target in section.on:
        if target + "s" in _TARGETS and target not in model.features:
            text = f"{shown(target)} is not a feature of the model; nearest: {target}s"
            context.mistakes.add((*place, "on"), f"{text}; accepted: features, predictions, a name")
    if section.reference == "previous" and not model.keep_previous:
        text = "the model keeps no previous window; accepted: training, or previous: previous"
        context.mistakes.add((*place, "reference"), text)
    if section.reference == "adaptive" and not model.adaptive_windows:
        text = "the model makes no reference of its first windows; accepted: with adaptive: 10, say"
        context.mistakes.add((*place, "reference"), text)
    lengths = model.lengths_ms
    if section.window is not None and context.lengths_known and section.window not in lengths:
        text = f"{written(section.window)} is not a window of the model"
        accepted = ", ".join(written(length) for length in lengths)
        context.mistakes.add((*place, "window"), f"{text}; accepted: {accepted}")

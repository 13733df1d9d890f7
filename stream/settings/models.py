"""Models: the sections for windows and models in, the detector's frozen spec out.

In    `window:`, `defaults:`, `limits:` and `models:` of the file
Out   `DetectorSpec` with its hash; the training file of each model
Not   one rule or feature (rules.py); Kafka and HTTP (bus.py)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from stream.detect.specs import DetectorSpec, LimitSpec, ModelSpec, RuleSpec
from stream.settings.defaults import default_rules, limit_rules
from stream.settings.document import Place
from stream.settings.mistakes import Mistakes
from stream.settings.rules import RuleContext, feature_spec, rule_spec
from stream.settings.sections import (
    DefaultsSection,
    LimitsSection,
    ModelSection,
    ModelWindowSection,
    ReferenceSection,
)
from stream.settings.windows import Windows, model_lengths


@dataclass(frozen=True, slots=True)
class _Common:
    """What every model is built from."""

    defaults: DefaultsSection
    windows: Windows
    folder: Path
    mistakes: Mistakes


def detector_settings(
    raw: Mapping[str, Any], folder: Path, mistakes: Mistakes
) -> tuple[DetectorSpec, dict[str, Path]]:
    """Check the detector's part of the file; training files are taken relative to `folder`."""
    limits = mistakes.section(LimitsSection, raw.get("limits"), ("limits",)).section
    defaults = mistakes.section(DefaultsSection, raw.get("defaults"), ("defaults",)).section
    windows = Windows.read(raw.get("window"), mistakes)
    common = _Common(defaults, windows, folder, mistakes)
    models: dict[str, ModelSpec] = {}
    references: dict[str, Path] = {}
    for name, data in mistakes.mapping(raw.get("models"), ("models",)).items():
        models[name], training = _model(name, data, common)
        if training is not None:
            references[name] = training
    spec = DetectorSpec(
        time=windows.time_spec(mistakes),
        limits=LimitSpec(**limits.model_dump(exclude={"hash_key"})),
        models=models,
        default=_default_model(defaults, windows),
        hash_secret=limits.hash_key,
    )
    return replace(spec, config_hash=config_hash(spec)), references


def config_hash(spec: DetectorSpec) -> str:
    """12 hex digits of BLAKE2b over the canonical JSON of everything but the hash itself."""
    text = json.dumps(
        _plain(replace(spec, config_hash="")),
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=True,
        allow_nan=False,
    )
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _model(name: str, raw: object, common: _Common) -> tuple[ModelSpec, Path | None]:
    place: Place = ("models", name)
    mistakes = common.mistakes
    mistakes.name(name, place)
    section = mistakes.section(ModelSection, raw, place).section
    own = mistakes.section(ModelWindowSection, section.window, (*place, "window"))
    lengths = model_lengths(own, common.windows, mistakes)
    reference = mistakes.section(ReferenceSection, section.reference, (*place, "reference")).section
    features = {
        feature: feature_spec(feature, data, (*place, "features", feature), mistakes)
        for feature, data in mistakes.mapping(section.features, (*place, "features")).items()
    }
    power, power_psi = section.power or common.defaults.power
    spec = ModelSpec(
        name=name,
        owner=section.owner or common.defaults.owner,
        runbook=section.runbook or common.defaults.runbook,
        kind=section.kind,
        lengths_ms=lengths,
        segments=section.segments,
        features=features,
        false_alarms_per_week=section.false_alarms or common.defaults.false_alarms,
        keep_previous=reference.previous != "none",
        adaptive_windows=reference.adaptive,
        power=power,
        power_psi=power_psi,
        widen_ms=common.defaults.widen if section.widen is None else section.widen,
    )
    context = RuleContext(spec, mistakes, lengths_known=common.windows.sound and own.sound())
    rules = _rules(section.rules, place, context)
    training = common.folder / reference.training if reference.training else None
    return replace(spec, rules=rules), training


def _rules(raw: object, place: Place, context: RuleContext) -> tuple[RuleSpec, ...]:
    """The rules as written, or the default ones; limits of features hold beside both."""
    if raw is None:
        return default_rules(context.model.features)
    items = context.mistakes.items(raw, (*place, "rules"))
    written = [rule_spec(item, (*place, "rules", at), context) for at, item in enumerate(items)]
    names = {rule.name for rule in written}
    limits = [rule for rule in limit_rules(context.model.features) if rule.name not in names]
    return (*written, *limits)


def _default_model(defaults: DefaultsSection, windows: Windows) -> ModelSpec:
    return ModelSpec(
        name="*",
        owner=defaults.owner,
        runbook=defaults.runbook,
        lengths_ms=windows.lengths_ms,
        rules=default_rules({}),
        false_alarms_per_week=defaults.false_alarms,
        power=defaults.power[0],
        power_psi=defaults.power[1],
        widen_ms=defaults.widen,
    )


def _plain(value: Any) -> Any:
    """Dataclasses, mappings and tuples as what JSON has."""
    if is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value

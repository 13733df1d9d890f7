"""Scenarios, the kinds of fault: what can go wrong, which options it takes, what should show it.

In    faults as mappings {"kind", "start_h", "end_h", options...}, as in a file faults.json
Out   Fault, checked, with defaults filled in; the presets
Not   what a fault does to events (scenarios_faults.py)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.errors import UsageError
from stream.replay.scenarios_world import CATEGORIES, COLUMN, Floats

Mask = NDArray[np.bool_]

NEEDED = object()  # an option without default
NUMBERS = frozenset({"start_h", "end_h", "ramp"})  # of every kind
RETYPED = ("string", "bool", "object")


class Kind(NamedTuple):
    """A kind of fault: what should show it, its options with defaults, and if it should alert."""

    group: str  # population, concept, pipeline, serving, traffic, transport
    signals: tuple[str, ...]
    options: Mapping[str, Any]
    alerts: bool = True


def _pipeline(*signals: str, **options: Any) -> Kind:
    return Kind("pipeline", signals, {"share": 1.0} | options)


KINDS: dict[str, Kind] = {
    "mean_shift_population": Kind(
        "population", ("feature drift (mean)", "score drift"), {"feature": NEEDED, "size": 1.0}
    ),
    "correlation_drift": Kind(
        "population",
        ("joint drift only; every marginal unchanged", "performance may move"),
        {"features": NEEDED},
    ),
    "subgroup_drift": Kind(
        "population",
        ("drift inside one segment; weak globally",),
        {"category": NEEDED, "value": NEEDED, "features": NEEDED, "size": 1.5},
    ),
    "label_shift": Kind(
        "population",
        ("label base rate", "score drift", "feature drift (weak to moderate)"),
        {"base_rate": 0.45},
    ),
    "concept_drift": Kind(
        "concept",
        ("performance (AUC, log loss, RIG); no feature drift, no score drift",),
        {"strength": 1.0, "keep_base_rate": True},
    ),
    "mean_shift": _pipeline("feature drift (mean)", feature=NEEDED, size=1.0),
    "variance_shift": _pipeline(
        "feature drift (spread; mean unchanged)", feature=NEEDED, factor=2.0
    ),
    "category_emergence": _pipeline(
        "unseen category", "L-infinity/chi2/PSI", feature=NEEDED, value="NEW", share=0.2
    ),
    "nan_burst": _pipeline("missing rate", feature=NEEDED, share=0.5),
    "missing_feature": _pipeline("missing rate 100 % / schema", feature=NEEDED),
    "schema_type_change": _pipeline("schema (type)", feature=NEEDED, mode="string"),
    "unit_change": _pipeline("feature drift (huge)", "range", feature=NEEDED, factor=1000),
    "stuck_value": _pipeline("variance zero / single value share", feature=NEEDED),
    "sentinel_value": _pipeline(
        "feature drift (point mass)", "range", feature=NEEDED, value=-999, share=0.3
    ),
    "latency_regression": Kind("serving", ("SLA latency",), {"factor": 4}),
    "error_burst": Kind("serving", ("SLA error rate",), {"share": 0.3}),
    "traffic_drop": Kind("traffic", ("volume (low)",), {"factor": 0.1}),
    "traffic_spike": Kind("traffic", ("volume (high)",), {"factor": 5}),
    "duplicate_events": Kind(
        "transport",
        ("none on drift measures once deduplicated by event_id",),
        {"share": 0.2},
        alerts=False,
    ),
    "late_events": Kind(
        "transport",
        ("none on drift measures if lateness is handled; watermark/late counters",),
        {"share": 0.3, "delay_s": 5400},
        alerts=False,
    ),
    "clock_skew": Kind(
        "transport",
        ("events from the future; must not close windows early",),
        {"share": 0.2, "skew_s": 86400},
        alerts=False,
    ),
}


@dataclass(slots=True)
class Fault:
    """One fault of a scenario, checked; `given` is what the user wrote, for the truth."""

    id: str
    kind: str
    start_s: float
    end_s: float
    options: dict[str, Any]
    given: dict[str, Any]
    affected: int = 0

    @property
    def group(self) -> str:
        return KINDS[self.kind].group

    @property
    def end_h(self) -> float:
        return self.end_s / 3600

    def columns(self) -> list[str]:
        """Names of the features it acts on."""
        return list(self.options.get("features") or [self.options["feature"]])

    def touched(self, rng: np.random.Generator, seconds: Floats) -> Mask:
        """Events (n,) inside its interval; with a ramp, as many as the ramp has reached."""
        inside = (seconds >= self.start_s) & (seconds < self.end_s)
        chance = rng.random(len(seconds))
        ramp = self.options.get("ramp")
        if ramp:
            reached = (seconds - self.start_s) / (ramp * (self.end_s - self.start_s))
            inside &= chance < np.clip(reached, 0, 1)
        return np.asarray(inside)


def read_faults(given: Iterable[Mapping[str, Any]]) -> list[Fault]:
    """Faults as the user wrote them, checked and with defaults.

    Raises `UsageError` that names the fault, the option and what is accepted.
    """
    return [_read_fault(index, dict(one)) for index, one in enumerate(given)]


def _read_fault(index: int, given: dict[str, Any]) -> Fault:
    kind = str(given.get("kind"))
    if kind not in KINDS:
        raise UsageError(f"faults[{index}]: {_unknown('kind', kind, KINDS)}")
    place = f"faults[{index}] ({kind})"
    known = KINDS[kind].options
    _check_options(place, given, known)
    if not 0 <= given["start_h"] < given["end_h"]:
        raise UsageError(f"{place}: start_h must be at least 0 and below end_h")
    fault = Fault(
        id=str(given.get("id", f"f{index:02d}_{kind}")),
        kind=kind,
        start_s=given["start_h"] * 3600,
        end_s=given["end_h"] * 3600,
        options={k: v for k, v in known.items() if v is not NEEDED} | given,
        given=given,
    )
    _check_names(place, fault)
    return fault


def _check_options(place: str, given: dict[str, Any], known: Mapping[str, Any]) -> None:
    """Every option is known, those without default are there, numbers are numbers."""
    accepted = {*known, "kind", "start_h", "end_h", "ramp", "id", "features"}
    for name, value in given.items():
        if name not in accepted:
            raise UsageError(f"{place}: {_unknown('option', name, accepted)}")
        number = name in NUMBERS or isinstance(known.get(name), int | float)
        if number and not isinstance(value, int | float):
            raise UsageError(f"{place}: {name} must be a number, got {value!r}")
    for name in ("start_h", "end_h", *(k for k, v in known.items() if v is NEEDED)):
        if name not in given and not (name == "feature" and given.get("features")):
            raise UsageError(f"{place}: needs {name}")


def _check_names(place: str, fault: Fault) -> None:
    """Features, categories and modes a fault names must exist."""
    if "feature" in fault.options or "features" in fault.options:
        known = CATEGORIES if fault.kind == "category_emergence" else COLUMN
        for name in fault.columns():
            if name not in known:
                raise UsageError(f"{place}: {_unknown('feature', name, known)}")
    if fault.kind == "subgroup_drift":
        category, value = fault.options["category"], fault.options["value"]
        if value not in CATEGORIES.get(category, ()):
            raise UsageError(f"{place}: {category!r} has no value {value!r}")
    if fault.kind == "schema_type_change" and fault.options["mode"] not in RETYPED:
        mode = fault.options["mode"]
        raise UsageError(f"{place}: {_unknown('mode', mode, RETYPED)}")


def _unknown(what: str, name: str, accepted: Iterable[str]) -> str:
    names = sorted(accepted)
    near = difflib.get_close_matches(name, names, 1)
    hint = f"nearest is {near[0]!r}" if near else f"accepted: {', '.join(names)}"
    return f"unknown {what} {name!r}; {hint}"


# -- presets ----------------------------------------------------------------------------------

ALL_KINDS: tuple[dict[str, Any], ...] = (
    {"kind": "mean_shift", "feature": "credit_score", "size": -0.8},
    {"kind": "variance_shift", "feature": "income", "factor": 2.0},
    {"kind": "category_emergence", "feature": "purpose", "value": "crypto", "share": 0.15},
    {"kind": "nan_burst", "features": ["savings", "utilization"], "share": 0.5},
    {"kind": "missing_feature", "feature": "device_risk"},
    {"kind": "schema_type_change", "feature": "age", "mode": "string"},
    {"kind": "unit_change", "feature": "income", "factor": 1000},
    {"kind": "latency_regression", "factor": 4},
    {"kind": "error_burst", "share": 0.3},
    {"kind": "traffic_drop", "factor": 0.1},
    {"kind": "duplicate_events", "share": 0.2},
    {"kind": "late_events", "share": 0.3, "delay_s": 5400},
    {"kind": "label_shift", "base_rate": 0.45},
    {"kind": "concept_drift", "strength": 1.0},
    {
        "kind": "subgroup_drift", "category": "region", "value": "R4",
        "features": ["debt_to_income"], "size": 1.5,
    },
    {"kind": "correlation_drift", "features": ["income", "loan_amount"]},
    {"kind": "mean_shift_population", "feature": "loan_amount", "size": 0.7},
    {"kind": "stuck_value", "feature": "utilization"},
    {"kind": "sentinel_value", "feature": "employment_years", "value": -999, "share": 0.3},
    {"kind": "traffic_spike", "factor": 5},
    {"kind": "clock_skew", "share": 0.1, "skew_s": 86400},
    {"kind": "mean_shift", "feature": "utilization", "size": 1.0, "ramp": 1.0},
)  # fmt: skip


class Preset(NamedTuple):
    """Hours of each part of a preset; every fault follows `quiet_h` of quiet."""

    reference_h: float
    fault_h: float
    quiet_h: float
    after_h: float


PRESETS = {"all": Preset(48, 6, 6, 6), "smoke": Preset(12, 2, 2, 2), "none": Preset(48, 0, 0, 6)}


def preset_faults(preset: str) -> list[dict[str, Any]]:
    """The faults of a preset, one after the other after its reference; none for "none"."""
    hours = PRESETS[preset]
    if not hours.fault_h:
        return []
    every_h = hours.fault_h + hours.quiet_h
    first_h = hours.reference_h + hours.quiet_h
    return [
        fault | {"start_h": first_h + i * every_h, "end_h": first_h + i * every_h + hours.fault_h}
        for i, fault in enumerate(ALL_KINDS)
    ]

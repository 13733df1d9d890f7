"""Scenarios, the effects: what each fault does to the events of a step.

In    a Step of events in order of their true time; a Fault; the mask of events it may touch
Out   the Step changed in place; the mask of the events really touched
Not   kinds and options (scenarios_kinds.py); which stage runs when (scenarios.py)

Random draws are made in a fixed order and never skipped while a fault is active, because the
bytes of a scenario must never change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.replay import scenarios_world as world_of
from stream.replay.scenarios_kinds import Fault, Mask
from stream.replay.scenarios_world import CATEGORIES, COLUMN, Codes, Floats, Model, World

POOL_ROWS = 60_000  # clean customers that label shift draws from
BALANCE_ROUNDS = 200  # steps to the intercept that keeps the base rate under concept drift
TURNED = ("income", "credit_score", "utilization", "debt_to_income")  # drivers that change sign


@dataclass(slots=True)
class Step:
    """The events of one step, in order of their true time; stages fill and change it in place."""

    seconds: Floats  # (n,) true time since the start of the scenario
    latent: Floats  # (n, 20)
    codes: Codes
    gap_chance: Floats  # (n, natural gaps) below the share: the value is missing
    label_chance: Floats  # (n,) below the probability of default: the customer defaults
    latency_ms: Floats  # (n,)
    failed: Mask  # (n,)
    forced: NDArray[np.int64]  # (n,) label decided by label shift; -1 is not decided
    recorded: Floats = field(default_factory=lambda: np.zeros((0, 0)))  # (n, 20) NaN is missing
    arrival: Floats = field(default_factory=lambda: np.zeros(0))  # (n,) as `seconds`
    stamped: Floats = field(default_factory=lambda: np.zeros(0))  # (n,) the event time written
    repeated: Mask = field(default_factory=lambda: np.zeros(0, bool))  # (n,) sent twice
    renamed: dict[str, dict[int, str]] = field(default_factory=dict)  # category -> row -> value
    removed: dict[str, Mask] = field(default_factory=dict)  # feature -> rows without the key
    retyped: dict[str, dict[int, str]] = field(default_factory=dict)  # feature -> row -> mode


class Pool(NamedTuple):
    """Clean customers with labels; fixed, like the world."""

    latent: Floats
    codes: Codes
    odds: Floats  # (n,) true log-odds
    turned_odds: Floats  # (n,) log-odds when half of the drivers have changed sign
    defaulted: NDArray[np.int64]  # rows
    repaid: NDArray[np.int64]  # rows


@cache
def make_pool() -> Pool:
    """The pool that label shift resamples and concept drift is balanced on."""
    world = world_of.make_world()
    latent = world_of.draw_latent(np.random.default_rng(5), POOL_ROWS, world)
    codes = world_of.draw_categories(np.random.default_rng(6), POOL_ROWS)
    odds = world_of.log_odds(latent, codes, world)
    label = np.random.default_rng(7).random(POOL_ROWS) < world_of.logistic(odds)
    turned_odds = world_of.log_odds(latent, codes, world, turned_weights(world))
    return Pool(latent, codes, odds, turned_odds, np.flatnonzero(label), np.flatnonzero(~label))


def turned_weights(world: World) -> Floats:
    """The world's weights with four strong drivers turned round; their overall size stays."""
    weights = world.weights.copy()
    for name in TURNED:
        weights[COLUMN[name]] *= -1
    return weights


def change_concept(step: Step, fault: Fault, touched: Mask, odds: Floats) -> None:
    """Blend the odds (n,) of the touched events, in place, with those of the turned drivers."""
    strength, world = fault.options["strength"], world_of.make_world()
    codes = {name: code[touched] for name, code in step.codes.items()}
    turned = world_of.log_odds(step.latent[touched], codes, world, turned_weights(world))
    added = balancing_intercept(strength) if fault.options["keep_base_rate"] else 0.0
    odds[touched] = (1 - strength) * odds[touched] + strength * turned + added


@cache
def balancing_intercept(strength: float) -> float:
    """What keeps the base rate where it was at this strength of concept drift."""
    pool, added = make_pool(), 0.0
    base_rate = world_of.logistic(pool.odds).mean()
    blend = (1 - strength) * pool.odds + strength * pool.turned_odds
    for _ in range(BALANCE_ROUNDS):
        added += np.log(base_rate / world_of.logistic(blend + added).mean())
    return float(added)


def change_population(step: Step, fault: Fault, touched: Mask, rng: np.random.Generator) -> Mask:
    """Change who the customers are; returns the events really touched."""
    options = fault.options
    if fault.kind == "label_shift":
        _shift_labels(step, np.flatnonzero(touched), options["base_rate"], rng)
    elif fault.kind == "mean_shift_population":
        step.latent[touched, COLUMN[options["feature"]]] += options["size"]
    elif fault.kind == "subgroup_drift":
        code = CATEGORIES[options["category"]].index(options["value"])
        touched = touched & (step.codes[options["category"]] == code)
        for name in options["features"]:
            step.latent[touched, COLUMN[name]] += options["size"]
    elif fault.kind == "correlation_drift":
        # A permutation inside the step keeps every marginal exactly.
        rows, column = np.flatnonzero(touched), COLUMN[options["features"][1]]
        step.latent[rows, column] = step.latent[rng.permutation(rows), column]
    return touched


def _shift_labels(
    step: Step, rows: NDArray[np.int64], base_rate: float, rng: np.random.Generator
) -> None:
    """Replace customers by pool customers whose labels have another base rate."""
    pool = make_pool()
    label = rng.random(len(rows)) < base_rate
    n = len(rows)
    source = np.where(label, rng.choice(pool.defaulted, n), rng.choice(pool.repaid, n))
    step.latent[rows] = pool.latent[source]
    step.forced[rows] = label
    for name, codes in step.codes.items():
        codes[rows] = pool.codes[name][source]


Change = Callable[[Step, str, Mask, Fault, Model], None]


def change_pipeline(
    step: Step, fault: Fault, touched: Mask, rng: np.random.Generator, model: Model
) -> Mask:
    """Change what is recorded; returns the events really touched."""
    touched = touched & (rng.random(len(step.seconds)) < fault.options["share"])
    for name in fault.columns():
        PIPELINE[fault.kind](step, name, touched, fault, model)
    return touched


def _mean_shift(step: Step, name: str, touched: Mask, fault: Fault, model: Model) -> None:
    column = COLUMN[name]
    step.recorded[touched, column] += fault.options["size"] * model.std[column]


def _variance_shift(step: Step, name: str, touched: Mask, fault: Fault, model: Model) -> None:
    column, factor = COLUMN[name], fault.options["factor"]
    centre = model.mean[column]
    values = step.recorded[touched, column]
    step.recorded[touched, column] = centre + (values - centre) * factor


def _new_category(step: Step, name: str, touched: Mask, fault: Fault, model: Model) -> None:
    step.codes[name][touched] = len(CATEGORIES[name])
    rows = dict.fromkeys(np.flatnonzero(touched).tolist(), str(fault.options["value"]))
    step.renamed.setdefault(name, {}).update(rows)


def _nan_burst(step: Step, name: str, touched: Mask, fault: Fault, model: Model) -> None:
    step.recorded[touched, COLUMN[name]] = np.nan


def _missing_feature(step: Step, name: str, touched: Mask, fault: Fault, model: Model) -> None:
    step.recorded[touched, COLUMN[name]] = np.nan
    step.removed[name] = step.removed.get(name, np.zeros_like(touched)) | touched


def _unit_change(step: Step, name: str, touched: Mask, fault: Fault, model: Model) -> None:
    step.recorded[touched, COLUMN[name]] *= fault.options["factor"]


def _stuck_value(step: Step, name: str, touched: Mask, fault: Fault, model: Model) -> None:
    step.recorded[touched, COLUMN[name]] = model.median[COLUMN[name]]


def _sentinel_value(step: Step, name: str, touched: Mask, fault: Fault, model: Model) -> None:
    step.recorded[touched, COLUMN[name]] = fault.options["value"]


def _type_change(step: Step, name: str, touched: Mask, fault: Fault, model: Model) -> None:
    rows = dict.fromkeys(np.flatnonzero(touched).tolist(), str(fault.options["mode"]))
    step.retyped.setdefault(name, {}).update(rows)


PIPELINE: dict[str, Change] = {
    "mean_shift": _mean_shift,
    "variance_shift": _variance_shift,
    "category_emergence": _new_category,
    "nan_burst": _nan_burst,
    "missing_feature": _missing_feature,
    "schema_type_change": _type_change,
    "unit_change": _unit_change,
    "stuck_value": _stuck_value,
    "sentinel_value": _sentinel_value,
}


def change_delivery(step: Step, fault: Fault, touched: Mask, rng: np.random.Generator) -> Mask:
    """Change how events are served and how they travel; returns the events really touched."""
    options, kind = fault.options, fault.kind
    if kind == "latency_regression":
        step.latency_ms[touched] *= options["factor"]
        return touched
    if kind not in ("error_burst", "duplicate_events", "late_events", "clock_skew"):
        return touched
    touched = touched & (rng.random(len(step.seconds)) < options["share"])
    if kind == "error_burst":
        step.failed |= touched
    elif kind == "duplicate_events":
        step.repeated |= touched
    elif kind == "late_events":
        step.arrival[touched] += options["delay_s"] * rng.uniform(0.5, 1.5, int(touched.sum()))
    else:
        step.stamped[touched] += options["skew_s"]
    return touched


def traffic_factor(faults: Iterable[Fault], start_s: float, end_s: float) -> float:
    """Factor on the rate over `[start_s, end_s)`, which lies inside or outside every fault."""
    factor = 1.0
    for fault in faults:
        if fault.group == "traffic" and fault.start_s <= start_s and end_s <= fault.end_s:
            factor *= fault.options["factor"]
    return factor

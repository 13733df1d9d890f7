"""Scenarios: a synthetic credit-risk stream with known faults.

In    ScenarioSpec: how long, how fast, which seed, which faults
Out   (kind, line) pairs in order of time, kind "prediction" or "label"; the truth as a dict
Not   the world (scenarios_world.py), kinds of fault (scenarios_kinds.py), what they do
      (scenarios_faults.py), text (scenarios_lines.py)

How an event is made: latent factors -> true customer (population faults act here) -> label from
P(default | x) (concept faults) -> recorded features (pipeline faults) -> score of a fixed model on
what was recorded -> delivery (serving, traffic and transport faults). Always on unless
`seasonality` is off: a daily cycle of traffic (40 % up and down), of loan amounts and of channels.
Half a second of transport jitter, natural gaps and 0.1 % errors are always on. None of it should
alert. The same spec gives the same bytes, on any machine.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.errors import UsageError
from stream.replay import scenarios_faults as effects
from stream.replay import scenarios_world as world_of
from stream.replay.scenarios_faults import Step
from stream.replay.scenarios_kinds import KINDS, PRESETS, Fault, Mask, preset_faults, read_faults
from stream.replay.scenarios_lines import LABEL, PREDICTION, Line, Outcome, iso_times, to_lines
from stream.replay.scenarios_world import CATEGORIES, COLUMN, NATURAL_NAN, NUMERIC, Floats

STEP_S = 600.0
DAY_S = 86_400
PEAK_DAY_PART = 0.375  # traffic crosses its mean, upwards, at nine in the morning
ERROR_SHARE = 0.001
UNLABELLED_SHARE = 0.05
CUSTOMERS = 200_000
LABEL_SPREAD = 0.6  # sigma of the log-normal label delay


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioSpec:
    """What to generate. `faults` replaces those of the preset; None keeps them."""

    hours: float | None = None  # None: until a while after the last fault
    rate: float = 0.5  # mean events per second
    seed: int = 1
    preset: str = "all"  # all, smoke, none
    faults: Sequence[Mapping[str, Any]] | None = None  # {"kind", "start_h", "end_h", options...}
    ref_hours: float | None = None  # quiet hours at the start; None: the preset's, or 48
    start: str = "2025-03-03T00:00:00"  # UTC
    seasonality: bool = True
    label_delay_h: float = 6.0  # median


def generate(spec: ScenarioSpec) -> Scenario:
    """The scenario of a spec, to be iterated; `UsageError` if the spec is wrong."""
    return Scenario(spec)


class Scenario:
    """Iterable of (kind, line), each line ending in a newline; `truth` is complete afterwards."""

    def __init__(self, spec: ScenarioSpec) -> None:
        _check(spec)
        self.spec = spec
        given = preset_faults(spec.preset) if spec.faults is None else spec.faults
        self._faults = read_faults(given)
        usual_h = PRESETS["none" if spec.faults is not None else spec.preset].reference_h
        self._ref_h = usual_h if spec.ref_hours is None else spec.ref_hours
        last_h = max((fault.end_h for fault in self._faults), default=self._ref_h + 24)
        self.hours: float = spec.hours or last_h + PRESETS[spec.preset].after_h
        self._start_s = datetime.fromisoformat(spec.start).replace(tzinfo=UTC).timestamp()
        self._world, self._model = world_of.make_world(), world_of.fit_model()
        self._rng = np.random.default_rng(spec.seed)
        self._counts: dict[str, int] = {}

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        self._rng = np.random.default_rng(self.spec.seed)
        self._counts = {"unique_events": 0, "emitted": 0, "labels": 0}
        for fault in self._faults:
            fault.affected = 0
        waiting: list[Line] = []
        end_s = self.hours * 3600
        for k in range(math.ceil(end_s / STEP_S)):
            upto_s = min((k + 1) * STEP_S, end_s)
            for line in self._step_lines(k * STEP_S, upto_s):
                heapq.heappush(waiting, line)
            yield from self._leave(waiting, self._start_s + upto_s)
        yield from self._leave(waiting, math.inf)

    def _leave(self, waiting: list[Line], before_s: float) -> Iterator[tuple[str, bytes]]:
        """Lines whose time has come, in order."""
        while waiting and waiting[0].time_s < before_s:
            line = heapq.heappop(waiting)
            self._counts["labels" if line.rank else "emitted"] += 1
            yield (LABEL if line.rank else PREDICTION), line.text

    def _step_lines(self, start_s: float, end_s: float) -> list[Line]:
        """The lines of the events made in `[start_s, end_s)`."""
        active = [f for f in self._faults if f.start_s < end_s and f.end_s > start_s]
        seconds = self._draw_times(start_s, end_s, active)
        if not len(seconds):
            return []
        step, rng = self._draw_customers(seconds), self._rng
        touched = [fault.touched(rng, seconds) for fault in active]
        touched = self._change_population(step, active, touched)
        label = self._label(step, active, touched)
        touched = self._record(step, active, touched)
        score = world_of.score(step.recorded, step.codes, self._model)
        touched = self._deliver(step, active, touched)
        for fault, mask in zip(active, touched, strict=True):
            fault.affected += int(mask.sum())
        first = self._counts["unique_events"] + 1
        self._counts["unique_events"] += len(seconds)
        return to_lines(step, self._wait(score, label), self._model, self._start_s, first)

    def _draw_times(self, start_s: float, end_s: float, active: list[Fault]) -> Floats:
        """True times of the events, sorted; traffic faults are exact at their borders."""
        expected = self.spec.rate * (end_s - start_s)
        if self.spec.seasonality:
            day_part = (start_s + end_s) / 2 / DAY_S - PEAK_DAY_PART
            expected *= 1 + 0.4 * np.sin(2 * np.pi * day_part)
        borders = {min(max(t, start_s), end_s) for f in active for t in (f.start_s, f.end_s)}
        drawn = []
        for left, right in pairwise(sorted({start_s, end_s, *borders})):
            factor = effects.traffic_factor(active, left, right)
            n = self._rng.poisson(expected * factor * (right - left) / (end_s - start_s))
            drawn.append(self._rng.uniform(left, right, n))
        return np.sort(np.concatenate(drawn))

    def _draw_customers(self, seconds: Floats) -> Step:
        rng, n = self._rng, len(seconds)
        hour = (seconds / 3600) % 24 if self.spec.seasonality else None
        return Step(
            seconds=seconds,
            latent=world_of.draw_latent(rng, n, self._world),
            codes=world_of.draw_categories(rng, n, hour),
            gap_chance=rng.random((n, len(NATURAL_NAN))),
            label_chance=rng.random(n),
            latency_ms=np.exp(rng.normal(3.0, 0.35, n)),
            failed=rng.random(n) < ERROR_SHARE,
            forced=np.full(n, -1),
        )

    def _change_population(
        self, step: Step, active: list[Fault], touched: list[Mask]
    ) -> list[Mask]:
        if self.spec.seasonality:
            daily = 0.07 * np.sin(2 * np.pi * step.seconds / DAY_S)
            step.latent[:, COLUMN["loan_amount"]] += daily
        return [
            effects.change_population(step, fault, mask, self._rng)
            for fault, mask in zip(active, touched, strict=True)
        ]

    def _label(self, step: Step, active: list[Fault], touched: list[Mask]) -> NDArray[np.int64]:
        """What turns out true: the world's odds, or those of a concept drift."""
        odds = world_of.log_odds(step.latent, step.codes, self._world)
        for fault, mask in zip(active, touched, strict=True):
            if fault.group == "concept":
                effects.change_concept(step, fault, mask, odds)
        chosen = step.label_chance < world_of.logistic(odds)
        return np.where(step.forced >= 0, step.forced, chosen).astype(np.int64)

    def _record(self, step: Step, active: list[Fault], touched: list[Mask]) -> list[Mask]:
        """Fill `recorded`: with natural gaps, then with what pipeline faults make of it."""
        step.recorded = world_of.to_recorded(step.latent)
        for i, (name, share) in enumerate(NATURAL_NAN.items()):
            step.recorded[step.gap_chance[:, i] < share, COLUMN[name]] = np.nan
        return [
            effects.change_pipeline(step, fault, mask, self._rng, self._model)
            if fault.group == "pipeline"
            else mask
            for fault, mask in zip(active, touched, strict=True)
        ]

    def _deliver(self, step: Step, active: list[Fault], touched: list[Mask]) -> list[Mask]:
        """Fill `arrival`, `stamped` and `repeated`."""
        n = len(step.seconds)
        step.arrival = step.seconds + self._rng.exponential(0.5, n)
        step.stamped = step.seconds.copy()
        step.repeated = np.zeros(n, bool)
        return [
            effects.change_delivery(step, fault, mask, self._rng)
            for fault, mask in zip(active, touched, strict=True)
        ]

    def _wait(self, score: Floats, label: NDArray[np.int64]) -> Outcome:
        rng, n = self._rng, len(score)
        spread = rng.normal(0, LABEL_SPREAD, n)
        return Outcome(
            score=score,
            label=label,
            label_delay_s=self.spec.label_delay_h * 3600 * np.exp(spread),
            unlabelled=rng.random(n) < UNLABELLED_SHARE,
            customer=rng.integers(0, CUSTOMERS, n),
            repeat_delay_s=rng.exponential(20, n),
        )

    @property
    def truth(self) -> dict[str, Any]:
        """What was put in: period, reference, features, counts, and every fault with its times."""
        return {
            "generator": "driftline",
            "version": 1,
            "seed": self.spec.seed,
            "rate": self.spec.rate,
            "start": self._iso(0),
            "end": self._iso(self.hours * 3600),
            "reference": {"start": self._iso(0), "end": self._iso(self._ref_h * 3600)},
            "numeric": list(NUMERIC),
            "categorical": {name: list(values) for name, values in CATEGORIES.items()},
            "natural_nan": dict(NATURAL_NAN),
            "counts": dict(self._counts),
            "faults": [self._describe(fault) for fault in self._faults],
        }

    def _describe(self, fault: Fault) -> dict[str, Any]:
        kind = KINDS[fault.kind]
        return {
            **fault.given,
            "id": fault.id,
            "n_affected": fault.affected,
            "start": self._iso(fault.start_s),
            "end": self._iso(fault.end_s),
            "expected_signals": list(kind.signals),
            "should_alert": kind.alerts,
        }

    def _iso(self, after_s: float) -> str:
        return iso_times(np.array([self._start_s + after_s]))[0]


def _check(spec: ScenarioSpec) -> None:
    """Refuse what would give no stream, or one without end."""
    if spec.preset not in PRESETS:
        raise UsageError(f"preset {spec.preset!r} is unknown; accepted: {', '.join(PRESETS)}")
    for name in ("rate", "hours", "label_delay_h"):
        value = getattr(spec, name)
        if value is not None and not 0 < value < math.inf:
            raise UsageError(f"{name} must be above 0, got {value}")
    try:
        datetime.fromisoformat(spec.start)
    except ValueError:
        raise UsageError(
            f"start {spec.start!r} is no date; accepted: 2025-03-03T00:00:00 (UTC)"
        ) from None

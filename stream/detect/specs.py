"""Specs: what is to be watched and how, as frozen values.

In    built by `stream/settings.py` from a configuration file, or by tests directly
Out   read by every stage of the detector
Not   parsing, file names, durations as text (settings.py)
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from kernels.hashing import Key

DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS


@cache
def key_of(secret: str) -> Key:
    """A hash key from any text."""
    first, second = np.frombuffer(hashlib.sha256(secret.encode()).digest()[:16], "<u8")
    return np.uint64(first), np.uint64(second)


SECRET = "driftline"  # what is hashed with if the configuration says nothing else
DEFAULT_KEY = key_of(SECRET)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSpec:
    """How event time is cut and when a pane is complete; the same for every model on a topic."""

    pane_ms: int = 60_000  # the smallest tumbling window; every window length is a multiple
    grace_ms: int = 30_000  # watermark = largest event time seen, at most its arrival, - grace
    idle_timeout_ms: int = 60_000  # wall time without a record before a partition counts as idle
    max_ahead_ms: int = 300_000  # an event further ahead of its arrival is a dead letter
    revise_for_ms: int = 3_600_000  # a later event revises its window, then a dead letter
    forget_after_ms: int = WEEK_MS  # event time without an event before a stream is forgotten
    duplicates_for_ms: int = 60_000  # ids are known so long after their pane, in whole panes


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSpec:
    """Caps on what one message, model or pane may cost; `*`: per pane and source partition."""

    max_message_bytes: int = 1_048_576
    max_features: int = 1_000  # per event
    max_feature_names: int = 2_000  # *, of a model's version; those known before not counted
    max_segments: int = 256  # *, values of a model's segment
    max_text: int = 256  # characters of an id, a name or a category
    max_extra_categories: int = 256  # values outside the reference kept per window and feature
    max_models: int = 1_000  # *, that are not configured
    max_versions: int = 100  # *, of a model
    max_ids: int = 262_144  # *, that are known again


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSpec:
    """What the user says of one feature; None means: take it from the reference or the data."""

    name: str
    kind: str | None = None  # number, category, vector
    low: float | None = None
    high: float | None = None
    max_missing: float | None = None  # ratio in [0, 1]
    allowed: tuple[str, ...] | None = None  # allowed categories
    allowed_from_reference: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSpec:
    """One condition on a closed window.

    Exactly one of `measure` and `objective` is set. A measure rule without `above` takes its level
    from the model's alarm budget; with `above` the threshold is fixed. Both also need significance.
    """

    name: str
    kind: str = "drift"  # drift, quality, schema, sla, volume
    severity: str = "warning"  # info, warning, critical
    measure: str | None = None  # psi, ks, l_infinity, missing_difference, unseen_ratio …
    objective: str | None = None  # latency_p50_ms, latency_p95_ms, latency_p99_ms, error_ratio …
    on: tuple[str, ...] = ("features",)  # "features", "predictions", or names of features
    reference: str | None = None  # None = training, else adaptive, else previous
    above: float | None = None
    below: float | None = None
    length_ms: int | None = None  # which window length; None = the model's first
    hold: int = 1  # breaching windows in a row before the alert fires
    keep_firing: int = 1  # windows in a row without breach before it resolves
    repeat_ms: int | None = None  # event time after which an alert that still fires is told again
    sequential: bool = False  # adds up the evidence of window after window: for slow drift
    runbook: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One model: whose it is, its windows, its references, its rules."""

    name: str
    owner: str = "unowned"
    runbook: str | None = None
    kind: str | None = None  # binary, multiclass, regression, ranking
    lengths_ms: tuple[int, ...] = (300_000,)  # the first is the one rules look at by default
    segments: tuple[str, ...] = ()
    features: Mapping[str, FeatureSpec] = field(default_factory=dict)
    rules: tuple[RuleSpec, ...] = ()
    false_alarms_per_week: float = 1.0
    keep_previous: bool = True  # compare with the previous window too
    adaptive_windows: int = 0  # without training: of so many first windows a reference is made
    power: float = 0.8  # the chance a window should have to find a change of `power_psi`
    power_psi: float = 0.25
    widen_ms: int = DAY_MS  # how far windows are merged to get there; 0 is not at all


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorSpec:
    """Everything the detector needs to know; `config_hash` stands in every window and alert."""

    time: TimeSpec = field(default_factory=TimeSpec)
    limits: LimitSpec = field(default_factory=LimitSpec)
    models: Mapping[str, ModelSpec] = field(default_factory=dict)
    default: ModelSpec = field(default_factory=lambda: ModelSpec(name="*"))  # for models not named
    config_hash: str = ""
    hash_secret: str = SECRET  # what ids and sampled rows are hashed with

    @property
    def hash_key(self) -> Key:
        """The secret as the key of kernels/hashing.py."""
        return key_of(self.hash_secret)

    def model(self, name: str) -> ModelSpec:
        """The spec of a model; the default one for a model that is not configured."""
        return self.models.get(name, self.default)

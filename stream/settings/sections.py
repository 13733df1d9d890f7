"""Sections: the mappings a configuration file may hold, with their keys, defaults and words.

In    one mapping of the file (through `Mistakes.section`)
Out   its checked values: milliseconds, ratios, tuples of names
Not   checks across sections (bus.py, models.py); what a unit looks like (units.py)

`SECTIONS` lists them all by place; `docs/configuration.md` has to name every key of it.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from stream.detect.specs import SECRET
from stream.settings import units, words
from stream.settings.mistakes import Section

MEASURES = (
    "psi",
    "jensen_shannon",
    "kl",
    "hellinger",
    "total_variation",
    "l_infinity",
    "ks",
    "wasserstein",
    "wasserstein_normed",
    "energy",
    "energy_normed",
    "cosine",
    "mean_shift",
    "sliced_wasserstein",
    "correlation",
    "two_sample",
    "attribution_drift",
    "chi2",
    "missing_difference",
    "missing_ratio",
    "unseen_difference",
    "unseen_ratio",
    "out_of_range_ratio",
    "psi_observed",
    "jensen_shannon_observed",
    "l_infinity_observed",
    "chi2_observed",
)
QUALITY_MEASURES = (
    "missing_difference",
    "missing_ratio",
    "unseen_difference",
    "unseen_ratio",
    "out_of_range_ratio",
)
# No effect of these is large or small by itself: one has the feature's unit, one grows with n.
LEVELLESS_MEASURES = ("wasserstein", "energy", "chi2", "chi2_observed")
UNBOUNDED = (  # everything else is a share or a distance in [0, 1]
    "psi",
    "psi_observed",
    "kl",
    "wasserstein",
    "wasserstein_normed",
    "energy",
    "energy_normed",
    "mean_shift",
    "sliced_wasserstein",
    "chi2",
    "chi2_observed",
    "latency_p50_ms",
    "latency_p95_ms",
    "latency_p99_ms",
    "latency_max_ms",
    "rate_per_second",
)
OBJECTIVES = (
    "latency_p50_ms",
    "latency_p95_ms",
    "latency_p99_ms",
    "latency_max_ms",
    "error_ratio",
    "rate_per_second",
)
TOPICS = (
    "predictions",
    "labels",
    "partials",
    "windows",
    "alerts",
    "dead-letters",
    "references",
    "judge-state",
    "configurations",
)
_PLANNED_PREVIOUS = {
    "same-hour-yesterday": "the same hour of yesterday",
    "same-hour-last-week": "the same hour of last week",
}

Duration = Annotated[int, BeforeValidator(units.duration_ms)]
Text = Annotated[str, BeforeValidator(words.text)]
Texts = Annotated[tuple[str, ...], BeforeValidator(words.texts)]


def _durations(value: object) -> tuple[int, ...]:
    items = value if isinstance(value, list) else [value]
    return tuple(units.duration_ms(item) for item in items)


def _range(value: object) -> tuple[float | None, float | None]:
    hint = "accepted: [low, high], null for an open side"
    if not isinstance(value, list) or len(value) != 2 or value == [None, None]:
        raise ValueError(f"{units.shown(value)} is not a range; {hint}")
    low, high = (None if side is None else units.number(side) for side in value)
    if low is not None and high is not None and low > high:
        raise ValueError(f"the low end {low:g} is above the high end {high:g}; {hint}")
    return low, high


def _allowed(value: object) -> tuple[str, ...] | None:
    """The allowed categories; None stands for the categories of the reference."""
    if isinstance(value, str):
        words.choice("a list of categories", ("from-reference",))(value)
        return None
    return words.texts(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{units.shown(value)} is not a yes or no; accepted: true, false")
    return value


def _one_of(what: str, *accepted: str, planned: dict[str, str] | None = None) -> BeforeValidator:
    return BeforeValidator(words.choice(what, accepted, planned))


def _whole(low: int, high: int) -> BeforeValidator:
    return BeforeValidator(partial(units.whole, low, high))


class Root(Section):
    """The whole file."""

    bus: Any = None
    web: Any = None
    window: Any = None
    defaults: Any = None
    limits: Any = None
    models: Any = None


class BusSection(Section):
    """Where Kafka is and how the topics are called."""

    bootstrap: Text = "localhost:9092"
    topics: Any = None
    partitions: Annotated[int, _whole(1, 10_000)] = 4
    replication: Annotated[int, _whole(1, 32)] = 1
    group_prefix: Text = "driftline"
    group_instance_id: Annotated[str | None, BeforeValidator(words.text)] = None
    session_timeout: Duration = 10_000
    exit_after: Duration = 600_000
    security: Any = None


class TopicsSection(Section):
    """The real name of each topic."""

    predictions: Text = "predictions"
    labels: Text = "labels"
    partials: Text = "partials"
    windows: Text = "windows"
    alerts: Text = "alerts"
    dead_letters: Text = Field("dead-letters", alias="dead-letters")
    references: Text = "references"
    judge_state: Text = Field("judge-state", alias="judge-state")
    configurations: Text = "configurations"


class SecuritySection(Section):
    """How the link to Kafka is protected."""

    protocol: Annotated[str, _one_of("a protocol", "PLAINTEXT", "SSL", "SASL_SSL")] = "SSL"
    ca_file: Annotated[str | None, BeforeValidator(words.text)] = None
    cert_file: Annotated[str | None, BeforeValidator(words.text)] = None
    key_file: Annotated[str | None, BeforeValidator(words.text)] = None
    mechanism: Annotated[str, _one_of("a mechanism", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")] = (
        "SCRAM-SHA-512"
    )
    username: Annotated[str | None, BeforeValidator(words.text)] = None
    password_file: Annotated[str | None, BeforeValidator(words.text)] = None
    password_env: Annotated[str | None, BeforeValidator(words.text)] = None


class WebSection(Section):
    """Where the worker answers HTTP."""

    bind: Text = "127.0.0.1"
    port: Annotated[int, _whole(0, 65_535)] = 6066


class WindowSection(Section):
    """How event time is cut, for every model."""

    length: Duration = 300_000
    grace: Duration = 30_000
    pane: Annotated[int | None, BeforeValidator(units.duration_ms)] = None
    more: Annotated[tuple[int, ...], BeforeValidator(_durations)] = ()
    idle_timeout: Duration = 60_000
    max_ahead: Duration = 300_000
    revise_for: Duration = 3_600_000
    duplicates_for: Duration = 60_000
    forget_after: Duration = 604_800_000


class ModelWindowSection(Section):
    """Window lengths of one model; panes and time are common to all."""

    length: Annotated[int | None, BeforeValidator(units.duration_ms)] = None
    more: Annotated[tuple[int, ...], BeforeValidator(_durations)] = ()


class DefaultsSection(Section):
    """What holds for a model that does not say it itself."""

    owner: Text = "unowned"
    runbook: Annotated[str | None, BeforeValidator(words.text)] = None
    false_alarms: Annotated[float, BeforeValidator(units.alarms_per_week)] = 1.0
    power: Annotated[tuple[float, float], BeforeValidator(units.power)] = (0.8, 0.25)
    widen: Duration = 86_400_000


class LimitsSection(Section):
    """Caps on what one message, model or pane may cost."""

    max_message_bytes: Annotated[int, BeforeValidator(units.size_bytes)] = 1_048_576
    max_features: Annotated[int, _whole(1, 100_000)] = 1_000
    max_text: Annotated[int, _whole(16, 65_536)] = 256
    max_extra_categories: Annotated[int, _whole(1, 65_536)] = 256
    max_feature_names: Annotated[int, _whole(1, 100_000)] = 2_000
    max_segments: Annotated[int, _whole(1, 100_000)] = 256
    max_models: Annotated[int, _whole(0, 1_000_000)] = 1_000
    max_versions: Annotated[int, _whole(1, 100_000)] = 100
    max_ids: Annotated[int, _whole(1, 16_777_216)] = 262_144
    hash_key: Text = SECRET


class ModelSection(Section):
    """One model."""

    owner: Annotated[str | None, BeforeValidator(words.text)] = None
    runbook: Annotated[str | None, BeforeValidator(words.text)] = None
    kind: Annotated[
        str | None, _one_of("a kind of model", "binary", "multiclass", "regression", "ranking")
    ] = None
    segments: Texts = ()
    false_alarms: Annotated[float | None, BeforeValidator(units.alarms_per_week)] = None
    power: Annotated[tuple[float, float] | None, BeforeValidator(units.power)] = None
    widen: Annotated[int | None, BeforeValidator(units.duration_ms)] = None
    window: Any = None
    reference: Any = None
    features: Any = None
    rules: Any = None

    @classmethod
    def planned(cls) -> dict[str, str]:
        """Keys for later releases."""
        return {"checks": "a check between features", "labels": "a setting of labels"}


class ReferenceSection(Section):
    """What a model's windows are compared with."""

    training: Annotated[str | None, BeforeValidator(words.text)] = None
    previous: Annotated[
        str,
        _one_of("an earlier window", "previous", "none", planned=_PLANNED_PREVIOUS),
    ] = "previous"
    adaptive: Annotated[int, _whole(0, 1_000)] = 0


class FeatureSection(Section):
    """What is known of one feature."""

    kind: Annotated[str | None, _one_of("a kind of feature", "number", "category", "vector")] = None
    range: Annotated[tuple[float | None, float | None], BeforeValidator(_range)] = (None, None)
    max_missing: Annotated[float | None, BeforeValidator(units.ratio)] = None
    allowed: Annotated[tuple[str, ...] | None, BeforeValidator(_allowed)] = None


class RuleSection(Section):
    """One condition on a closed window."""

    name: Annotated[str | None, BeforeValidator(words.text)] = None
    kind: Annotated[
        str | None, _one_of("a kind of rule", "drift", "quality", "schema", "sla", "volume")
    ] = None
    severity: Annotated[str, _one_of("a severity", "info", "warning", "critical")] = "warning"
    measure: Annotated[str | None, _one_of("a measure", *MEASURES)] = None
    objective: Annotated[str | None, _one_of("an objective", *OBJECTIVES)] = None
    on: Texts = ("features",)
    reference: Annotated[str | None, _one_of("a reference", "training", "adaptive", "previous")] = (
        None
    )
    above: Annotated[float | None, BeforeValidator(units.number)] = None
    below: Annotated[float | None, BeforeValidator(units.number)] = None
    window: Annotated[int | None, BeforeValidator(units.duration_ms)] = None
    hold: Annotated[int | None, BeforeValidator(units.windows), Field(alias="for")] = None
    keep_firing: Annotated[int, BeforeValidator(units.windows)] = 1
    repeat: Annotated[int | None, BeforeValidator(units.duration_ms)] = None
    sequential: Annotated[bool, BeforeValidator(_flag)] = False
    runbook: Annotated[str | None, BeforeValidator(words.text)] = None

    @classmethod
    def planned(cls) -> dict[str, str]:
        """Keys for later releases."""
        return {
            "slo": "a service level with a burn rate",
            "performance": "a rule on performance against labels",
            "or_drop": "a drop against an earlier value",
            "action": "an action such as retraining",
            "check": "a check between features",
        }


SECTIONS: dict[str, type[Section]] = {
    "": Root,
    "bus": BusSection,
    "bus.topics": TopicsSection,
    "bus.security": SecuritySection,
    "web": WebSection,
    "window": WindowSection,
    "defaults": DefaultsSection,
    "limits": LimitsSection,
    "models.<model>": ModelSection,
    "models.<model>.window": ModelWindowSection,
    "models.<model>.reference": ReferenceSection,
    "models.<model>.features.<feature>": FeatureSection,
    "models.<model>.rules[]": RuleSection,
}

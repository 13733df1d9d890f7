"""Summaries: merged sketches and comparisons in, the numbers of a window out.

In    a `Due` window, its comparisons by reference
Out   the window summary of contract `driftline.window/1` as a dict ready for JSON
Not   the measures (measures.py), the verdict on them (rules.py)

Floats are given with 12 significant digits: sums of the same values in another order differ only
below that, so a window reads the same however its events were spread over partitions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from math import isfinite, sqrt
from typing import Any

import numpy as np

from kernels.hashing import Key
from kernels.sketches import moments, vectors
from kernels.sketches.vectors import Vectors
from stream.detect.judge.joint import MEASURES, JointComparison
from stream.detect.judge.measures import Comparison
from stream.detect.judge.numbers import Shape, shapes
from stream.detect.judge.parts import Due, Window
from stream.detect.specs import DEFAULT_KEY
from stream.detect.states import CategoryState, FeatureState, NumberState, WindowState
from stream.detect.times import rfc3339

SCHEMA = "driftline.window/1"
QUANTILES = (1, 5, 25, 50, 75, 95, 99)
PROBABILITIES = np.array(QUANTILES) / 100
TOP = 10  # most frequent categories shown
DIGITS = 12


def tidy(value: Any) -> Any:
    """Ready for JSON: 12 significant digits, None for what is not finite, plain Python types."""
    kind = type(value)
    if kind is float:
        return float(f"{value:.{DIGITS}g}") if isfinite(value) else None
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if kind is dict or isinstance(value, Mapping):
        return {k if type(k) is str else str(k): tidy(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [tidy(v) for v in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return tidy(value.tolist())
    return value


def finished(summary: dict[str, Any]) -> dict[str, Any]:
    """A summary that verdicts were written into, ready for JSON; its largest parts were before."""
    tidied = ("features", "prediction", "service")
    return {key: value if key in tidied else tidy(value) for key, value in summary.items()}


def digest(*parts: object) -> str:
    """A short stable id of what it is made of."""
    text = "\x1f".join(str(part) for part in parts)
    return blake2b(text.encode(), digest_size=10).hexdigest()


def window_id(window: Window) -> str:
    """The identity of a window, the same for all its revisions."""
    return digest(*window.stream, window.length_ms, window.start_ms)


def summarise(
    due: Due,
    comparisons: Mapping[str, Mapping[str, Comparison]],
    reference_ids: Mapping[str, str],
    config_hash: str,
    topic: str,
    key: Key = DEFAULT_KEY,
) -> dict[str, Any]:
    """A window in numbers, without verdicts.

    comparisons  by feature, then by reference
    key          what the ingest side hashed values with
    """
    window, state = due.window, due.state or WindowState()
    prefix, vanished = "feature.", FeatureState()
    read = shapes({n: f.number for n, f in state.features.items() if f.number}, PROBABILITIES)
    features = {
        name.removeprefix(prefix): _feature(
            state.features.get(name, vanished),
            state.events,
            comparisons.get(name, {}),
            key,
            read.get(name),
        )
        for name in sorted(state.features.keys() | comparisons.keys())
        if name.startswith(prefix)
    }
    return {
        "schema": SCHEMA,
        "window_id": window_id(window),
        "revision": due.revision,
        "model": window.stream.model,
        "version": window.stream.version,
        "segment": window.stream.segment or None,
        "start": rfc3339(window.start_ms),
        "end": rfc3339(window.end_ms),
        "count": state.events,
        "late": state.late,
        "duplicates": state.duplicates,
        "duplicates_exact": not state.unkept,
        "features_dropped": state.dropped,
        "features": features,
        "prediction": _prediction(state, comparisons, key, read),
        "service": _service(state, window.length_ms),
        "attributions": _attributions(state),
        "joint": _joint(state),
        "reference_ids": dict(reference_ids),
        "config_hash": config_hash,
        "source_offsets": {f"{topic}-{p}": list(span) for p, span in due.offsets.items()},
    }


def _prediction(
    state: WindowState,
    comparisons: Mapping[str, Mapping[str, Comparison]],
    key: Key,
    read: Mapping[str, Shape],
) -> dict[str, Any] | None:
    """The score as a feature, with the label beside it; the label alone if there is no score."""
    parts = {
        part: _feature(feature, state.events, comparisons.get(name, {}), key, read.get(name))
        for part in ("score", "label")
        if (feature := state.features.get(name := f"prediction.{part}"))
    }
    if "score" in parts and "label" in parts:
        return {**parts["score"], "label": parts["label"]}
    return parts.get("score") or parts.get("label")


def _feature(
    feature: FeatureState,
    events: int,
    comparisons: Mapping[str, Comparison],
    key: Key,
    shape: Shape | None,
) -> dict[str, Any]:
    kind = feature.kind
    first = next(iter(comparisons.values()), None)
    if first is not None:
        kind = first.kind
    if kind == "category":
        body = _category(feature, events, first, key)
    else:
        body = _number(feature, events, first, key, shape)
        if feature.arrays:
            body |= _arrays(feature.arrays, feature.cosine)
    return {
        "kind": kind,
        **body,
        "measures": {name: _measures(c) for name, c in comparisons.items()},
    }


def _missing(feature: FeatureState, events: int, observed: int) -> dict[str, int]:
    """Missing events by kind; what no other kind explains had no such key."""
    kinds = feature.number.moments.kinds[0].tolist() if feature.number else [0] * 6
    nans = kinds[moments.NANS]
    infs = kinds[moments.POS_INFS] + kinds[moments.NEG_INFS]
    numbers = feature.number.count if feature.number else 0
    texts = feature.category.count if feature.category else 0
    typed = numbers + texts + nans + infs
    absent = events - typed - feature.nulls - feature.mistyped
    other_type = typed - observed - nans - infs
    mistyped = feature.mistyped + other_type
    return {
        "missing": events - observed - infs,
        "nulls": feature.nulls,
        "absent": absent,
        "nans": nans,
        "mistyped": mistyped,
        "infs": infs,
    }


def _number(
    feature: FeatureState, events: int, first: Comparison | None, key: Key, shape: Shape | None
) -> dict[str, Any]:
    number = feature.number
    body: dict[str, Any] = {"count": number.count if number else 0}
    body |= _missing(feature, events, body["count"])
    if number is None or shape is None:
        return body
    m = number.moments
    body |= {
        "mean": shape.mean,
        "std": sqrt(max(shape.sample_variance, 0)) if number.count > 1 else None,
        "min": float(m.low[0]),
        "max": float(m.high[0]),
        "zeros": int(m.zeros[0]),
        "skewness": shape.skewness,
        "kurtosis": shape.kurtosis,
        "quantiles": _named(shape.quantiles),
        "distinct": number.distinct(key),
        "distinct_exact": number.is_atomic,
        "clamped": number.clamped,
    }
    if first is not None and first.edges:
        body["histogram"] = _histogram(first)
    return tidy(body)  # type: ignore[no-any-return]


def _named(quantiles: Iterable[float]) -> dict[str, float]:
    return dict(zip((f"p{q}" for q in QUANTILES), quantiles, strict=True))


def _arrays(arrays: Vectors, cosine: NumberState | None) -> dict[str, Any]:
    """What is said of arrays beside their lengths: they are compared by their means elsewhere."""
    other_length, not_finite = arrays.apart[0].tolist()
    body: dict[str, Any] = {
        "dimensions": int(arrays.length[0]),
        "dimensions_kept": len(vectors.means(arrays, 0)),
        "other_length": other_length,
        "not_finite": not_finite,
    }
    if cosine is not None:
        body["cosine"] = {
            "mean": moments.mean(cosine.moments, 0, cosine.grid.unit),
            **_named(cosine.quantiles(PROBABILITIES).tolist()),
        }
    return tidy(body)  # type: ignore[no-any-return]


def _attributions(state: WindowState) -> dict[str, Any]:
    """Mean magnitude of each feature's attribution, the largest first."""
    ranked = sorted(state.attributions.items(), key=lambda item: (-item[1].mean, item[0]))
    return {name: {"mean_abs": tidy(a.mean), "count": a.count} for name, a in ranked}


def _joint(state: WindowState) -> dict[str, Any] | None:
    """How much is known of features side by side."""
    joint = state.joint
    if joint is None:
        return None
    return {
        "features": [name.removeprefix("feature.") for name in joint.names],
        "events": joint.events,
        "apart": joint.apart,
        "rows": int(joint.sample.used[0]),
    }


def add_joint(summary: dict[str, Any], found: Mapping[str, JointComparison]) -> None:
    """Say how the features changed together, by reference, beside what is known of them."""
    told = {name: _joint_measures(comparison) for name, comparison in found.items()}
    if summary["joint"] is not None:
        summary["joint"]["measures"] = {
            name: {measure: told[name][measure] for measure in ("correlation", "two_sample")}
            for name in told
        }
    summary["attribution_drift"] = {name: told[name]["attribution_drift"] for name in told}


def _joint_measures(found: JointComparison) -> dict[str, dict[str, Any] | None]:
    """By measure its value, its chance and what else is known; None where it cannot be had."""
    return {
        measure: tidy(
            {
                "value": found.values[measure],
                "null_expectation": found.null_expectation.get(measure),
                "p_value": found.p_values.get(measure),
                "n": found.sizes[measure][0],
                "n_reference": found.sizes[measure][1],
                **found.detail[measure],
            }
        )
        if measure in found.values
        else None
        for measure in MEASURES
    }


def _histogram(comparison: Comparison) -> dict[str, Any]:
    """Counts between the reference's smallest value, its deciles and its largest value."""
    *counts, missing = comparison.current.astype(int).tolist()
    below, above = comparison.outside
    counts[0] -= below
    counts[-1] -= above
    low, high = comparison.span
    return {
        "edges": [low, *comparison.edges, high],
        "counts": counts,
        "below": below,
        "above": above,
        "missing": missing,
    }


def _category(
    feature: FeatureState, events: int, first: Comparison | None, key: Key
) -> dict[str, Any]:
    category = feature.category or CategoryState()
    body: dict[str, Any] = {"count": category.count}
    body |= _missing(feature, events, category.count)
    ranked = sorted(category.counts.items(), key=lambda item: (-item[1], item[0]))
    body["top"] = [list(item) for item in ranked[:TOP]]
    body |= {"distinct": category.distinct(key), "distinct_exact": not category.uncertain}
    if first is not None:
        known = set(first.labels[:-2])
        unseen = [list(item) for item in ranked if item[0] not in known]
        body |= {"unseen": int(first.current[-2]), "unseen_values": unseen[:TOP]}
    return body


def _measures(comparison: Comparison) -> dict[str, Any]:
    psi = "psi"
    return tidy(  # type: ignore[no-any-return]
        {
            **comparison.values,
            "n": comparison.n,
            "n_reference": comparison.n_reference,
            "null_expectation": comparison.null_expectation.get(psi),
            "culprits": comparison.culprits,
            "p_value": comparison.p_values.get(psi),
            "q_value": comparison.q_value,
        }
    )


def _service(state: WindowState, length_ms: int) -> dict[str, Any]:
    latency = state.features.get("service.latency_ms")
    number = latency.number if latency else None
    shown = None
    if number is not None and number.count:
        p50, p95, p99 = number.quantiles(np.array([0.5, 0.95, 0.99]))
        shown = {"p50": p50, "p95": p95, "p99": p99, "max": number.moments.high[0]}
    return tidy(  # type: ignore[no-any-return]
        {
            "requests": state.events,
            "errors": state.errors,
            "error_ratio": state.errors / state.events if state.events else None,
            "latency_ms": shown,
            "rate_per_second": state.events * 1000 / length_ms,
        }
    )

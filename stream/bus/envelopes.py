"""Envelopes: prediction events in, few messages that hold them all out.

In    events as a service has them: dicts, with Python's or numpy's numbers
Out   messages of at most so many bytes, each with the number of its events; events that no message
      can hold, by reason
Not   sending (publisher.py), reading (detect/ingest)

Events of one shape share a columnar batch, which says each name once; any other event goes into an
array. A shape is the exact set of keys: a column cannot say that a key is missing.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

Event = dict[str, Any]

COLUMNS = frozenset(("id", "ts", "latency_ms", "status"))  # same name in event and batch
OUTPUTS = ("score", "label")


class Envelope(NamedTuple):
    """One message."""

    key: bytes  # the model: messages of a model stay together
    value: bytes
    events: int


class Packed(NamedTuple):
    """What became of a number of events."""

    envelopes: list[Envelope]
    refused: Counter[str]  # events by reason: not_json, too_large


def pack_events(events: Sequence[Event], max_bytes: int) -> Packed:
    """Put events into messages of at most max_bytes; order is kept within a shape."""
    shapes: dict[tuple[Any, ...], list[Event]] = defaultdict(list)
    for event in events:
        shapes[_shape(event)].append(event)
    packed = Packed([], Counter())
    for shape, alike in shapes.items():
        _fill(packed, alike, is_columnar=bool(shape[-1]), max_bytes=max_bytes)
    return packed


def _shape(event: Event) -> tuple[Any, ...]:
    """Events of one shape fit into one message; the last part says whether into a columnar one."""
    model, version = event.get("model"), event.get("version")
    if type(model) is not str or not (version is None or type(version) is str):
        return (str(model), False)
    features, outputs = event.get("features"), _outputs(event)
    rest = frozenset(event) - {"model", "version", "features", "prediction"}
    if outputs is None or type(features) is not dict or not {"id", "ts"} <= rest <= COLUMNS:
        return (model, False)
    return (model, version, tuple(features), tuple(sorted(rest)), tuple(outputs), True)


def _outputs(event: Event) -> dict[str, Any] | None:
    """The prediction as columns; None if it has no place in a columnar batch."""
    if "prediction" not in event:
        return {}
    prediction = event["prediction"]
    if type(prediction) is not dict:
        return {"label" if isinstance(prediction, str) else "score": prediction}
    return prediction if prediction.keys() <= set(OUTPUTS) and prediction else None


def _fill(packed: Packed, events: list[Event], *, is_columnar: bool, max_bytes: int) -> None:
    try:
        value = _encoded(_columnar(events) if is_columnar else events)
    except (TypeError, ValueError, RecursionError):
        value = None
    if value is not None and len(value) <= max_bytes:
        key = str(events[0].get("model")).encode(errors="replace")
        packed.envelopes.append(Envelope(key, value, len(events)))
    elif len(events) == 1:
        packed.refused["not_json" if value is None else "too_large"] += 1
    else:  # one event must not take the others with it
        half = len(events) // 2
        for part in (events[:half], events[half:]):
            _fill(packed, part, is_columnar=is_columnar, max_bytes=max_bytes)


def _columnar(events: list[Event]) -> dict[str, Any]:
    first = events[0]
    columns: dict[str, Any] = {
        name: [event[name] for event in events] for name in first if name in COLUMNS
    }
    columns["features"] = {
        name: [event["features"][name] for event in events] for name in first["features"]
    }
    outputs = [_outputs(event) or {} for event in events]
    columns |= {name: [output[name] for output in outputs] for name in outputs[0]}
    common = {name: first[name] for name in ("model", "version") if first.get(name) is not None}
    return {**common, "columns": columns}


def _encoded(value: Any) -> bytes:
    """JSON; NaN and infinities stay what they are, which orjson would turn into null."""
    text = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    if b"null" in text and not _is_finite(value):
        return json.dumps(value, default=_plain, ensure_ascii=False, separators=(",", ":")).encode()
    return text


def _is_finite(value: Any) -> bool:
    return all(math.isfinite(leaf) for leaf in _leaves(value) if _is_float(leaf))


def _is_float(value: Any) -> bool:
    return isinstance(value, float) or getattr(getattr(value, "dtype", None), "kind", "") == "f"


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list | tuple) or bool(getattr(value, "shape", None)):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value


def _plain(value: Any) -> Any:
    """What numpy's arrays and numbers are in Python."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON")

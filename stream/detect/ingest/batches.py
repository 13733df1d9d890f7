"""Batches: one columnar batch in, its events one by one out.

In    {"model": …, "version": …, "columns": {"id": […], "ts": […], "features": {…}, …}}
Out   events as a publisher of single events would have written them
Not   checking single values (events.py): a bad row is refused alone, like any other event

A batch is refused whole only if its columns are no arrays of one length.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stream.detect.ingest.codec import Refused
from stream.detect.ingest.fields import object_or_none, refuse_missing, refuse_wrong

PLAIN = ("id", "ts", "latency_ms", "status", "arrival_time")  # under the same name in an event
OUTPUTS = ("score", "label")


def is_batch(value: Any) -> bool:
    """Whether a message is a columnar batch."""
    return type(value) is dict and "columns" in value and "id" not in value


def events_of(batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The events of a batch in order. Raises Refused before the first one."""
    columns = object_or_none("columns", batch["columns"]) or {}
    features = object_or_none("columns.features", columns.get("features")) or {}
    ids = columns.get("id")
    for required in ("id", "ts"):
        if columns.get(required) is None:
            refuse_missing(f"columns.{required}")
    plain = _arrays("columns.", {name: columns.get(name) for name in PLAIN}, ids)
    outputs = _arrays("columns.", {name: columns.get(name) for name in OUTPUTS}, ids)
    values = _arrays("columns.features.", features, ids)
    contributed = object_or_none("columns.attributions", columns.get("attributions")) or {}
    shares = _arrays("columns.attributions.", contributed, ids)
    common: dict[str, Any] = {name: batch[name] for name in ("model", "version") if name in batch}
    n = len(ids or ())
    rows = _rows(plain, n), _rows(outputs, n), _rows(values, n), _rows(shares, n)
    names = "prediction", "features", "attributions"
    return (
        {**common, **event, **dict(zip(names, (prediction or None, *parts), strict=True))}
        for event, prediction, *parts in zip(*rows, strict=True)
    )


def _arrays(prefix: str, columns: dict[str, Any], ids: Any) -> dict[str, list[Any]]:
    """The columns that are there; each is an array as long as the ids."""
    for name, values in columns.items():
        if values is None:
            continue
        if type(values) is not list:
            refuse_wrong(prefix + name, values, "an array")
        if type(ids) is list and len(values) != len(ids):
            accepted = f"{len(ids)} values, as many as columns.id"
            detail = f"{prefix}{name} has {len(values)} values; accepted: {accepted}"
            raise Refused("wrong_type", field=prefix + name, detail=detail)
    return {name: values for name, values in columns.items() if values is not None}


def _rows(columns: dict[str, list[Any]], n: int) -> Iterator[dict[str, Any]]:
    names = list(columns)
    if not names:
        return ({} for _ in range(n))
    return (dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True))

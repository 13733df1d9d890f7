"""Workloads: a number of events and a seed in, events and messages out, the same on any machine.

In    how many, which seed
Out   prediction events of one model: 20 numeric features, 3 categories, score, label, latency;
      the same events as messages in the three shapes of the contract
Not   events with faults (stream/replay/scenarios.py)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from stream.detect.ingest.events import Messages, Reader
from stream.detect.profiles import ProfileBuilder
from stream.detect.references import Reference
from stream.detect.specs import LimitSpec

MODEL, VERSION = "bench", "1"
NUMERIC = tuple(f"x{i:02d}" for i in range(20))
CATEGORIES = {
    "channel": ("web", "app", "phone", "branch"),
    "region": tuple(f"r{i:02d}" for i in range(20)),
    "product": tuple(f"product-{i}" for i in range(8)),
}
GAP_SHARE = 0.02  # of x00 is null
START = np.datetime64("2025-03-03T00:00:00", "ms")
EVENTS_PER_MINUTE = 6_000_000  # of event time: a model that is asked 100,000 times a second
CHUNK = 10_000

HEAD = f'{{"id":"b-%09d","model":"{MODEL}","version":"{VERSION}","ts":"%s"'.encode()

Event = dict[str, Any]


def chunks(n: int, seed: int = 1) -> Iterator[list[Event]]:
    """n events in order of event time, some thousands at a time."""
    rng = np.random.default_rng(seed)
    for first in range(0, n, CHUNK):
        yield _events(rng, first, min(CHUNK, n - first))


def _events(rng: np.random.Generator, first: int, n: int) -> list[Event]:
    stamps = _stamps(first, n)
    scores = rng.random(n).round(6).tolist()
    latencies = np.exp(rng.normal(3.0, 0.35, n)).round(3).tolist()
    features = _features(rng, n)
    return [
        {
            "id": f"b-{first + i:09d}",
            "model": MODEL,
            "version": VERSION,
            "ts": stamps[i],
            "features": features[i],
            "prediction": {"score": scores[i], "label": int(scores[i] > 0.5)},
            "latency_ms": latencies[i],
        }
        for i in range(n)
    ]


def _times(first: int, n: int, per_minute: int = EVENTS_PER_MINUTE) -> NDArray[np.datetime64]:
    return START + (np.arange(first, first + n) * 60_000) // per_minute


def _stamps(first: int, n: int, per_minute: int = EVENTS_PER_MINUTE) -> list[str]:
    times = _times(first, n, per_minute)
    return [f"{t}Z" for t in np.datetime_as_string(times, unit="ms").tolist()]


def _features(rng: np.random.Generator, n: int) -> list[dict[str, Any]]:
    numbers = rng.normal(10.0, 3.0, (n, len(NUMERIC))).round(4)
    is_gap = rng.random(n) < GAP_SHARE
    columns: list[list[Any]] = [column.tolist() for column in numbers.T]
    columns[0] = [None if gap else value for gap, value in zip(is_gap, columns[0], strict=True)]
    for values in CATEGORIES.values():
        codes = rng.integers(0, len(values), n).tolist()
        columns.append([values[code] for code in codes])
    names = (*NUMERIC, *CATEGORIES)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def many(
    n: int, first: int = 0, seed: int = 1, per_minute: int = EVENTS_PER_MINUTE
) -> Iterator[list[bytes]]:
    """n messages of one event each, CHUNK at a time; times and ids go on, features come again.

    Making events costs more than reading them: of two million only the first few thousand are made.
    """
    [events] = chunks(min(n, CHUNK), seed)
    bodies = [orjson.dumps(event).partition(b',"features"') for event in events]
    tails = [b"".join(parts[1:]) for parts in bodies]
    for start in range(first, first + n, CHUNK):
        size = min(CHUNK, first + n - start)
        stamps = _stamps(start, size, per_minute)
        heads = (HEAD % (start + i, stamp.encode()) for i, stamp in enumerate(stamps))
        yield [head + tail for head, tail in zip(heads, tails[:size], strict=True)]


def many_packed(n: int, size: int, form: str) -> Iterator[tuple[int, bytes]]:
    """Messages of `size` events, n // size of them, with the number of their first event.

    form  "array", "columnar" or "arrow"; values come again as in `many`
    """
    [events] = chunks(CHUNK)
    if form == "array":
        singly = (value for values in many(n) for value in values)
        for first in range(0, n // size * size, size):
            yield first, b"[" + b",".join(islice(singly, size)) + b"]"
        return
    bases = [_batch(events[i : i + size]) for i in range(0, CHUNK - size + 1, size)]
    tables = [_table(base) for base in bases] if form == "arrow" else []
    for number, first in enumerate(range(0, n // size * size, size)):
        ids = [f"b-{i:09d}" for i in range(first, first + size)]
        if tables:
            yield first, _sent(_renewed(tables[number % len(tables)], ids, _times(first, size)))
        else:
            base = bases[number % len(bases)]
            new = {"id": ids, "ts": _stamps(first, size)}
            yield first, orjson.dumps(base | {"columns": base["columns"] | new})


def singles(events: Sequence[Event]) -> list[bytes]:
    """One event per message."""
    return [orjson.dumps(event) for event in events]


def arrays(events: Sequence[Event], size: int) -> list[bytes]:
    """`size` events per message, as a JSON array."""
    return [orjson.dumps(events[i : i + size]) for i in range(0, len(events), size)]


def batches(events: Sequence[Event], size: int) -> list[bytes]:
    """`size` events of one model and version per message, as a columnar batch."""
    return [orjson.dumps(_batch(events[i : i + size])) for i in range(0, len(events), size)]


def streams(events: Sequence[Event], size: int) -> list[bytes]:
    """`size` events of one model and version per message, as an Arrow IPC stream."""
    return [_stream(_batch(events[i : i + size])) for i in range(0, len(events), size)]


def _stream(batch: dict[str, Any]) -> bytes:
    return _sent(_table(batch))


def _table(batch: dict[str, Any]) -> pa.Table:
    columns = dict(batch["columns"])
    features, times = columns.pop("features"), columns.pop("ts")
    columns |= {f"features.{name}": values for name, values in features.items()}
    stamps = np.array([time.removesuffix("Z") for time in times], "datetime64[ms]")
    table = pa.table({"ts": pa.array(stamps), **columns})
    return table.replace_schema_metadata({name: batch[name] for name in ("model", "version")})


def _renewed(table: pa.Table, ids: list[str], times: NDArray[np.datetime64]) -> pa.Table:
    for name, values in (("id", pa.array(ids)), ("ts", pa.array(times))):
        table = table.set_column(table.column_names.index(name), name, values)
    return table


def _sent(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def _batch(events: Sequence[Event]) -> dict[str, Any]:
    names = dict.fromkeys(name for event in events for name in event["features"])
    columns: dict[str, Any] = {name: [e[name] for e in events] for name in ("id", "ts")}
    columns["features"] = {name: [e["features"].get(name) for e in events] for name in names}
    for name in ("score", "label"):
        columns[name] = [e["prediction"][name] for e in events]
    if "latency_ms" in events[0]:
        columns["latency_ms"] = [e["latency_ms"] for e in events]
    return {"model": events[0]["model"], "version": events[0]["version"], "columns": columns}


def reference_of(values: Sequence[bytes], model: str, version: str) -> Reference:
    """What training on these messages, all of one model and version, gives."""
    never_ms = [2**62] * len(values)  # training data may carry any event time
    messages = Messages("training", 0, values, range(len(values)), never_ms)
    builder = ProfileBuilder(model, version)
    for run in Reader(LimitSpec()).read(messages).runs:
        builder.add(run)
    return builder.build()

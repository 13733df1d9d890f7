"""Partials: a closed part of a pane in, bytes on the partials topic out, and back.

In    a `WindowState` with its identity, or the watermark of a source partition
Out   one message each; `read` gives back what was packed or raises FormatError
Not   when they are sent (ingest/ingestor.py), how they become windows (judge/gather.py)

    bytes    0-2  "DLP"     3  version     4-7  CRC-32 of all that follows, little endian
             8-11 length h of the head     12… head, JSON     12+h… blobs, one after another
    blobs    moments of each numeric feature in the head's order (8 int64, 7 float64), then their
             non-zero cells as kernels/sparse.py packs them

A partial is complete in itself: grids and categories are in it, so it can be read whatever
reference the reader knows. Its size grows with what is in it, not with the size of the sketches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np
import orjson
from numpy.typing import NDArray

from kernels import sparse
from kernels.sketches.moments import Moments, folded, unfolded
from stream.detect.states import CategoryState, FeatureState, Grid, NumberState, Stream, WindowState
from stream.errors import FormatError

MAGIC = b"DLP"
VERSION = 1
HEAD_AT = 12
INTEGERS, FLOATS = 8, 7  # count, six kinds, zeros; shift, four sums, low, high
MOMENTS_BYTES = 8 * (INTEGERS + FLOATS)


@dataclass(slots=True, kw_only=True)
class Partial:
    """One part of one pane of one source partition, for one stream.

    Key: (stream, pane, source partition, part). Parts add up, equal keys replace.

    pane, part           as in ingest/windows.py
    first_offset         smallest and
    last_offset          largest offset of the source that contributed
    """

    stream: Stream
    source: int
    pane: int
    part: int
    first_offset: int
    last_offset: int
    reference_id: str | None
    config_hash: str
    state: WindowState = field(default_factory=WindowState)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """How far a source partition has come; goes to every partition of the partials topic.

    sources  how many partitions the source topic has
    idle     nothing comes at present: do not wait for this partition
    """

    source: int
    sources: int
    watermark_ms: int
    is_idle: bool


def pack_marker(marker: Marker) -> bytes:
    """A marker as bytes."""
    head = {
        "marker": [marker.source, marker.sources, marker.watermark_ms, marker.is_idle],
    }
    return _seal(orjson.dumps(head), b"")


def pack(partial: Partial) -> bytes:
    """A partial as bytes; the same partial always gives the same bytes."""
    state, features = partial.state, []
    tables, cells = [], []
    for name in sorted(state.features):
        feature = state.features[name]
        row: dict[str, Any] = {"name": name, "rest": [feature.nulls, feature.mistyped]}
        if feature.is_vector:
            row["vector"] = True
        if feature.number:
            row["number"], table, packed = _pack_number(feature.number)
            tables.append(table)
            cells.append(packed)
        if feature.category:
            category = feature.category
            row["category"] = [dict(sorted(category.counts.items())), category.uncertain]
        features.append(row)
    head = {
        "stream": list(partial.stream),
        "at": [partial.source, partial.pane, partial.part],
        "offsets": [partial.first_offset, partial.last_offset],
        "reference": partial.reference_id,
        "config": partial.config_hash,
        "events": [state.events, state.errors, state.late],
        "apart": [state.duplicates, state.unkept, state.dropped],
        "features": features,
    }
    return _seal(orjson.dumps(head), b"".join(tables + cells))


def _seal(head: bytes, blob: bytes) -> bytes:
    body = len(head).to_bytes(4, "little") + head + blob
    return MAGIC + bytes([VERSION]) + crc32(body).to_bytes(4, "little") + body


def _pack_number(number: NumberState) -> tuple[list[Any], bytes, bytes]:
    m = number.moments
    integers = np.concatenate([m.count, m.kinds[0], m.zeros])
    floats = np.concatenate([m.shift, folded(m)[0], m.low, m.high])
    cells = np.empty(sparse.packed_bound(len(number.cells)), np.uint8)
    size = sparse.pack_counts(number.cells, cells)
    values = sorted(number.values.items())
    row = [list(number.grid), number.clamped, [v for v, _ in values], [c for _, c in values], size]
    return row, integers.tobytes() + floats.tobytes(), cells[:size].tobytes()


def read(raw: bytes) -> Partial | Marker:
    """The partial or marker in a message. Raises FormatError naming what is wrong with it."""
    if raw[:3] != MAGIC or len(raw) < HEAD_AT:
        raise FormatError(f"not a partial: {len(raw)} bytes beginning with {raw[:3]!r}")
    if raw[3] != VERSION:
        raise FormatError(f"partial of version {raw[3]}; this release reads {VERSION}")
    if crc32(raw[8:]) != int.from_bytes(raw[4:8], "little"):
        raise FormatError("partial is damaged: its checksum does not match")
    end = HEAD_AT + int.from_bytes(raw[8:12], "little")
    try:
        head = orjson.loads(raw[HEAD_AT:end])
        if "marker" in head:
            source, sources, watermark_ms, is_idle = head["marker"]
            return Marker(
                source=source, sources=sources, watermark_ms=watermark_ms, is_idle=is_idle
            )
        return _unpack(head, np.frombuffer(raw, np.uint8, offset=end))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise FormatError(f"partial cannot be read: {error}") from None


def _unpack(head: dict[str, Any], blob: NDArray[np.uint8]) -> Partial:
    state = WindowState(*head["events"], *head.get("apart", ()))
    rows = [row for row in head["features"] if "number" in row]
    numbers = iter(_unpack_numbers([row["number"] for row in rows], blob))
    for row in head["features"]:
        nulls, mistyped = row["rest"]
        state.features[row["name"]] = FeatureState(
            next(numbers) if "number" in row else None,
            CategoryState(*row["category"]) if "category" in row else None,
            nulls,
            mistyped,
            row.get("vector", False),
        )
    source, pane, part = head["at"]
    return Partial(
        stream=Stream(*head["stream"]),
        source=source,
        pane=pane,
        part=part,
        first_offset=head["offsets"][0],
        last_offset=head["offsets"][1],
        reference_id=head["reference"],
        config_hash=head["config"],
        state=state,
    )


def _unpack_numbers(rows: list[list[Any]], blob: NDArray[np.uint8]) -> Iterator[NumberState]:
    """The numeric features of a partial; their cells stay packed until somebody asks for them."""
    end = MOMENTS_BYTES * len(rows)
    table = blob[:end].reshape(len(rows), MOMENTS_BYTES)
    integers = table[:, : 8 * INTEGERS].copy().view(np.int64)
    floats = table[:, 8 * INTEGERS :].copy().view(np.float64)
    for i, (grid, clamped, values, counts, size) in enumerate(rows):
        packed = blob[end : end + size]
        if len(packed) != size:
            raise FormatError("partial cannot be read: it ends early")
        end += size
        n, x = integers[i : i + 1], floats[i : i + 1]
        moments = Moments(
            n[:, 0], n[:, 1:7], n[:, 7], x[:, 0], unfolded(x[:, 1:5]), x[:, 5], x[:, 6]
        )  # fmt: skip
        known = dict(zip(values, counts, strict=True))
        yield NumberState(moments, Grid(*grid), None, clamped, known, packed)

"""Partials: a closed part of a pane in, bytes on the partials topic out, and back.

In    a `WindowState` with its identity, or the watermark of a source partition
Out   one message each; `read` gives back what was packed or raises FormatError
Not   when they are sent (ingest/ingestor.py), how they become windows (judge/gather.py)

    bytes    0-2  "DLP"     3  version     4-7  CRC-32 of all that follows, little endian
             8-11 length h of the head     12… head, JSON     12+h… blobs, one after another
    blobs    moments of each number in the head's order (8 int64, 7 float64), then their non-zero
             cells as kernels/sparse.py packs them, then whatever else the head gives a size of, in
             the head's order, as each sketch packs itself

Version 2 adds to version 1, which is still read: hashes of values that are not counted one by one,
dimensions of arrays, features side by side, attributions.

A partial is complete in itself: grids and categories are in it, so it can be read whatever
reference the reader knows. Its size grows with what is in it, not with the size of the sketches.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np
import orjson
from numpy.typing import NDArray

from kernels import sparse
from kernels.sketches import covariance, hyperloglog, rows, vectors
from kernels.sketches.hyperloglog import HyperLogLog
from kernels.sketches.moments import Moments, folded, unfolded
from stream.detect import slices
from stream.detect.contributions import Attribution
from stream.detect.grids import Grid
from stream.detect.hashes import Hashes, registers_of
from stream.detect.joint import JointState
from stream.detect.stacks import Packed, Stack
from stream.detect.states import (
    CategoryState,
    FeatureState,
    NumberState,
    Stream,
    WindowState,
)
from stream.detect.times import NEVER_MS
from stream.errors import FormatError

MAGIC = b"DLP"
VERSION, READS = 2, (1, 2)
HEAD_AT = 12
INTEGERS, FLOATS = 8, 7  # count, six kinds, zeros; shift, four sums, low, high
MOMENTS_BYTES = 8 * (INTEGERS + FLOATS)
NUMBERS = ("number", "cosine")  # kinds of a feature's rows that are numbers, in this order


@dataclass(slots=True, kw_only=True)
class Partial:
    """One part of one pane of one source partition, for one stream.

    Key: (stream, pane, source partition, part). Parts add up, equal keys replace.

    pane, part           as in ingest/windows.py
    first_offset         smallest and
    last_offset          largest offset of the source that contributed
    raw                  the bytes it was read from, if it was; they lie below its state anyhow
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
    raw: bytes | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """How far a source partition has come; goes to every partition of the partials topic.

    sources  how many partitions the source topic has
    is_idle  nothing comes at present: do not wait for this partition; all that it had to say some
             time after the marker before was acknowledged has been sent
    beat     one more than that of its sender's marker before; others who send for this partition
             count elsewhere, so that a copy is known as one, and an overtaken owner as another
    sent_ms  parts that nothing can join from this watermark on were all sent before
    sent_to  so were all parts that end below this offset
    """

    source: int
    sources: int
    watermark_ms: int
    is_idle: bool
    beat: int = 0
    sent_ms: int = NEVER_MS
    sent_to: int = 0


def pack_marker(marker: Marker) -> bytes:
    """A marker as bytes."""
    head = {
        "marker": [marker.source, marker.sources, marker.watermark_ms, marker.is_idle],
        "beat": marker.beat,
        "sent": [marker.sent_ms, marker.sent_to],
    }
    return _seal(orjson.dumps(head), b"")


def pack(partial: Partial) -> bytes:
    """A partial as bytes; the same partial always gives the same bytes."""
    state, blobs = partial.state, _Blobs()
    features = [_pack_feature(name, state.features[name], blobs) for name in sorted(state.features)]
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
    if state.attributions:
        head["attributions"] = {n: a.listed() for n, a in sorted(state.attributions.items())}
    if state.joint:
        head["joint"] = _pack_joint(state.joint, blobs)
    return _seal(orjson.dumps(head), blobs.joined())


def pack_state(stream: Stream, state: WindowState) -> bytes:
    """Sketches alone, of no source and no pane, as bytes that `read` gives back."""
    nowhere = Partial(
        stream=stream, source=0, pane=0, part=0, first_offset=0, last_offset=0,
        reference_id=None, config_hash="", state=state,
    )  # fmt: skip
    return pack(nowhere)


class _Blobs:
    """What stands behind the head, in three parts."""

    def __init__(self) -> None:
        self._moments: list[Moments] = []
        self._cells: list[bytes] = []
        self._more: list[bytes] = []

    def number(self, number: NumberState) -> list[Any]:
        """Add a number and return its row of the head."""
        self._moments.append(number.moments)
        self._cells.append(_cells_of(number))
        values = sorted(number.values.items())
        listed = [v for v, _ in values], [c for _, c in values]
        row = [list(number.grid), number.clamped, *listed, len(self._cells[-1])]
        return [*row, self.hashes(number.unlisted)] if number.unlisted else row

    def hashes(self, unlisted: Hashes) -> int:
        """Add hashes and return their size."""
        return self.more(hyperloglog.pack(registers_of(unlisted), 0))

    def more(self, packed: bytes) -> int:
        """Add bytes and return how many."""
        self._more.append(packed)
        return len(packed)

    def joined(self) -> bytes:
        return b"".join([_table_of(self._moments), *self._cells, *self._more])


def _table_of(moments: list[Moments]) -> bytes:
    """MOMENTS_BYTES of each."""
    if not moments:
        return b""
    all_ = Moments(*map(np.concatenate, zip(*moments, strict=True)))
    integers = np.column_stack([all_.count, all_.kinds, all_.zeros])
    floats = np.column_stack([all_.shift, folded(all_), all_.low, all_.high])
    return np.hstack([integers.view(np.uint8), floats.view(np.uint8)]).tobytes()


def _cells_of(number: NumberState) -> bytes:
    if number.packed is not None:
        return number.packed.tobytes()
    cells = np.empty(sparse.packed_bound(len(number.cells)), np.uint8)
    return cells[: sparse.pack_counts(number.cells, cells)].tobytes()


def _pack_feature(name: str, feature: FeatureState, blobs: _Blobs) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "rest": [feature.nulls, feature.mistyped]}
    if feature.is_vector:
        row["vector"] = True
    if feature.number:
        row["number"] = blobs.number(feature.number)
    if feature.cosine:
        row["cosine"] = blobs.number(feature.cosine)
    if feature.category:
        category = feature.category
        row["category"] = [dict(sorted(category.counts.items())), category.uncertain]
        if category.unlisted:
            row["category"].append(blobs.hashes(category.unlisted))
    if feature.arrays:
        row["arrays"] = blobs.more(vectors.pack(feature.arrays, 0))
    if feature.slices:
        row["slices"] = blobs.more(rows.pack(feature.slices, 0))
    return row


def _pack_joint(joint: JointState, blobs: _Blobs) -> dict[str, Any]:
    return {
        "names": list(joint.names),
        "scales": joint.scales.tolist(),
        "events": [joint.events, joint.apart],
        "sizes": [
            blobs.more(rows.pack(joint.sample, 0)),
            blobs.more(covariance.pack(joint.pairs, 0)),
        ],
    }


def _seal(head: bytes, blob: bytes) -> bytes:
    body = len(head).to_bytes(4, "little") + head + blob
    return MAGIC + bytes([VERSION]) + crc32(body).to_bytes(4, "little") + body


def read(raw: bytes) -> Partial | Marker:
    """The partial or marker in a message. Raises FormatError naming what is wrong with it."""
    if raw[:3] != MAGIC or len(raw) < HEAD_AT:
        raise FormatError(f"not a partial: {len(raw)} bytes beginning with {raw[:3]!r}")
    if raw[3] not in READS:
        raise FormatError(
            f"partial of version {raw[3]}; this release reads {READS[0]} to {VERSION}"
        )
    if crc32(raw[8:]) != int.from_bytes(raw[4:8], "little"):
        raise FormatError("partial is damaged: its checksum does not match")
    end = HEAD_AT + int.from_bytes(raw[8:12], "little")
    try:
        head = orjson.loads(raw[HEAD_AT:end])
        if "marker" in head:
            source, sources, watermark_ms, is_idle = head["marker"]
            sent_ms, sent_to = head.get("sent", (NEVER_MS, 0))
            return Marker(
                source=source,
                sources=sources,
                watermark_ms=watermark_ms,
                is_idle=is_idle,
                beat=int(head.get("beat", 0)),
                sent_ms=int(sent_ms),
                sent_to=int(sent_to),
            )
        partial = _unpack(head, np.frombuffer(raw, np.uint8, offset=end))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise FormatError(f"partial cannot be read: {error}") from None
    partial.raw = raw
    return partial


def _unpack(head: dict[str, Any], blob: NDArray[np.uint8]) -> Partial:
    state = WindowState(*head["events"], *head.get("apart", ()))
    more = _Reader(blob, head["features"])
    for row in head["features"]:
        state.features[row["name"]] = _unpack_feature(row, more)
    state.stack = more.stack(head["features"])
    state.attributions = {
        name: Attribution.read(*row) for name, row in head.get("attributions", {}).items()
    }
    if "joint" in head:
        state.joint = _unpack_joint(head["joint"], more)
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


class _Reader:
    """Takes from the blobs what was put there, in the same order."""

    def __init__(self, blob: NDArray[np.uint8], features: list[dict[str, Any]]) -> None:
        numbers = [row[kind] for row in features for kind in NUMBERS if kind in row]
        n_hashes = sum(len(row) > 5 for row in numbers)
        n_hashes += sum(len(row["category"]) > 2 for row in features if "category" in row)
        begin = MOMENTS_BYTES * len(numbers)
        self._blob, self._at = blob, 0
        self.more(begin)
        ends = [begin]
        for row in numbers:
            self.more(row[4])
            ends.append(self._at)
        self._ends = np.array(ends, np.int64)
        self._moments = _moments_of(blob[:begin].reshape(len(numbers), MOMENTS_BYTES))
        self._row = 0
        self._registers = np.zeros((n_hashes, hyperloglog.REGISTERS), np.uint8)
        self._spans = list[tuple[int, int]]()  # of hashes, in the order of registers
        self._hashes = np.full(len(numbers), -1, np.int32)

    def number(self, row: list[Any]) -> NumberState:
        """The next number; its cells stay packed until somebody asks for them."""
        at, self._row = self._row, self._row + 1
        grid, clamped, values, counts, *_ = row
        packed = self._blob[self._ends[at] : self._ends[at + 1]]
        known = dict(zip(values, counts, strict=True))
        moments = Moments._make(array[at : at + 1] for array in self._moments)
        number = NumberState(moments, Grid(*grid), None, clamped, known, packed)
        if len(row) > 5:
            self._hashes[at] = len(self._spans)
            number.unlisted = self.hashes(row[5])
        return number

    def hashes(self, size: int) -> HyperLogLog:
        """The next hashes; they are read with all others of the partial."""
        n = len(self._spans)
        self.more(size)
        self._spans.append((self._at - size, self._at))
        return HyperLogLog(self._registers[n : n + 1])

    def stack(self, features: list[dict[str, Any]]) -> Stack:
        """All numbers, and hashes, in one piece. Raises ValueError for hashes that are none."""
        spans = np.array(self._spans, np.int64).reshape(-1, 2)
        if (bad := hyperloglog.unpack_each(self._blob, spans, self._registers)) >= 0:
            hyperloglog.unpack(self._blob[spans[bad, 0] : spans[bad, 1]])
        kinds = [(row["name"], kind) for row in features for kind in NUMBERS if kind in row]
        rows = {name: at for at, (name, kind) in enumerate(kinds) if kind == "number"}
        packed = Packed(self._blob, self._ends, self._hashes)
        return Stack(rows, self._moments, self._registers, packed=packed)

    def more(self, size: int) -> NDArray[np.uint8]:
        """The next bytes."""
        if not 0 <= size <= self._blob.size - self._at:
            raise FormatError("partial cannot be read: it ends early")
        self._at += size
        return self._blob[self._at - size : self._at]


def _unpack_feature(row: dict[str, Any], more: _Reader) -> FeatureState:
    feature = FeatureState(nulls=row["rest"][0], mistyped=row["rest"][1])
    feature.is_vector = row.get("vector", False)
    if "number" in row:
        feature.number = more.number(row["number"])
    if "cosine" in row:
        feature.cosine = more.number(row["cosine"])
    if "category" in row:
        counts, uncertain, *sizes = row["category"]
        feature.category = CategoryState(dict(counts), uncertain)
        for size in sizes:
            feature.category.unlisted = more.hashes(size)
    if "arrays" in row:
        feature.arrays = vectors.unpack(more.more(row["arrays"]))
    if "slices" in row:
        feature.slices = slices.read(more.more(row["slices"]))
    return feature


def _unpack_joint(body: dict[str, Any], more: _Reader) -> JointState:
    names, scales = tuple(body["names"]), np.array(body["scales"], np.float64)
    sample = rows.unpack(more.more(body["sizes"][0]))
    pairs = covariance.unpack(more.more(body["sizes"][1]))
    d = len(names)
    if scales.shape != (d, 2) or sample.values.shape[2] != d or pairs.sums.shape[1] != d:
        raise FormatError(f"partial cannot be read: {d} names stand beside other numbers of values")
    return JointState(names, scales, sample, pairs, *body["events"])


def _moments_of(table: NDArray[np.uint8]) -> Moments:
    """The rows of a table (n, MOMENTS_BYTES)."""
    n = table[:, : 8 * INTEGERS].copy().view(np.int64)
    x = table[:, 8 * INTEGERS :].copy().view(np.float64)
    columns = (n[:, 0], n[:, 1:7], n[:, 7], x[:, 0], unfolded(x[:, 1:5]), x[:, 5], x[:, 6])
    return Moments._make(map(np.ascontiguousarray, columns))

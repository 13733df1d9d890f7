"""Arrow columns: a fetch of Arrow IPC streams in, the same `Decoded` out as by its events.

In    a block in which every message is a stream of one model and version, and plainly right
Out   `Decoded`, each column copied once; or None, and the slow path reads the fetch
Not   opening a stream (arrow.py); lists, mixed columns, rows that would be refused
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.hashing import Key
from kernels.missing import NULL
from stream.detect.ingest import arrow
from stream.detect.ingest.arrow_texts import Unusual, codes_of, id_hashes, validated
from stream.detect.ingest.blocks import Block
from stream.detect.ingest.codec import Refused
from stream.detect.ingest.columns import NULL_CODE, Column, Columns, shortened
from stream.detect.ingest.events import Decoded
from stream.detect.ingest.fields import label_text
from stream.detect.specs import LimitSpec
from stream.detect.times import LATEST_MS

_UNITS_PER_MS = {"ms": 1, "us": 1_000, "ns": 1_000_000}
_FAILED = {"ok": False, "error": True}
_OUTPUTS = {
    "score": "prediction.score",
    "label": "prediction.label",
    "latency_ms": "service.latency_ms",
}


@dataclass(slots=True)
class _Piece:
    """The events of messages of the same schema."""

    stream: tuple[str, str]
    times_ms: NDArray[np.int64]
    ids: NDArray[np.uint64]
    errors: NDArray[np.bool_]
    columns: dict[str, Column]


def is_all_arrow(block: Block) -> bool:
    """Whether there are messages, and every one may be a stream."""
    starts, ends = block.starts, block.ends
    if not len(starts) or block.data[starts[0]] != arrow.MAGIC[0]:
        return False  # as most are, and to look at each would load it twice
    is_long = bool((ends - starts >= len(arrow.MAGIC)).all())
    return is_long and bool((block.data[starts] == arrow.MAGIC[0]).all())


def read(block: Block, limits: LimitSpec, key: Key) -> Decoded | None:
    """The events of a block of streams; None if there is anything unusual in it."""
    try:
        tables = [_table(block, at, limits) for at in range(len(block.starts))]
        alike = [list(group) for _, group in groupby(tables, key=attrgetter("schema"))]
        pieces = [_piece(_together(group), limits, key) for group in alike]
        if len({(piece.stream, tuple(piece.columns)) for piece in pieces}) != 1:
            raise Unusual
        named = {name: [piece.columns[name] for piece in pieces] for name in pieces[0].columns}
        columns = {name: _joined(parts) for name, parts in named.items()}
    except (Refused, Unusual, ImportError, UnicodeDecodeError):
        return None
    counts = [table.num_rows for table in tables]
    model, version = pieces[0].stream
    run = Columns(
        model,
        version,
        np.concatenate([piece.ids for piece in pieces]),
        np.arange(sum(counts)),
        np.concatenate([piece.errors for piece in pieces]),
        columns,
        {},
    )
    return Decoded(
        np.concatenate([piece.times_ms for piece in pieces]),
        np.repeat(block.arrivals_ms, counts),
        np.repeat(block.offsets, counts),
        [run],
        [],
    )


def _table(block: Block, at: int, limits: LimitSpec) -> Any:
    """One message, its buffers still where they came."""
    message = block.data.data[int(block.starts[at]) : int(block.ends[at])]
    table = arrow.table_of(message, limits, is_full=False)
    if not table.num_rows or len(set(table.column_names)) < table.num_columns:
        raise Unusual
    if not {kind.id for kind in table.schema.types} <= _plain_ids():
        validated(table)
    return table


@cache
def _plain_ids() -> frozenset[int]:
    """Types of which arrays may be joined however wrong their values are."""
    import pyarrow as pa

    numbers = pa.int64(), pa.int32(), pa.int16(), pa.int8(), pa.float64(), pa.float32()
    others = pa.null(), pa.bool_(), pa.string(), *(pa.timestamp(unit) for unit in _UNITS_PER_MS)
    return frozenset(kind.id for kind in (*numbers, *others))


def _together(tables: Sequence[Any]) -> Any:
    """Tables of the same schema, metadata as well, as one whose columns are of one piece."""
    import pyarrow as pa

    if any(not table.schema.equals(tables[0].schema, check_metadata=True) for table in tables):
        raise Unusual
    # The allocator of pyarrow gives memory back at once, and the next fetch clears every page anew.
    return pa.concat_tables(tables).combine_chunks(memory_pool=pa.system_memory_pool())


def _piece(table: Any, limits: LimitSpec, key: Key) -> _Piece:
    names = table.column_names
    top, features = arrow.columns_of(table)
    common = arrow.common_of(table)
    stream = common.get("model", ""), common.get("version", "0")
    sizes = [len(text) for text in stream]
    if min(sizes) < 1 or max(sizes) > limits.max_text or len(features) > limits.max_features:
        raise Unusual
    if "features" in names and any(name.startswith(arrow.FEATURE) for name in names):
        raise Unusual
    if not {"id", "ts"} <= top.keys() or top.keys() & {*arrow.COMMON, "arrival_time"}:
        raise Unusual
    for name in names:
        if name not in top and name != "features" and not name.startswith(arrow.FEATURE):
            validated(table[name])
    read = _Reader(limits, key)
    columns = {f"feature.{name}": read.feature(_whole(c)) for name, c in features.items()}
    for name, said in _OUTPUTS.items():
        if name in top:
            output = read.label if name == "label" else _number
            columns[said] = output(_whole(top[name]))
    failed = _failed(top.get("status"), table.num_rows, key)
    ids = id_hashes(_whole(top["id"]), limits.max_text, key)
    return _Piece(stream, _times(_whole(top["ts"])), ids, failed, columns)


def _whole(column: Any) -> Any:
    """A column of one chunk as an array."""
    if column.num_chunks != 1:
        raise Unusual
    return column.chunk(0)


def _times(array: Any) -> NDArray[np.int64]:
    import pyarrow as pa

    kind, divisor = array.type, 1
    if pa.types.is_timestamp(kind):
        divisor = _UNITS_PER_MS.get(kind.unit, 0)
        array = array.cast(pa.timestamp(kind.unit)).cast(pa.int64())
    if array.null_count or array.type != pa.int64() or not divisor:
        raise Unusual
    times = array.to_numpy()
    if divisor > 1:
        times = np.floor_divide(times, divisor)
    if times.min() < 0 or times.max() > LATEST_MS:
        raise Unusual
    return np.asarray(times, np.int64)


def _failed(column: Any, rows: int, key: Key) -> NDArray[np.bool_]:
    if column is None:
        return np.zeros(rows, np.bool_)
    codes, texts = codes_of(_whole(column), str, key)
    if not set(texts) <= _FAILED.keys():
        raise Unusual
    failed = np.array([_FAILED[text] for text in texts] + [False], np.bool_)
    return np.asarray(failed[codes])  # null, -1, is the last


@dataclass(frozen=True, slots=True)
class _Reader:
    """What may be a number or a text."""

    limits: LimitSpec
    key: Key

    def feature(self, array: Any) -> Column:
        from pyarrow import types

        kind = array.type
        if types.is_integer(kind) or types.is_floating(kind) or types.is_null(kind):
            return _number(array)
        return self._category(array, _text)

    def label(self, array: Any) -> Column:
        return self._category(array, label_text)

    def _category(self, array: Any, said: Callable[[Any], str]) -> Column:
        codes, texts = codes_of(array, said, self.key)
        if not texts:
            return Column(np.full(len(array), NULL), None, [], None)
        codes, texts = shortened(codes, texts, self.limits.max_text)
        return Column(None, codes, texts, None)


def _text(value: Any) -> str:
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is str:
        return value
    raise Unusual


def _number(array: Any) -> Column:
    import pyarrow as pa

    kind = array.type
    if pa.types.is_null(kind):
        return Column(np.full(len(array), NULL), None, [], None)
    if not pa.types.is_integer(kind) and not pa.types.is_floating(kind):
        raise Unusual
    if kind != pa.float64():
        numbers = array.to_numpy(zero_copy_only=False).astype(np.float64)
    else:
        numbers = np.frombuffer(array.buffers()[1], np.float64)[array.offset :][: len(array)]
        # Kernels take what is their own: aligned, and writable as all other columns are.
        if array.null_count or not (numbers.flags.writeable and numbers.flags.aligned):
            numbers = numbers.copy()
    if array.null_count:
        numbers[_is_null(array)] = NULL
    return Column(numbers, None, [], None)


def _is_null(array: Any) -> NDArray[np.bool_]:
    bits = np.frombuffer(array.buffers()[0], np.uint8)
    present = np.unpackbits(bits, bitorder="little")[array.offset :][: len(array)]
    return np.asarray(present == 0)


def _joined(parts: Sequence[Column]) -> Column:
    """Columns of the same form behind one another."""
    if len(parts) == 1:
        return parts[0]
    if len({part.codes is None for part in parts}) > 1:
        raise Unusual
    if parts[0].codes is None:
        return Column(np.concatenate([part.numbers for part in parts]), None, [], None)
    known: dict[str, int] = {}
    codes = []
    for part in parts:
        places = [known.setdefault(text, len(known)) for text in part.texts]
        mapped = np.array([*places, NULL_CODE], np.int32)
        codes.append(mapped[part.codes])
    return Column(None, np.concatenate(codes), list(known), None)

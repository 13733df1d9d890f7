"""Arrow columns: a fetch of Arrow IPC streams in, the same `Decoded` out as by its events.

In    a block in which every message is a stream of one model and version, and plainly right
Out   `Decoded`, each column copied once; or None, and the slow path reads the fetch
Not   opening a stream (arrow.py); lists, mixed columns, rows that would be refused
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.decode.columns import localize
from kernels.hashing import Key, hash_texts
from kernels.missing import NULL
from stream.detect.ingest import arrow
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


class _Unusual(Exception):
    """Let the slow path read it."""


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
    is_long = bool(len(starts)) and bool((ends - starts >= len(arrow.MAGIC)).all())
    return is_long and bool((block.data[starts] == arrow.MAGIC[0]).all())


def read(block: Block, limits: LimitSpec, key: Key) -> Decoded | None:
    """The events of a block of streams; None if there is anything unusual in it."""
    try:
        tables = [_table(block, at, limits) for at in range(len(block.starts))]
        alike = [list(group) for _, group in groupby(tables, key=attrgetter("schema"))]
        pieces = [_piece(_together(group), limits, key) for group in alike]
        if len({(piece.stream, tuple(piece.columns)) for piece in pieces}) != 1:
            raise _Unusual
        named = {name: [piece.columns[name] for piece in pieces] for name in pieces[0].columns}
        columns = {name: _joined(parts) for name, parts in named.items()}
    except (Refused, _Unusual, ImportError):
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
    table = arrow.table_of(message, limits)
    if not table.num_rows or len(set(table.column_names)) < table.num_columns:
        raise _Unusual
    return table


def _together(tables: Sequence[Any]) -> Any:
    """Tables of the same schema, metadata as well, as one whose columns are of one piece."""
    import pyarrow as pa

    if any(not table.schema.equals(tables[0].schema, check_metadata=True) for table in tables):
        raise _Unusual
    return pa.concat_tables(tables).combine_chunks()


def _piece(table: Any, limits: LimitSpec, key: Key) -> _Piece:
    names = table.column_names
    top, features = arrow.columns_of(table)
    common = arrow.common_of(table)
    stream = common.get("model", ""), common.get("version", "0")
    sizes = [len(text) for text in stream]
    if min(sizes) < 1 or max(sizes) > limits.max_text or len(features) > limits.max_features:
        raise _Unusual
    if "features" in names and any(name.startswith(arrow.FEATURE) for name in names):
        raise _Unusual
    if not {"id", "ts"} <= top.keys() or top.keys() & {*arrow.COMMON, "arrival_time"}:
        raise _Unusual
    columns = {f"feature.{name}": _feature(_whole(c), limits) for name, c in features.items()}
    for name, said in _OUTPUTS.items():
        if name in top:
            output = _label if name == "label" else _number
            columns[said] = output(_whole(top[name]), limits)
    failed = _failed(top.get("status"), table.num_rows)
    return _Piece(
        stream, _times(_whole(top["ts"])), _ids(_whole(top["id"]), limits, key), failed, columns
    )


def _whole(column: Any) -> Any:
    """A column of one chunk as an array."""
    if column.num_chunks != 1:
        raise _Unusual
    return column.chunk(0)


def _times(array: Any) -> NDArray[np.int64]:
    import pyarrow as pa

    kind, divisor = array.type, 1
    if pa.types.is_timestamp(kind):
        divisor = _UNITS_PER_MS.get(kind.unit, 0)
        array = array.cast(pa.timestamp(kind.unit)).cast(pa.int64())
    if array.null_count or array.type != pa.int64() or not divisor:
        raise _Unusual
    times = np.floor_divide(array.to_numpy(), divisor)
    if times.min() < 0 or times.max() > LATEST_MS:
        raise _Unusual
    return np.asarray(times, np.int64)


def _ids(array: Any, limits: LimitSpec, key: Key) -> NDArray[np.uint64]:
    import pyarrow as pa

    if array.null_count or array.type != pa.string():
        raise _Unusual
    _, offsets, data = array.buffers()
    ends = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
    sizes = np.diff(ends)
    if sizes.min() < 1 or sizes.max() > limits.max_text:
        raise _Unusual
    hashes = np.empty(len(array), np.uint64)
    text = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]
    hash_texts(text, ends[1:].astype(np.int64) - int(ends[0]), key, hashes)
    return hashes


def _failed(column: Any, rows: int) -> NDArray[np.bool_]:
    if column is None:
        return np.zeros(rows, np.bool_)
    codes, texts = _codes(_whole(column), str)
    if not set(texts) <= _FAILED.keys():
        raise _Unusual
    failed = np.array([_FAILED[text] for text in texts] + [False], np.bool_)
    return np.asarray(failed[codes])  # null, -1, is the last


def _feature(array: Any, limits: LimitSpec) -> Column:
    from pyarrow import types

    kind = array.type
    if types.is_integer(kind) or types.is_floating(kind) or types.is_null(kind):
        return _number(array, limits)
    return _category(array, limits, _text)


def _label(array: Any, limits: LimitSpec) -> Column:
    return _category(array, limits, label_text)


def _number(array: Any, _limits: LimitSpec) -> Column:
    from pyarrow import types

    kind = array.type
    if types.is_null(kind):
        return Column(np.full(len(array), NULL), None, [], None)
    if not types.is_integer(kind) and not types.is_floating(kind):
        raise _Unusual
    numbers = array.to_numpy(zero_copy_only=False).astype(np.float64)
    if array.null_count:
        numbers[array.is_null().to_numpy(zero_copy_only=False)] = NULL
    return Column(numbers, None, [], None)


def _category(array: Any, limits: LimitSpec, said: Callable[[Any], str]) -> Column:
    codes, texts = _codes(array, said)
    if not texts:
        return Column(np.full(len(array), NULL), None, [], None)
    codes, texts = shortened(codes, texts, limits.max_text)
    return Column(None, codes, texts, None)


def _text(value: Any) -> str:
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is str:
        return value
    raise _Unusual


def _codes(array: Any, said: Callable[[Any], Any]) -> tuple[NDArray[np.int32], list[str]]:
    """Codes by first appearance, and what the values are said as."""
    from pyarrow import int32, types

    kind = array.type
    if not types.is_dictionary(kind):
        plain = types.is_string(kind) or types.is_large_string(kind) or types.is_boolean(kind)
        if not plain and not (types.is_integer(kind) and said is label_text):
            raise _Unusual
        array = array.dictionary_encode()
    values = array.dictionary.to_pylist()
    if None in values or not set(map(type, values)) <= {str, bool, int}:
        raise _Unusual
    codes = array.indices.cast(int32()).fill_null(NULL_CODE).to_numpy(zero_copy_only=False).copy()
    new = np.empty(len(codes), np.int32)
    count = localize(codes, np.full(len(values), -1, np.int32), new)
    texts = [said(values[code]) for code in new[:count].tolist()]
    return (codes, texts) if len(set(texts)) == count else shortened(codes, texts, 1 << 62)


def _joined(parts: Sequence[Column]) -> Column:
    """Columns of the same form behind one another."""
    if len(parts) == 1:
        return parts[0]
    if len({part.codes is None for part in parts}) > 1:
        raise _Unusual
    if parts[0].codes is None:
        return Column(np.concatenate([part.numbers for part in parts]), None, [], None)
    known: dict[str, int] = {}
    codes = []
    for part in parts:
        places = [known.setdefault(text, len(known)) for text in part.texts]
        mapped = np.array([*places, NULL_CODE], np.int32)
        codes.append(mapped[part.codes])
    return Column(None, np.concatenate(codes), list(known), None)

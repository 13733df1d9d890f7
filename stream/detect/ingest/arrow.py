"""Arrow: one message that is an Arrow IPC stream in, its events out.

In    record batches with the columns id, ts, `features.NAME` or a struct `features`, and if wanted
      score, label, latency_ms, status, arrival_time, model, version; the last two may instead be
      metadata of the schema
Out   events as a publisher of single events would have written them
Not   checking single values (events.py); pyarrow itself, which comes with the extra `arrow`

A stream is told by its first four bytes, which no JSON begins with. Compressed buffers are refused
before they are read: a topic has its own compression, and a bomb would take the worker's memory.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from stream.detect.ingest.batches import OUTPUTS, PLAIN
from stream.detect.ingest.codec import Refused
from stream.detect.specs import LimitSpec

MAGIC = b"\xff\xff\xff\xff"
COMMON = ("model", "version")
FEATURE = "features."
_OPTIONAL = ("version", "arrival_time")  # null means not given

# Fields of the flatbuffers Message, DictionaryBatch and RecordBatch, by number.
_HEADER, _DATA, _COMPRESSION = 2, 1, 3


def is_arrow(value: bytes) -> bool:
    """Whether a message is an Arrow IPC stream."""
    return value.startswith(MAGIC)


def events_of(value: bytes, limits: LimitSpec) -> list[dict[str, Any]]:
    """The events of a stream. Raises Refused: arrow_not_installed, not_arrow, too_large."""
    table = table_of(value, limits)
    top, features = columns_of(table)
    outputs = {name: top.pop(name) for name in OUTPUTS if name in top}
    rows = table.num_rows
    plain, inputs, predicted = (list(_rows(part, rows)) for part in (top, features, outputs))
    common = common_of(table)
    for row in plain:
        for name in _OPTIONAL:
            if row.get(name, "") is None:
                del row[name]
    return [
        {**common, **row, "features": given, "prediction": prediction or None}
        for row, given, prediction in zip(plain, inputs, predicted, strict=True)
    ]


def table_of(value: bytes | memoryview, limits: LimitSpec, *, is_full: bool = True) -> Any:
    """The stream as a pyarrow.Table whose buffers can be trusted. Raises Refused.

    is_full  whether every value of texts and dictionaries may be read, too
    """
    if len(value) > limits.max_message_bytes:
        detail = f"{len(value)} bytes, at most {limits.max_message_bytes} are accepted"
        raise Refused("too_large", detail=detail)
    try:
        import pyarrow as pa
    except ImportError:
        detail = "an Arrow stream; reading it needs pyarrow: pip install 'driftline[arrow]'"
        raise Refused("arrow_not_installed", detail=detail) from None
    try:
        if any(_is_compressed(m) for m in pa.ipc.MessageReader.open_stream(value)):
            raise Refused("not_arrow", detail="compressed buffers; compress the topic instead")
        with pa.ipc.open_stream(value) as reader:
            table = reader.read_all()
        if table.num_rows > len(value):
            raise Refused("too_large", detail=f"{table.num_rows} rows in {len(value)} bytes")
        table.validate(full=is_full)
        if is_full:
            _ = table.column_names  # which are texts as well
        return table
    except (pa.ArrowException, OSError, UnicodeDecodeError, struct.error) as error:
        raise Refused("not_arrow", detail=str(error).partition("\n")[0][:200]) from None


def common_of(table: Any) -> dict[str, str]:
    """Model and version of all events, where the schema's metadata says them."""
    metadata = table.schema.metadata or {}
    found = {name: metadata.get(name.encode()) for name in COMMON}
    return {name: text.decode("utf-8", "replace") for name, text in found.items() if text}


def columns_of(table: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The columns that mean something: those of events, and the features, by name."""
    top, features = dict[str, Any](), dict[str, Any]()
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name.startswith(FEATURE):
            features[name.removeprefix(FEATURE)] = column
        elif name == "features" and str(column.type).startswith("struct<"):
            fields = (column.type.field(i).name for i in range(column.type.num_fields))
            features |= dict(zip(fields, column.flatten(), strict=True))
        elif name in PLAIN or name in OUTPUTS or name in COMMON:
            top[name] = column
    return top, features


def _rows(columns: dict[str, Any], rows: int) -> Iterator[dict[str, Any]]:
    if not columns:
        return ({} for _ in range(rows))
    values = [_values(column) for column in columns.values()]
    return (dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True))


def _values(column: Any) -> list[Any]:
    """A column as JSON would have it; what JSON does not have becomes an object."""
    import pyarrow as pa

    kind, is_ = column.type, pa.types
    if is_.is_timestamp(kind):
        return _milliseconds(column)
    if is_.is_dictionary(kind):  # a long text is kept once, however often it is meant
        return [value for chunk in column.chunks for value in _decoded(chunk)]
    lists = is_.is_list(kind) or is_.is_large_list(kind) or is_.is_fixed_size_list(kind)
    if _is_plain(kind) or (lists and _is_number(kind.value_type)):
        return list(column.to_pylist())
    return [None if is_null else {} for is_null in column.is_null().to_pylist()]


def _decoded(chunk: Any) -> Iterator[Any]:
    values = _values(_chunked(chunk.dictionary))
    return (None if at is None else values[at] for at in chunk.indices.to_pylist())


def _chunked(array: Any) -> Any:
    import pyarrow as pa

    return pa.chunked_array([array])


def _milliseconds(column: Any) -> list[Any]:
    import pyarrow as pa

    unit_ns = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}[column.type.unit]
    numbers = column.cast(pa.timestamp(column.type.unit)).cast(pa.int64()).to_pylist()
    return [None if number is None else number * unit_ns // 1_000_000 for number in numbers]


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind))


def _is_plain(kind: Any) -> bool:
    from pyarrow import types

    is_text = types.is_string(kind) or types.is_large_string(kind)
    return bool(_is_number(kind) or is_text or types.is_boolean(kind) or types.is_null(kind))


def _is_compressed(message: Any) -> bool:
    """Whether the buffers of a batch are compressed; pyarrow would not say before reading them."""
    if message.type not in ("record batch", "dictionary"):
        return False
    data = message.metadata.to_pybytes()
    header = _referred(data, _place(data, _referred(data, 0), _HEADER))
    if message.type == "dictionary":
        header = _referred(data, _place(data, header, _DATA))
    return _place(data, header, _COMPRESSION) != 0


def _referred(data: bytes, at: int) -> int:
    return int(at + struct.unpack_from("<I", data, at)[0])


def _place(data: bytes, table: int, field: int) -> int:
    """Where a field of a flatbuffers table stands; 0 if it is not there."""
    fields = table - struct.unpack_from("<i", data, table)[0]
    entry = 4 + 2 * field
    if entry >= struct.unpack_from("<H", data, fields)[0]:
        return 0
    offset = struct.unpack_from("<H", data, fields + entry)[0]
    return int(table + offset) if offset else 0

"""Tables: rows of a Parquet file in, one line of JSON per row out.

In    the path of a Parquet file, a TableMapping, a filter
Out   blocks of (JSON texts, ids), as predictions in the file's order or as labels by label time
Not   mapping files (mapping.py); arrival times, messages (sources.py)

A column becomes JSON text as a whole, then rows are joined, so no value is a Python object but its
text. Floats print as the float64 that equals what is stored, also for float32; NaN and null print
as null, infinities as Infinity. Needs pyarrow, so import this file only for Parquet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stream.errors import UsageError
from stream.replay.mapping import TableMapping, Where, unknown

BLOCK_ROWS = 4096  # one or two megabytes of JSON
SHOWN = 5  # values of a column named in an error

Block = tuple[list[bytes], list[bytes]]  # JSON texts, ids
Texts = Callable[[Any], list[bytes]]  # a column of a batch, as JSON per row


class Layout(NamedTuple):
    """How an event is written: columns, each with the text before it, and the text at the end."""

    fields: list[tuple[bytes, str, Texts]]
    end: bytes


class Predictions:
    """The rows of a Parquet file as prediction events, in the file's order."""

    def __init__(self, path: Path, mapping: TableMapping, where: Where) -> None:
        self._file = _open(path)
        self._path, self._where = path, where
        schema = self._file.schema_arrow
        no_feature = mapping.parts() | mapping.without
        _check_columns(mapping.path, no_feature | set(mapping.features or ()), schema.names)
        _check_columns(path, set(where), schema.names)
        features = mapping.features or [n for n in schema.names if n not in no_feature]
        self._layout = _prediction_layout(mapping, features, schema, path)
        self.size = _count(self._file, path, where)

    def __iter__(self) -> Iterator[Block]:
        columns = sorted({column for _, column, _ in self._layout.fields} | set(self._where))
        for batch in _batches(self._file, self._path, columns):
            rows = _select(batch, self._where)
            if len(rows):
                yield _to_block(rows, self._layout)


class Labels:
    """The rows of a Parquet file that have a label as label events, in order of label time."""

    def __init__(self, path: Path, mapping: TableMapping, where: Where) -> None:
        if mapping.label is None or mapping.label_ts is None:
            raise UsageError(f"{mapping.path}: needs the key label to read labels from {path}")
        file = _open(path)
        schema = file.schema_arrow
        names = [mapping.id, mapping.label, mapping.label_ts]
        _check_columns(mapping.path, set(names), schema.names)
        _check_columns(path, set(where), schema.names)
        fields = [
            (b'{"id":', mapping.id, _ids(schema, mapping.id, path)),
            (
                b',"model":%b,"label":' % orjson.dumps(mapping.model),
                mapping.label,
                _values(schema, mapping.label, path),
            ),
            (b',"ts":', mapping.label_ts, _times(schema, mapping.label_ts, path)),
        ]
        self._layout = Layout(fields, b"}")
        rows = _select(_read(file, path, sorted({*names, *where})), where).select(names)
        for name in names[1:]:
            rows = rows.filter(_is_known(rows[name]))
        self._rows = rows.sort_by([(mapping.label_ts, "ascending"), (mapping.id, "ascending")])
        self.size = len(rows)

    def __iter__(self) -> Iterator[Block]:
        for batch in self._rows.combine_chunks().to_batches(max_chunksize=BLOCK_ROWS):
            yield _to_block(batch, self._layout)


def _prediction_layout(
    mapping: TableMapping, features: Iterable[str], schema: Any, path: Path
) -> Layout:
    names = orjson.dumps(mapping.model), orjson.dumps(mapping.version)
    fields = [
        (b'{"id":', mapping.id, _ids(schema, mapping.id, path)),
        (b',"model":%b,"version":%b,"ts":' % names, mapping.ts, _times(schema, mapping.ts, path)),
    ]

    def add(before: bytes, key: str, column: str) -> None:
        fields.append((before + orjson.dumps(key) + b":", column, _values(schema, column, path)))

    before, after = b',"features":{', b""
    for name in features:
        add(before, name, name)
        before, after = b",", b"}"
    if mapping.prediction is not None:
        add(after + b",", "prediction", mapping.prediction)
        return Layout(fields, b"}")
    before = after + b',"prediction":{'
    for key, column in (("score", mapping.score), ("label", mapping.predicted_label)):
        if column is not None:
            add(before, key, column)
            before, after = b",", b"}"
    return Layout(fields, after + b"}")


def _open(path: Path) -> Any:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{path}: not a readable Parquet file ({_first(error)})") from None


def _first(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _check_columns(place: Path, wanted: set[str], names: list[str]) -> None:
    for name in sorted(wanted):
        if name not in names:
            raise UsageError(f"{place}: {unknown('column', name, names)}")


def _batches(file: Any, path: Path, columns: list[str]) -> Iterator[Any]:
    try:
        yield from file.iter_batches(BLOCK_ROWS, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{path}: damaged Parquet file ({_first(error)})") from None


def _read(file: Any, path: Path, columns: list[str]) -> Any:
    try:
        return file.read(columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{path}: damaged Parquet file ({_first(error)})") from None


def _count(file: Any, path: Path, where: Where) -> int:
    """Rows that the filter keeps; none is an error that shows what there is."""
    if not where:
        return int(file.metadata.num_rows)
    found, seen = 0, {name: set[str]() for name in where}
    for batch in _batches(file, path, list(where)):
        found += len(_select(batch, where))
        for name, values in seen.items():
            if len(values) <= SHOWN:
                values.update(str(v) for v in _as_text(batch[name]).unique().to_pylist())
    if not found:
        wanted = ", ".join(f"{name}={'|'.join(values)}" for name, values in where.items())
        shown = "; ".join(f"{k} is {', '.join(sorted(v)[:SHOWN])}" for k, v in seen.items())
        raise UsageError(f"{path}: no row where {wanted}; {shown}")
    return found


def _as_text(column: Any) -> Any:
    try:
        return column.cast(pa.string())
    except pa.ArrowException:
        raise UsageError(f"where: a column of type {column.type} cannot be compared") from None


def _select(batch: Any, where: Where) -> Any:
    for name, values in where.items():
        batch = batch.filter(pc.is_in(_as_text(batch[name]), value_set=pa.array(values)))
    return batch


def _is_known(column: Any) -> Any:
    known = pc.is_valid(column)
    if pa.types.is_floating(column.type):
        return pc.and_(known, pc.invert(pc.is_nan(pc.fill_null(column, float("nan")))))
    return known


def _to_block(rows: Any, layout: Layout) -> Block:
    texts = [to_texts(rows[column]) for _, column, to_texts in layout.fields]
    keys = (repeat(key) for key, _, _ in layout.fields)
    pieces = chain(chain.from_iterable(zip(keys, texts, strict=True)), [repeat(layout.end)])
    values = list(map(b"".join, zip(*pieces, strict=False)))  # what repeats has no end
    return values, [text.strip(b'"') for text in texts[0]]


def _ids(schema: Any, name: str, path: Path) -> Texts:
    kind = schema.field(name).type
    if pa.types.is_integer(kind):
        return lambda column: _patch([b'"%d"' % v for v in _filled(column, 0).tolist()], column)
    if _is_text(kind):
        return _text_column
    raise UsageError(f"{path}: column {name!r} is {kind}; an id is an integer or text")


def _times(schema: Any, name: str, path: Path) -> Texts:
    kind = schema.field(name).type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _time_column
    if pa.types.is_integer(kind):  # epoch milliseconds
        return lambda column: _time_column(column.cast(pa.int64()))
    if _is_text(kind):
        return _text_column
    raise UsageError(
        f"{path}: column {name!r} is {kind}; a time is a timestamp, a date, an integer "
        "(epoch milliseconds) or RFC 3339 text"
    )


def _values(schema: Any, name: str, path: Path) -> Texts:
    kind = schema.field(name).type
    if _is_text(kind):
        return _text_column
    if pa.types.is_floating(kind):
        return _float_column
    if pa.types.is_integer(kind):
        return lambda column: _patch(_split(_filled(column, 0)), column)
    if pa.types.is_boolean(kind):
        return lambda column: _patch(_split(_filled(column, False)), column)
    if (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and (
        pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)
    ):
        return lambda column: [orjson.dumps(value) for value in column.to_pylist()]
    raise UsageError(
        f"{path}: column {name!r} is {kind}; a feature is a number, a boolean, text or a "
        "list of numbers"
    )


def _is_text(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _filled(column: Any, instead: Any) -> NDArray[Any]:
    if column.null_count:
        column = column.fill_null(instead)
    values: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return values


def _split(values: NDArray[Any]) -> list[bytes]:
    """Numbers or booleans as JSON."""
    whole = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)
    return whole[1:-1].split(b",")


def _patch(texts: list[bytes], column: Any) -> list[bytes]:
    """Null where the column is."""
    if column.null_count:
        for row in np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False)).tolist():
            texts[row] = b"null"
    return texts


def _float_column(column: Any) -> list[bytes]:
    values = column.to_numpy(zero_copy_only=False).astype(np.float64)  # null becomes NaN
    texts = _split(values)
    for row in np.flatnonzero(np.isinf(values)).tolist():
        texts[row] = b"Infinity" if values[row] > 0 else b"-Infinity"
    return texts


def _text_column(column: Any) -> list[bytes]:
    """Each distinct value of a batch is quoted once."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    coded = column.dictionary_encode()
    quoted = [*map(orjson.dumps, coded.dictionary.to_pylist()), b"null"]
    return [quoted[code] for code in _filled(coded.indices, len(quoted) - 1).tolist()]


def _time_column(column: Any) -> list[bytes]:
    times = column.cast(pa.timestamp("ms"), safe=False).to_numpy(zero_copy_only=False)
    texts = np.datetime_as_string(times, unit="ms", timezone="UTC").tolist()
    return _patch([b'"%b"' % text.encode() for text in texts], column)

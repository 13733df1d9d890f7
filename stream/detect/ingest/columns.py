"""Columns: events in, one array per feature out.

In    parsed messages of one partition in log order: an event, an array, or a columnar batch
Out   `Columns` per run of events of one (model, version), and a dead letter per refused event
Not   windows (windows.py), sketches (sketches.py)

A column can hold numbers, texts and vectors side by side, as JSON can; which of them counts is
known later, from configuration or reference. Missing numbers carry their kind as NaN payload.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.decode import columns as kernel
from kernels.hashing import Key, hash_texts
from kernels.missing import ABSENT, ABSENT_BITS, MISTYPED, NULL, NULL_BITS
from stream.detect.ingest.arrays import Arrays, arrays_of
from stream.detect.specs import LimitSpec

NULL_CODE, ABSENT_CODE = kernel.NULL_CODE, kernel.ABSENT_CODE  # codes of what is not a text
MISTYPED_CODE = kernel.MISTYPED_CODE
ABSENT_MARK = object()  # the mark of a key that is not in an event


@dataclass(slots=True)
class Column:
    """One feature of a run of events; parts that hold no value are None.

    numbers  (n,)  float64, missing kinds as NaN payloads
    codes    (n,)  int32 into `texts`, or one of the negative codes
    norms    (n,)  float64 Euclidean lengths of arrays of numbers, missing as in `numbers`
    arrays   those arrays themselves
    """

    numbers: NDArray[np.float64] | None
    codes: NDArray[np.int32] | None
    texts: list[str]
    norms: NDArray[np.float64] | None
    arrays: Arrays | None = None


@dataclass(slots=True)
class Columns:
    """A run of events of one (model, version) in log order.

    ids        (n,)  uint64, keyed hashes of the event ids (kernels/hashing.py)
    rows       (n,)  position of each event among all events of the batch
    errors     (n,)  bool, status is "error"
    columns          "feature.NAME", "prediction.score", "prediction.label", "service.latency_ms",
                     "attribution.NAME"
    segments         columns of what events say of their segment, by name
    """

    model: str
    version: str
    ids: NDArray[np.uint64]
    rows: NDArray[np.int64]
    errors: NDArray[np.bool_]
    columns: dict[str, Column]
    segments: dict[str, Column]


def hashes_of(ids: Sequence[str], key: Key) -> NDArray[np.uint64]:
    """Keyed hashes (n,) of the UTF-8 bytes of n ids."""
    texts = [text.encode() for text in ids]
    hashes = np.zeros(len(texts), np.uint64)
    ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
    hash_texts(np.frombuffer(b"".join(texts), np.uint8), ends, key, hashes)
    return hashes


def column_of(values: Sequence[Any], limits: LimitSpec) -> Column:
    """An array of JSON values, `ABSENT_MARK` where the key is missing, as a column."""
    kinds = set(map(type, values))
    if kinds <= {float, int}:
        return Column(np.array(values, np.float64), None, [], None)
    if kinds == {str}:
        codes, texts = _encode(values, limits)
        return Column(None, codes, texts, None)
    if kinds <= {float, int, type(None), object}:
        marks = {None: NULL, ABSENT_MARK: ABSENT}
        numbers = np.array([v if type(v) is float else marks.get(v, v) for v in values], np.float64)
        return Column(_with_kinds(numbers, values), None, [], None)
    return _mixed(values, kinds, limits)


def _with_kinds(numbers: NDArray[np.float64], values: Sequence[Any]) -> NDArray[np.float64]:
    # A NaN payload survives an array of Python floats on today's CPUs, but nobody promises it.
    missing = [i for i, v in enumerate(values) if v is None or v is ABSENT_MARK]
    if missing:
        numbers[missing] = [NULL if values[i] is None else ABSENT for i in missing]
    return numbers


def _encode(values: Sequence[str], limits: LimitSpec) -> tuple[NDArray[np.int32], list[str]]:
    known: dict[str, int] = {}
    code = known.setdefault
    codes = np.array([code(v, len(known)) for v in values], np.int32)
    return shortened(codes, list(known), limits.max_text)


def shortened(
    codes: NDArray[np.int32], texts: list[str], longest: int
) -> tuple[NDArray[np.int32], list[str]]:
    """Codes and texts, the long ones cut; texts that are equal then share a code."""
    texts = [t if len(t) <= longest else t[: longest - 1] + "…" for t in texts]
    code = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    if len(code) < len(texts):
        merged = np.array([code[text] for text in texts], np.int32)
        codes = np.where(codes >= 0, merged[np.maximum(codes, 0)], codes)
    return codes, list(code)


def _mixed(values: Sequence[Any], kinds: set[type], limits: LimitSpec) -> Column:
    """A column with texts, booleans, arrays or objects in it: each part separately."""
    n = len(values)
    numbers, norms = np.full(n, MISTYPED), np.full(n, MISTYPED)
    codes = np.full(n, MISTYPED_CODE, np.int32)
    known: dict[str, int] = {}
    for i, value in enumerate(values):
        kind = type(value)
        if kind is float or kind is int:
            numbers[i] = value
        elif kind is str or kind is bool:
            text = value if kind is str else str(value).lower()
            codes[i] = known.setdefault(text, len(known))
        elif value is None or value is ABSENT_MARK:
            numbers[i] = norms[i] = NULL if value is None else ABSENT
            codes[i] = NULL_CODE if value is None else ABSENT_CODE
    codes, texts = shortened(codes, list(known), limits.max_text)
    arrays = arrays_of(values) if list in kinds else None
    if arrays is not None:
        norms[arrays.rows] = arrays.norms()
    return Column(
        numbers if kinds & {float, int} or not known else None,
        codes if known else None,
        texts,
        norms if list in kinds else None,
        arrays,
    )


def texts_of(column: Column) -> tuple[NDArray[np.int32], list[str]]:
    """The column as categories; numbers become their shortest text (`3`, `0.5`)."""
    if column.numbers is None:
        assert column.codes is not None  # a column without numbers has texts
        return column.codes, column.texts
    codes = column.codes
    codes = np.full(len(column.numbers), MISTYPED_CODE, np.int32) if codes is None else codes.copy()
    bits = column.numbers.view(np.uint64)
    codes[bits == NULL_BITS] = NULL_CODE
    codes[bits == ABSENT_BITS] = ABSENT_CODE
    there = np.flatnonzero(~np.isnan(column.numbers))
    values, inverse = np.unique(column.numbers[there], return_inverse=True)
    known = {text: i for i, text in enumerate(column.texts)}
    recoded = [known.setdefault(_text_of(v), len(known)) for v in values.tolist()]
    codes[there] = np.array(recoded, np.int32)[inverse]
    return codes, list(known)


def _text_of(number: float) -> str:
    return str(int(number)) if number % 1 == 0 else repr(number)


def blanked(column: Column, mask: NDArray[np.bool_]) -> Column:
    """The column with the events in mask (n,) without the key."""

    def absent(values: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
        return None if values is None else np.where(mask, ABSENT, values)

    codes = column.codes
    if codes is not None:
        codes = np.where(mask, np.int32(ABSENT_CODE), codes)
    return replace(column, numbers=absent(column.numbers), codes=codes, norms=absent(column.norms))


def numbers_of(column: Column) -> NDArray[np.float64]:
    """The column as numbers; texts are MISTYPED."""
    if column.numbers is not None:
        return column.numbers
    assert column.codes is not None  # a column without numbers has texts
    numbers = np.full(len(column.codes), MISTYPED)
    numbers[column.codes == NULL_CODE] = NULL
    numbers[column.codes == ABSENT_CODE] = ABSENT
    return numbers


def is_there(column: Column) -> NDArray[np.bool_]:
    """(n,) whether the event has the key."""
    if column.numbers is None:
        assert column.codes is not None  # a column without numbers has texts
        return np.asarray(column.codes != ABSENT_CODE)
    there = column.numbers.view(np.uint64) != ABSENT_BITS
    if column.codes is not None:
        there &= column.codes != ABSENT_CODE
    return np.asarray(there)

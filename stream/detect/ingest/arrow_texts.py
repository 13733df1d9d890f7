"""Arrow texts: arrays of texts or integers in, codes or hashes out, without an object per value.

In    arrays of pyarrow whose buffers are as long as their lengths say (`Array.validate`)
Out   codes by first appearance and what they stand for; hashes of ids; or Unusual
Not   numbers (arrow_columns.py), what is unusual (arrow.py)

Bytes that are not UTF-8 are told here, as the slow path does, without reading all of them: a text
that differs from all before it is decoded, and ids are mostly ASCII.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.decode import strings
from kernels.decode.columns import localize
from kernels.hashing import Key
from stream.detect.ingest.columns import NULL_CODE, shortened
from stream.detect.ingest.fields import label_text


class Unusual(Exception):
    """Let the slow path read it."""


def validated(array: Any) -> Any:
    """An array, or a column, every value of which may be read. Raises Unusual."""
    import pyarrow as pa

    try:
        array.validate(full=True)
    except (pa.ArrowException, UnicodeDecodeError):
        raise Unusual from None
    return array


def id_hashes(array: Any, longest: int, key: Key) -> NDArray[np.uint64]:
    """Hashes (n,) of ids. Raises Unusual if one is null, empty, too long or no text."""
    import pyarrow as pa

    if array.null_count or array.type != pa.string():
        raise Unusual
    hashes = np.empty(len(array), np.uint64)
    if not strings.hash_strings(_text_of(array), longest, key, hashes):
        raise Unusual
    data = array.buffers()[2]
    if np.frombuffer(data, np.uint8).max() >= 0x80:
        validated(array)
    return hashes


def codes_of(
    array: Any, said: Callable[[Any], str], key: Key
) -> tuple[NDArray[np.int32], list[str]]:
    """Codes (n,) and the texts they stand for, in the order in which these first come.

    said  what a value is called; not every value has to be a text
    """
    from pyarrow import types

    kind = array.type
    found = None
    if types.is_string(kind):
        found = _encoded_texts(array, key)
    elif types.is_integer(kind) and said is label_text:
        found = _encoded_integers(array, key)
    codes, values = found or _encoded(array, said)
    texts = [said(value) for value in values]
    return (codes, texts) if len(set(texts)) == len(texts) else shortened(codes, texts, 1 << 62)


def _text_of(array: Any) -> strings.Text:
    _, bounds, data = array.buffers()
    return strings.Text(
        data.address if data else 0, bounds.address + 4 * array.offset, data.size if data else 0
    )


def _present_at(array: Any) -> int:
    """The address of the bits that say which values are there; 0 if all are."""
    return int(array.buffers()[0].address) if array.null_count else 0


def _encoded_texts(array: Any, key: Key) -> tuple[NDArray[np.int32], list[Any]] | None:
    """None if many texts differ, or their places cannot be trusted."""
    codes, firsts = np.empty(len(array), np.int32), np.empty(strings.MOST, np.int32)
    text, present = _text_of(array), _present_at(array)
    count = strings.encode_texts(text, present, array.offset, key, firsts, codes)
    if count < 0:
        return None
    try:
        return codes, [array[row].as_py() for row in firsts[:count].tolist()]
    except UnicodeDecodeError:
        raise Unusual from None


def _encoded_integers(array: Any, key: Key) -> tuple[NDArray[np.int32], list[Any]] | None:
    """None if many differ, or one is too large."""
    import pyarrow as pa

    if array.type != pa.int64():
        return None
    codes, firsts = np.empty(len(array), np.int32), np.empty(strings.MOST, np.int32)
    values = array.buffers()[1].address + 8 * array.offset
    count = strings.encode_integers(values, _present_at(array), array.offset, key, firsts, codes)
    return (codes, [array[row].as_py() for row in firsts[:count].tolist()]) if count >= 0 else None


def _encoded(array: Any, said: Callable[[Any], str]) -> tuple[NDArray[np.int32], list[Any]]:
    """What has other types, or many values; or is a dictionary already."""
    from pyarrow import int32, types

    kind = validated(array).type
    if not types.is_dictionary(kind):
        plain = types.is_string(kind) or types.is_large_string(kind) or types.is_boolean(kind)
        if not plain and not (types.is_integer(kind) and said is label_text):
            raise Unusual
        array = array.dictionary_encode()
    values = array.dictionary.to_pylist()
    if None in values or not set(map(type, values)) <= {str, bool, int}:
        raise Unusual
    codes = array.indices.cast(int32()).fill_null(NULL_CODE).to_numpy(zero_copy_only=False).copy()
    new = np.empty(len(codes), np.int32)
    count = localize(codes, np.full(len(values), -1, np.int32), new)
    return codes, [values[code] for code in new[:count].tolist()]

"""Packing: the parts of a sketch in, bytes with a name and a version out, and back.

In    arrays of one slot, as bytes or as counts; or bytes written here
Out   two letters of the sketch, its version, then every part with its length before it
Not   checksums (stream/detect/partials.py); the varints of counts (sparse.py)

Bytes that are not as written raise ValueError, which says what was found and what is read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kernels import sparse

LENGTH_BYTES = 4
HEAD_BYTES = 3

Buffer = bytes | NDArray[np.uint8]


def sealed(kind: bytes, version: int, parts: Sequence[bytes]) -> bytes:
    """Parts as bytes; kind is two letters, version below 256."""
    framed = [len(part).to_bytes(LENGTH_BYTES, "little") + part for part in parts]
    return kind + bytes([version]) + b"".join(framed)


def opened(raw: Buffer, kind: bytes, version: int, n_parts: int) -> list[NDArray[np.uint8]]:
    """The parts in bytes that `sealed` wrote. Raises ValueError."""
    data = np.frombuffer(raw, np.uint8)
    head = data[:HEAD_BYTES].tobytes()
    if head[:2] != kind or len(head) < HEAD_BYTES:
        raise ValueError(f"bytes begin with {head[:2]!r}, {kind!r} is due")
    if head[2] != version:
        raise ValueError(f"{kind.decode()} of version {head[2]}; this release reads {version}")
    parts, at = [], HEAD_BYTES
    for _ in range(n_parts):
        start = at + LENGTH_BYTES
        if start > data.size:
            raise ValueError(f"{kind.decode()} ends early")
        at = start + int.from_bytes(data[start - LENGTH_BYTES : start].tobytes(), "little")
        if at > data.size:
            raise ValueError(f"{kind.decode()} ends early")
        parts.append(data[start:at])
    if at != data.size:
        raise ValueError(f"{kind.decode()} is followed by {data.size - at} bytes too many")
    return parts


def counts_bytes(counts: NDArray[np.integer]) -> bytes:
    """Counts (n,), none negative, in two or three bytes per cell that is not empty."""
    whole = np.ascontiguousarray(counts, np.int64)
    buffer = np.empty(sparse.packed_bound(whole.size), np.uint8)
    return buffer[: sparse.pack_counts(whole, buffer)].tobytes()


def counts_of(part: NDArray[np.uint8], n: int) -> NDArray[np.int64]:
    """Counts (n,) that `counts_bytes` wrote. Raises ValueError."""
    counts = np.zeros(n, np.int64)
    if sparse.unpack_counts(np.ascontiguousarray(part), counts) != part.size:
        raise ValueError(f"counts of {n} cells cannot be read")
    return counts


def floats_of(part: NDArray[np.uint8], n: int) -> NDArray[np.float64]:
    """Floats (n,) from their little-endian bytes, as a copy. Raises ValueError."""
    return _words(part, n, "<f8").astype(np.float64)


def words_of(part: NDArray[np.uint8], n: int) -> NDArray[np.uint64]:
    """Unsigned words (n,) from their little-endian bytes, as a copy. Raises ValueError."""
    return _words(part, n, "<u8").astype(np.uint64)


def _words(part: NDArray[np.uint8], n: int, dtype: str) -> NDArray[np.generic]:
    if part.size != 8 * n:
        raise ValueError(f"{part.size} bytes are not {n} words")
    return np.frombuffer(part.tobytes(), dtype)

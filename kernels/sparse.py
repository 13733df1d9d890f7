"""Sparse: mostly empty counts in, few bytes out, and back.

In    counts (n_cells,), none negative; or bytes written here
Out   varint(number of non-zero cells), then for each varint(empty cells skipped), varint(count)
Not   versions, checksums, headers (stream/detect/partials.py)

A varint is LEB128: seven bits per byte, the lowest first, the top bit set on all but the last byte.
There is one encoding per counts: a longer spelling of the same number is refused as corrupt.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernels.jit import kernel, signed

COUNT_BYTES = 9  # 63 bits in groups of seven
MOST = 0x7FFF_FFFF_FFFF_FFFF


@kernel
def packed_bound(n_cells: int) -> int:
    """Bytes that counts of this many cells can never exceed.

    Nine for the count and one for the skip of each cell: a skip of two bytes has passed 128 cells.
    """
    return COUNT_BYTES + (COUNT_BYTES + 1) * n_cells


@kernel
def pack_counts(counts: NDArray[np.integer], out: NDArray[np.uint8]) -> int:
    """Write counts (n_cells,) into `out` and return how many bytes; -1 if `out` may be too small.

    counts  (n_cells,)  int64 or uint32; a negative count is not written
    out     (at least packed_bound(n_cells),)
    """
    if out.size < packed_bound(counts.size):
        return -1
    filled = 0
    for cell in range(counts.size):
        if counts[cell] > 0:
            filled += 1
    at = _write(out, 0, filled)
    following = 0
    for cell in range(counts.size):
        if counts[cell] > 0:
            at = _write(out, at, cell - following)
            at = _write(out, at, signed(counts[cell]))
            following = cell + 1
    return at


@kernel
def unpack_counts(buffer: NDArray[np.uint8], out: NDArray[np.int64]) -> int:
    """ADD packed counts to `out` (n_cells,) and return the number of bytes read.

    -1, and `out` untouched, if the bytes end early, name a cell outside `out`, or a sum overflows.
    Bytes after the last cell are left for the caller.
    """
    n_read = _walk(buffer, out, False)
    if n_read >= 0:
        _walk(buffer, out, True)
    return n_read


@kernel
def unpack_rows(
    buffer: NDArray[np.uint8],
    ends: NDArray[np.int64],
    rows: NDArray[np.int32],
    out: NDArray[np.int64],
) -> None:
    """ADD packed counts, one after another in a buffer, each to its row of `out` (n_rows, n_cells).

    ends  (m + 1,)  where each begins, and where the last one ends
    rows  (m,)      -1 is skipped; what is corrupt changes nothing, as in `unpack_counts`
    """
    for at in range(rows.size):
        if rows[at] >= 0:
            unpack_counts(buffer[ends[at] : ends[at + 1]], out[rows[at]])


@kernel
def totals(
    buffer: NDArray[np.uint8], ends: NDArray[np.int64], n_cells: int, out: NDArray[np.int64]
) -> None:
    """Write the sum of each packed counts to `out` (m,); -1 for what cannot be unpacked.

    ends  (m + 1,)  as in `unpack_rows`
    """
    for at in range(out.size):
        out[at] = _total(buffer[ends[at] : ends[at + 1]], n_cells)


@kernel
def _total(buffer: NDArray[np.uint8], n_cells: int) -> int:
    filled, at = _read(buffer, 0)
    following, total = 0, 0
    for _ in range(min(filled, n_cells + 1)):
        skipped, at = _read(buffer, at)
        count, at = _read(buffer, at)
        if at < 0 or skipped >= n_cells - following or count == 0 or total > MOST - count:
            return -1
        total += count
        following += skipped + 1
    return total if at >= 0 else -1


@kernel
def _walk(buffer: NDArray[np.uint8], out: NDArray[np.int64], is_adding: bool) -> int:
    filled, at = _read(buffer, 0)
    following = 0
    for _ in range(min(filled, out.size + 1)):
        skipped, at = _read(buffer, at)
        count, at = _read(buffer, at)
        if at < 0 or skipped >= out.size - following or count == 0:
            return -1
        cell = following + skipped
        if out[cell] > MOST - count:
            return -1
        if is_adding:
            out[cell] += count
        following = cell + 1
    return at


@kernel
def _write(out: NDArray[np.uint8], at: int, number: int) -> int:
    while number > 127:
        out[at] = (number & 127) | 128
        number >>= 7
        at += 1
    out[at] = number
    return at + 1


@kernel
def _read(buffer: NDArray[np.uint8], at: int) -> tuple[int, int]:
    """The number at `at` and where the next one starts; -1 for "corrupt", also when `at` is -1."""
    number = 0
    if at < 0:
        return number, -1
    for place in range(min(COUNT_BYTES, buffer.size - at)):
        byte = signed(buffer[at + place])
        number |= (byte & 127) << (7 * place)
        if byte < 128:
            if byte == 0 and place > 0:
                return number, -1
            return number, at + place + 1
    return number, -1

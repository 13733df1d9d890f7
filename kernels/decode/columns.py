"""Columns: cells of events in, one array per key out.

In    records and cells (values.py), and which events are wanted, in which order
Out   which keys they have and of what kinds; then float64 and codes, column by column
Not   what a column of mixed kinds means (stream/detect/ingest/columns.py)

Two passes: the first finds the keys in the order in which they first come, the second writes. A
key that an event does not have leaves what stood in its arrays before: fill them with ABSENT.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernels.decode.values import (
    ARRIVAL,
    CELL,
    CELLS_BEGIN,
    CELLS_END,
    EVENT,
    FAILED,
    HASH,
    KIND_BITS,
    MESSAGE,
    NULL,
    NUMBER,
    TEXT,
    TIME,
    VECTOR,
)
from kernels.jit import kernel, piece, signed
from kernels.memory import load_int, load_word, store_code, store_word
from kernels.missing import MISTYPED_BITS, NULL_BITS

NULL_CODE, ABSENT_CODE, MISTYPED_CODE = -1, -2, -3  # codes of what is not a text

# Of a key's entry in `plan`: addresses of its three arrays, 0 for one that is not wanted.
NUMBERS, CODES, NORMS = 0, 8, 16
PLAN = 24
_KIND_MASK = (1 << KIND_BITS) - 1


@kernel
def survey(
    events: int,
    cells: int,
    rows: NDArray[np.int64],
    places: NDArray[np.int64],
    found: NDArray[np.int64],
) -> int:
    """Find the keys of some events; returns how many there are.

    events, cells  addresses of the first record and the first cell
    rows           (n,) which events
    places         (known keys,) -1; becomes the place in `found` of each key that is there
    found          (known keys, 3) the key, a bit for each of its kinds, how many cells it has
    """
    count = 0
    for row in rows:
        event = events + EVENT * row
        cell = cells + CELL * load_int(event + CELLS_BEGIN)
        end = cells + CELL * load_int(event + CELLS_END)
        while cell < end:
            mark = load_int(cell + 8)
            key = mark >> KIND_BITS
            place = places[key]
            if place < 0:
                place = places[key] = count
                found[place, 0], found[place, 1], found[place, 2] = key, 0, 0
                count += 1
            found[place, 1] |= 1 << (mark & _KIND_MASK)
            found[place, 2] += 1
            cell += CELL
    return count


@kernel
def split(
    events: NDArray[np.int64],
    times_ms: NDArray[np.int64],
    arrivals_ms: NDArray[np.int64],
    messages: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    failed: NDArray[np.bool_],
) -> None:
    """Write the fields of records (n, EVENT / 8) side by side, each (n,), in one pass."""
    for row in range(np.uint64(events.shape[0])):
        times_ms[row] = events[row, TIME // 8]
        arrivals_ms[row] = events[row, ARRIVAL // 8]
        messages[row] = events[row, MESSAGE // 8]
        hashes[row] = events[row, HASH // 8]
        failed[row] = events[row, FAILED // 8] != 0


@piece
def _put(plan: int, row: int, number: np.uint64, code: int, norm: np.uint64) -> None:
    """One value into those of its arrays that are wanted."""
    numbers, codes, norms = load_int(plan), load_int(plan + CODES), load_int(plan + NORMS)
    if numbers != 0:
        store_word(numbers + 8 * row, number)
    if codes != 0:
        store_code(codes + 4 * row, code)
    if norms != 0:
        store_word(norms + 8 * row, norm)


@kernel
def fill(events: int, cells: int, rows: NDArray[np.int64], plans: NDArray[np.int64]) -> None:
    """Write the values of some events to where `plans` (known keys, 3) says, row by row.

    A text is written as the scanner's code; `localize` makes it the column's.
    """
    base = plans.ctypes.data
    for row in range(len(rows)):
        event = events + EVENT * rows[row]
        cell = cells + CELL * load_int(event + CELLS_BEGIN)
        end = cells + CELL * load_int(event + CELLS_END)
        while cell < end:
            bits, mark = load_word(cell), load_int(cell + 8)
            plan, kind = base + PLAN * (mark >> KIND_BITS), mark & _KIND_MASK
            if kind == NUMBER:
                _put(plan, row, bits, MISTYPED_CODE, MISTYPED_BITS)
            elif kind == TEXT:
                _put(plan, row, MISTYPED_BITS, signed(bits), MISTYPED_BITS)
            elif kind == NULL:
                _put(plan, row, NULL_BITS, NULL_CODE, NULL_BITS)
            else:
                norm = bits if kind == VECTOR else MISTYPED_BITS
                _put(plan, row, MISTYPED_BITS, MISTYPED_CODE, norm)
            cell += CELL


@kernel
def localize(codes: NDArray[np.int32], known: NDArray[np.int32], texts: NDArray[np.int32]) -> int:
    """Number the texts of a column anew, in the order in which they first come, in place.

    known  (texts of the scanner,) -1, and again afterwards
    texts  (n,) becomes the scanner's code of each new one; returns how many there are
    """
    count = 0
    for i in range(len(codes)):
        code = codes[i]
        if code >= 0:
            if known[code] < 0:
                known[code], texts[count] = count, code
                count += 1
            codes[i] = known[code]
    for i in range(count):
        known[texts[i]] = -1
    return count

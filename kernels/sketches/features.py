"""Features: the columns of a batch in, the sketches of all of them updated in one call.

In    per feature the addresses of its sketches and of its column, the runs of the batch
Out   the same bytes as the sketches' own updates, one feature after the other
Not   features whose values are of several types, or arrays (stream/detect/ingest/sketches.py)

A call from Python costs a fifth of a microsecond for each array it is given, and a feature has
fifteen: more than counting a thousand values. So a feature is a row of addresses, made once.
Whoever makes one keeps its arrays, and makes another when they have moved.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.hashing import Key, hash_some
from kernels.jit import float_bits, kernel
from kernels.memory import address_of, bytes_at, codes_at, counts_at, floats_at, integers_at
from kernels.missing import ABSENT, INFINITY_BITS, MAGNITUDE_BITS
from kernels.sketches import hyperloglog, numbers
from kernels.sketches.hyperloglog import REGISTERS, HyperLogLog
from kernels.sketches.logbins import CELLS, LogBins
from kernels.sketches.moments import LANES, Moments
from kernels.sketches.numbers import BLOCK, Scratch
from kernels.sketches.runs import Runs
from kernels.sketches.values import NumberTable, ValueCounts, place_of

NUMBER_FIELDS, CATEGORY_FIELDS = 15, 3
_CELLS, _HASHED, _PLACES = 7, 9, 12  # of a number's row: cells, registers, places of the table


class Work(NamedTuple):
    """What loops leave to each other; one serves all features of a thread."""

    numbers: Scratch
    hashes: NDArray[np.uint64]  # (BLOCK,)
    ranks: NDArray[np.uint8]  # (BLOCK,)


def work() -> Work:
    """New scratch."""
    return Work(numbers.scratch(), np.zeros(BLOCK, np.uint64), np.zeros(BLOCK, np.uint8))


def number_row(
    shape: Moments,
    cells: LogBins,
    hashed: HyperLogLog | None,
    table: NumberTable | None,
    listed: ValueCounts,
) -> list[int]:
    """Addresses (NUMBER_FIELDS,) of the sketches of a number.

    hashed         where every value is noted; None: nowhere
    table, listed  where values of a vocabulary are counted; None: there is none
    """
    row = [address_of(array) for array in (*shape, *cells)]
    row.append(address_of(hashed.registers) if hashed else 0)
    if table is None:
        return [*row, 0, 0, 0, 0, 0]
    row += [address_of(table.keys), address_of(table.codes), len(table.codes)]
    return [*row, address_of(listed.counts), listed.counts.shape[1]]


def category_row(listed: ValueCounts, untyped: NDArray[np.int64]) -> list[int]:
    """Addresses (CATEGORY_FIELDS,) of the counts of a category.

    untyped  (n_slots, 3)  nulls, values of other types, and something else
    """
    return [address_of(listed.counts), listed.counts.shape[1], address_of(untyped)]


@kernel
def update_numbers(
    rows: NDArray[np.int64],
    grids: NDArray[np.float64],
    columns: NDArray[np.int64],
    n: int,
    n_slots: int,
    runs: Runs,
    key: Key,
    work: Work,
    unlisted: NDArray[np.int64],
) -> None:
    """Add a batch of n events to the sketches of f numbers.

    rows      (f, NUMBER_FIELDS)  of `number_row`, all with n_slots rows
    grids     (f, 2)  anchor and inverse scale
    columns   (f,)    addresses of n float64 each
    unlisted  (f,)    out: finite values that are not in the feature's vocabulary, if it has one
    """
    for feature in range(rows.shape[0]):
        row, values = rows[feature], floats_at(columns[feature], n)
        shape, cells = _shape_of(row, n_slots), _cells_of(row, n_slots)
        anchor, inverse_scale = grids[feature, 0], grids[feature, 1]
        numbers.update(shape, cells, runs, values, anchor, inverse_scale, work.numbers)
        if row[_HASHED] != 0:
            hashed = HyperLogLog(bytes_at(row[_HASHED], (n_slots, REGISTERS)))
            _note(hashed, runs, values, key, work)
        if row[_PLACES] != 0:
            keys = floats_at(row[_PLACES - 2], row[_PLACES])
            table = NumberTable(keys, codes_at(row[_PLACES - 1], row[_PLACES]))
            listed = integers_at(row[_PLACES + 1], (n_slots, row[_PLACES + 2]))
            unlisted[feature] = _list(ValueCounts(listed), table, runs, values)


@kernel
def _shape_of(row: NDArray[np.int64], n_slots: int) -> Moments:
    return Moments(
        integers_at(row[0], n_slots),
        integers_at(row[1], (n_slots, 6)),
        integers_at(row[2], n_slots),
        floats_at(row[3], n_slots),
        floats_at(row[4], (n_slots, 4, LANES)),
        floats_at(row[5], n_slots),
        floats_at(row[6], n_slots),
    )


@kernel
def _cells_of(row: NDArray[np.int64], n_slots: int) -> LogBins:
    counts = counts_at(row[_CELLS], (n_slots, CELLS))
    return LogBins(counts, integers_at(row[_CELLS + 1], n_slots))


@kernel
def _note(
    hashed: HyperLogLog, runs: Runs, values: NDArray[np.float64], key: Key, work: Work
) -> None:
    """Hash the values of each slot, block by block, and note them."""
    order, at = runs.order, 0
    for run in range(runs.slots.size):
        slot, end = runs.slots[run], runs.ends[run]
        ahead = 0 if order.size == 0 else order[at] - at
        is_together = order.size == 0 or order[end - 1] - (end - 1) == ahead
        while at < end:
            n = min(BLOCK, end - at)
            if is_together:
                hash_some(values, at + ahead, n, key, work.hashes)
            else:
                numbers.gather(values, order, at, n, work.numbers.values)
                hash_some(work.numbers.values, 0, n, key, work.hashes)
            hyperloglog.note(hashed, slot, work.hashes, 0, n, work.ranks)
            at += n


@kernel
def _list(listed: ValueCounts, table: NumberTable, runs: Runs, values: NDArray[np.float64]) -> int:
    """Count the values of the vocabulary; how many finite ones are not in it."""
    at, unlisted = 0, 0
    for run in range(runs.slots.size):
        slot = runs.slots[run]
        for place in range(at, runs.ends[run]):
            value = values[place if runs.order.size == 0 else runs.order[place]]
            if (float_bits(value) & MAGNITUDE_BITS) >= INFINITY_BITS:
                continue
            code = table.codes[place_of(table, value)]
            if code >= 0:
                listed.counts[slot, code] += 1
            else:
                unlisted += 1
        at = runs.ends[run]
    return unlisted


@kernel
def update_categories(
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    known: NDArray[np.int32],
    ends: NDArray[np.int64],
    slots: NDArray[np.int32],
    n_slots: int,
    marks: tuple[int, int],
    unlisted: NDArray[np.int64],
) -> None:
    """Count a batch of n events in f categories.

    rows      (f, CATEGORY_FIELDS)  of `category_row`, all with n_slots rows
    columns   (f,)  addresses of n int32 each: codes into the texts of the batch, negative for none
    known     the codes of these texts in the vocabulary, -1 for none, feature after feature
    ends      (f,)  where those of each feature end
    slots     (n,)  -1 is skipped
    marks     the codes of a null and of a value of another type
    unlisted  (f,)  out: texts that are not in the vocabulary
    """
    null, mistyped = marks
    start = 0
    for feature in range(rows.shape[0]):
        counts = integers_at(rows[feature, 0], (n_slots, rows[feature, 1]))
        apart = integers_at(rows[feature, 2], (n_slots, 3))
        codes, mine = codes_at(columns[feature], slots.size), known[start : ends[feature]]
        start, missed = ends[feature], 0
        for at in range(slots.size):
            slot, code = slots[at], codes[at]
            if slot < 0:
                continue
            if code < 0:
                apart[slot, 0] += code == null
                apart[slot, 1] += code == mistyped
            elif mine[code] >= 0:
                counts[slot, mine[code]] += 1
            else:
                missed += 1
        unlisted[feature] = missed


@kernel
def beside(
    columns: NDArray[np.int64], n: int, events: NDArray[np.int64], out: NDArray[np.float64]
) -> None:
    """Write the values of some events side by side.

    columns  (d,)    addresses of n float64 each; 0 where there is none: its values are ABSENT
    events   (m,)    below n
    out      (d, m)
    """
    for feature in range(columns.size):
        if columns[feature] == 0:
            out[feature, :] = ABSENT
        else:
            values = floats_at(columns[feature], n)
            for at in range(events.size):
                out[feature, at] = values[events[at]]

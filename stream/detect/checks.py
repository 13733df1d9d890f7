"""Checks: a partial or marker in, what is wrong with its content out.

In    what `partials.read` gave: its checksum was right
Out   None, or one sentence
Not   bytes and checksums (partials.py)

A sender with a broken disk, memory or release can seal nonsense with a right checksum. Counts that
do not add up would not be seen in a merged window, so they are looked at before.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, isfinite

import numpy as np

from kernels import sparse
from kernels.sketches import logbins, moments
from stream.detect.partials import Marker, Partial
from stream.detect.stacks import Stack
from stream.detect.states import CategoryState, FeatureState, NumberState, WindowState
from stream.detect.times import LATEST_MS, NEVER_MS

MOST = 2**53  # of anything that is counted


def problem(item: Partial | Marker, pane_ms: int) -> str | None:
    """What is wrong with a message's content; None if nothing is seen."""
    found = _of_marker(item) if isinstance(item, Marker) else _of_partial(item, pane_ms)
    return next(found, None)


def _of_marker(marker: Marker) -> Iterator[str]:
    if not 0 <= marker.source < marker.sources < MOST:
        yield f"source {marker.source} of {marker.sources}"
    for name, at_ms in (("watermark", marker.watermark_ms), ("sent", marker.sent_ms)):
        is_known = at_ms in (NEVER_MS, -NEVER_MS)
        if not is_known and not -LATEST_MS <= at_ms <= LATEST_MS:
            yield f"{name} {at_ms}"


def _of_partial(partial: Partial, pane_ms: int) -> Iterator[str]:
    where = (partial.source, partial.pane, partial.part)
    if not all(_is_count(value) for value in where) or partial.pane > LATEST_MS // pane_ms:
        yield f"source, pane and part {where}"
    if not 0 <= partial.first_offset <= partial.last_offset:
        yield f"offsets {partial.first_offset} to {partial.last_offset}"
    if not all(isinstance(name, str) for name in partial.stream) or not partial.stream.model:
        yield f"stream {partial.stream}"
    yield from _of_state(partial.state)


def _of_state(state: WindowState) -> Iterator[str]:
    counts = (state.events, state.errors, state.late, state.duplicates, state.unkept, state.dropped)
    if not all(_is_count(count) for count in counts):
        yield f"counts {counts}"
    elif max(state.errors, state.late, state.unkept) > state.events:
        yield f"{state.events} events, of them {counts[1:]}"
    totals = _totals(state.stack)
    for name, feature in state.features.items():
        for what in _of_feature(feature, state.events, totals.get(name)):
            yield f"{name}: {what}"


def _totals(stack: Stack | None) -> dict[str, int]:
    """Values in the cells of each number by feature; -1 where they cannot be unpacked."""
    if stack is None or stack.packed is None:
        return {}
    found = np.empty(len(stack.packed.hashes), np.int64)
    sparse.totals(stack.packed.buffer, stack.packed.ends, logbins.CELLS, found)
    totals = found.tolist()
    return {name: totals[row] for name, row in stack.rows.items()}


def _of_feature(feature: FeatureState, events: int, in_cells: int | None) -> Iterator[str]:
    counts = [feature.nulls, feature.mistyped]
    if feature.number is not None:
        yield from _of_number(feature.number, in_cells)
        kinds = feature.number.moments.kinds[0].tolist()
        counts += [kinds[moments.NANS], kinds[moments.POS_INFS], kinds[moments.NEG_INFS]]
        counts.append(feature.number.count)
    if feature.category is not None:
        yield from _of_category(feature.category)
        counts.append(feature.category.count)
    if not _are_counts(counts) or sum(counts) > events:
        yield f"values {counts} in {events} events"


def _of_number(number: NumberState, in_cells: int | None) -> Iterator[str]:
    m, count = number.moments, number.count
    if in_cells is None:
        in_cells = _in_cells(number)
    zeros, low, high = int(m.zeros[0]), float(m.low[0]), float(m.high[0])
    if in_cells < 0:
        yield "cells cannot be unpacked"
        return
    if in_cells != count:
        yield f"{in_cells} values in cells, {count} counted"
    if not _is_count(number.clamped) or number.clamped > count or not 0 <= zeros <= count:
        yield f"{number.clamped} clamped and {zeros} zeros of {count}"
    atoms = list(number.values.values())
    if atoms and (not _are_counts(atoms) or sum(atoms) > count):
        yield f"{sum(atoms)} values counted one by one of {count}"
    if count and not -inf < low <= high < inf:
        yield f"values from {low} to {high}"
    anchor, inverse_scale = number.grid
    if not (isfinite(anchor) and isfinite(inverse_scale)) or inverse_scale < 0:
        yield f"grid {number.grid}"


def _in_cells(number: NumberState) -> int:
    total = np.empty(1, np.int64)
    if number.packed is None:
        return int(number.cells.sum()) if (number.cells >= 0).all() else -1
    ends = np.array([0, len(number.packed)], np.int64)
    sparse.totals(number.packed, ends, logbins.CELLS, total)
    return int(total[0])


def _of_category(category: CategoryState) -> Iterator[str]:
    if not _are_counts(list(category.counts.values())):
        yield "counts of values"
    if not _is_count(category.uncertain):
        yield f"{category.uncertain} uncertain"


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < MOST


def _are_counts(values: list[int]) -> bool:
    return not values or (set(map(type, values)) == {int} and min(values) >= 0 > max(values) - MOST)

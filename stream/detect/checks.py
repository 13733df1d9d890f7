"""Checks: a partial or marker in, what is wrong with its content out.

In    what `partials.read` gave: its checksum was right
Out   None, or one sentence
Not   bytes and checksums (partials.py)

A sender with a broken disk, memory or release can seal nonsense with a right checksum. Counts that
do not add up would not be seen in a merged window, so they are looked at before.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kernels import sparse
from kernels.sketches import logbins, moments
from stream.detect.partials import Marker, Partial
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
    for name, feature in state.features.items():
        for what in _of_feature(feature, state.events):
            yield f"{name}: {what}"


def _of_feature(feature: FeatureState, events: int) -> Iterator[str]:
    counts = [feature.nulls, feature.mistyped]
    if feature.number is not None:
        yield from _of_number(feature.number)
        kinds = feature.number.moments.kinds[0, [moments.NANS, moments.POS_INFS, moments.NEG_INFS]]
        counts += [feature.number.count, *kinds.tolist()]
    if feature.category is not None:
        yield from _of_category(feature.category)
        counts.append(feature.category.count)
    if not all(_is_count(count) for count in counts) or sum(counts) > events:
        yield f"values {counts} in {events} events"


def _of_number(number: NumberState) -> Iterator[str]:
    m, count = number.moments, number.count
    cells = np.zeros(logbins.CELLS, np.int64)
    if number.packed is None:
        cells = number.cells
    elif sparse.unpack_counts(number.packed, cells) < 0:
        yield "cells cannot be unpacked"
        return
    if (cells < 0).any() or int(cells.sum()) != count:
        yield f"{int(cells.sum())} values in cells, {count} counted"
    if not _is_count(number.clamped) or number.clamped > count or not 0 <= m.zeros[0] <= count:
        yield f"{number.clamped} clamped and {m.zeros[0]} zeros of {count}"
    atoms = list(number.values.values())
    if not all(_is_count(c) for c in atoms) or sum(atoms) > count:
        yield f"{sum(atoms)} values counted one by one of {count}"
    if count and not -np.inf < m.low[0] <= m.high[0] < np.inf:
        yield f"values from {m.low[0]} to {m.high[0]}"
    if not all(np.isfinite(number.grid)) or number.grid.inverse_scale < 0:
        yield f"grid {number.grid}"


def _of_category(category: CategoryState) -> Iterator[str]:
    if not all(_is_count(count) for count in category.counts.values()):
        yield "counts of values"
    if not _is_count(category.uncertain):
        yield f"{category.uncertain} uncertain"


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < MOST

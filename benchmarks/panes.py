"""Panes: sketches of one stream in, the bytes a feature takes in memory and in a partial out.

In    nothing; a stream of normal numbers under a reference of the same
Out   one row: ours is the packed size of a pane's feature, peer the arrays it takes while open
Not   time (bench_update.py)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.measuring import Row, compared
from stream.detect.ingest.columns import Column, Columns
from stream.detect.ingest.sketches import StreamSketches
from stream.detect.partials import Partial, pack
from stream.detect.profiles import ProfileBuilder
from stream.detect.specs import LimitSpec, ModelSpec
from stream.detect.states import Stream, WindowState

FEATURES, EVENTS, OPEN_PANES = 20, 10_000, 32
UNIT = "bytes per feature and pane of 10,000 events"


def bytes_per_feature() -> Row:
    """Packed beside dense."""
    pairs = [(_packed(seed), _dense(seed)) for seed in range(3)]
    return compared("memory/bytes_per_feature_pane", pairs, UNIT)


def _sketches(seed: int) -> tuple[StreamSketches, Columns]:
    builder = ProfileBuilder("m", "1")
    builder.add(_columns(seed))
    return StreamSketches(ModelSpec(name="m"), builder.build(), LimitSpec()), _columns(seed + 100)


def _columns(seed: int) -> Columns:
    drawn = np.random.default_rng(seed).normal(10.0, 3.0, (FEATURES, EVENTS))
    columns = {f"feature.f{at}": Column(values, None, [], None) for at, values in enumerate(drawn)}
    ids, rows = np.arange(EVENTS, dtype=np.uint64), np.arange(EVENTS)
    return Columns("m", "1", ids, rows, np.zeros(EVENTS, np.bool_), columns, None)


def _packed(seed: int) -> float:
    sketches, columns = _sketches(seed)
    slot = sketches.open()
    sketches.update(np.full(EVENTS, slot, np.int32), columns)
    state = sketches.close(slot)
    without = WindowState(events=state.events)
    return (len(pack(_partial(state))) - len(pack(_partial(without)))) / FEATURES


def _partial(state: WindowState) -> Partial:
    return Partial(
        stream=Stream("m", "1"),
        source=0,
        pane=0,
        part=0,
        first_offset=0,
        last_offset=EVENTS,
        reference_id="r",
        config_hash="c",
        state=state,
    )


def _dense(seed: int) -> float:
    """Bytes of all arrays that are there for each open pane."""
    sketches, columns = _sketches(seed)
    slots = [sketches.open() for _ in range(OPEN_PANES)]
    sketches.update(np.resize(np.array(slots, np.int32), EVENTS), columns)
    held = sum(array.nbytes for array in _arrays(sketches) if len(array) == sketches.rows)
    return held / sketches.rows / FEATURES


def _arrays(thing: Any) -> list[np.ndarray[Any, Any]]:
    """The arrays an object holds, and those of what it holds."""
    if isinstance(thing, np.ndarray):
        return [thing] if thing.ndim else []
    if isinstance(thing, dict):
        return [array for value in thing.values() for array in _arrays(value)]
    if isinstance(thing, tuple):
        return [array for value in thing for array in _arrays(value)]
    if type(thing).__module__.startswith("stream.detect.ingest"):
        return _arrays(vars(thing))
    return []

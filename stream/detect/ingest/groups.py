"""Groups: a run of events in, the rows of each (segment, pane, part) out.

In    columns of a run, panes and parts of its events (windows.py)
Out   rows that are updated together; no Python per event
Not   the sketches they go to (ingestor.py)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.detect.ingest.columns import Columns, texts_of
from stream.detect.ingest.windows import grouped


class Segmentation(NamedTuple):
    """A run cut into segments.

    codes  (n,) which of the names each event belongs to, -1 for none
    """

    codes: NDArray[np.int64]
    names: list[str]


class Group(NamedTuple):
    """Events of one part of a pane of one segment; rows (m,) ascending."""

    segment: str
    pane: int
    part: int
    rows: NDArray[np.intp]


def whole(run: Columns) -> Segmentation:
    """The run as one."""
    return Segmentation(np.zeros(len(run.rows), np.int64), [""])


def segmentation(run: Columns, segment: str) -> Segmentation | None:
    """The run cut by one segment; None if no event has it.

    An event's segment counts, or else its feature of that name: event by event, so that it does not
    matter which events came with it.
    """
    codes, known = np.full(len(run.rows), -1, np.int64), dict[str, int]()
    for column in (run.columns.get(f"feature.{segment}"), run.segments.get(segment)):
        if column is not None:
            own, texts = texts_of(column)
            names = [f"{segment}={text}" for text in texts]
            places = np.array([known.setdefault(name, len(known)) for name in names], np.int64)
            is_text = own >= 0
            codes[is_text] = places[own[is_text]]
    return Segmentation(codes, list(known)) if (codes >= 0).any() else None


def groups(
    segmentation: Segmentation,
    panes: NDArray[np.int64],
    parts: NDArray[np.int64],
    taken: NDArray[np.bool_],
) -> Iterator[Group]:
    """The taken events of a run, each group once."""
    names = segmentation.names
    keys, index = grouped(panes, parts, taken & (segmentation.codes >= 0))
    if len(keys) * len(names) == 1:
        yield Group(names[0], *keys[0], np.flatnonzero(index == 0))
        return
    both = np.where(index >= 0, index * len(names) + segmentation.codes, -1)
    order = np.argsort(both, kind="stable")
    ends = np.flatnonzero(np.diff(both[order], append=len(keys) * len(names))) + 1
    for rows in np.split(order, ends[:-1]):
        code = int(both[rows[0]]) if len(rows) else -1
        if code >= 0:
            pane, part = keys[code // len(names)]
            yield Group(names[code % len(names)], pane, part, rows)

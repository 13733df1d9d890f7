"""Slices: a sample of a feature's arrays on a few directions, as one window knows it.

In    rows of the ingest side's sketch, bytes
Out   a sample of one slot, merged or read
Not   projecting (ingest/slices.py), comparing (judge/measures.py)
"""

from __future__ import annotations

import numpy as np

from kernels.packing import Buffer
from kernels.sketches import rows
from kernels.sketches.rows import Rows

DIRECTIONS = 16  # their mean distance is within some 20 % of that over all directions
SLICE_ROWS = 256  # arrays of a window and of a reference; of each part of a pane fewer

_ONE_ROW = np.zeros(1, np.int32)


def merged(into: Rows | None, other: Rows) -> Rows:
    """Both samples as one of a window; `into` is changed if it is given."""
    known = rows.empty(1, SLICE_ROWS, DIRECTIONS) if into is None else into
    rows.merge(known, _ONE_ROW, other)
    return known


def read(raw: Buffer) -> Rows:
    """The sample in these bytes. Raises ValueError."""
    found = rows.unpack(raw)
    if found.values.shape[2] != DIRECTIONS:
        raise ValueError(f"arrays on {found.values.shape[2]} directions, {DIRECTIONS} are read")
    return found

"""Together: the plain columns of a run in, their sketches updated by one call of a kernel.

In    numbers without texts, texts without numbers, each with the sketch it belongs to
Out   the sketches as their own `update` leaves them
Not   columns of several types, arrays (feature.py takes these)

A run has twenty columns and, of one partition's fetch, often few events: what Python does for each
column costs as much as counting a thousand values. So it does as little as it can, and addresses
of sketches are read again only when one of them has moved. One caller at a time, as everywhere in
the ingest side: a sketch that moved while the kernel runs would leave it an address of nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernels.hashing import Key
from kernels.memory import address_of
from kernels.sketches import features
from kernels.sketches.runs import Runs
from stream.detect.ingest.anchoring import AnchoringSketch, Followed
from stream.detect.ingest.categories import CategorySketch
from stream.detect.ingest.columns import MISTYPED_CODE, NULL_CODE, Column
from stream.detect.ingest.numbers import NumberSketch
from stream.detect.ingest.scratch import SCRATCH

MARKS = NULL_CODE, MISTYPED_CODE

Slots = NDArray[np.int32]


class Numbers:
    """Columns of numbers of one run after another."""

    def __init__(self, key: Key) -> None:
        self._key = key
        self._sketches = list[NumberSketch]()
        self._moves = list[int]()
        self._rows = np.empty((0, features.NUMBER_FIELDS), np.int64)
        self._grids = np.empty((0, 2))
        self._unhashed = list[int]()  # those for whose hashes there are no registers yet
        self._anchored = list[int]()  # those with grids of their own
        self._followed = Followed([])

    def update(
        self,
        sketches: list[NumberSketch],
        columns: list[NDArray[np.float64]],
        slots: Slots,
        n_slots: int,
        runs: Runs,
    ) -> list[int]:
        """Add column i (n,) to sketches[i], each event to its slot in slots (n,), as runs have it.

        No sketch may come twice; all have n_slots slots. Returns the addresses of the columns.
        """
        self._prepare(sketches)
        unlisted = np.zeros(len(columns), np.int64)
        places = [address_of(column) for column in columns]
        features.update_numbers(
            self._rows,
            self._grids,
            np.array(places, np.int64),
            len(slots),
            n_slots,
            runs,
            self._key,
            SCRATCH.work,
            unlisted,
        )
        for at in (*self._unhashed, *(np.flatnonzero(unlisted).tolist() if unlisted.any() else ())):
            sketches[at].add_rest(slots, columns[at])
        if self._anchored:
            self._followed.add([columns[at] for at in self._anchored], len(slots), runs)
        return places

    def _prepare(self, sketches: list[NumberSketch]) -> None:
        moves = [sketch.moves for sketch in sketches]
        if moves == self._moves and sketches == self._sketches:
            return
        self._sketches, self._moves = sketches, moves
        self._rows = np.array([sketch.addresses() for sketch in sketches], np.int64)
        self._grids = np.array([sketch.grid for sketch in sketches], np.float64)
        self._unhashed = [at for at, sketch in enumerate(sketches) if sketch.has_rest]
        self._followed.tell()
        anchored = {at: s for at, s in enumerate(sketches) if isinstance(s, AnchoringSketch)}
        self._anchored, self._followed = list(anchored), Followed(list(anchored.values()))


class Categories:
    """Columns of texts of one run after another."""

    def __init__(self) -> None:
        self._sketches = list[CategorySketch]()
        self._moves = list[int]()
        self._rows = np.empty((0, features.CATEGORY_FIELDS), np.int64)

    def update(
        self,
        sketches: list[CategorySketch],
        untyped: list[NDArray[np.int64]],
        columns: list[Column],
        slots: Slots,
    ) -> None:
        """Add column i (n,) of texts to sketches[i], and what is no text to untyped[i].

        untyped  of each (n_slots, 3), as kernels/sketches/features.py takes it
        """
        known, ends, codes = list[int](), list[int](), list[NDArray[np.int32]]()
        for sketch, column in zip(sketches, columns, strict=True):
            assert column.codes is not None  # a column of texts
            known += sketch.known(column.texts)
            ends.append(len(known))
            codes.append(column.codes)
        self._prepare(sketches, untyped)
        unlisted = np.zeros(len(columns), np.int64)
        features.update_categories(
            self._rows,
            np.array([address_of(part) for part in codes], np.int64),
            np.array(known, np.int32),
            np.array(ends, np.int64),
            slots,
            len(untyped[0]),
            MARKS,
            unlisted,
        )
        if unlisted.any():
            for at in np.flatnonzero(unlisted).tolist():
                sketches[at].add_rest(slots, codes[at], columns[at].texts)

    def _prepare(self, sketches: list[CategorySketch], untyped: list[NDArray[np.int64]]) -> None:
        moves = [sketch.moves for sketch in sketches]
        if moves == self._moves and sketches == self._sketches:
            return  # what is untyped moves with them
        self._sketches, self._moves = sketches, moves
        pairs = zip(sketches, untyped, strict=True)
        self._rows = np.array([sketch.addresses(apart) for sketch, apart in pairs], np.int64)

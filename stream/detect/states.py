"""States: the sketches of one window, one model and one segment, ready to be merged and read.

In    rows of the ingest side's sketches, or an unpacked partial
Out   `WindowState`, which merges with others of the same stream
Not   numbers for people (judge/summaries.py), bytes (partials.py)

A partial, a merged window and a reference are all this same thing, so whatever compares two of
them does not care where they come from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels import sparse
from kernels.hashing import Key, hash_floats, hash_texts
from kernels.sketches import logbins, moments, vectors
from kernels.sketches.moments import Moments
from kernels.sketches.rows import Rows
from kernels.sketches.vectors import Vectors
from stream.detect import slices
from stream.detect.contributions import NO_ATTRIBUTION, Attribution
from stream.detect.grids import Grid, edges_of
from stream.detect.hashes import ONE_ROW, Hashes, distinct, either
from stream.detect.joint import JointState
from stream.detect.stacks import Stack

MOST_LISTED = 512  # a number with more distinct values is taken as continuous
MIXED_SHARE = 0.5  # of the typed values: the more frequent type is a feature's kind


class Stream(NamedTuple):
    """Whose events: a model, a version, and a slice of its traffic ("" is all of it)."""

    model: str
    version: str
    segment: str = ""


@dataclass(slots=True)
class NumberState:
    """What a window knows of a numeric feature.

    moments   one slot
    dense     (CELLS,) int64 counts of cells on `grid`; None while they are only packed
    clamped   values outside the grid, counted in its outermost cells
    values    exact counts of values of the reference's vocabulary, a subset of the cells
    packed    (k,) the cells as kernels/sparse.py packs them; merging needs no more than this
    unlisted  hashes of values that are not in `values`; None if there are none
    """

    moments: Moments
    grid: Grid
    dense: NDArray[np.int64] | None
    clamped: int = 0
    values: dict[float, int] = field(default_factory=dict)
    packed: NDArray[np.uint8] | None = None
    unlisted: Hashes | None = None

    @property
    def cells(self) -> NDArray[np.int64]:
        """Counts of cells (CELLS,), to be changed in place only by `merge`."""
        if self.dense is None:
            self.dense = np.zeros(logbins.CELLS, np.int64)
            if self.packed is not None:
                sparse.unpack_counts(self.packed, self.dense)
                self.packed = None
        return self.dense

    def fold(self) -> None:
        """Keep the cells packed until somebody asks for them."""
        if self.dense is not None:
            room = np.empty(sparse.packed_bound(len(self.dense)), np.uint8)
            self.packed = room[: sparse.pack_counts(self.dense, room)].copy()
            self.dense = None

    @classmethod
    def empty(cls, grid: Grid) -> NumberState:
        """No value yet."""
        return cls(moments.empty(1), grid, np.zeros(logbins.CELLS, np.int64))

    @property
    def count(self) -> int:
        """Finite values."""
        return int(self.moments.count[0])

    @property
    def is_atomic(self) -> bool:
        """Whether every value is counted one by one."""
        return bool(self.values) and sum(self.values.values()) == self.count

    def distinct(self, key: Key) -> int | None:
        """How many values are different: exact if atomic, else within hyperloglog.GUARANTEE.

        key  what values were hashed with; None if nothing is known of values not listed
        """
        if self.is_atomic or not self.count:
            return len(self.values)
        if self.unlisted is None:
            return None
        hashes = np.zeros(len(self.values), np.uint64)
        hash_floats(np.array(list(self.values), np.float64), key, hashes)
        return distinct(self.unlisted, hashes)

    @np.errstate(over="ignore", invalid="ignore")
    def quantiles(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Quantiles, linear between neighbours as numpy's.

        Exact where every value is counted one by one, else to a cell's width. Not finite where the
        way between two neighbours is longer than a float64 can say.
        """
        if not self.values:
            out = np.empty(len(probabilities))
            low, high = float(self.moments.low[0]), float(self.moments.high[0])
            edges = edges_of(self.grid)
            logbins.quantiles(self.cells, edges, low, high, probabilities, out)
            return out
        values, counts = self.points()
        last = np.cumsum(counts) - 1  # index of the last copy
        at = probabilities * last[-1]
        left, right = (values[np.searchsorted(last, end(at))] for end in (np.floor, np.ceil))
        part = at - np.floor(at)
        # numpy's own interpolation, to the last bit: from the nearer end.
        step = right - left
        return np.asarray(np.where(part < 0.5, left + step * part, right - step * (1 - part)))

    def points(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Values (k,) ascending and their counts; what is not counted one by one stands in the
        middle of its cell.
        """
        values = np.array(list(self.values), np.float64)
        counts = np.array(list(self.values.values()), np.int64)
        if not self.is_atomic:
            rest = self.rest()
            cells = np.flatnonzero(rest)
            edges = edges_of(self.grid)
            middles = edges[cells] / 2 + edges[cells + 1] / 2
            middles = np.clip(middles, self.moments.low[0], self.moments.high[0])
            values, counts = np.append(values, middles), np.append(counts, rest[cells])
        order = np.argsort(values, kind="stable")
        return values[order], counts[order]

    def rest(self) -> NDArray[np.int64]:
        """Counts by cell (CELLS,) of the values that are not counted one by one."""
        rest = self.cells.copy()
        for value, count in self.values.items():
            rest[logbins.cell_of(value, *self.grid)] -= count
        return rest

    def outside(self, low: float, high: float) -> int:
        """Values below low or above high, infinities among them.

        Exact if atomic; else those in a cell that low or high cuts are inside, but for the smallest
        and the largest value, which are known.
        """
        kinds, least, most = self.moments.kinds[0], self.moments.low[0], self.moments.high[0]
        infinite = kinds[moments.NEG_INFS] * (low > -np.inf)
        infinite += kinds[moments.POS_INFS] * (high < np.inf)
        if not self.count or (least >= low and most <= high):
            return int(infinite)
        atoms = sum(c for value, c in self.values.items() if value < low or value > high)
        edges, is_above = edges_of(self.grid), np.arange(logbins.CELLS) >= logbins.HALF
        # A cell is closed at its border towards the anchor (kernels/sketches/logbins.py).
        is_outside = np.where(is_above, edges[1:] <= low, edges[1:] < low)
        is_outside |= np.where(is_above, edges[:-1] > high, edges[:-1] >= high)
        counted = atoms + int(self.rest()[is_outside].sum())
        return int(infinite) + max(counted, int(least < low) + int(most > high))

    def merge(self, other: NumberState) -> None:
        """Add other; cells on another grid are moved over by overlap, which is approximate."""
        if self.grid.unit == other.grid.unit:
            moments.merge(self.moments, ONE_ROW, other.moments, self.grid.unit)
        else:
            rescaled = rescale(other.moments, self.grid.unit / other.grid.unit)
            moments.merge(self.moments, ONE_ROW, rescaled, self.grid.unit)
        if other.packed is not None and self.grid == other.grid:
            sparse.unpack_counts(other.packed, self.cells)
        else:
            cells = self.cells
            cells += other.cells_on(self.grid)
        self.note(other)
        self.unlisted = either(self.unlisted, other.unlisted)

    def note(self, other: NumberState) -> None:
        """Add of other what is not in arrays."""
        self.clamped += other.clamped
        if other.values:
            if self.values:
                for value, count in other.values.items():
                    self.values[value] = self.values.get(value, 0) + count
            else:
                self.values = dict(other.values)
        if len(self.values) > MOST_LISTED:  # of parts without reference; cells have them, too
            self.values = {}

    def cells_on(self, grid: Grid) -> NDArray[np.int64]:
        """The counts of the cells of another grid."""
        if grid == self.grid:
            return self.cells
        moved = np.zeros(logbins.CELLS, np.int64)
        edges, new_edges = edges_of(self.grid), edges_of(grid)
        logbins.regrid(self.rest(), edges, new_edges, moved)
        for value, count in self.values.items():  # these are known exactly
            moved[logbins.cell_of(value, *grid)] += count
        return moved


@np.errstate(over="ignore", invalid="ignore")
def rescale(state: Moments, ratio: float) -> Moments:
    """The same moments with deviations counted in units 1/ratio times as large."""
    return state._replace(sums=state.sums * ratio ** np.arange(1, 5)[:, None])


@dataclass(slots=True)
class CategoryState:
    """What a window knows of a category.

    counts      by value; exact for the reference's vocabulary, heavy hitters for the rest
    uncertain   events that heavy hitters may have counted under a wrong value
    unlisted    hashes of values outside the reference's vocabulary; None if there are none
    """

    counts: dict[str, int] = field(default_factory=dict)
    uncertain: int = 0
    unlisted: Hashes | None = None

    @property
    def count(self) -> int:
        """Events with a value."""
        return sum(self.counts.values())

    def merge(self, other: CategoryState) -> None:
        """Add other."""
        for value, count in other.counts.items():
            self.counts[value] = self.counts.get(value, 0) + count
        self.uncertain += other.uncertain
        self.unlisted = either(self.unlisted, other.unlisted)

    def distinct(self, key: Key) -> int | None:
        """How many values are different: exact while none is uncertain; key as for numbers."""
        if not self.uncertain:
            return len(self.counts)
        if self.unlisted is None:
            return None
        texts = [text.encode() for text in self.counts]
        hashes = np.zeros(len(texts), np.uint64)
        ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
        hash_texts(np.frombuffer(b"".join(texts), np.uint8), ends, key, hashes)
        return distinct(self.unlisted, hashes)


@dataclass(slots=True)
class FeatureState:
    """A feature of a window; with no kind given beforehand it can hold both parts.

    nulls     JSON null
    mistyped  values that are no number, text or array, and texts where a number is due
    arrays    one slot: the dimensions of its arrays
    cosine    of each array and the mean array of the reference
    slices    one slot: a sample of its arrays, projected (slices.py)
    """

    number: NumberState | None = None
    category: CategoryState | None = None
    nulls: int = 0
    mistyped: int = 0
    is_vector: bool = False  # the number is the length of an array
    arrays: Vectors | None = None
    cosine: NumberState | None = None
    slices: Rows | None = None

    @property
    def kind(self) -> str:
        """number, category or vector: the more frequent type of the values."""
        numbers = self.number.count if self.number else -1
        texts = self.category.count if self.category else -1
        if texts > numbers:
            return "category"
        return "vector" if self.is_vector else "number"

    def observed(self, kind: str | None = None) -> int:
        """Values of the kind given, or else of the more frequent one; infinities are values."""
        if (kind or self.kind) == "category":
            return self.category.count if self.category else 0
        if self.number is None:
            return 0
        kinds = self.number.moments.kinds[0]
        return self.number.count + int(kinds[moments.POS_INFS]) + int(kinds[moments.NEG_INFS])

    def merge(self, other: FeatureState, *, is_counted: bool = False) -> None:
        """Add other; is_counted: but for its number, which was."""
        if other.number and not is_counted:
            if self.number is None:
                self.number = NumberState.empty(other.number.grid)
            self.number.merge(other.number)
        if other.category:
            if self.category is None:
                self.category = CategoryState()
            self.category.merge(other.category)
        self.nulls += other.nulls
        self.mistyped += other.mistyped
        self.is_vector |= other.is_vector
        if other.arrays:
            known = self.arrays or vectors.empty(1, 0)
            self.arrays = vectors.grow(known, 1, other.arrays.sums.shape[1])
            vectors.merge(self.arrays, ONE_ROW, other.arrays)
        if other.cosine:
            if self.cosine is None:
                self.cosine = NumberState.empty(other.cosine.grid)
            self.cosine.merge(other.cosine)
        if other.slices:
            self.slices = slices.merged(self.slices, other.slices)


@dataclass(slots=True)
class WindowState:
    """All sketches of one stream in one window.

    events      counted; duplicates are not among them
    duplicates  events whose id was in the same pane before
    unkept      events whose repetition would not be seen: there were too many ids
    dropped     values left out because the model had too many features
    features    "feature.NAME", "prediction.score", "prediction.label", "service.latency_ms"
    attributions  by feature
    joint       numeric features side by side; None without a reference, or with fewer than two
    stack       numbers of its features, whose arrays are views of this; None if each stands alone
    """

    events: int = 0
    errors: int = 0
    late: int = 0
    duplicates: int = 0
    unkept: int = 0
    dropped: int = 0
    features: dict[str, FeatureState] = field(default_factory=dict)
    attributions: dict[str, Attribution] = field(default_factory=dict)
    joint: JointState | None = None
    stack: Stack | None = None

    def merge(self, other: WindowState) -> None:
        """Add other."""
        self.events += other.events
        self.errors += other.errors
        self.late += other.late
        self.duplicates += other.duplicates
        self.unkept += other.unkept
        self.dropped += other.dropped
        counted = self._merge_stack(other)
        for name, state in other.features.items():
            mine = self.features.setdefault(name, FeatureState())
            mine.merge(state, is_counted=name in counted)
        for name, attribution in other.attributions.items():
            known = self.attributions.get(name, NO_ATTRIBUTION)
            self.attributions[name] = known.plus(attribution)
        if other.joint:
            if self.joint is None:
                self.joint = JointState.empty(other.joint.names, other.joint.scales)
            self.joint.merge(other.joint)

    def fold(self) -> None:
        """Keep the cells of numbers packed until somebody asks for them."""
        self.stack = None
        for feature in self.features.values():
            for number in (feature.number, feature.cosine):
                if number is not None:
                    number.fold()

    def _merge_stack(self, other: WindowState) -> set[str]:
        """Add in one piece the numbers that can be; of which features these are."""
        theirs = other.stack
        if theirs is None or theirs.packed is None:
            return set()
        if self.stack is None and not self.features:
            self.stack = Stack.empty({name: row for row, name in enumerate(theirs.rows)})
            for name, state in other.features.items():
                self.features[name] = FeatureState()
                if state.number is not None and (row := self.stack.rows.get(name)) is not None:
                    self.features[name].number = _stacked(self.stack, row, state.number.grid)
        if self.stack is None or self.stack.packed is not None:
            self.stack = None  # it was read: from now on each of its numbers stands alone
            return set()
        pairs = list[tuple[str, NumberState, NumberState]]()
        for name in theirs.rows:
            number, known = other.features[name].number, self.features.get(name)
            into = known.number if known is not None and name in self.stack.rows else None
            if number is not None and into is not None and into.grid == number.grid:
                into.note(number)
                pairs.append((name, into, number))
        self.stack.add(theirs, pairs)
        return {name for name, *_ in pairs}


def _stacked(stack: Stack, row: int, grid: Grid) -> NumberState:
    assert stack.cells is not None  # it is made to be added to
    return NumberState(stack.row_of(row), grid, stack.cells[row])

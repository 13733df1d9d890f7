"""Update: what one value costs in the sketches, beside other sketches and a bare sum.

In    nothing; seeded columns of normal values, larger than the caches of a core
Out   rows: name, ours and peer (medians), ratio with its spread, unit, runs
Not   compiling (done before), decoding, judging

vs_sum and vs_one_key say how many times as long we take, the others how many times as long the peer
takes. CPU time of one thread each.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
from numba import njit
from numpy.typing import NDArray

from benchmarks import libraries, panes, turns
from benchmarks.measuring import Pair, Row, compared, not_measured
from kernels.hashing import hash_floats
from kernels.measures import divergences
from kernels.sketches import features, hyperloglog, logbins, moments, numbers, runs
from kernels.sketches import values as value_counts
from stream.errors import SetupError

RUNS, QUICK_RUNS = 41, 2
N_VALUES = 4_000_000
MISSING = 0.02
KEYS, ROWS_PER_KEY, COLUMNS = 64, 128, 20
WINDOW = 100_000
TURNS = 3  # of peers that take seconds; in each of them ours takes AGAIN
AGAIN = 9
GRID = (10.0, 1.0 / 3.0)
UNIT = "ns per value"
NOT_LISTED = value_counts.empty(1, 0)
Floats = NDArray[np.float64]


class Column:
    """Fused sketches of one feature, a row per key."""

    def __init__(self, keys: int = 1) -> None:
        self.shape, self.cells = moments.empty(keys), logbins.empty(keys)
        self.scratch = numbers.scratch()

    def add(self, arranged: runs.Runs, values: Floats) -> None:
        """One batch."""
        numbers.update(self.shape, self.cells, arranged, values, *GRID, self.scratch)

    def row(self) -> list[int]:
        """Its addresses, of moments and cells alone."""
        return features.number_row(self.shape, self.cells, None, None, NOT_LISTED)


def rows(quick: bool = False) -> list[Row]:
    """One row per comparison, both sides in turn."""
    count = QUICK_RUNS if quick else RUNS
    values = np.random.default_rng(1).normal(10.0, 3.0, N_VALUES)
    return [
        *_beside_sums(values, count),
        *_beside_libraries(values, 2 if quick else 7),
        *_beside_tables(values, 1 if quick else TURNS),
        _grouped(count),
        panes.bytes_per_feature(),
    ]


def _beside_sums(values: Floats, count: int) -> Iterator[Row]:
    """The limit is memory: both sides stream the same 32 MB."""
    gaps = values.copy()
    gaps[np.random.default_rng(2).random(values.size) < MISSING] = np.nan
    for name, column in (("fused", values), ("fused_with_missing", gaps)):
        pairs = _interleaved(_fused(column), lambda c=column: _sum(c), count, values.size)
        yield compared(f"kernels/{name}/vs_sum", pairs, UNIT)


def _beside_libraries(values: Floats, count: int) -> Iterator[Row]:
    fused, hashed = _fused(values), _hashed(values)
    found, missing = libraries.found()
    for library in [libraries.Library("numpy", values.size, libraries.numpy_summary), *found]:
        name, ours = f"kernels/fused/vs_{library.name}", fused
        if library.name == "datasketches_hll":
            name, ours = "kernels/hyperloglog/vs_datasketches", hashed
        some = values[: library.values]
        pairs = [
            (_ns(ours, values.size), _ns(lambda t=library.turn, s=some: t(s), library.values))
            for _ in range(count)
        ]
        yield compared(name, pairs, UNIT, _times_peer)
    for name, why in missing.items():
        yield not_measured(f"kernels/fused/vs_{name}", why)


def _beside_tables(values: Floats, count: int) -> Iterator[Row]:
    names = ("kernels/fused/vs_whylogs", "kernels/window/vs_evidently_psi")
    fused, window = _fused(values), _window()
    pairs: list[list[Pair]] = [[], []]
    try:
        with turns.peer("peer_tables", str(WINDOW), str(COLUMNS)) as peer:
            for _ in range(count):
                theirs = peer.take("whylogs") / WINDOW * 1e9
                pairs[0].append((_median(fused) / values.size, theirs))
                theirs = peer.take("evidently") * 1e3
                pairs[1].append((_median(window) / 1e6, theirs))
    except SetupError as error:
        yield from (not_measured(name, str(error)) for name in names)
        return
    yield compared(names[0], pairs[0], UNIT, _times_peer)
    yield compared(names[1], pairs[1], "ms per window of 100,000 × 20", _times_peer)


def _grouped(count: int) -> Row:
    """64 keys of 128 rows that take turns in a batch of 20 columns, beside one key."""
    n = KEYS * ROWS_PER_KEY
    columns = np.random.default_rng(3).normal(10.0, 3.0, (COLUMNS, n))
    mixed = np.tile(np.arange(KEYS, dtype=np.int32), ROWS_PER_KEY)
    many = _batch(columns, mixed, KEYS)
    one = _batch(columns, np.zeros(n, np.int32), 1)
    pairs = _interleaved(many, one, 5 * count, columns.size)
    return compared("kernels/grouped/vs_one_key", pairs, UNIT)


def _batch(columns: Floats, slots: NDArray[np.int32], keys: int) -> Callable[[], None]:
    sketches, before = [Column(keys) for _ in columns], np.zeros(keys, np.int64)

    def turn() -> None:
        arranged = runs.runs_of(slots, before)
        for sketch, values in zip(sketches, columns, strict=True):
            sketch.add(arranged, values)

    return turn


def _fused(values: Floats) -> Callable[[], object]:
    """One batch of COLUMNS features, as the detector adds it: all in one call."""
    columns = values.reshape(COLUMNS, -1)
    sketches, before = [Column() for _ in columns], np.zeros(1, np.int64)
    slots, work = np.zeros(columns.shape[1], np.int32), features.work()
    rows, grids = np.array([s.row() for s in sketches]), np.array([GRID] * COLUMNS)
    key, unlisted = (np.uint64(1), np.uint64(2)), np.zeros(COLUMNS, np.int64)

    def turn() -> list[Column]:
        arranged = runs.runs_of(slots, before)
        places = np.array([column.ctypes.data for column in columns])
        events = (places, slots.size, 1, arranged, key, work, unlisted)
        features.update_numbers(rows, grids, *events)
        return sketches  # which have to live as long as their addresses are used

    return turn


def _hashed(values: Floats) -> Callable[[], None]:
    """Distinct counting as the detector does it: hashes of a batch, then the registers."""
    state, slots = hyperloglog.empty(1), np.zeros(8192, np.int32)
    hashes, key = np.zeros(8192, np.uint64), (np.uint64(1), np.uint64(2))

    def turn() -> None:
        for start in range(0, values.size, hashes.size):
            some = values[start : start + hashes.size]
            hash_floats(some, key, hashes[: some.size])
            hyperloglog.update(state, slots[: some.size], hashes[: some.size])

    return turn


def _window() -> Callable[[], None]:
    """A window of 20 features into new sketches, and PSI of each on deciles of a reference."""
    columns = np.random.default_rng(4).normal(10.0, 3.0, (COLUMNS, WINDOW))
    arranged = runs.runs_of(np.zeros(WINDOW, np.int32), np.zeros(1, np.int64))
    trained = Column()
    trained.add(arranged, columns[0])
    cumulative = np.cumsum(trained.cells.counts[0])
    deciles = np.searchsorted(cumulative, np.arange(10) / 10 * WINDOW, side="right")
    expected = np.add.reduceat(trained.cells.counts[0], deciles).astype(np.float64)
    sketches = [Column() for _ in columns]

    def turn() -> None:
        for sketch, values in zip(sketches, columns, strict=True):
            moments.reset(sketch.shape, 0)
            logbins.reset(sketch.cells, 0)
            sketch.add(arranged, values)
            seen = np.add.reduceat(sketch.cells.counts[0], deciles).astype(np.float64)
            divergences.psi(expected, seen)

    return turn


@njit(nogil=True, fastmath=True)  # free order of additions: limited by memory, not by latency
def _sum(values: Floats) -> float:
    total = 0.0
    for at in range(values.size):
        total += values[at]
    return total


def _times_peer(ours: float, peer: float) -> float:
    return peer / ours


def _interleaved(
    ours: Callable[[], object], peer: Callable[[], object], count: int, values: int
) -> list[Pair]:
    """(ours, peer) in ns per value of each run; in turn, so that both see the same machine."""
    ours()
    peer()
    return [(_ns(ours, values), _ns(peer, values)) for _ in range(count)]


def _median(turn: Callable[[], object]) -> float:
    return statistics.median(_ns(turn, 1) for _ in range(AGAIN))


def _ns(turn: Callable[[], object], values: int) -> float:
    """CPU time: a turn that is interrupted is no longer one."""
    start = time.thread_time_ns()
    turn()
    return (time.thread_time_ns() - start) / values


if __name__ == "__main__":
    for row in rows():
        print(row)

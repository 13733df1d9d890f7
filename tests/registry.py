"""Registry: every sketch with its parameters bound, and inputs that a stream may bring.

In    nothing
Out   SKETCHES, of which every law is true (tests/laws.py)
Not   what one sketch promises beyond that (tests/kernels/sketches)

A new sketch needs one entry in SKETCHES.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.missing import ABSENT, MISTYPED, NULL
from kernels.sketches import (
    confusion,
    covariance,
    heavy,
    hyperloglog,
    logbins,
    magnitudes,
    moments,
    residuals,
    rows,
    scores,
    values,
    vectors,
)
from tests.fused import NumbersState, numbers_empty, numbers_update
from tests.laws import SLOTS, Sketch, Slots, State


def numbers(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Numbers of many sizes, with atoms, every reason to be missing, and infinities."""
    drawn = rng.normal(10.0, 3.0, n) * rng.choice([1.0, 1.0, 1.0, 30.0], n)
    special = np.array([0.0, -0.0, 10.0, np.nan, np.inf, -np.inf, NULL, ABSENT, MISTYPED])
    return np.where(rng.random(n) < 0.3, special[rng.integers(0, special.size, n)], drawn)


def _read_moments(inverse_scale: float) -> Callable[[State, int], NDArray[np.float64]]:
    def read(state: moments.Moments, slot: int) -> NDArray[np.float64]:
        numbers = [
            moments.mean(state, slot, inverse_scale),
            moments.variance(state, slot, inverse_scale, 1),
            moments.skewness(state, slot),
            moments.kurtosis(state, slot),
        ]
        return np.array([*numbers, state.zeros[slot], state.low[slot], state.high[slot]])

    return read


def _moments(name: str, shift: float, inverse_scale: float) -> Sketch:
    return Sketch(
        name=name,
        empty=moments.empty,
        grow=moments.grow,
        reset=moments.reset,
        update=lambda state, slots, x: moments.update(state, slots, x, shift, inverse_scale),
        merge=lambda into, slots, other: moments.merge(into, slots, other, inverse_scale),
        draw=numbers,
        weigh=lambda x: x.size,
        weight=lambda state: int(state.count.sum() + state.kinds.sum()),
        counts=lambda state: np.column_stack([state.count, state.kinds, state.zeros]),
        observe=_read_moments(inverse_scale),
    )


def _logbins(name: str, anchor: float, inverse_scale: float, dtype: type) -> Sketch:
    return Sketch(
        name=name,
        empty=lambda n_slots: logbins.empty(n_slots, dtype),
        grow=logbins.grow,
        reset=logbins.reset,
        update=lambda state, slots, x: logbins.update(state, slots, x, anchor, inverse_scale),
        merge=logbins.merge,
        draw=numbers,
        weigh=lambda x: int(np.isfinite(x).sum()),
        weight=lambda state: int(state.counts.sum()),
        counts=lambda state: state.counts,
        observe=lambda state, slot: np.array([state.clamped[slot]], np.float64),
    )


def _numbers_sketch(name: str, anchor: float, inverse_scale: float) -> Sketch:
    def merge(into: NumbersState, slots: Slots, other: NumbersState) -> None:
        moments.merge(into.shape, slots, other.shape, inverse_scale)
        logbins.merge(into.cells, slots, other.cells)

    def reset(state: NumbersState, slot: int) -> None:
        moments.reset(state.shape, slot)
        logbins.reset(state.cells, slot)

    def grow(state: NumbersState, n_slots: int) -> NumbersState:
        return NumbersState(
            *moments.grow(state.shape, n_slots), *logbins.grow(state.cells, n_slots)
        )

    shape = _moments(name, anchor, inverse_scale)
    return replace(
        shape,
        empty=numbers_empty,
        grow=grow,
        reset=reset,
        update=lambda state, slots, x: numbers_update(state, slots, x, anchor, inverse_scale),
        merge=merge,
        counts=lambda state: np.column_stack([shape.counts(state), state.counts, state.clamped]),
        observe=lambda state, slot: shape.observe(state.shape, slot),
    )


def _hashes(rng: np.random.Generator, n: int) -> NDArray[np.uint64]:
    """Hashes of which a third came before, and some 0, which is no hash."""
    drawn = rng.integers(0, 1 << 63, n, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    again = drawn[rng.integers(0, max(n // 3, 1), n)]
    return np.where(rng.random(n) < 0.05, np.uint64(0), np.where(rng.random(n) < 0.5, drawn, again))


WIDTH = 3  # features side by side
_EVENT = np.dtype([("id", np.uint64), ("values", np.float64, (WIDTH,))])


def _events(rng: np.random.Generator, n: int) -> NDArray[np.void]:
    """Events, some of them twice, some ids with values that differ."""
    drawn = np.zeros(n, _EVENT)
    drawn["id"] = rng.integers(0, 4 * n, n, dtype=np.uint64) * np.uint64(0x9E37_79B9_7F4A_7C15)
    drawn["values"] = numbers(rng, n * WIDTH).reshape(n, WIDTH)
    return drawn


def _add_events(state: rows.Rows, slots: Slots, events: NDArray[np.void]) -> None:
    ids = np.ascontiguousarray(events["id"])
    rows.update(state, slots, ids, np.ascontiguousarray(events["values"].T))


def _rows(name: str, k: int) -> Sketch:
    return Sketch(
        name=name,
        empty=lambda n_slots: rows.empty(n_slots, k, WIDTH),
        grow=rows.grow,
        reset=rows.reset,
        update=_add_events,
        merge=rows.merge,
        draw=_events,
        weigh=lambda _: 0,
        weight=lambda _: 0,  # what finds no room is not counted here
        counts=lambda state: state.used,
        observe=lambda state, slot: np.append(rows.sample(state, slot).ravel(), state.bound[slot]),
        is_set=True,
        pack=rows.pack,
        unpack=lambda raw: rows.unpack(raw, k),
    )


def _side_by_side(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Features that vary together, some values missing."""
    drawn = rng.normal(10.0, 3.0, (n, WIDTH)) + rng.normal(0.0, 2.0, (n, 1))
    return np.where(rng.random((n, WIDTH)) < 0.03, np.nan, drawn)


def _add_side_by_side(state: covariance.Covariance, slots: Slots, x: NDArray[np.float64]) -> None:
    centres, units = np.full(WIDTH, 10.0), np.full(WIDTH, 1.0 / 3.0)
    covariance.update(state, slots, np.ascontiguousarray(x.T), centres, units, covariance.scratch())


def _correlations(state: covariance.Covariance, slot: int) -> NDArray[np.float64]:
    counts, found = np.zeros((WIDTH, WIDTH), np.int64), np.zeros((WIDTH, WIDTH))
    covariance.correlations(state, slot, counts, found)
    return np.append(counts, found)


FEW_KEYS, ROOM = 30, 40  # Space-Saving is exact in any order while there is room


def _keys(rng: np.random.Generator, n: int) -> NDArray[np.uint64]:
    return rng.integers(0, FEW_KEYS, n).astype(np.uint64) * np.uint64(0x9E37_79B9_7F4A_7C15)


def _by_key(state: heavy.HeavyHitters) -> NDArray[np.int64]:
    """Every array of the state in the order of keys."""
    found = np.zeros((len(state.used), 3, ROOM), np.int64)
    for slot, used in enumerate(state.used):
        for column, array in enumerate(heavy.items(state, slot)):
            found[slot, column, :used] = array.astype(np.int64) & np.int64(2**62 - 1)
    return found


def _pairs(rng: np.random.Generator, n: int) -> NDArray[np.void]:
    """What was predicted beside what was true: as numbers, as classes, and as probabilities."""
    drawn = np.zeros(n, [("guess", "f8"), ("truth", "f8"), ("class", "i4"), ("label", "i4")])
    drawn["guess"] = np.where(rng.random(n) < 0.9, rng.random(n), numbers(rng, n))
    drawn["truth"] = np.where(rng.random(n) < 0.1, 0.0, numbers(rng, n))
    drawn["class"], drawn["label"] = rng.integers(-1, 4, n), rng.integers(-1, 3, n)
    return drawn


def _columns(pairs: NDArray[np.void], *names: str) -> list[NDArray[Any]]:
    return [np.ascontiguousarray(pairs[name]) for name in names]


def _read_residuals(state: residuals.Residuals, slot: int) -> NDArray[np.float64]:
    asked = (residuals.bias, residuals.mae, residuals.rmse, residuals.mape)
    return np.array([ask(state, slot) for ask in asked])


def _read_scores(state: scores.Scores, slot: int) -> NDArray[np.float64]:
    asked = (scores.log_loss, scores.brier, scores.rig)
    return np.array([*(ask(state, slot) for ask in asked), *scores.auc(state, slot)])


def _read_confusion(state: confusion.Confusion, slot: int) -> NDArray[np.float64]:
    return np.array([confusion.accuracy(state, slot), confusion.macro_f1(state, slot)])


def _arrays(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Arrays of one length, some of them with what is not finite in them."""
    return np.where(rng.random((n, WIDTH)) < 0.02, np.nan, rng.normal(1.0, 2.0, (n, WIDTH)))


def _add_arrays(state: vectors.Vectors, slots: Slots, arrays: NDArray[np.float64]) -> None:
    ends = np.arange(1, len(arrays) + 1) * WIDTH
    vectors.update(state, slots, np.ascontiguousarray(arrays).reshape(-1), ends)


SKETCHES = (
    _moments("moments", 10.0, 1.0 / 3.0),
    _moments("moments without shift", np.nan, 1.0),
    _numbers_sketch("numbers", 10.0, 1.0 / 3.0),
    _numbers_sketch("numbers about zero", 0.0, 1e8),
    _numbers_sketch("numbers raw", 0.0, 0.0),
    _logbins("logbins", 10.0, 1.0 / 3.0, np.uint32),
    _logbins("logbins of windows", 10.0, 1e8, np.int64),
    _logbins("logbins raw", 0.0, 0.0, np.uint32),
    Sketch(
        name="values",
        empty=lambda n_slots: values.empty(n_slots, 9),
        grow=values.grow,
        reset=values.reset,
        update=values.update,
        merge=values.merge,
        draw=lambda rng, n: rng.integers(-1, 9, n).astype(np.int32),
        weigh=lambda codes: int((codes >= 0).sum()),
        weight=lambda state: int(state.counts.sum()),
        counts=lambda state: state.counts,
        observe=lambda state, slot: np.zeros(0),
    ),
    Sketch(
        name="hyperloglog",
        empty=hyperloglog.empty,
        grow=hyperloglog.grow,
        reset=hyperloglog.reset,
        update=hyperloglog.update,
        merge=hyperloglog.merge,
        draw=_hashes,
        weigh=lambda _: 0,
        weight=lambda _: 0,  # how often a value came is not known here
        counts=lambda state: state.registers.astype(np.int64),
        observe=lambda state, slot: np.array([hyperloglog.distinct(state, slot)]),
        is_set=True,
        pack=hyperloglog.pack,
        unpack=hyperloglog.unpack,
    ),
    _rows("rows", 40),
    _rows("rows with room for all", 10_000),
    Sketch(
        name="covariance",
        empty=lambda n_slots: covariance.empty(n_slots, WIDTH),
        grow=covariance.grow,
        reset=covariance.reset,
        update=_add_side_by_side,
        merge=covariance.merge,
        draw=_side_by_side,
        weigh=lambda x: int(np.isfinite(x).all(axis=1).sum()),
        weight=lambda state: int(state.whole.sum()),
        counts=lambda state: np.column_stack([state.whole, state.pair_counts.reshape(SLOTS, -1)]),
        observe=_correlations,
        pack=covariance.pack,
        unpack=covariance.unpack,
    ),
    Sketch(
        name="heavy",
        empty=lambda n_slots: heavy.empty(n_slots, ROOM),
        grow=heavy.grow,
        reset=heavy.reset,
        update=heavy.update,
        merge=heavy.merge,
        draw=_keys,
        weigh=lambda keys: int((keys != 0).sum()),
        weight=lambda state: int(state.counts.sum()),
        counts=_by_key,
        observe=lambda state, slot: np.zeros(0),
        pack=heavy.pack,
        unpack=lambda raw: heavy.unpack(raw, ROOM),
    ),
    Sketch(
        name="confusion",
        empty=lambda n_slots: confusion.empty(n_slots, 3),
        grow=confusion.grow,
        reset=confusion.reset,
        update=lambda state, slots, x: confusion.update(
            state, slots, *_columns(x, "label", "class")
        ),
        merge=confusion.merge,
        draw=_pairs,
        weigh=len,
        weight=lambda state: int(state.counts.sum() + state.refused.sum()),
        counts=lambda state: state.counts,
        observe=_read_confusion,
        pack=confusion.pack,
        unpack=confusion.unpack,
    ),
    Sketch(
        name="residuals",
        empty=residuals.empty,
        grow=residuals.grow,
        reset=residuals.reset,
        update=lambda state, slots, x: residuals.update(
            state, slots, *_columns(x, "guess", "truth")
        ),
        merge=residuals.merge,
        draw=_pairs,
        weigh=len,
        weight=lambda state: int(state.pairs[:, [0, 2]].sum()),
        counts=lambda state: state.pairs,
        observe=_read_residuals,
        pack=residuals.pack,
        unpack=residuals.unpack,
    ),
    Sketch(
        name="scores",
        empty=scores.empty,
        grow=scores.grow,
        reset=scores.reset,
        update=lambda state, slots, x: scores.update(state, slots, *_columns(x, "guess", "label")),
        merge=scores.merge,
        draw=_pairs,
        weigh=len,
        weight=lambda state: int(state.counts.sum() + state.refused.sum()),
        counts=lambda state: state.counts,
        observe=_read_scores,
        pack=scores.pack,
        unpack=scores.unpack,
    ),
    Sketch(
        name="magnitudes",
        empty=magnitudes.empty,
        grow=magnitudes.grow,
        reset=magnitudes.reset,
        update=magnitudes.update,
        merge=magnitudes.merge,
        draw=numbers,
        weigh=lambda x: int(np.isfinite(x).sum()),
        weight=lambda state: int(state.count.sum()),
        counts=lambda state: state.count,
        observe=lambda state, slot: np.array(
            [magnitudes.mean(state, slot), magnitudes.root_mean_square(state, slot)]
        ),
    ),
    Sketch(
        name="vectors",
        empty=lambda n_slots: vectors.empty(n_slots, WIDTH),
        grow=vectors.grow,
        reset=vectors.reset,
        update=_add_arrays,
        merge=vectors.merge,
        draw=_arrays,
        weigh=len,
        weight=lambda state: int(state.count.sum() + state.apart.sum()),
        counts=lambda state: np.column_stack([state.length, state.count, state.apart]),
        observe=lambda state, slot: np.append(
            vectors.means(state, slot), vectors.variances(state, slot)
        ),
        pack=vectors.pack,
        unpack=vectors.unpack,
    ),
)

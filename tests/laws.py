"""Laws: what is true of every sketch, whatever it counts.

In    a Sketch of the registry below and a seeded generator
Out   nothing; an AssertionError where the law is broken
Not   what one sketch promises beyond that (tests/kernels/sketches)

A new sketch needs one entry in SKETCHES. Run over all pairs by tests/kernels/test_laws.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels import sparse
from kernels.jit import IS_COMPILED
from kernels.missing import ABSENT, MISTYPED, NULL
from kernels.sketches import logbins, moments, values

MANY = 5_000 if IS_COMPILED else 600
SLOTS = 4
State = Any
Slots = NDArray[np.int32]
Input = NDArray[Any]


@dataclass(frozen=True)
class Sketch:
    """One kind of sketch, its parameters bound."""

    name: str
    empty: Callable[[int], State]
    grow: Callable[[State, int], State]
    reset: Callable[[State, int], None]
    update: Callable[[State, Slots, Input], None]
    merge: Callable[[State, Slots, State], None]
    draw: Callable[[np.random.Generator, int], Input]
    weigh: Callable[[Input], int]  # how many of the inputs a state must account for
    weight: Callable[[State], int]  # how many it does
    counts: Callable[[State], NDArray[np.integer]]  # what is packed when the state is sent
    observe: Callable[[State, int], NDArray[np.float64]]  # what is read, equal up to rounding

    def fed(self, slots: Slots, inputs: Input) -> State:
        """A new state that got these inputs."""
        state = self.empty(SLOTS)
        self.update(state, slots, inputs)
        return state


def merge_equals_feeding_together(sketch: Sketch, rng: np.random.Generator) -> None:
    slots, inputs = _stream(sketch, rng)
    state = sketch.fed(slots[: MANY // 3], inputs[: MANY // 3])
    sketch.merge(state, _all(), sketch.fed(slots[MANY // 3 :], inputs[MANY // 3 :]))
    assert_same_reading(sketch, state, sketch.fed(slots, inputs))


def merge_order_does_not_matter(sketch: Sketch, rng: np.random.Generator) -> None:
    parts = [sketch.fed(*_stream(sketch, rng)) for _ in range(3)]
    forward, backward, nested = (sketch.empty(SLOTS) for _ in range(3))
    for part in parts:
        sketch.merge(forward, _all(), part)
    for part in reversed(parts):
        sketch.merge(backward, _all(), part)
    tail = copied(parts[1])
    sketch.merge(tail, _all(), parts[2])
    sketch.merge(nested, _all(), parts[0])
    sketch.merge(nested, _all(), tail)
    assert_same_reading(sketch, forward, backward)
    assert_same_reading(sketch, forward, nested)


def merge_leaves_the_other_alone(sketch: Sketch, rng: np.random.Generator) -> None:
    state, other = sketch.fed(*_stream(sketch, rng)), sketch.fed(*_stream(sketch, rng))
    before = copied(other)
    sketch.merge(state, _all(), other)
    assert_same_bytes(other, before)
    sketch.update(state, *_stream(sketch, rng))
    assert_same_bytes(other, before)


def merging_nothing_changes_no_byte(sketch: Sketch, rng: np.random.Generator) -> None:
    state = sketch.fed(*_stream(sketch, rng))
    before = copied(state)
    sketch.merge(state, _all(), sketch.empty(SLOTS))
    assert_same_bytes(state, before)


def merging_into_nothing_is_a_copy(sketch: Sketch, rng: np.random.Generator) -> None:
    state, other = sketch.empty(SLOTS), sketch.fed(*_stream(sketch, rng))
    sketch.merge(state, _all(), other)
    assert_same_bytes(state, other)


def merge_follows_its_slots(sketch: Sketch, rng: np.random.Generator) -> None:
    state, other = sketch.empty(SLOTS), sketch.fed(*_stream(sketch, rng))
    sketch.merge(state, np.array([3, -1, 0, -1], np.int32), other)
    assert_same_bytes(_row(state, 3), _row(other, 0))
    assert_same_bytes(_row(state, 0), _row(other, 2))
    assert_same_bytes(_row(state, 1), _row(sketch.empty(1), 0))


def cutting_into_batches_changes_no_byte(sketch: Sketch, rng: np.random.Generator) -> None:
    slots, inputs = _stream(sketch, rng)
    state = sketch.empty(SLOTS)
    cuts = np.sort(rng.integers(0, MANY, 20))
    batches = zip(np.split(slots, cuts), np.split(inputs, cuts), strict=True)
    for batch_slots, batch in batches:
        sketch.update(state, batch_slots, batch)
    assert_same_bytes(state, sketch.fed(slots, inputs))


def slots_do_not_touch_each_other(sketch: Sketch, rng: np.random.Generator) -> None:
    slots, inputs = _stream(sketch, rng)
    state = sketch.empty(SLOTS)
    for slot in range(SLOTS):
        sketch.update(state, slots[slots == slot], inputs[slots == slot])
    assert_same_bytes(state, sketch.fed(slots, inputs))


def slot_minus_one_is_skipped(sketch: Sketch, rng: np.random.Generator) -> None:
    _, inputs = _stream(sketch, rng)
    nowhere = np.full(inputs.size, -1, np.int32)
    assert_same_bytes(sketch.fed(nowhere, inputs), sketch.empty(SLOTS))


def weight_is_conserved(sketch: Sketch, rng: np.random.Generator) -> None:
    slots, inputs = _stream(sketch, rng)
    state = sketch.fed(slots, inputs)
    assert sketch.weight(state) == sketch.weigh(inputs[slots >= 0])
    sketch.merge(state, _all(), copied(state))
    assert sketch.weight(state) == 2 * sketch.weigh(inputs[slots >= 0])


def reset_empties_one_row(sketch: Sketch, rng: np.random.Generator) -> None:
    state = sketch.fed(*_stream(sketch, rng))
    before = copied(state)
    sketch.reset(state, 1)
    assert_same_bytes(_row(state, 1), _row(sketch.empty(1), 0))
    assert_same_bytes(_row(state, 2), _row(before, 2))


def growing_keeps_rows_and_adds_empty_ones(sketch: Sketch, rng: np.random.Generator) -> None:
    state = sketch.fed(*_stream(sketch, rng))
    larger = sketch.grow(state, SLOTS + 2)
    assert_same_bytes(type(state)(*(array[:SLOTS] for array in larger)), state)
    assert_same_bytes(_row(larger, SLOTS + 1), _row(sketch.empty(1), 0))


def packed_counts_come_back(sketch: Sketch, rng: np.random.Generator) -> None:
    counts = np.ascontiguousarray(sketch.counts(sketch.fed(*_stream(sketch, rng))).ravel())
    buffer = np.zeros(sparse.packed_bound(counts.size), np.uint8)
    size = sparse.pack_counts(counts, buffer)
    unpacked = np.zeros(counts.size, np.int64)
    assert sparse.unpack_counts(buffer, unpacked) == size
    assert np.array_equal(unpacked, counts)


LAWS = (
    merge_equals_feeding_together,
    merge_order_does_not_matter,
    merge_leaves_the_other_alone,
    merging_nothing_changes_no_byte,
    merging_into_nothing_is_a_copy,
    merge_follows_its_slots,
    cutting_into_batches_changes_no_byte,
    slots_do_not_touch_each_other,
    slot_minus_one_is_skipped,
    weight_is_conserved,
    reset_empties_one_row,
    growing_keeps_rows_and_adds_empty_ones,
    packed_counts_come_back,
)


def assert_same_bytes(one: State, other: State) -> None:
    """Every array of two states has the same type, shape and bytes."""
    for name, left, right in zip(one._fields, one, other, strict=True):
        assert (left.dtype, left.shape) == (right.dtype, right.shape), name
        assert left.tobytes() == right.tobytes(), f"{name}: {left} is not {right}"


def assert_same_reading(sketch: Sketch, one: State, other: State) -> None:
    """Counts are equal, and what is read from two states differs by rounding only."""
    assert np.array_equal(sketch.counts(one), sketch.counts(other))
    for slot in range(SLOTS):
        np.testing.assert_allclose(
            sketch.observe(one, slot), sketch.observe(other, slot), rtol=1e-9, atol=1e-12
        )


def copied(state: State) -> State:
    """A state of its own with the same bytes."""
    return type(state)(*(array.copy() for array in state))


def _row(state: State, slot: int) -> State:
    return type(state)(*(array[slot].copy() for array in state))


def _all() -> Slots:
    return np.arange(SLOTS, dtype=np.int32)


def _stream(sketch: Sketch, rng: np.random.Generator) -> tuple[Slots, Input]:
    """Inputs with their slots in runs, as features come, some of them in no slot."""
    slots = np.repeat(rng.integers(-1, SLOTS, MANY), rng.geometric(0.2, MANY))[:MANY]
    return slots.astype(np.int32), sketch.draw(rng, MANY)


def _numbers(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
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
        draw=_numbers,
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
        draw=_numbers,
        weigh=lambda x: int(np.isfinite(x).sum()),
        weight=lambda state: int(state.counts.sum()),
        counts=lambda state: state.counts,
        observe=lambda state, slot: np.array([state.clamped[slot]], np.float64),
    )


SKETCHES = (
    _moments("moments", 10.0, 1.0 / 3.0),
    _moments("moments without shift", np.nan, 1.0),
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
)

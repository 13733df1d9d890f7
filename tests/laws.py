"""Laws: what is true of every sketch, whatever it counts.

In    a Sketch of the registry (tests/registry.py) and a seeded generator
Out   nothing; an AssertionError where the law is broken
Not   what one sketch promises beyond that (tests/kernels/sketches)

Run over all laws and sketches by tests/kernels/test_laws.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels import sparse
from kernels.jit import IS_COMPILED

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
    is_set: bool = False  # what comes twice counts once
    pack: Callable[[State, int], bytes] | None = None  # of its own, beside packed counts
    unpack: Callable[[bytes], State] | None = None

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
    nowhere = np.full(len(inputs), -1, np.int32)
    assert_same_bytes(sketch.fed(nowhere, inputs), sketch.empty(SLOTS))


def weight_is_conserved(sketch: Sketch, rng: np.random.Generator) -> None:
    slots, inputs = _stream(sketch, rng)
    state = sketch.fed(slots, inputs)
    assert sketch.weight(state) == sketch.weigh(inputs[slots >= 0])
    sketch.merge(state, _all(), copied(state))
    times = 1 if sketch.is_set else 2
    assert sketch.weight(state) == times * sketch.weigh(inputs[slots >= 0])


def what_came_twice_counts_once_in_a_set(sketch: Sketch, rng: np.random.Generator) -> None:
    if not sketch.is_set:
        return
    slots, inputs = _stream(sketch, rng)
    state = sketch.fed(slots, inputs)
    before = copied(state)
    sketch.update(state, slots, inputs)
    sketch.merge(state, _all(), before)
    assert_same_bytes(state, before)


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


def a_packed_slot_comes_back(sketch: Sketch, rng: np.random.Generator) -> None:
    if sketch.pack is None or sketch.unpack is None:
        return
    state, again = sketch.fed(*_stream(sketch, rng)), sketch.empty(SLOTS)
    for slot in range(SLOTS):
        raw = sketch.pack(state, slot)
        one = sketch.unpack(raw)
        assert sketch.pack(one, 0) == raw
        sketch.merge(again, np.array([slot], np.int32), one)
    assert_same_reading(sketch, again, state)
    for slot in range(SLOTS):  # what was unpacked goes on as if it had never been packed
        assert sketch.pack(again, slot) == sketch.pack(state, slot)


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
    what_came_twice_counts_once_in_a_set,
    a_packed_slot_comes_back,
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

"""Slots: a state in, a state with more rows, or with one of them, out. Plain numpy.

In    a state with n_slots rows; to grow, an empty one of the same kind with more rows
Out   the larger one, its first rows filled, or one row; the first state is not touched
Not   which row belongs to what (stream/detect)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from numpy.typing import NDArray

State = TypeVar("State", bound=Iterable[NDArray[Any]])


def moved(state: State, larger: State) -> State:
    """Copy all rows of `state` to the start of `larger` and return it.

    Raises ValueError (from numpy) if `larger` has fewer rows.
    """
    for source, target in zip(state, larger, strict=True):
        target[: len(source)] = source
    return larger


def taken(state: State, slot: int) -> State:
    """A copy of one row, as a state of one slot."""
    return type(state)(*(array[slot : slot + 1].copy() for array in state))

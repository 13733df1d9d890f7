"""Missing: which ways keep a NaN's reason, and which lose it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from kernels import missing

REASONS = {
    "null": (missing.NULL, missing.NULL_BITS),
    "absent": (missing.ABSENT, missing.ABSENT_BITS),
    "mistyped": (missing.MISTYPED, missing.MISTYPED_BITS),
}
KEEPING: dict[str, Callable[[np.float64], NDArray[np.float64]]] = {
    "itself": lambda reason: np.array([reason]),
    "a list of floats": lambda reason: np.array([1.0, float(reason)])[1:],
    "full": lambda reason: np.full(3, reason),
    "full of a float": lambda reason: np.full(3, float(reason)),
    "fromiter": lambda reason: np.fromiter([float(reason)], np.float64),
    "slicing": lambda reason: np.full(9, reason)[2:8:3],
    "copying": lambda reason: np.full(9, reason).copy(),
    "concatenating": lambda reason: np.concatenate([np.full(1, reason), np.full(1, reason)]),
    "an item set": lambda reason: _set(float(reason)),
    "bytes": lambda reason: np.frombuffer(np.full(2, reason).tobytes()),
    "pickle": lambda reason: np.array([pickle.loads(pickle.dumps(float(reason)))]),
}
LOSING: dict[str, Callable[[np.float64], NDArray[np.float64]]] = {
    "json": lambda reason: np.array([json.loads(json.dumps(float(reason)))]),
    "float32": lambda reason: np.full(1, reason).astype(np.float32).astype(np.float64),
    "a minus sign": lambda reason: -np.full(1, reason),
}


@pytest.mark.parametrize("name", REASONS)
@pytest.mark.parametrize("way", KEEPING)
def test_reason_is_kept_by(way: str, name: str) -> None:
    reason, bits = REASONS[name]
    assert (KEEPING[way](reason).view(np.uint64) == bits).all()


@pytest.mark.parametrize("name", REASONS)
@pytest.mark.parametrize("way", LOSING)
def test_reason_is_lost_but_still_missing_by(way: str, name: str) -> None:
    reason, bits = REASONS[name]
    through = LOSING[way](reason)
    assert np.isnan(through).all()
    assert (through.view(np.uint64) != bits).all()


def test_reasons_are_distinct_quiet_nans() -> None:
    bits = {int(bits) for _, bits in REASONS.values()}
    assert len(bits) == 3
    assert all(number >> 51 == 0xFFF for number in bits)


def test_the_usual_nan_has_no_reason() -> None:
    assert np.float64("nan").view(np.uint64) not in {bits for _, bits in REASONS.values()}


def _set(reason: float) -> NDArray[np.float64]:
    array = np.zeros(1)
    array[0] = reason
    return array

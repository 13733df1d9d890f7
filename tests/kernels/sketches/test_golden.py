"""Golden: the bytes of every sketch as an earlier release packed them are what this one packs.

The file tests/data/sketches_golden.json holds them as hex. A sketch whose bytes must change gets a
new version, and what is kept on topics for longer than an upgrade must still be read.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernels.missing import ABSENT, NULL
from kernels.sketches import (
    confusion,
    covariance,
    heavy,
    hyperloglog,
    residuals,
    rows,
    scores,
    vectors,
)

GOLDEN = Path(__file__).parents[2] / "data" / "sketches_golden.json"
N = 50
SLOTS = np.zeros(N, np.int32)
HASHES = np.arange(1, N + 1, dtype=np.uint64) * np.uint64(0x9E37_79B9_7F4A_7C15)
COLUMNS = np.stack([np.arange(N) / 4.0, np.arange(N) % 7 - 3.0, np.arange(N) ** 2.0])


def _hyperloglog() -> bytes:
    state = hyperloglog.empty(1)
    hyperloglog.update(state, SLOTS, HASHES)
    return hyperloglog.pack(state, 0)


def _rows() -> bytes:
    columns, state = COLUMNS.copy(), rows.empty(1, 9, 3)
    columns[1, ::3], columns[2, ::4] = NULL, ABSENT
    rows.update(state, SLOTS, HASHES, columns)
    return rows.pack(state, 0)


def _covariance(columns: Any = COLUMNS) -> bytes:
    state = covariance.empty(1, 3)
    units = np.array([0.25, 0.5, 1.0])
    covariance.update(state, SLOTS, columns, np.ones(3), units, covariance.scratch())
    return covariance.pack(state, 0)


def _covariance_with_gaps() -> bytes:
    columns = COLUMNS.copy()
    columns[1, 5] = np.nan
    return _covariance(columns)


def _heavy() -> bytes:
    state = heavy.empty(1, 5)
    heavy.update(state, SLOTS, HASHES[np.arange(N) % 7 * (np.arange(N) % 3)])
    return heavy.pack(state, 0)


def _confusion() -> bytes:
    codes, state = np.arange(N, dtype=np.int32), confusion.empty(1, 4)
    confusion.update(state, SLOTS, codes % 5, codes % 3)
    return confusion.pack(state, 0)


def _residuals() -> bytes:
    state = residuals.empty(1)
    residuals.update(state, SLOTS, COLUMNS[0].copy(), COLUMNS[1].copy())
    return residuals.pack(state, 0)


def _scores() -> bytes:
    state = scores.empty(1)
    scores.update(state, SLOTS, np.arange(N) / (N - 1.0), np.arange(N, dtype=np.int32) % 3)
    return scores.pack(state, 0)


def _vectors() -> bytes:
    flat, ends = COLUMNS.T.ravel(), np.arange(3, 3 * N + 1, 3)
    state = vectors.empty(1, 3)
    vectors.update(state, SLOTS, np.append(flat, 1.0), np.append(ends[1:], 3 * N + 1))
    return vectors.pack(state, 0)


PACKED: dict[str, Callable[[], bytes]] = {
    "hyperloglog": _hyperloglog,
    "rows": _rows,
    "covariance": _covariance,
    "covariance with gaps": _covariance_with_gaps,
    "heavy": _heavy,
    "confusion": _confusion,
    "residuals": _residuals,
    "scores": _scores,
    "vectors": _vectors,
}


@pytest.mark.parametrize("name", PACKED)
def test_a_sketch_is_packed_as_it_was(name: str) -> None:
    assert PACKED[name]().hex() == json.loads(GOLDEN.read_text(encoding="utf-8"))[name]

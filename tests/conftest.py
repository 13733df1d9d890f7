"""Fixtures of all tests: seeded randomness, and hypothesis without surprises.

In    DRIFTLINE_SEED, a number: another seed than the usual one
Out   the seed, in the header; rng; the hypothesis profile "driftline", the same in every run
Not   builders of one subject (they stand beside its tests)
"""

from __future__ import annotations

import os
import zlib

import hypothesis
import numpy as np
import pytest

from kernels.jit import IS_COMPILED

hypothesis.settings.register_profile(
    "driftline",
    derandomize=True,  # a red build must be red again on the next run
    deadline=None,  # the first example compiles
    database=None,
    max_examples=100 if IS_COMPILED else 20,
)
hypothesis.settings.load_profile("driftline")


def pytest_report_header() -> str:
    """By which seed this run can be had again."""
    return f"DRIFTLINE_SEED: {os.environ.get('DRIFTLINE_SEED', 'of each test the crc32 of its id')}"


class SeededGenerator(np.random.Generator):
    """A generator that says its seed, so that it stands in the report of a failed test."""

    def __init__(self, seed: int) -> None:
        super().__init__(np.random.PCG64(seed))
        self.seed = seed

    def __repr__(self) -> str:
        return f"SeededGenerator(seed={self.seed})"


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> SeededGenerator:
    """Randomness that differs from test to test and is the same in every run."""
    usual = zlib.crc32(request.node.nodeid.encode())
    return SeededGenerator(int(os.environ.get("DRIFTLINE_SEED", usual)))

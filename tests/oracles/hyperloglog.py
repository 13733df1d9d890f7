"""HyperLogLog, plainly: registers in a dict, and the estimator summed term by term."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping


def registers(hashes: Iterable[int], p: int) -> dict[int, int]:
    """Per register the longest run of zeros above it, plus one; hash 0 is none."""
    found: dict[int, int] = {}
    for number in filter(None, hashes):
        rest = number >> p
        rank = next((i for i in range(64 - p) if rest >> i & 1), 64 - p) + 1
        register = number % 2**p
        found[register] = max(rank, found.get(register, 0))
    return found


def distinct(registers: Mapping[int, int], p: int) -> float:
    """Ertl's improved estimate, in the form of its definition: harmonic sum with both ends."""
    m, q = 2**p, 64 - p
    ranks = [0] * (q + 2)
    for register in range(m):
        ranks[registers.get(register, 0)] += 1
    if ranks[0] == m:
        return 0.0
    middle = sum(ranks[k] * 2.0**-k for k in range(1, q + 1))
    zeros, full = ranks[0] / m, 1 - ranks[q + 1] / m
    sigma = zeros + sum(zeros ** (2**k) * 2 ** (k - 1) for k in range(1, 40))
    tau = (1 - full - sum((1 - full**2.0**-k) ** 2 * 2.0**-k for k in range(1, 60))) / 3
    return m * m / (2 * math.log(2) * (m * sigma + middle + m * tau * 2.0**-q))

"""Sequential: one p-value or score per window in, evidence gathered over windows out.

In    per slot a p-value of unchanged data, or its normal score; slots int32, -1 is skipped
Out   a sum per slot, the threshold it is to be held against, where a change probably began
Not   p-values (stream/detect/judge/chances.py), what follows from an alarm

Both see a drift that is too slow for any single window. A slot whose sum reached the threshold is
reset by whoever acts on it. The mean run length is the mean number of windows between two false
alarms. A NaN (no data, too little) changes nothing and is no window.

`cusum_update`     Page's (1954) one-sided sum of normal scores. Quick; its run length is exact for
                   independent windows whose p-values are evenly spread.
`evidence_update`  Shiryaev-Roberts e-detector (Shin, Ramdas and Rinaldo 2022). Slower; its run
                   length is at least that of the threshold however windows depend on each other, if
                   each p-value is valid given the windows before.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.jit import kernel

ALLOWANCE = 0.5  # of scores, taken off each: best for a drift of one standard deviation
LARGEST_SCORE = 4.0  # that one window can add: what shows at once is for other rules
NODES = 64  # of the quadrature; with 32 a run length has the same six digits


class Cusum(NamedTuple):
    """A sum of scores per slot."""

    sums: NDArray[np.float64]  # (n_slots,) at least 0
    since: NDArray[np.int64]  # (n_slots,) windows since the sum was 0: where a change began


class Evidence(NamedTuple):
    """An e-detector per slot."""

    logs: NDArray[np.float64]  # (n_slots,) logarithm of the sum, -inf is none


def empty_cusum(n_slots: int) -> Cusum:
    """No window yet, `n_slots` times."""
    return Cusum(np.zeros(n_slots), np.zeros(n_slots, np.int64))


def empty_evidence(n_slots: int) -> Evidence:
    """No window yet, `n_slots` times."""
    return Evidence(np.full(n_slots, -np.inf))


@kernel
def cusum_reset(state: Cusum, slot: int) -> None:
    """Start one slot again."""
    state.sums[slot] = 0.0
    state.since[slot] = 0


@kernel
def evidence_reset(state: Evidence, slot: int) -> None:
    """Start one slot again."""
    state.logs[slot] = -np.inf


@kernel
def cusum_update(
    state: Cusum, slots: NDArray[np.int32], scores: NDArray[np.float64], allowance: float
) -> None:
    """Take in one window per slot, in place: `sum = max(0, sum + score - allowance)`.

    slots   (n,)
    scores  (n,)  normal on unchanged data, large when a window differs; LARGEST_SCORE at most
    """
    for at in range(slots.size):
        slot = slots[at]
        if slot < 0 or math.isnan(scores[at]):
            continue
        grown = state.sums[slot] + min(scores[at], LARGEST_SCORE) - allowance
        state.sums[slot] = max(grown, 0.0)
        state.since[slot] = state.since[slot] + 1 if grown > 0.0 else 0


@kernel
def evidence_update(
    state: Evidence, slots: NDArray[np.int32], p_values: NDArray[np.float64]
) -> None:
    """Take in one window per slot, in place: `sum = (sum + 1) / (2 √p)`.

    slots     (n,)
    p_values  (n,)  0 counts as 1e-300

    1 / (2 √p) is an e-value, its mean at most 1 on unchanged data (Vovk and Wang 2021). Alarm when
    a log reaches `log(run length)`.
    """
    for at in range(slots.size):
        slot = slots[at]
        if slot < 0 or math.isnan(p_values[at]):
            continue
        before = state.logs[slot]
        more = max(before, 0.0) + math.log1p(math.exp(-abs(before)))  # log of the sum and one
        state.logs[slot] = more - 0.5 * math.log(4.0 * max(p_values[at], 1e-300))


def cusum_run_length(threshold: float, allowance: float) -> float:
    """Mean number of windows until a sum of independent normal scores reaches the threshold.

    Solves `L(x) = 1 + L(0) Φ(k - x) + ∫ L(y) φ(y + k - x) dy` by Gauss-Legendre quadrature. Source:
    Page 1954; Goel and Wu 1971.
    """
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    y = np.append(0.0, 0.5 * threshold * (nodes + 1))
    step = y[None, :] + allowance - y[:, None]
    kernel_ = np.exp(-0.5 * step**2) / math.sqrt(2 * math.pi)
    kernel_ *= np.append(0.0, 0.5 * threshold * weights)
    stays = [0.5 * math.erfc((at - allowance) / math.sqrt(2)) for at in y.tolist()]
    kernel_[:, 0] += stays
    return float(np.linalg.solve(np.eye(len(y)) - kernel_, np.ones(len(y)))[0])


def cusum_threshold(run_length: float, allowance: float) -> float:
    """The threshold with this mean number of windows; 0 if even that has a larger one."""
    low, high = 0.0, 1.0
    while cusum_run_length(high, allowance) < run_length:
        low, high = high, 2.0 * high
    for _ in range(50):
        middle = 0.5 * (low + high)
        if cusum_run_length(middle, allowance) < run_length:
            low = middle
        else:
            high = middle
    return high

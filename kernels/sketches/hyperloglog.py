"""Hyperloglog: 64-bit hashes in, how many different ones there were out.

In    hashes uint64 (kernels/hashing.py), slots int32, the row of each; hash 0 is skipped
Out   registers (n_slots, REGISTERS), from which `distinct` estimates
Not   hashing values, values that are counted one by one anyway (values.py)

GUARANTEE: the error of an estimate has a standard deviation of STANDARD_ERROR of the number, and is
within GUARANTEE, three of them, but for one in four hundred. What counts is which values came: how
often, and in which order, changes no byte.

Flajolet and others 2007; the estimator is the improved one of Ertl 2017 ("New cardinality
estimation algorithms for HyperLogLog sketches"), which needs no correction tables.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels import sparse
from kernels.jit import float_bits, kernel, signed
from kernels.packing import (
    HEAD_BYTES,
    LENGTH_BYTES,
    Buffer,
    counts_bytes,
    counts_of,
    opened,
    sealed,
)
from kernels.sketches.slots import moved

P = 12
REGISTERS = 1 << P
LONGEST = 64 - P  # bits beside the register's number; a register holds 0 to LONGEST + 1
STANDARD_ERROR = 1.04 / 2 ** (P / 2)
GUARANTEE = 3 * STANDARD_ERROR  # 4.9 % of the number
BYTES_PER_SLOT = REGISTERS
KIND, VERSION = b"HL", 1

_P_BITS = np.uint64(P)
_REGISTER_MASK = np.uint64(REGISTERS - 1)
_GUARD = np.uint64(1 << LONGEST)
_EXPONENT = np.uint64(52)
_FIRST, _SECOND = KIND
_NIBBLE = np.uint8(15)  # of four bits: this and more above the smallest register
_NOTHING_BEYOND = counts_bytes(np.zeros(REGISTERS, np.int64))


class HyperLogLog(NamedTuple):
    """The longest run of zeros that was seen, plus one, among the hashes of each register."""

    registers: NDArray[np.uint8]  # (n_slots, REGISTERS)


def empty(n_slots: int) -> HyperLogLog:
    """Registers of nothing, `n_slots` rows."""
    return HyperLogLog(np.zeros((n_slots, REGISTERS), np.uint8))


def grow(state: HyperLogLog, n_slots: int) -> HyperLogLog:
    """A copy with more rows, the new ones empty."""
    return moved(state, empty(n_slots))


@kernel
def reset(state: HyperLogLog, slot: int) -> None:
    """Empty one row."""
    state.registers[slot, :] = 0


@kernel
def update(state: HyperLogLog, slots: NDArray[np.int32], hashes: NDArray[np.uint64]) -> None:
    """Note hashes, in place.

    slots   (n,)  row of each hash; -1 is skipped
    hashes  (n,)  0 is skipped
    """
    ranks, first = np.empty(slots.size, np.uint8), 0
    while first < slots.size:
        slot, last = slots[first], first + 1
        while last < slots.size and slots[last] == slot:
            last += 1
        if slot >= 0:
            note(state, slot, hashes, first, last - first, ranks)
        first = last


@kernel
def note(
    state: HyperLogLog,
    slot: int,
    hashes: NDArray[np.uint64],
    start: int,
    n: int,
    ranks: NDArray[np.uint8],
) -> None:
    """Note n hashes from `start` on in one row, in place; ranks (at least n,) is overwritten.

    Ranks first, in vector code. Then no branch: whether a register rises cannot be foretold.
    """
    registers, first = state.registers, np.uint64(start)
    for at in range(np.uint64(n)):
        word = hashes[first + at]
        ranks[at] = _rank(word >> _P_BITS) * int(word != 0)
    for at in range(np.uint64(n)):
        register = hashes[first + at] & _REGISTER_MASK  # unsigned: it cannot count from the end
        known, rank = registers[slot, register], ranks[at]
        registers[slot, register] = rank if rank > known else known


@kernel
def _rank(rest: np.uint64) -> int:
    """One more than the zeros at the low end of LONGEST bits.

    The lowest bit as a float64 says in its exponent where it stands: no loop, no branch.
    """
    guarded = signed(rest | _GUARD)
    return signed(float_bits(float(guarded & -guarded)) >> _EXPONENT) - 1022


@kernel
def merge(into: HyperLogLog, slots: NDArray[np.int32], other: HyperLogLog) -> None:
    """Add row j of `other` to row slots[j], in place; -1 is skipped."""
    for row in range(slots.size):
        slot = slots[row]
        if slot < 0:
            continue
        for register in range(into.registers.shape[1]):
            more = other.registers[row, register]
            if more > into.registers[slot, register]:
                into.registers[slot, register] = more


@kernel
def distinct(state: HyperLogLog, slot: int) -> float:
    """Estimate of how many different hashes a row has seen; 0 for an empty one."""
    ranks = np.zeros(LONGEST + 2, np.int64)
    for register in range(REGISTERS):
        ranks[state.registers[slot, register]] += 1
    if ranks[0] == REGISTERS:
        return 0.0
    z = REGISTERS * _tau(1.0 - ranks[LONGEST + 1] / REGISTERS)
    for rank in range(LONGEST, 0, -1):
        z = 0.5 * (z + ranks[rank])
    z += REGISTERS * _sigma(ranks[0] / REGISTERS)
    return REGISTERS * REGISTERS / (2.0 * math.log(2.0) * z)


@kernel
def _sigma(x: float) -> float:
    """x + sum over k >= 1 of x^(2^k) 2^(k-1), for x in [0, 1)."""
    factor, total = 1.0, x
    while True:
        x *= x
        before = total
        total += x * factor
        factor += factor
        if total == before:
            return total


@kernel
def _tau(x: float) -> float:
    """(1 - x - sum over k >= 1 of (1 - x^(2^-k))^2 2^-k) / 3, for x in [0, 1]."""
    if x == 0.0 or x == 1.0:
        return 0.0
    factor, total = 1.0, 1.0 - x
    while True:
        x = math.sqrt(x)
        before = total
        factor *= 0.5
        total -= (1.0 - x) * (1.0 - x) * factor
        if total == before:
            return total / 3.0


def pack(state: HyperLogLog, slot: int) -> bytes:
    """A row as bytes: three per register in use while they are few, about REGISTERS / 2 at most.

    Many registers lie within 15 of the smallest: four bits each, and the few beyond apart.
    """
    registers = state.registers[slot]
    if np.count_nonzero(registers) <= REGISTERS // 4:  # of more the bytes would be too many
        in_use = counts_bytes(registers)
        if len(in_use) <= REGISTERS // 2:
            return sealed(KIND, VERSION, [in_use, b""])
    least = int(registers.min())
    above = registers - np.uint8(least)
    nibbles = np.minimum(above, _NIBBLE)
    beyond = counts_bytes(above - nibbles) if above.max() > _NIBBLE else _NOTHING_BEYOND
    halves = nibbles[0::2] | (nibbles[1::2] << np.uint8(4))
    return sealed(KIND, VERSION, [beyond, bytes([least]) + halves.tobytes()])


def unpack(raw: Buffer) -> HyperLogLog:
    """The row that `pack` wrote, as a state of one slot. Raises ValueError."""
    counts, dense = opened(raw, KIND, VERSION, 2)
    if dense.size and dense.size != 1 + REGISTERS // 2:
        raise ValueError(f"{dense.size} bytes are not {REGISTERS} registers")
    registers = np.zeros(REGISTERS, np.uint8)
    if dense.size:
        registers[0::2], registers[1::2] = dense[1:] & _NIBBLE, dense[1:] >> np.uint8(4)
        if counts.tobytes() == _NOTHING_BEYOND and dense[0] <= LONGEST + 1 - _NIBBLE:
            registers += dense[0]
            return HyperLogLog(registers[None])
    wide = registers.astype(np.int64) + (int(dense[0]) if dense.size else 0)
    wide += counts_of(counts, REGISTERS)
    if wide.max() > LONGEST + 1:
        raise ValueError(f"a register is {wide.max()}, at most {LONGEST + 1} can be")
    return HyperLogLog(wide.astype(np.uint8)[None])


@kernel
def unpack_each(buffer: NDArray[np.uint8], spans: NDArray[np.int64], out: NDArray[np.uint8]) -> int:
    """Write what `pack` wrote to rows of zeros; the first row that cannot be read, or -1.

    spans  (n, 2)  where the bytes of each begin and end
    out    (n, REGISTERS)

    It accepts what `unpack` accepts, which says what is wrong with other bytes.
    """
    wide = np.zeros(REGISTERS, np.int64)
    for row in range(spans.shape[0]):
        if not _unpack_row(buffer[spans[row, 0] : spans[row, 1]], wide, out[row]):
            return row
    return -1


@kernel
def _unpack_row(raw: NDArray[np.uint8], wide: NDArray[np.int64], out: NDArray[np.uint8]) -> bool:
    head = LENGTH_BYTES + HEAD_BYTES
    if raw.size < head or raw[0] != _FIRST or raw[1] != _SECOND or raw[2] != VERSION:
        return False
    middle = head + _length(raw, HEAD_BYTES)
    if middle + LENGTH_BYTES > raw.size:
        return False
    start = middle + LENGTH_BYTES
    if start + _length(raw, middle) != raw.size:
        return False
    counts, dense = raw[head:middle], raw[start:]
    wide[:] = 0
    if dense.size == 1 + REGISTERS // 2:
        for at in range(REGISTERS // 2):
            both = signed(dense[1 + at])
            wide[2 * at] = signed(dense[0]) + (both & 15)
            wide[2 * at + 1] = signed(dense[0]) + (both >> 4)
    elif dense.size:
        return False
    if sparse.unpack_counts(counts, wide) != counts.size or wide.max() > LONGEST + 1:
        return False
    for register in range(REGISTERS):
        out[register] = wide[register]
    return True


@kernel
def _length(raw: NDArray[np.uint8], at: int) -> int:
    """The number in the four bytes from `at`, the lowest first."""
    low = signed(raw[at]) | signed(raw[at + 1]) << 8
    return low | signed(raw[at + 2]) << 16 | signed(raw[at + 3]) << 24

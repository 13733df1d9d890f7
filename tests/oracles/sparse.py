"""Packed counts, plainly: LEB128 on Python integers, as DWARF and WebAssembly define it."""

from __future__ import annotations

from collections.abc import Sequence


def pack_counts(counts: Sequence[int]) -> bytes:
    """The number of filled cells, then for each the empty cells before it and its count."""
    filled = [cell for cell, count in enumerate(counts) if count > 0]
    packed = _varint(len(filled))
    for previous, cell in zip([-1, *filled], filled, strict=False):
        packed += _varint(cell - previous - 1) + _varint(int(counts[cell]))
    return packed


def _varint(number: int) -> bytes:
    groups = []
    while True:
        groups.append(number & 0x7F)
        number >>= 7
        if not number:
            return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])

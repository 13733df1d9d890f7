"""Records: the bytes of Kafka record batches in, where each record's value lies out.

In    record batches of format 2 behind one another, uncompressed or decompressed, headers read
Out   start, end, offset and timestamp per record; no object per record
Not   headers, checksums, compression, transactions (stream/bus/raw.py)

Format: https://kafka.apache.org/documentation/#recordbatch. Whatever does not fit to the byte makes
`walk` give up, and the caller lets its Kafka client say what is wrong.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernels.jit import kernel, signed

GAVE_UP = -1
_MORE, _PAYLOAD, _BITS = np.uint64(0x80), np.uint64(0x7F), np.uint64(7)
_ONE, _LONGEST = np.uint64(1), np.uint64(63)


@kernel
def varint(data: NDArray[np.uint8], at: int, end: int) -> tuple[int, int]:
    """A zigzag varint of data[at:end] and the position after it; (0, GAVE_UP) if there is none."""
    bits, shift = np.uint64(0), np.uint64(0)
    while at < end and shift <= _LONGEST:
        byte = np.uint64(data[at])
        at += 1
        bits |= (byte & _PAYLOAD) << shift
        if byte < _MORE:
            return signed(bits >> _ONE) ^ -signed(bits & _ONE), at
        shift += _BITS
    return 0, GAVE_UP


@kernel
def _skipped(data: NDArray[np.uint8], at: int, end: int) -> int:
    """The position after a byte string with its length before it; a null one has length -1."""
    length, at = varint(data, at, end)
    if at < 0 or length > end - at:
        return GAVE_UP
    return at + max(length, 0)


@kernel
def _are_headers(data: NDArray[np.uint8], at: int, end: int) -> bool:
    """Whether data[at:end] is a count and so many headers."""
    count, at = varint(data, at, end)
    if count < 0:
        return False
    while at >= 0 and count > 0:
        key_length, _ = varint(data, at, end)
        at = _skipped(data, at, end)
        if key_length < 0 or at < 0:
            return False
        at = _skipped(data, at, end)
        count -= 1
    return at == end


@kernel
def walk(
    data: NDArray[np.uint8],
    batches: NDArray[np.int64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    offsets: NDArray[np.int64],
    times: NDArray[np.int64],
) -> int:
    """Find the records of b batches.

    batches  (b, 6) of each batch: where its records begin and end in data, how many they are, the
             base offset, the base timestamp, and 1 if this is the timestamp of every record
    starts, ends, offsets, times  (n,) at least as long as there are records; of a null value the
             end lies before the start

    Returns the number of records, or GAVE_UP.
    """
    found = 0
    for batch in range(len(batches)):
        at, end = batches[batch, 0], batches[batch, 1]
        for _ in range(batches[batch, 2]):
            length, at = varint(data, at, end)
            if at < 0 or length < 1 or length > end - at or data[at] >= _MORE:
                return GAVE_UP
            record_end = at + length
            time_delta, at = varint(data, at + 1, record_end)  # after the attributes, unused so far
            if at < 0:
                return GAVE_UP
            offset_delta, at = varint(data, at, record_end)
            if at < 0:
                return GAVE_UP
            at = _skipped(data, at, record_end)  # the key
            if at < 0:
                return GAVE_UP
            value_length, at = varint(data, at, record_end)
            if at < 0 or value_length > record_end - at:
                return GAVE_UP
            starts[found] = at
            ends[found] = at + value_length if value_length >= 0 else at - 1
            offsets[found] = batches[batch, 3] + offset_delta
            if found and offsets[found] <= offsets[found - 1]:
                return GAVE_UP
            times[found] = batches[batch, 4] + (0 if batches[batch, 5] else time_delta)
            found += 1
            if not _are_headers(data, at + max(value_length, 0), record_end):
                return GAVE_UP
            at = record_end
        if at != end:
            return GAVE_UP
    return found

"""Kafka record batches of format 2, written plainly: every field may be set to what it never is."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from aiokafka.record._crc32c import crc as crc32c


def varint(number: int) -> bytes:
    """A zigzag varint."""
    bits = (number << 1) ^ (number >> 63)
    out = b""
    while bits > 0x7F:
        out, bits = out + bytes([bits & 0x7F | 0x80]), bits >> 7
    return out + bytes([bits])


def record_bytes(
    value: bytes, offset_delta: int, time_delta: int, headers: bool, key: bytes | None
) -> bytes:
    """One record."""
    body = b"\0" + varint(time_delta) + varint(offset_delta)
    body += varint(-1) if key is None else varint(len(key)) + key
    body += varint(len(value)) + value
    body += varint(1) + varint(1) + b"h" + varint(2) + b"hv" if headers else varint(0)
    return varint(len(body)) + body


def batch_bytes(
    first: int,
    values: Sequence[bytes],
    *,
    times: Sequence[int] = (),
    offset_deltas: Sequence[int] = (),
    last_offset_delta: int | None = None,
    append_time: int | None = None,
    control: bool = False,
    transactional: bool = False,
    producer: int = -1,
    headers: bool = False,
    key: bytes | None = None,
    codec: int = 0,
    body: bytes | None = None,
) -> bytes:
    """A batch with a right length and checksum; `body` replaces the records, not their number."""
    n = len(values)
    times, deltas = times or [1000] * n, offset_deltas or range(n)
    if body is None:
        body = b"".join(
            record_bytes(value, delta, time - times[0], headers, key)
            for value, delta, time in zip(values, deltas, times, strict=True)
        )
    attributes = codec | (append_time is not None) << 3 | transactional << 4 | control << 5
    last = n - 1 if last_offset_delta is None else last_offset_delta
    most = max(times) if append_time is None else append_time
    tail = struct.pack(">hiqqqhii", attributes, last, times[0], most, producer, 0, 0, n) + body
    return struct.pack(">qiibI", first, len(tail) + 9, 0, 2, crc32c(tail)) + tail

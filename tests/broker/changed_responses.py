"""Changed responses: a seed in, record batches as brokers send them, or never would, out.

In    a seed
Out   without end: the bytes of one partition's part of a response, where the fetch began, and which
      transactions were aborted; some are untouched, most have a few wrong bytes or fields
Not   what is right (test_raw_fuzz.py asks aiokafka)
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from typing import NamedTuple

import cramjam
from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode
from google_crc32c import value as crc32c

from tests.oracles.records import batch_bytes, varint

HEADER = struct.Struct(">qiibIhiqqqhii")
CODECS = {
    1: lambda body: gzip_encode(body, 1),
    2: snappy_encode,
    3: lambda body: lz4_encode(body, 1),
    4: lambda body: bytes(cramjam.zstd.compress(body, 1)),
}
ODD_BYTES = (0, 1, 2, 3, 63, 64, 127, 128, 129, 200, 254, 255)
ODD_NUMBERS = (-(2**31), -2, -1, 0, 1, 2, 3, 5, 100, 2**15, 2**31 - 1)
ODD_TIMES = (-(2**63), -1, 0, 1, 2**40, 2**63 - 1)
SIZES = (0, 0, 1, 2, 20, 63, 64, 200)
LARGE = (5_000, 70_000, 300_000)  # viewed, and in memory that is used again
PRODUCERS = (-1, -1, 7, 8)


class Response(NamedTuple):
    """One partition's part of a fetch response."""

    data: bytes
    first_offset: int
    aborted: list[tuple[int, int]]


def responses(seed: int) -> Iterator[Response]:
    """Without end."""
    rng = random.Random(seed)
    while True:
        yield _response(rng)


def _response(rng: random.Random) -> Response:
    begin = rng.choice((0, 3, 10_000, 2**40))
    first, offset = _batch(rng, begin)
    wanted = rng.choice((begin, begin, rng.randrange(begin, offset)))
    batches = [first]
    for _ in range(rng.choice((0, 0, 1, 2, 4))):
        batch, offset = _batch(rng, offset)
        batches.append(batch)
    data = b"".join(batches)
    chance = rng.random()
    if chance < 0.15:
        data = data[: rng.randrange(len(data) + 1)]
    elif chance < 0.2:
        data += rng.randbytes(rng.choice((1, 16, 17, 61, 80)))
    elif chance < 0.22:
        at = rng.randrange(len(data))
        data = data[:at] + data[at + rng.randrange(1, 20) :]
    aborted = [(7, begin)] if rng.random() < 0.05 else []
    return Response(data, wanted, aborted)


def _batch(rng: random.Random, first: int) -> tuple[bytes, int]:
    """A batch, and the offset after it."""
    n = rng.choice((1, 1, 2, 3, 5))
    values = [_value(rng) for _ in range(n)]
    gaps = [rng.choice((1, 1, 1, 4)) for _ in values]
    deltas = [sum(gaps[:i]) for i in range(n)]
    producer = rng.choice(PRODUCERS)
    control = producer >= 0 and rng.random() < 0.2
    codec = 0 if control else rng.choice((0, 0, 1, 2, 3, 4))
    plain = batch_bytes(
        first,
        values,
        times=[1_000 + rng.randrange(-5, 300) for _ in values],
        offset_deltas=deltas,
        last_offset_delta=sum(gaps) - 1,
        append_time=77 if rng.random() < 0.2 else None,
        control=control,
        transactional=producer >= 0,
        producer=producer,
        headers=rng.random() < 0.3,
        key=struct.pack(">hh", 0, rng.randrange(2)) if control else rng.choice((None, b"", b"k")),
    )
    fields, body = list(HEADER.unpack_from(plain)), plain[HEADER.size :]
    # Of a marker that ends a transaction only aiokafka reads what it says, and only if it has to.
    change = rng.random() if not control else rng.uniform(0.55, 1.0)
    if change < 0.25:
        body = _changed(rng, body)
    if codec:
        body = CODECS[codec](body)
        fields[5] |= codec
        if 0.25 <= change < 0.4:
            body = _changed(rng, body)
    if 0.4 <= change < 0.55:
        _change_field(rng, fields)
    data = _sealed(fields, body)
    if 0.55 <= change < 0.6:
        data = _changed(rng, data)
    return data, first + sum(gaps)


def _value(rng: random.Random) -> bytes:
    size = rng.choice(LARGE) if rng.random() < 0.002 else rng.choice(SIZES)
    return rng.randbytes(size) if rng.random() < 0.7 else rng.randbytes(1) * 8 * size


def _changed(rng: random.Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(out) + 1)
        kind = rng.random()
        if kind < 0.6 and at < len(out):
            out[at] = rng.choice(ODD_BYTES)
        elif kind < 0.7 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif kind < 0.8:
            del out[at : at + rng.choice((1, 2, 9))]
        elif kind < 0.9:
            out[at:at] = varint(rng.choice((*ODD_NUMBERS, *ODD_TIMES)))
        else:
            out[at:at] = rng.randbytes(rng.choice((1, 2, 9)))
    return bytes(out)


def _change_field(rng: random.Random, fields: list[int]) -> None:
    kind = rng.choice(("attributes", "attributes", "last", "count", "count", "times", "offset"))
    if kind == "attributes":
        fields[5] ^= 1 << rng.choice((0, 1, 2, 3, 4, 6, 7, 14))
    elif kind == "last":
        fields[6] = rng.choice(ODD_NUMBERS)
    elif kind == "count":
        fields[12] = rng.choice((*ODD_NUMBERS, fields[12] + 1, fields[12] - 1))
    elif kind == "times":
        fields[rng.choice((7, 8))] = rng.choice(ODD_TIMES)
    else:
        fields[0] += rng.choice((-3, 2, 2**40))


def _sealed(fields: list[int], body: bytes) -> bytes:
    """The batch with its length and the checksum that makes it look right."""
    tail = struct.pack(">hiqqqhii", *fields[5:]) + body
    return struct.pack(">qiibI", fields[0], len(tail) + 9, 0, 2, crc32c(tail)) + tail

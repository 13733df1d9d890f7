"""Raw: a fetch response's record batches in, its records as positions in one buffer out.

In    an AIOKafkaConsumer made with `key_deserializer=raw_records`, after `install()`
Out   from `getmany`, per partition, one `Fetched` instead of many ConsumerRecords
Not   when to fetch (lane.py), what the values say (detect/ingest)

aiokafka makes some ten Python objects per record; here are none (kernels/decode/records.py walks
the bytes). Its names that are private stand in this file only, and `tests/broker/test_raw.py` fails
when a release moves them: `MemoryRecords` and `PartitionRecords` of `aiokafka.consumer.fetcher`,
and of the latter `_records`, `_aborted_transactions`, `_key_deserializer`, `_check_crcs`,
`_unpack_records` and `next_fetch_offset`.

What is unusual goes aiokafka's own way, a whole response at a time, with the same result: message
formats before 2, aborted transactions, bytes that do not fit the format.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import cramjam
import numpy as np
from aiokafka import TopicPartition, codec
from aiokafka.consumer import fetcher
from google_crc32c import value as crc32c
from numpy.typing import NDArray

from kernels.decode import records as kernel
from kernels.memory import PADDING
from stream.detect.ingest.blocks import Block
from stream.detect.ingest.events import Messages

MAX_UNPACKED_BYTES = 32 * 1024 * 1024  # of one batch; a larger one is refused whole

# Offset, length, leader epoch, magic, CRC, attributes, last offset delta, first and largest
# timestamp, producer id and epoch, base sequence, number of records.
_HEADER = struct.Struct(">qiibIhiqqqhii")
_MAGIC_AT = 16  # in every format
_CRC_FROM = 21  # the checksum is of everything from the attributes on
_CODEC, _SNAPPY, _IS_APPEND_TIME, _IS_CONTROL = 0x07, 2, 0x08, 0x20
_DECODERS = {1: cramjam.gzip, 3: cramjam.lz4, 4: cramjam.zstd}
_SCRATCH = bytearray(MAX_UNPACKED_BYTES)  # memory is taken only for what was once unpacked


class Bomb(NamedTuple):
    """A compressed batch that is not unpacked because it would be too large."""

    offset: int
    records: int


class Fetched(NamedTuple):
    """What a fetch brought of one partition.

    messages     the records; none if there are only bombs
    bombs        batches whose records are not among them
    next_offset  where the next fetch begins
    """

    messages: Messages | Block
    bombs: tuple[Bomb, ...]
    next_offset: int

    @property
    def first_offset(self) -> int:
        """The smallest that is among the messages or in a bomb."""
        return min([int(at) for at in self.messages.offsets[:1]] + [b.offset for b in self.bombs])


class _Unusual(Exception):
    """Let aiokafka do it."""


def raw_records(key: bytes | None) -> bytes | None:
    """The key as it is; as a consumer's `key_deserializer` it asks for `Fetched`."""
    return key


def install() -> None:
    """Make consumers that ask for it deliver `Fetched`; all others work as before."""
    fetcher.MemoryRecords, fetcher.PartitionRecords = _MemoryRecords, _PartitionRecords


class _MemoryRecords(fetcher.MemoryRecords):  # type: ignore[misc]
    """Record batches that remember their bytes."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(raw)
        self.raw = raw


class _PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """A partition's part of a fetch response."""

    next_fetch_offset: int

    def _unpack_records(self) -> Iterator[Any]:
        if self._key_deserializer is raw_records and not self._aborted_transactions:
            try:
                fetched = read_batches(
                    self._tp, self._records.raw, self.next_fetch_offset, self._check_crcs
                )
            except _Unusual:
                pass
            else:
                self.next_fetch_offset = fetched.next_offset
                if len(fetched.messages.offsets) or fetched.bombs:
                    yield fetched
                return
        yield from super()._unpack_records()


def fetched_of(tp: TopicPartition, items: Sequence[Any]) -> Fetched:
    """What `getmany` gave of a partition, in whichever of both ways."""
    first = items[0]
    if isinstance(first, Fetched):
        return first
    offsets = [record.offset for record in items]
    values, times = [record.value for record in items], [record.timestamp for record in items]
    messages = Messages(tp.topic, tp.partition, values, offsets, times)
    return Fetched(messages, (), offsets[-1] + 1)


def read_batches(
    tp: TopicPartition, raw: bytes, first_offset: int, check_crcs: bool = True
) -> Fetched:
    """The records from first_offset on in the complete batches of a response."""
    pieces, batches, bombs = [raw], [], []
    at, size, next_offset, is_plain = 0, len(raw), first_offset, False
    while len(raw) - at > _MAGIC_AT:
        if raw[at + _MAGIC_AT] != 2:
            raise _Unusual
        if len(raw) - at < _HEADER.size:
            break
        offset, length, _, _, crc, attributes, last, first_ms, most_ms, *_, count = (
            _HEADER.unpack_from(raw, at)
        )
        begin, end = at + _HEADER.size, at + 12 + length
        if end < begin or count < 0:
            raise _Unusual
        if end > len(raw):
            break  # the rest comes with the next fetch
        if check_crcs and crc32c(raw[at + _CRC_FROM : end]) != crc:
            raise _Unusual
        at, next_offset = end, offset + last + 1
        if attributes & _IS_CONTROL or next_offset <= first_offset:
            continue
        if attributes & _CODEC:
            piece = _unpacked(raw[begin:end], attributes & _CODEC)
            if piece is None:
                bombs.append(Bomb(offset, count))
                continue
            pieces.append(piece)
            begin, end, size = size, size + len(piece), size + len(piece)
        else:
            is_plain = True
        is_append_time = bool(attributes & _IS_APPEND_TIME)
        time_ms = most_ms if is_append_time else first_ms
        batches.append((begin, end, count, offset, time_ms, is_append_time))
    table = np.array(batches, np.int64).reshape(-1, 6)
    if not is_plain:  # nothing stands in the response itself
        del pieces[0]
        table[:, :2] -= len(raw)
    block = _walked(tp, pieces, table, first_offset)
    return Fetched(block, tuple(bombs), max(next_offset, first_offset))


def _unpacked(piece: bytes, kind: int) -> bytes | None:
    """A batch's records; None if they are too large."""
    try:
        if kind == _SNAPPY:  # at most 21 times as large
            return bytes(codec.snappy_decode(piece))
        size = _DECODERS[kind].decompress_into(piece, _SCRATCH)
    except cramjam.DecompressionError as error:
        if "whole buffer" in str(error):
            return None
        raise _Unusual from None
    except (KeyError, ValueError, struct.error):
        raise _Unusual from None
    return bytes(memoryview(_SCRATCH)[:size])


def _walked(
    tp: TopicPartition, pieces: Sequence[bytes], table: NDArray[np.int64], first_offset: int
) -> Block:
    data = np.frombuffer(b"".join([*pieces, bytes(PADDING)]), np.uint8)
    n = int(table[:, 2].sum())
    if n > len(data):  # a record has more than one byte
        raise _Unusual
    starts, ends, offsets, times = (np.empty(n, np.int64) for _ in range(4))
    if kernel.walk(data, table, starts, ends, offsets, times) != n:
        raise _Unusual
    if n and offsets[0] < first_offset:  # a batch comes whole, whatever its offset was asked for
        wanted = int(np.searchsorted(offsets, first_offset))
        starts, ends, offsets, times = (a[wanted:] for a in (starts, ends, offsets, times))
    return Block(tp.topic, tp.partition, data, starts, ends, offsets, times)

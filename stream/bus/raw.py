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
from stream.bus import frames
from stream.bus.spares import Spares
from stream.detect.ingest.blocks import Block
from stream.detect.ingest.events import Messages

MAX_UNPACKED_BYTES = 32 * 1024 * 1024  # of one batch; a larger one is refused whole
ENOUGH_BYTES = 32 * 1024 * 1024  # unpacked; what is left is fetched again

# Offset, length, leader epoch, magic, CRC, attributes, last offset delta, first and largest
# timestamp, producer id and epoch, base sequence, number of records.
_HEADER = struct.Struct(">qiibIhiqqqhii")
_LENGTH, _LENGTH_AT = struct.Struct(">i"), 8  # in every format, as the next
_LOG_OVERHEAD = _LENGTH_AT + _LENGTH.size  # what the length does not count
_MAGIC_AT = 16
_CRC_FROM = 21  # the checksum is of everything from the attributes on
_CODEC, _SNAPPY, _IS_APPEND_TIME, _IS_CONTROL = 0x07, 2, 0x08, 0x20
_SPARES = Spares(96 << 20)  # the records of a fetch of all partitions
_AiokafkaRecords = fetcher.MemoryRecords
_DECODERS = {1: cramjam.gzip, 3: cramjam.lz4, 4: cramjam.zstd}
# Memory is taken only for what was once unpacked.
_SCRATCH = memoryview(bytearray(ENOUGH_BYTES + MAX_UNPACKED_BYTES))


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
    frames.install()
    fetcher.MemoryRecords, fetcher.PartitionRecords = _MemoryRecords, _PartitionRecords


class _MemoryRecords:
    """Record batches as their bytes; aiokafka's own object only where it must read them."""

    def __init__(self, raw: bytes | memoryview) -> None:
        self.raw = raw
        self._own: Any = None
        if not self._is_one_complete():
            self._read()

    def has_next(self) -> bool:
        """Whether there is a complete batch."""
        return self._own is None or bool(self._own.has_next())

    def size_in_bytes(self) -> int:
        """Of all batches."""
        return len(self.raw)

    def next_batch(self) -> Any:
        """The next batch in aiokafka's way."""
        return self._read().next_batch()

    def _is_one_complete(self) -> bool:
        if len(self.raw) <= _MAGIC_AT:
            return False
        length: int = _LENGTH.unpack_from(self.raw, _LENGTH_AT)[0]
        return _MAGIC_AT < length <= len(self.raw) - _LOG_OVERHEAD

    def _read(self) -> Any:
        if self._own is None:
            self._own = _AiokafkaRecords(bytes(self.raw))
        return self._own


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
    tp: TopicPartition, raw: bytes | memoryview, first_offset: int, check_crcs: bool = True
) -> Fetched:
    """The records from first_offset on in the complete batches of a response."""
    batches: list[tuple[int, int, int, int, int, bool]] = []
    bombs, plain = [], []
    at, next_offset, data = 0, first_offset, np.frombuffer(raw, np.uint8)
    unpacked = _Unpacked(len(raw))
    while len(raw) - at >= _LOG_OVERHEAD and unpacked.size < ENOUGH_BYTES:
        length = _LENGTH.unpack_from(raw, at + _LENGTH_AT)[0]
        begin, end = at + _HEADER.size, at + _LOG_OVERHEAD + length
        if end > len(raw):
            break  # the rest comes with the next fetch
        if end < begin or raw[at + _MAGIC_AT] != 2:
            raise _Unusual
        offset, _, _, _, crc, attributes, last, first_ms, most_ms, *_, count = _HEADER.unpack_from(
            raw, at
        )
        if offset + last < next_offset or count < 0 or (at and offset < next_offset):
            raise _Unusual  # nothing of what was asked for, or not in order
        if check_crcs and crc32c(data[at + _CRC_FROM : end]) != crc:
            raise _Unusual
        at, next_offset = end, offset + last + 1
        if attributes & _IS_CONTROL:
            continue
        is_append_time = bool(attributes & _IS_APPEND_TIME)
        time_ms = most_ms if is_append_time else first_ms
        if attributes & _CODEC:
            begin, end = unpacked.add(raw[begin:end], attributes & _CODEC)
            if end < begin:
                bombs.append(Bomb(offset, count))
                continue
        else:
            plain.append(len(batches))
        batches.append((begin, end, count, offset, time_ms, is_append_time))
    table = np.array(batches, np.int64).reshape(-1, 6)
    block = _walked(tp, unpacked.buffer(raw, table, plain), table, first_offset)
    return Fetched(block, tuple(bombs), next_offset)


class _Unpacked:
    """What the batches of a response were unpacked to, one behind the other.

    They are where they will be read, unless they turn out larger than those before: then they go
    through the scratch, which has room for all.
    """

    ratio = 2.0  # of bytes unpacked to bytes packed, as the next response is expected to have

    def __init__(self, packed: int) -> None:
        self.size = 0
        self._packed = packed
        self._data: NDArray[np.uint8] | None = None
        self._room = _SCRATCH[:0]

    def add(self, piece: bytes | memoryview, kind: int) -> tuple[int, int]:
        """Where a batch's records are now; it ends before it begins if it is too large."""
        if not self.size:
            expected = min(int(self._packed * _Unpacked.ratio), ENOUGH_BYTES)
            self._data = _SPARES.room(expected + PADDING)
            self._room = self._data.data[:-PADDING]
        size = _unpack(piece, kind, self._room[self.size :][:MAX_UNPACKED_BYTES])
        if size < 0 and self._data is not None:
            _SCRATCH[: self.size] = self._room[: self.size]
            self._data, self._room = None, _SCRATCH
            size = _unpack(piece, kind, self._room[self.size :][:MAX_UNPACKED_BYTES])
        begin, end = self.size, self.size + size
        self.size = max(begin, end)
        return begin, end

    def buffer(
        self, raw: bytes | memoryview, table: NDArray[np.int64], plain: Sequence[int]
    ) -> NDArray[np.uint8]:
        """All records with PADDING behind; the table's positions are made true of it."""
        if not self.size and isinstance(raw, memoryview):  # frames.py left room behind it
            return np.frombuffer(raw, np.uint8)
        _Unpacked.ratio = max(1.1 * self.size / max(len(raw), 1), 0.9 * _Unpacked.ratio)
        if self._data is not None and not plain:
            return self._data[: self.size + PADDING]
        own = len(raw) if plain else 0
        data = _SPARES.room(self.size + own + PADDING)
        data[: self.size] = np.frombuffer(self._room[: self.size], np.uint8)
        data[self.size : self.size + own] = np.frombuffer(raw, np.uint8)[:own]
        table[list(plain), :2] += self.size
        return data


def _unpack(piece: bytes | memoryview, kind: int, room: memoryview) -> int:
    """The size of a batch's records, which stand in the room then; -1 if it is too small."""
    try:
        if kind == _SNAPPY:  # at most 21 times as large
            found = codec.snappy_decode(bytes(piece))
            if len(found) > len(room):
                return -1
            room[: len(found)] = found
            return len(found)
        return int(_DECODERS[kind].decompress_into(piece, room))
    except cramjam.DecompressionError as error:
        if "whole buffer" in str(error):
            return -1
        raise _Unusual from None
    except (KeyError, ValueError, struct.error):
        raise _Unusual from None


def _walked(
    tp: TopicPartition, data: NDArray[np.uint8], table: NDArray[np.int64], first_offset: int
) -> Block:
    n = int(table[:, 2].sum())
    if n > len(data):  # a record has more than one byte
        raise _Unusual
    starts, ends, offsets, times = (np.empty(n, np.int64) for _ in range(4))
    if kernel.walk(data, table, starts, ends, offsets, times) != n:
        raise _Unusual
    filled = table[table[:, 2] > 0]
    firsts = np.cumsum(filled[:, 2]) - filled[:, 2]
    if (offsets[firsts] < filled[:, 3]).any():  # before its batch
        raise _Unusual
    if n and offsets[0] < first_offset:  # a batch comes whole, whatever its offset was asked for
        wanted = int(np.searchsorted(offsets, first_offset))
        starts, ends, offsets, times = (a[wanted:] for a in (starts, ends, offsets, times))
    return Block(tp.topic, tp.partition, data, starts, ends, offsets, times)

"""Raw records under fire: changed batches through sockets cut anywhere give what aiokafka gives."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections import Counter, deque
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher

from stream.bus import frames, raw
from stream.detect.ingest.blocks import Block
from tests.broker.changed_responses import Response, responses

TP = TopicPartition("t", 0)
Row = tuple[int, int, bytes | None]

raw.install()
THEIRS = fetcher.PartitionRecords.__mro__[1]
THEIR_RECORDS = raw._AiokafkaRecords


class Read(NamedTuple):
    """What a way gives: records, where the next fetch begins, what ended it."""

    rows: list[Row]
    next_offset: int
    ended_by: str


def by_aiokafka(sent: Response) -> Read:
    part = THEIRS(
        TP, THEIR_RECORDS(sent.data), list(sent.aborted), sent.first_offset, None, None, True, 1
    )
    found: list[Row] = []
    try:
        found += ((item.offset, item.timestamp, item.value) for item in part)
    except Exception as error:
        return Read(found, part.next_fetch_offset, name_of(error))
    return Read(found, part.next_fetch_offset, "")


def rows_of(block: Block) -> list[Row]:
    columns = (block.offsets.tolist(), block.arrivals_ms.tolist())
    return [(*two, block.value(at)) for at, two in enumerate(zip(*columns, strict=True))]


def by_us(sent: Response, data: bytes | memoryview, kept: deque[Any]) -> Read:
    """As the lane reads; blocks are kept with what they held."""
    part = fetcher.PartitionRecords(
        TP, fetcher.MemoryRecords(data), list(sent.aborted), sent.first_offset, raw.raw_records,
        None, True, 1,
    )  # fmt: skip
    found: list[Row] = []
    try:
        for item in part:
            if isinstance(item, raw.Fetched):
                assert not item.bombs
                found += rows_of(item.messages)
                kept.append((item.messages, list(found)))
            else:
                found.append((item.offset, item.timestamp, item.value))
    except AssertionError:
        raise
    except Exception as error:
        return Read(found, part.next_fetch_offset, name_of(error))
    return Read(found, part.next_fetch_offset, "")


def agree(ours: Read, theirs: Read) -> bool:
    """Equal, but for what stops aiokafka and not us.

    The key of a header that is no text is needed by nobody here. zlib refuses codes that other
    decoders read; gzip's own checksum says that what these read is right.
    """
    if theirs.ended_by in ("UnicodeDecodeError", "zlib.error"):
        return ours.rows[: len(theirs.rows)] == theirs.rows
    return ours == theirs


def name_of(error: Exception) -> str:
    kind = type(error)
    return "zlib.error" if kind is zlib.error else kind.__name__


async def through_a_socket(sent: list[bytes], rng: random.Random) -> list[memoryview]:
    """Each as a frame of a connection that brings some bytes at a time."""
    loop = asyncio.get_running_loop()
    one = frames._Protocol(loop.create_future(), asyncio.StreamReader(loop=loop), loop=loop)
    data, at = b"".join(len(each).to_bytes(4, "big") + each for each in sent), 0
    while at < len(data):
        room = one.get_buffer(-1)
        n = min(len(room), len(data) - at, rng.choice((1, 3, 100, 5_000, 1 << 20)))
        room[:n] = data[at : at + n]
        one.buffer_updated(n)
        at += n
    return [await one.next_frame() for _ in sent]


def compare(seed: int, n: int, at_once: int = 40) -> Counter[str]:
    """Read n responses in both ways; how often each kind of end came."""
    rng, source, seen = random.Random(seed), responses(seed), Counter[str]()
    for _ in range(n // at_once):
        some = list(islice(source, at_once))
        raw._Unpacked.ratio = rng.choice((0.1, 1.0, 2.0, 8.0))  # a guess that is wrong, or right
        for sent, theirs in _both(some, rng):
            seen[theirs.ended_by or ("records" if theirs.rows else "nothing")] += 1
            seen["batches"] += sent.data.count(b"\0\0\0\0\2")
    return seen


def _both(some: list[Response], rng: random.Random) -> Iterator[tuple[Response, Read]]:
    head = b"12345678"  # two partitions' parts follow one another; here is what lies between
    came = asyncio.run(through_a_socket([head + each.data for each in some], rng))
    kept: deque[Any] = deque()
    for sent, frame in zip(some, came, strict=True):
        view = frames.View(frame)
        assert view.read(len(head)) == head
        theirs, ours = by_aiokafka(sent), by_us(sent, view.read(len(sent.data)), kept)
        assert agree(ours, theirs), (sent, ours, theirs)
        yield sent, theirs
    for block, rows in kept:  # memory is used again only when nobody looks at it any more
        assert rows_of(block) == rows


@pytest.mark.parametrize("seed", range(5))
def test_changed_responses_are_read_as_aiokafka_reads_them(seed: int) -> None:
    seen = compare(seed, 400)
    assert seen["records"] > 100
    assert seen["CorruptRecordException"] > 10


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(100, 120))
def test_a_million_changed_responses_are_read_as_aiokafka_reads_them(seed: int) -> None:
    compare(seed, 1_000_000 // 20)

"""Stamped: events in, record batches of them as of now and with new ids out, on a topic.

In    events as JSON whose id holds ID_MARK and whose `ts` is TS_MARK
Out   one event per message, lz4, acknowledged by all replicas; features come again after a while
Not   which events, and how many when (live.py, traffic.py)

Formatting events one by one costs more than counting them. Here batches are encoded once, by
aiokafka; before each sending numpy writes the digits of ids and times into them, so that a core
publishes several hundred thousand events a second. What the broker and its readers get is what any
producer without idempotence sends.
"""

from __future__ import annotations

import asyncio
import re
import struct
from collections.abc import Sequence
from itertools import cycle

import numpy as np
from aiokafka.client import AIOKafkaClient
from aiokafka.codec import lz4_encode
from aiokafka.errors import for_code
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from google_crc32c import value as crc32c
from numpy.typing import NDArray

from stream.bus.connection import Connection, client_arguments
from stream.errors import BusError

SIZE = 400  # events of a batch at most
ID_MARK, TS_MARK = b"#" * 12, b"1" + b"#" * 12  # the first is in quotes, the second is a number
IN_FLIGHT = 4  # requests sent and not acknowledged yet
ACKNOWLEDGED_MS = 30_000
TRIES, PAUSE_S = 50, 0.1

_HEADER_BYTES, _LENGTH_AT, _CRC_AT, _CRC_FROM = 61, 8, 17, 21
_LZ4, _FAST = 3, 1  # as librdkafka and Java do; aiokafka's 9 costs five times as much
_TAIL = struct.Struct(">hiqqqhii")  # attributes, last offset, times, producer, count


class Batches:
    """Batches of SIZE events, the one after the other."""

    def __init__(self, events: Sequence[bytes]) -> None:
        chunks = [events[i : i + SIZE] for i in range(0, len(events) - SIZE + 1, SIZE)]
        self._turns = cycle([_Batch(chunk) for chunk in chunks])

    def take(self, first: int, n: int, now_ms: int) -> bytes:
        """The first n events of the next batch, with the ids first, first + 1, …"""
        return next(self._turns).stamped(first, n, now_ms)


class _Batch:
    def __init__(self, events: Sequence[bytes]) -> None:
        builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 30)
        for at, event in enumerate(events):
            builder.append(at, 0, b"%d" % at, event, [])
        records = bytes(builder.build())[_HEADER_BYTES:]
        self._records = np.frombuffer(records, np.uint8).copy()
        self._ids = _places(records, b'"id":"[^"]*?(%b)' % ID_MARK, len(ID_MARK))
        self._times = _places(records, b'"ts":(%b)' % TS_MARK, len(TS_MARK))
        if not len(self._ids) == len(self._times) == len(events):
            raise ValueError("each event needs one id with ID_MARK and one ts that is TS_MARK")
        self._ends = _ends(records, len(events))

    def stamped(self, first: int, n: int, now_ms: int) -> bytes:
        ids = np.arange(first, first + n)[:, None]
        self._records[self._ids[:n]] = _digits(ids, len(ID_MARK))
        self._records[self._times[:n]] = _digits(np.array([now_ms]), len(TS_MARK))
        body = lz4_encode(self._records[: self._ends[n - 1]].tobytes(), level=_FAST)
        tail = _TAIL.pack(_LZ4, n - 1, now_ms, now_ms, -1, -1, -1, n) + body
        return struct.pack(">qiibI", 0, len(tail) + 9, -1, 2, crc32c(tail)) + tail


def _places(records: bytes, pattern: bytes, width: int) -> NDArray[np.intp]:
    starts = [found.start(1) for found in re.finditer(pattern, records)]
    return np.array(starts, np.intp)[:, None] + np.arange(width)


def _digits(numbers: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
    powers = 10 ** np.arange(width - 1, -1, -1)
    return (numbers // powers % 10 + ord("0")).astype(np.uint8)


def _ends(records: bytes, n: int) -> list[int]:
    """Where each record ends."""
    ends, at = [], 0
    for _ in range(n):
        length, shift = 0, 0
        while True:
            byte = records[at]
            length |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                break
        at += length >> 1  # lengths are zigzag and never negative
        ends.append(at)
    return ends


class StampedPublisher:
    """Publishes stamped batches to all partitions of a topic; an async context manager."""

    def __init__(self, connection: Connection, topic: str) -> None:
        self._connection, self._topic = connection, topic
        self._sent: set[asyncio.Future[None]] = set()

    async def __aenter__(self) -> StampedPublisher:
        self._client = AIOKafkaClient(**client_arguments(self._connection))
        await self._client.bootstrap()
        await self._client.set_topics([self._topic])
        self._partitions = sorted(self._client.cluster.partitions_for_topic(self._topic) or ())
        if not self._partitions:
            raise BusError(f"topic {self._topic} does not exist")
        self._node = self._client.cluster.brokers().pop().nodeId
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        if kind is None:
            await self.flush()
        await self._client.close()

    async def publish(self, batches: Batches, first: int, n: int, now_ms: int) -> None:
        """Send n events, as many to each partition; returns when they are on their way.

        Raises BusError if the broker refuses any.
        """
        end = first + n
        while first < end:
            share = min(SIZE, -(-(end - first) // len(self._partitions)))
            parts = []
            for partition in self._partitions:
                size = min(share, end - first)
                if size:
                    parts.append((partition, batches.take(first, size, now_ms)))
                first += size
            self._sent.add(asyncio.ensure_future(self._send(parts)))
            await self._wait(IN_FLIGHT)

    async def flush(self) -> None:
        """Return when everything is acknowledged."""
        await self._wait(0)

    async def _send(self, parts: list[tuple[int, bytes]]) -> None:
        for _ in range(TRIES):
            request = ProduceRequest(None, -1, ACKNOWLEDGED_MS, [(self._topic, parts)])
            answer = await self._client.send(self._node, request)
            codes = {partition: code for _, some in answer.topics for partition, code, *_ in some}
            parts = [part for part in parts if codes[part[0]]]
            if not parts:
                return
            error = for_code(codes[parts[0][0]])
            if not error.retriable:
                break
            await asyncio.sleep(PAUSE_S)  # a topic that is new has no leader for a moment
        raise BusError(f"{self._topic}/{parts[0][0]}: {error.__name__}")

    async def _wait(self, most: int) -> None:
        while len(self._sent) > most:
            done, self._sent = await asyncio.wait(self._sent, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                future.result()

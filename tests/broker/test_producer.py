"""Does a send come to its end, whatever state the client or the broker is in?"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, OutOfOrderSequenceNumber

from stream.bus import producer as module
from stream.bus.connection import Connection
from stream.bus.producer import Producer, Record
from stream.clock import ManualClock
from stream.errors import BusError

RECORDS = [Record("t", b"k", b"1"), Record("t", b"k", b"2")]


class Cluster:
    """What all clients of a test meet, one failure after the other."""

    def __init__(self, *, starts: list[Any] = [], sends: list[Any] = []) -> None:  # noqa: B006
        self.starts, self.sends = list(starts), list(sends)
        self.clients = 0
        self.sent: list[tuple[int, bytes]] = []  # by which client
        self.stopped: list[int] = []


class Client:
    """One aiokafka producer."""

    _sender = None

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        cluster.clients += 1
        self._number = cluster.clients

    async def start(self) -> None:
        if self._cluster.starts and (failure := self._cluster.starts.pop(0)):
            raise failure

    async def send(self, _topic: str, value: bytes, **_: Any) -> asyncio.Future[None]:
        self._cluster.sent.append((self._number, value))
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        failure = self._cluster.sends.pop(0) if self._cluster.sends else None
        if isinstance(failure, Exception):
            done.set_exception(failure)
        elif failure != "silence":
            done.set_result(None)
        return done

    async def stop(self) -> None:
        self._cluster.stopped.append(self._number)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses."""
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0)
    monkeypatch.setattr(module, "ATTEMPT_S", 0.05)


def sent(monkeypatch: pytest.MonkeyPatch, cluster: Cluster, **more: Any) -> Cluster:
    """What became of two records."""
    monkeypatch.setattr(module, "AIOKafkaProducer", lambda **_: Client(cluster))

    async def work() -> None:
        made = Producer(Connection("x:1"), ManualClock(), **more)
        await made.start()
        await made.send(RECORDS)
        assert made.measure() == (0, None)
        await made.stop()

    asyncio.run(work())
    return cluster


def test_records_are_sent_once_when_all_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = sent(monkeypatch, Cluster())
    assert cluster.sent == [(1, b"1"), (1, b"2")]


def test_a_client_that_is_dead_after_an_outage_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = sent(monkeypatch, Cluster(sends=[None, OutOfOrderSequenceNumber()]))
    assert cluster.sent == [(1, b"1"), (1, b"2"), (2, b"1"), (2, b"2")]
    assert cluster.stopped == [1, 2]


def test_a_client_that_says_nothing_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = sent(monkeypatch, Cluster(sends=["silence", "silence"]))
    assert cluster.sent[2:] == [(2, b"1"), (2, b"2")]


def test_a_broker_that_is_away_is_tried_until_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    away = [None, KafkaConnectionError("away"), KafkaConnectionError("away")]
    cluster = sent(monkeypatch, Cluster(starts=away, sends=[OutOfOrderSequenceNumber()]))
    assert cluster.clients == 4
    assert cluster.sent[-2:] == [(4, b"1"), (4, b"2")]


def test_a_command_does_not_try_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BusError, match="OutOfOrderSequenceNumber"):
        sent(monkeypatch, Cluster(sends=[OutOfOrderSequenceNumber()] * 2), patience_s=-1)


def test_a_broker_that_is_not_there_at_the_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BusError, match="cannot produce to x:1"):
        sent(monkeypatch, Cluster(starts=[KafkaConnectionError("away")]))

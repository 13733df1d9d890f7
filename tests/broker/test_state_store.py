"""State store: does taking over a partition outlast a broker that goes away meanwhile?"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from aiokafka.errors import KafkaConnectionError

from stream.bus import state_store as module
from stream.bus.connection import Connection
from stream.bus.state_store import StateStore
from stream.errors import BusError


class Producer:
    """Of a topic with one partition; everything is acknowledged."""

    async def partitions(self, _: str) -> int:
        return 1

    async def send(self, _: Any) -> None:
        pass


def taken_over(monkeypatch: pytest.MonkeyPatch, failures: int) -> int:
    """How often the topic was read until it could be."""
    asked = 0

    async def read(*_: Any) -> tuple[int, dict[bytes, Any]]:
        nonlocal asked
        asked += 1
        if asked <= failures:
            raise KafkaConnectionError("nobody there")
        return 7, {}

    monkeypatch.setattr(module, "PAUSE_S", 0)
    store = StateStore(Connection("nowhere:1"), cast(Any, Producer()), "judge-state")
    monkeypatch.setattr(store, "_read", read)
    memory, damaged = asyncio.run(store.take_over(0))
    assert (memory.head, damaged) == (None, [])
    return asked


def test_a_broker_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert taken_over(monkeypatch, failures=3) == 4


def test_a_broker_that_stays_away_ends_the_worker_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "READ_WITHIN_S", 0.05)
    with pytest.raises(BusError, match=r"partition 0 of judge-state was not read in 0.05 s"):
        taken_over(monkeypatch, failures=1_000_000)

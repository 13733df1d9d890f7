"""Kafka for tests: one embedded broker per test run, started by the first test that asks.

A `conftest.py` imports the fixtures it wants. A test that stops or kills a broker takes its own.
"""

from __future__ import annotations

import re
import threading
import zlib
from collections.abc import Callable

import pytest

from stream.broker import EmbeddedBroker
from stream.bus.connection import Connection
from stream.clock import SystemClock

_SHARED = pytest.StashKey[EmbeddedBroker]()


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest) -> EmbeddedBroker:
    """The broker of this run, however many folders import this fixture."""
    stash = request.config.stash
    if _SHARED not in stash:
        stash[_SHARED] = EmbeddedBroker()
        request.config.add_cleanup(stash[_SHARED].stop)
    stash[_SHARED].start()
    return stash[_SHARED]


@pytest.fixture
def connection(broker: EmbeddedBroker) -> Connection:
    """The way to the shared broker."""
    return Connection(broker.bootstrap)


@pytest.fixture
def topic_prefix(request: pytest.FixtureRequest) -> str:
    """Begins the names of this test's topics and groups; the same in every run."""
    readable = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:60]
    return f"{readable}-{zlib.crc32(request.node.nodeid.encode()):08x}-"


def wait_until(is_true: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether it became true in time; for what happens in another process and tells nobody."""
    clock, pause = SystemClock(), threading.Event()
    deadline_ms = clock.monotonic_ms() + int(seconds * 1000)
    while not is_true():
        if clock.monotonic_ms() > deadline_ms:
            return False
        pause.wait(0.05)
    return True
